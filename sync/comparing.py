"""Says what edited settings would change: what is foretold under them, less what would be without.

Both are foretold on the same knowledge, and no source is asked: what differs is the settings' doing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sync.foresee import Forecast, foresee_as_known
from sync.store import looking, looking_ahead, wakes
from sync.store import running as kept

if TYPE_CHECKING:
    from clinicrelay.model import Practitioner
    from sync.clinic import Clinic
    from sync.store.running import Running

# Whom they name and how one reaches them is nobody's business who reads a plan.
_PRIVATE = ("clinic.", "doctors", "safety.only_recipients")

Item = Mapping[str, Any]


class Edit(NamedTuple):
    """A key that was edited; what stands there is told only where it names nobody."""

    path: str
    before: Any
    after: Any

    def json(self) -> dict[str, Any]:
        return {"path": self.path, "running": self.before, "new": self.after}


class Outcome(NamedTuple):
    """What happens under one set of settings; `shown` are the events that stand already.

    `whose` has the practitioner of each visit (`source/key`) that it is about, and `called` returns
    what these settings call a practitioner of a source.
    """

    forecast: Forecast
    shown: frozenset[tuple[str, str]]
    whose: Mapping[str, Practitioner]
    called: Callable[[str, Practitioner], str]


class Difference(NamedTuple):
    """What the edit adds, removes, and (of events that stand) rewrites, in the order of time."""

    added: Sequence[Item]
    removed: Sequence[Item]
    changed: Sequence[Item]

    @property
    def empty(self) -> bool:
        return not (self.added or self.removed or self.changed)


def runs(clinic: Clinic) -> Running | None:
    """Return what runs; None: nobody kept it."""
    with clinic.store.read() as connection:
        return kept.running(connection, clinic.store.clinic)


def edits(clinic: Clinic, running: Running) -> list[Edit]:
    """Return which keys are others than those that run."""
    from clinicrelay.settings.parts import differences, parts_of

    return [
        Edit(path, *((None, None) if path.startswith(_PRIVATE) else (before, after)))
        for path, before, after in differences(running.parts, parts_of(clinic.settings))
    ]


def outcome(clinic: Clinic, *, until: datetime) -> Outcome:
    """Foretell what is known to fall due, on a dry clinic."""
    with clinic.store.read() as connection:
        shown = looking_ahead.shown(connection, clinic.store.clinic)
    forecast = foresee_as_known(clinic, until=until)
    return Outcome(forecast, shown, _whose(clinic, forecast), _names(clinic))


def difference(before: Outcome, after: Outcome) -> Difference:
    """Return what differs between what runs and what would.

    Who a doctor is called is told, and compared with nothing: by another name they get the same.
    """
    gone, new = _messages(before, after), _messages(after, before)
    puts, leave = _events(after, before, "put"), _events(after, before, "remove")
    unmade, stay = _events(before, after, "put"), _events(before, after, "remove")
    stands = {_place(one) for one in leave} | after.shown
    whose = {**before.whose, **after.whose}
    added = [*new, *(e for e in puts if _place(e) not in stands), *stay]
    removed = [*gone, *leave, *(e for e in unmade if _place(e) not in stands)]
    changed = [e for e in puts if _place(e) in stands]
    return Difference(
        _told(added, whose, after.called),
        _told(removed, whose, before.called),
        _told(changed, whose, after.called),
    )


def newly_held(before: Outcome, after: Outcome) -> list[dict[str, Any]]:
    """Return the holds of what would, but for those that hold as much of what runs."""
    ran = {(one["source"], one["guard"]): one["count"] for one in before.forecast.held}
    return [
        one
        for one in after.forecast.held
        if one["count"] > ran.get((one["source"], one["guard"]), 0)
    ]


def _messages(one: Outcome, other: Outcome) -> list[Item]:
    """Return the messages of one outcome that the other has not."""
    found = _less(one.forecast.messages, other.forecast.messages)
    return [{"thing": "message", **item} for item in found]


def _events(one: Outcome, other: Outcome, op: str) -> list[Item]:
    """Return the events that one outcome puts or removes (`op`) and the other does not."""
    found = _less(one.forecast.calendars, other.forecast.calendars)
    return [
        {"thing": "event", **{key: value for key, value in item.items() if key != "op"}}
        for item in found
        if item["op"] == op
    ]


def _less(some: Sequence[Item], others: Sequence[Item]) -> list[Item]:
    """Return what is in one list and not in the other, as often as it is there once more."""
    left = Counter(_same(one) for one in others)
    found = []
    for one in some:
        if left[_same(one)]:
            left[_same(one)] -= 1
        else:
            found.append(one)
    return found


def _same(one: Item) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(one.items()))


def _place(one: Item) -> tuple[str, str]:
    return one["calendar"], one["appointment"]


def _told(
    some: Iterable[Item],
    whose: Mapping[str, Practitioner],
    called: Callable[[str, Practitioner], str],
) -> list[Item]:
    """Return things in the order of time, each with whose visit it is about."""
    named = [{"doctor": _doctor(one["appointment"], whose, called), **one} for one in some]
    return sorted(named, key=lambda one: (one.get("at") or one.get("start") or "", _name(one)))


def _doctor(
    visit: str | None,
    whose: Mapping[str, Practitioner],
    called: Callable[[str, Practitioner], str],
) -> str:
    if not visit or visit not in whose:
        return ""
    return called(visit.partition("/")[0], whose[visit])


def _name(one: Item) -> str:
    return f"{one['appointment']}{one['thing']}{one.get('step')}{one.get('calendar')}"


# --- whose visits they are -----------------------------------------------------------------------


def _whose(clinic: Clinic, forecast: Forecast) -> dict[str, Practitioner]:
    told = {one["appointment"] for one in (*forecast.messages, *forecast.calendars)}
    named = ((name, _practitioner(clinic, name)) for name in sorted(filter(None, told)))
    return {name: who for name, who in named if who is not None}


def _practitioner(clinic: Clinic, name: str) -> Practitioner | None:
    source, _, key = name.partition("/")
    with clinic.store.read() as connection:
        found = looking.by_key(connection, clinic.store.clinic, [source], key)
        visits = wakes.by_ids(connection, found)
    return next((one.visit.primary for one in visits.values() if one.visit.primary), None)


def _names(clinic: Clinic) -> Callable[[str, Practitioner], str]:
    opaque = clinic.opaque  # from the store, which is closed by then

    def called(source: str, who: Practitioner) -> str:
        entry = clinic.doctor(source, who)
        known = entry.id if entry is not None else who.key
        return opaque("doctor", known) if "@" in known else known

    return called


def counted(some: Iterable[Item]) -> Counter[str]:
    """Return how many of what: messages by kind, step and channel, events by calendar."""
    return Counter(_kind(one) for one in some)


def _kind(one: Item) -> str:
    if one["thing"] == "event":
        return f"event in {one['calendar'].partition(':')[0]}"
    step = f" {one['step']}" if one["step"] else ""
    return f"{one['kind']}{step} to {one['to']} by {one['channel']}"


def by_doctor(found: Difference) -> Iterator[tuple[str, int, int]]:
    """Yield each doctor with what is added and what is removed."""
    added, removed = (Counter(one["doctor"] for one in some) for some in found[:2])
    for doctor in sorted({*added, *removed}):
        yield doctor or "no doctor", added[doctor], removed[doctor]
