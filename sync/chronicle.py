"""The history of a visit, line by line, from what the store kept of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from clinicrelay.model import Appointment, decode
from sync.hands import read
from sync.reasons import setting_of

if TYPE_CHECKING:
    from sync.store.wakes import Past, Woken

When: TypeAlias = Callable[[datetime], str]

_WORDS = {"email": "e-mail", "sms": "sms", "whatsapp": "whatsapp"}


class Line(NamedTuple):
    """When, what, and why; details carry times and codes, never a person's data."""

    at: datetime
    what: str
    reason: str | None = None
    setting: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Life:
    """All that the store keeps of one visit: ledger, events, records set aside, a held change."""

    woken: Woken
    visit: Appointment
    past: Sequence[Past]
    runs: Mapping[int, str]
    first_run: str
    messages: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]
    waiting: Mapping[str, Any] | None
    aside: Sequence[Mapping[str, Any]]
    mended: Sequence[Mapping[str, Any]] = ()  # records of it that were set aside until they were

    @property
    def was_aside(self) -> bool:
        """Whether it was set aside when it came, and was not known before it was mended."""
        return any(one["first_seen_at"] < self.woken.first_seen_at for one in self.mended)


def chronicle(life: Life, when: When) -> list[Line]:
    """Return everything that happened to a visit, the oldest first; `when` puts times into words."""
    lines = [
        *(line for one in life.mended for line in _mended(one)),
        *_versions(life, when),
        *(line for message in life.messages for line in entries(message)),
        *(_event(event) for event in life.events),
        *(line for event in life.events for line in _deeds(event)),
        *_waiting(life.waiting, when),
        *(aside_line(one) for one in life.aside),
    ]
    return sorted(lines, key=lambda line: line.at)


# --- versions ------------------------------------------------------------------------------------


def _versions(life: Life, when: When) -> Iterator[Line]:
    woken = life.woken
    all_ = [*(decode(one.content) for one in life.past), life.visit]
    silently = "mended" if life.was_aside else "imported"
    yield Line(
        instant(woken.first_seen_at),
        "first seen",
        silently if woken.baseline == 1 else None,
        "",
        f"{_stand(all_[0], when)} (run {life.first_run})",
    )
    for number, one in enumerate(life.past):
        no_news = woken.baseline == one.version + 1
        yield Line(
            instant(one.replaced_at),
            one.what.replace(",", ", "),
            "imported" if no_news else woken.gone_reason if "gone" in one.what else None,
            "",
            _changed(all_[number], all_[number + 1], life.runs.get(one.version, ""), when),
        )


def _stand(visit: Appointment, when: When) -> str:
    return f"{visit.status.value}, {_start(visit.start, when)}"


def _changed(before: Appointment, after: Appointment, run: str, when: When) -> str:
    return f"{difference(before, after, when)} (run {run})".lstrip()


def difference(before: Appointment, after: Appointment, when: When) -> str:
    """Say what differs between two versions, without saying anything of a patient."""
    return ", ".join(_differences(before, after, when))


def _differences(before: Appointment, after: Appointment, when: When) -> Iterator[str]:
    if before.start != after.start:
        yield f"{_start(before.start, when)} → {_start(after.start, when)}"
    elif before.end != after.end:
        yield "another length"
    if before.status is not after.status:
        yield f"{before.status.value} → {after.status.value}"
    if _doctor(before) != _doctor(after):
        yield f"{_doctor(before)} → {_doctor(after)}"
    if (before.location, before.modality) != (after.location, after.modality):
        yield "another place"
    if before.patients != after.patients:
        yield "the patient's data"


def _doctor(visit: Appointment) -> str:
    return visit.primary.key if visit.primary else "no practitioner"


# --- messages, events, records -------------------------------------------------------------------


def entries(message: Mapping[str, Any]) -> Iterator[Line]:
    """Yield each way that a message took in vain, then what became of it, with its way and reason."""
    name = f"{message['kind']} {message['step']}".strip()
    if message["role"] == "doctor":
        name += " to the doctor"
    for one in message["attempts"][:-1]:
        by = f"by {one['notifier']}, {one['delivery'] or one['state']}"
        at = one["finished_at"] or one["started_at"]
        yield Line(at, f"{name} tried", one["reason"] or None, "", by)
    yield Line(
        message["settled_at"] or message["created_at"],
        f"{name} {message['state']}",
        message["reason"],
        decided_by(message),
        _way(message),
    )
    if message["state"] == "sent" and message["attempts"]:
        last = message["attempts"][-1]
        if last["finished_at"] and last["finished_at"] > message["settled_at"]:
            found = f"{name} found to have left"
            yield Line(last["finished_at"], found, None, "", f"by {last['notifier']}")


