"""The short answer of `why`: the rules that find what became of a visit's messages. Pure.

One rule a situation, gravest first; the first that fits speaks. What follows is what the patient was
told and what comes next, in the sentences of `sync.sentences`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from clinicrelay.actions import Told, What
from clinicrelay.model import Appointment, Kind, Status, decode
from sync import sentences
from sync.changes import in_doubt
from sync.reasons import advice, in_words
from sync.showing import Trouble

if TYPE_CHECKING:
    from sync.outlook import Stuck
    from sync.standing import Pause

_NIGHT = "quiet_hours"  # the setting that kept it from taking another way
_CAME = {
    Status.ARRIVED: "has arrived",
    Status.CHECKED_IN: "has checked in",
    Status.IN_PROGRESS: "is being seen",
    Status.FULFILLED: "was there",
    Status.NO_SHOW: "did not come",
}
_ASKED_FOR = (Status.PROPOSED, Status.PENDING, Status.WAITLIST, Status.UNKNOWN)


class Outlook(Protocol):
    """What will become of the next reminder: its step and time, the gate's word on it, a pause.

    `stuck` is the notifier that it waits for, which sends nothing now.
    """

    @property
    def step(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def channel(self) -> str | None: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def pause(self) -> Pause | None: ...
    @property
    def setting(self) -> str: ...
    @property
    def stuck(self) -> Stuck | None: ...


@dataclass(frozen=True, slots=True)
class Case:
    """All that an answer depends on, for one patient of one visit (or, without one, for the visit).

    `messages` are the ledger's rows of this patient, the oldest first; `told` what counts as told;
    `waiting` a change that a guard holds; `aside` records of this visit that were set aside; `pause`
    what stops patients' messages now; `mute` are the notifiers that cannot be asked what became of a
    message, `repeated` the messages that leave once more if nobody can say that. `when`
    writes an instant the way the clinic reads it. `mended` are records that were set aside and taken in
    since; `was_aside` says that the visit was not known before.
    """

    visit: Appointment
    now: datetime
    when: Callable[[datetime], str]
    told: Told | None = None
    messages: Sequence[Mapping[str, Any]] = ()
    gone_at: datetime | None = None
    replaced_by: str | None = None
    imported: bool = False
    waiting: Mapping[str, Any] | None = None
    aside: Sequence[Mapping[str, Any]] = ()
    mended: Sequence[Mapping[str, Any]] = ()
    was_aside: bool = False
    next: Outlook | None = None
    waits: Outlook | None = None  # what will become of the last planned message
    mute: Collection[str] = ()
    repeated: Collection[int] = ()
    guardian: bool = False  # addressed in the patient's place
    silent: bool = False  # the settings ask for no reminders
    on_gone: bool = False
    pause: Pause | None = None
    beside: Sequence[str] = ()  # visits of that day with whose reminder the next one may leave
    source_state: str = "ok"
    last_complete: datetime | None = None
    events: Sequence[Mapping[str, Any]] = ()
    unlinked: Sequence[Trouble] = ()  # calendars in which nobody of the visit has a place
    left: Sequence[Mapping[str, Any]] = ()  # messages to patients whom the visit names no longer

    @property
    def ahead(self) -> bool:
        return self.visit.start is not None and self.visit.start > self.now

    def last(self, *states: str) -> Mapping[str, Any] | None:
        """Return the latest message in one of these states."""
        return next((m for m in reversed(self.messages) if m["state"] in states), None)


def answer(case: Case) -> str:
    """Return the short answer: what happened, what comes next, and what to beware of."""
    _, main = spoken(case)
    return " ".join(part for part in (_mended(case), main, *sentences.caveats(case)) if part)


def spoken(case: Case) -> tuple[str, str]:
    """Return the rule that speaks, by its name, and what it says; both empty where none does."""
    said = ((name, rule(case)) for name, rule in _RULES.items())
    return next(((name, text) for name, text in said if text), ("", ""))


# --- the visit itself ----------------------------------------------------------------------------


def _block(case: Case) -> str | None:
    if case.visit.kind is not Kind.BLOCK and case.visit.patients:
        return None
    return "No patient is named: it only keeps time free, so nobody is told."


def _held(case: Case) -> str | None:
    if case.waiting is None or not case.waiting.get("held"):
        return None
    number = case.waiting["held"]
    content = None if What.GONE in case.waiting["what"].split(",") else case.waiting["content"]
    doubted = content is not None and in_doubt(case.visit, decode(content))
    waits = ", and its reminders wait" if doubted and case.ahead else ""
    return (
        f"A change to it ({case.waiting['what'].replace(',', ', ')}) is held for a person: "
        f"{case.waiting['summary']}. Until then it stands as it was{waits}. "
        f"See: clinicrelay held show h{number}."
    )


def _set_aside(case: Case) -> str | None:
    if not case.aside:
        return None
    last = case.aside[-1]
    where = f" in {last['field']}" if last["field"] else ""
    return (
        f"What the source says of it now was set aside ({last['reason']}{where}: "
        f"{in_words(last['reason'])}), so it stands as it was known before. {advice(last['reason'])} "
        f"See: clinicrelay quarantine show {last['id']}."
    )


def _mended(case: Case) -> str | None:
    if not case.mended or case.aside:
        return None
    last = case.mended[-1]
    where = f" in {last['field']}" if last["field"] else ""
    since, until = sentences.aside_between(last)
    return (
        f"What the source said of it on {case.when(since)} was set aside ({last['reason']}{where}: "
        f"{in_words(last['reason'])}), and taken in on {case.when(until)}, once it was mended."
    )


def _moved_to_another(case: Case) -> str | None:
    if case.replaced_by is None:
        return None
    return f"It was booked anew as {case.replaced_by}; people are told there, as of a move."


def _gone(case: Case) -> str | None:
    if case.gone_at is None:
        return None
    at = case.when(case.gone_at)
    if told := sentences.told_cancelled(case):
        return f"It vanished from its source on {at}, and the patient was told so {told}."
    if case.on_gone and (perhaps := sentences.may_be_told_off(case)):
        return f"It vanished from its source on {at}. {perhaps}"
    if case.on_gone and (failed := sentences.not_said(case, "cancellation")):
        return f"It vanished from its source on {at}; the patient was not told: {failed}."
    nobody = (
        "nobody was told (reminders.patient.on_gone is off)"
        if not case.on_gone
        else ("nobody had been told of it, so nobody was told that it is off")
    )
    what = "" if case.on_gone else f" {advice('gone')}"
    return f"It vanished from its source on {at} without a cancellation: {nobody}.{what}"


def _error(case: Case) -> str | None:
    if case.visit.status is not Status.ENTERED_IN_ERROR:
        return None
    return "The source says that it never was a visit: nothing is said about it."


def _cancelled(case: Case) -> str | None:
    if case.visit.status is not Status.CANCELLED:
        return None
    if told := sentences.told_cancelled(case):
        return f"It was cancelled, and the patient was told {told}."
    if perhaps := sentences.may_be_told_off(case) or sentences.waiting_for_its_time(case):
        return f"It was cancelled. {perhaps}"
    if failed := sentences.not_said(case, "cancellation"):
        return f"It was cancelled, but the patient was not told: {failed}."
    if case.told is not None and not case.ahead:
        return "It was cancelled after its time, so nobody was told."
    return "It was cancelled before anybody had been told of it, so nobody was told."


def _unscheduled(case: Case) -> str | None:
    if case.visit.start is not None:
        return None
    return "It has no time: it is in no calendar and nobody is told until the source gives it one."


def _past(case: Case) -> str | None:
    if case.ahead:
        return None
    perhaps = _unknown(case) or _unproven(case)
    said = [perhaps] if perhaps else [sentences.heard(case), sentences.why_silent(case)]
    told = " ".join(part for part in said if part) or "Nobody was told about it."
    return f"The visit is past: nothing more will be said. {told}"


def _not_booked(case: Case) -> str | None:
    status = case.visit.status
    if status.reminds:
        return None
    if status in _ASKED_FOR:
        return (
            f"It is {status.value.replace('_', ' ')}, not booked: reminders start once the source "
            "says that it is booked."
        )
    return f"The patient {_CAME[status]}: nothing more is said."


# --- its messages --------------------------------------------------------------------------------


def _unknown(case: Case) -> str | None:
    message = case.last(*sentences.IN_DOUBT)
    return sentences.in_doubt(case, message) if message else None


def _unproven(case: Case) -> str | None:
    message = case.last("unproven")
    if message is None or sentences.sent_after(case, message):
        return None
    return f"{sentences.never_known(case, message)} {sentences.coming(case) or ''}".rstrip()


def _approval(case: Case) -> str | None:
    message = case.last("held")
    if message is None:
        return None
    return (
        f"The {sentences.name_of(message)} is held for a person: too many messages fell due at once. "
        f"See: clinicrelay held show h{message['held']}."
    )


def _failed(case: Case) -> str | None:
    message = case.last("failed")
    if message is None or sentences.sent_after(case, message):
        return None
    night = " The night left no other way in time." if message["setting"] == _NIGHT else ""
    code = message["reason"] or "provider_rejected"
    parts = (
        f"The {sentences.name_of(message)} failed for good on {case.when(message['settled_at'])}: "
        f"{in_words(code)}.{night}",
        advice(code),
        sentences.coming(case, after=code),
    )
    return " ".join(part for part in parts if part)


def _waits(case: Case) -> str | None:
    return sentences.waiting_for_its_time(case)


def _reminded(case: Case) -> str | None:
    """What was heard, why the latest was skipped, and what comes next; gravest first."""
    quiet = sentences.silent(case)
    skipped = sentences.why_silent(case)
    coming = sentences.coming(case, after=quiet["reason"] if quiet else "")
    graver = sentences.is_of_its_step(quiet) and case.next is not None and case.next.reason
    parts = [sentences.heard(case), *((coming, skipped) if graver else (skipped, coming))]
    if case.next is None and case.silent:
        parts.append("No reminders are set up (reminders.patient.steps).")
    elif case.next is None:
        parts.append("No further reminder is due.")
    return " ".join(part for part in parts if part)


_RULES: Mapping[str, Callable[[Case], str | None]] = {
    "held": _held,
    "set_aside": _set_aside,
    "block": _block,
    "moved_to_another": _moved_to_another,
    "gone": _gone,
    "error": _error,
    "cancelled": _cancelled,
    "unscheduled": _unscheduled,
    "past": _past,
    "not_booked": _not_booked,
    "unknown": _unknown,
    "unproven": _unproven,
    "approval": _approval,
    "failed": _failed,
    "waits": _waits,
    "reminded": _reminded,
}
