"""Says what edited settings would change: what is foretold under them, less what would be without.

Both are foretold on the same knowledge, and no source is asked: what differs is the settings' doing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sync.foresee import Forecast, foresee_as_known
from sync.store import looking, looking_ahead, wakes
from sync.store import running as kept

if TYPE_CHECKING:
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
    """What happens under one set of settings; `shown` are the events that stand already."""

    forecast: Forecast
    shown: frozenset[tuple[str, str]]


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
    return Outcome(_with_doctors(clinic, forecast), shown)


def difference(before: Outcome, after: Outcome) -> Difference:
    """Return what differs between what runs and what would."""
    gone, new = (
        _less(one.forecast.messages, other.forecast.messages)
        for one, other in ((before, after), (after, before))
    )
    unwritten, written = (
        _less(one.forecast.calendars, other.forecast.calendars)
        for one, other in ((before, after), (after, before))
    )
    puts = [_event(one) for one in written if one["op"] == "put"]
    stay = [_event(one) for one in unwritten if one["op"] == "remove"]
    leave = [_event(one) for one in written if one["op"] == "remove"]
    unmade = [_event(one) for one in unwritten if one["op"] == "put"]
    stands = {(one["calendar"], one["appointment"]) for one in leave} | after.shown
    return Difference(
        _ordered([*map(_message, new), *(e for e in puts if _place(e) not in stands), *stay]),
        _ordered([*map(_message, gone), *leave, *(e for e in unmade if _place(e) not in stands)]),
        _ordered([e for e in puts if _place(e) in stands]),
    )


def newly_held(before: Outcome, after: Outcome) -> list[dict[str, Any]]:
    """Return the holds of what would, but for those that hold as much of what runs."""
    ran = {(one["source"], one["guard"]): one["count"] for one in before.forecast.held}
    return [
        one
        for one in after.forecast.held
        if one["count"] > ran.get((one["source"], one["guard"]), 0)
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


def _message(one: Item) -> Item:
    return {"thing": "message", **one}


def _event(one: Item) -> Item:
    return {"thing": "event", **{key: value for key, value in one.items() if key != "op"}}


def _place(one: Item) -> tuple[str, str]:
    return one["calendar"], one["appointment"]


def _ordered(some: Iterable[Item]) -> list[Item]:
    return sorted(some, key=lambda one: (one.get("at") or one.get("start") or "", _name(one)))


def _name(one: Item) -> str:
    return f"{one['appointment']}{one['thing']}{one.get('step')}{one.get('calendar')}"


# --- whose visits they are -----------------------------------------------------------------------


def _with_doctors(clinic: Clinic, forecast: Forecast) -> Forecast:
    """Return a forecast whose messages and events say which doctor's visit they are about."""
    known: dict[str, str] = {}
    for one in (*forecast.messages, *forecast.calendars):
        name = one["appointment"]
        if name and name not in known:
            known[name] = _doctor(clinic, name)
    messages, calendars = (
        [{"doctor": known.get(one["appointment"] or "", ""), **one} for one in some]
        for some in (forecast.messages, forecast.calendars)
    )
    return forecast.with_lists(messages, calendars)


def _doctor(clinic: Clinic, name: str) -> str:
    source, _, key = name.partition("/")
    with clinic.store.read() as connection:
        found = looking.by_key(connection, clinic.store.clinic, [source], key)
        visits = wakes.by_ids(connection, found)
    who = next((one.visit.primary for one in visits.values() if one.visit.primary), None)
    if who is None:
        return ""
    entry = clinic.doctor(source, who)
    known = entry.id if entry is not None else who.key
    return clinic.opaque("doctor", known) if "@" in known else known


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