def decided_by(message: Mapping[str, Any]) -> str:
    """Return the setting that decided about a message of the ledger."""
    said, notifier, source = message["setting"], message["notifier"], message.get("source")
    return setting_of(message["reason"], said, notifier, source)


def _way(message: Mapping[str, Any]) -> str:
    if not message["channel"]:
        return f"with {message['together']}" if message["together"] else ""
    parts = [f"{_WORDS.get(message['channel'], message['channel'])} by {message['notifier']}"]
    if message["attempts"]:
        last = message["attempts"][-1]
        parts += [last["delivery"] or last["state"], *_why(last, message)]
    if message.get("asked"):
        parts.append(f"in {message['language']}, not {message['asked']}")
    return ", ".join(parts)


def _why(last: Mapping[str, Any], message: Mapping[str, Any]) -> Iterator[str]:
    if last["reason"] == "unproven_repeated" and message["state"] != "sent":
        yield "unproven_not_repeated"  # it was to be, and then there was nothing more to say
    elif last["reason"]:
        yield last["reason"]


_EVENT_WORDS = {
    "put": "is to be written",
    "remove": "is to be removed",
    "synced": "shows it",
    "removed": "no longer shows it",
    "blocked": "refused it",
    "hidden": "does not show it",
    "held": "shows it where it was moved to",
}
_DEEDS = {
    "deleted": "deleted by the doctor",
    "moved": "moved by the doctor",
    "edited": "edited by the doctor",
    "missing": "vanished without a trace",
}
_DONE = {
    "respected": "left so",
    "restored": "put there again",
    "reverted": "put back",
    "kept": "left there",
    "held": "left there, as it was put back too often",
    "left": "left so",
}


def _event(event: Mapping[str, Any]) -> Line:
    # A calendar's address is often a doctor's e-mail: only the name that settings gave it is told.
    name = event["calendar"].partition(":")[0]
    why = event["reason"] or (event["blocked"] if event["state"] in ("put", "remove") else "")
    setting = pause.command if (pause := event.get("pause")) else f"calendars.{name}"
    linked = "; nobody of the visit is linked to it, which is held" if event["unlinked"] else ""
    return Line(
        instant(event["changed_at"]),
        f"calendar {_EVENT_WORDS.get(event['state'], event['state'])}{linked}",
        why or None,
        setting,
        name,
    )


def _deeds(event: Mapping[str, Any]) -> Iterator[Line]:
    """Tell what somebody did to the event in its calendar, and what was done about that."""
    name = event["calendar"].partition(":")[0]
    for deed in read(event.get("hands")).log:
        told = f"event {_DEEDS.get(deed.what, deed.what)}, {_DONE.get(deed.done, deed.done)}"
        yield Line(instant(deed.at), told, None, f"calendars.{name}.if_doctor", name)


def _waiting(waiting: Mapping[str, Any] | None, when: When) -> Iterator[Line]:
    if waiting is None or waiting["since"] is None:
        return
    moved = waiting["start_at"] != waiting["new_start_at"]
    detail = waiting["what"].replace(",", ", ")
    if moved and waiting["start_at"] and waiting["new_start_at"]:
        starts = (instant(waiting[name]) for name in ("start_at", "new_start_at"))
        detail += " " + " → ".join(_start(start, when) for start in starts)
    yield Line(
        instant(waiting["since"]),
        f"change held (h{waiting['held']})",
        "held",
        f"safety.hold_if.{waiting['guard']}",
        detail,
    )


def aside_line(one: Mapping[str, Any]) -> Line:
    """Return when a record was last met and set aside, with its reason, place and field."""
    return Line(
        instant(one["last_seen_at"]),
        "record set aside",
        one["reason"],
        setting_of(one["reason"], source=one["source"]),
        ", ".join(filter(None, (one["place"], one["field"]))),
    )


def _mended(one: Mapping[str, Any]) -> Iterator[Line]:
    """Tell when a record was first set aside, and when it was taken in."""
    yield aside_line({**one, "last_seen_at": one["first_seen_at"]})
    yield Line(instant(one["last_seen_at"]), "record mended, taken in", None, "", one["place"])


def _start(start: datetime | None, when: When) -> str:
    return when(start) if start else "no time"


def instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
