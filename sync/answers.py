"""The short answer of `why`: what became of a visit's messages, in a sentence. Pure.

One rule a situation, gravest first; the first that fits speaks. What follows is what the patient was
told and what comes next.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from clinicrelay.actions import Told, What
from clinicrelay.model import Appointment, Kind, Status, decode
from sync.changes import in_doubt
from sync.chronicle import decided_by, instant
from sync.reasons import advice, in_words, reason, setting_of
from sync.showing import Trouble, troubles
from sync.standing import ELSEWHERE

if TYPE_CHECKING:
    from sync.outlook import Stuck
    from sync.standing import Pause

_WORDS = {"email": "e-mail", "sms": "SMS", "whatsapp": "WhatsApp"}
_IN_ITS_PLACE = ("superseded_by_reschedule", "superseded_by_later_step", "already_sent")
OF_ITS_STEP = ("late_booking", "superseded_by_later_step")  # they stop no other step
_NIGHT = "quiet_hours"  # the setting that kept it from taking another way
_MAY_LEAVE = ("paused", "change_held")  # of what waited for a pause or a hold that is over
_NO_END = ("rehearsal", "source_stale", "change_held")  # it leaves all the same, or waits
_SURE = ("rate", "no_receipt")  # of what is a notifier's doing, and lets it leave at its time
_DOWN = ("server_busy", "not_sent")
IN_DOUBT = ("unknown", "sending")  # nobody knows yet whether it arrived
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
    return " ".join(part for part in (_mended(case), main, *_caveats(case)) if part)


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
    since, until = aside_between(last)
    return (
        f"What the source said of it on {case.when(since)} was set aside ({last['reason']}{where}: "
        f"{in_words(last['reason'])}), and taken in on {case.when(until)}, once it was mended."
    )


def aside_between(one: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Return from when on a record was set aside, and when it was taken in."""
    return instant(one["first_seen_at"]), instant(one["last_seen_at"])


def _moved_to_another(case: Case) -> str | None:
    if case.replaced_by is None:
        return None
    return f"It was booked anew as {case.replaced_by}; people are told there, as of a move."


def _gone(case: Case) -> str | None:
    if case.gone_at is None:
        return None
    at = case.when(case.gone_at)
    if told := _told_cancelled(case):
        return f"It vanished from its source on {at}, and the patient was told so {told}."
    if case.on_gone and (perhaps := _may_be_told_off(case)):
        return f"It vanished from its source on {at}. {perhaps}"
    if case.on_gone and (failed := _not_said(case, "cancellation")):
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
    if told := _told_cancelled(case):
        return f"It was cancelled, and the patient was told {told}."
    if perhaps := _may_be_told_off(case) or _waiting_for_its_time(case):
        return f"It was cancelled. {perhaps}"
    if failed := _not_said(case, "cancellation"):
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
    said = [perhaps] if perhaps else [_heard(case), _why_silent(case)]
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
    message = case.last(*IN_DOUBT)
    return _in_doubt(case, message) if message else None


def _unproven(case: Case) -> str | None:
    message = case.last("unproven")
    if message is None or _sent_after(case, message):
        return None
    return f"{_never_known(case, message)} {_next(case) or ''}".rstrip()


def _approval(case: Case) -> str | None:
    message = case.last("held")
    if message is None:
        return None
    return (
        f"The {_name(message)} is held for a person: too many messages fell due at once. "
        f"See: clinicrelay held show h{message['held']}."
    )


def _failed(case: Case) -> str | None:
    message = case.last("failed")
    if message is None or _sent_after(case, message):
        return None
    night = " The night left no other way in time." if message["setting"] == _NIGHT else ""
    code = message["reason"] or "provider_rejected"
    parts = (
        f"The {_name(message)} failed for good on {case.when(message['settled_at'])}: "
        f"{in_words(code)}.{night}",
        advice(code),
        _next(case, after=code),
    )
    return " ".join(part for part in parts if part)


def _waits(case: Case) -> str | None:
    return _waiting_for_its_time(case)


def _reminded(case: Case) -> str | None:
    """What was heard, why the latest was skipped, and what comes next; gravest first."""
    quiet = silent(case)
    skipped, coming = _why_silent(case), _next(case, after=quiet["reason"] if quiet else "")
    graver = is_of_its_step(quiet) and case.next is not None and case.next.reason is not None
    parts = [_heard(case), *((coming, skipped) if graver else (skipped, coming))]
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


# --- sentences -----------------------------------------------------------------------------------


def _heard(case: Case) -> str | None:
    reached = [m for m in reversed(case.messages) if _reached(m)]
    if reached:
        message = max(reached, key=_reached)
        beside = message["together"]
        other = f", with that of another visit, {beside}" if beside else ""
        told = f"The patient was told {_sent(case, message)} ({_name(message)}{other})."
        return f"{told} {_in_another_language(message)}".rstrip()
    if case.told is not None and case.told.by is None and case.imported:
        if case.was_aside:
            return (
                "It may have been arranged long before that, so the patient counts as told of it and "
                "got no confirmation."
            )
        return (
            "It was arranged before it could be told here (there at the first read, or when the "
            "clinic went live), so the patient counts as told of it and got no confirmation."
        )
    return None


def _in_another_language(message: Mapping[str, Any]) -> str:
    """Say of a message in which language it was written, where that is not the patient's."""
    if not message.get("asked"):
        return ""
    written, asked = message["language"], message["asked"]
    if not message["lacks"]:
        return f"It was written in {written}; the patient's language is {asked} now."
    return (
        f"It was written in {written}, as there are no texts in {asked}, the patient's language: "
        "write texts of your own, or correct the language in the source."
    )


def _why_silent(case: Case) -> str | None:
    """Say why the latest message was not sent, where nothing was sent after it, and what to do."""
    message = silent(case)
    if message is None:
        return None
    if beside := message["together"]:
        return f"The {_name(message)} is on its way with that of another visit ({beside})."
    if fell_due_aside(case, message):
        return f"The {_name(message)} fell due while it was set aside, so it was not sent."
    why = f"The {_name(message)} was not sent: {_why(message)}."
    return f"{why} {_advice(message['reason'])}".rstrip()


def fell_due_aside(case: Case, message: Mapping[str, Any]) -> bool:
    """Whether a reminder's time passed while what the source said of the visit was set aside."""
    between = (aside_between(one) for one in case.mended)
    passed = any(since <= message["due_at"] <= until for since, until in between)
    return message["reason"] == "late_booking" and passed


def silent(case: Case) -> Mapping[str, Any] | None:
    """Return the latest message that was not sent, where nothing was sent after it.

    One that only came too late for its step gives way to what kept another one back.
    """
    message = case.last("skipped")
    if message is None or not _is_unsaid(case, message):
        return None
    if not is_of_its_step(message):
        return message
    others = (m for m in reversed(case.messages) if m["state"] == "skipped")
    graver = (m for m in others if not is_of_its_step(m) and _is_unsaid(case, m))
    return next(graver, message)


def is_of_its_step(message: Mapping[str, Any] | None) -> bool:
    """Whether a message was skipped for a reason that stops nothing but this step."""
    return message is not None and message["reason"] in OF_ITS_STEP


def _is_unsaid(case: Case, message: Mapping[str, Any]) -> bool:
    if _sent_after(case, message) or _said_otherwise(case, message):
        return False
    return not _reached(message)  # within another, which is told as such


def _why(message: Mapping[str, Any]) -> str:
    """Say why a message was not sent, with the setting that decided."""
    code = message["reason"] or "provider_rejected"
    setting = decided_by(message)
    by = f" ({setting})" if setting and f"{setting}." != advice(code) else ""
    return f"{in_words(code)}{by}"


def _advice(code: str) -> str:
    """Return what to do about a code, where there is anything to do."""
    what = advice(code)
    return "" if what.startswith("Nothing:") else what


def _next(case: Case, *, after: str = "") -> str | None:
    """Say what becomes of the next reminder; `after` is the reason that was just told."""
    if case.next is None:
        return None
    name, at = f"next reminder ({case.next.step})", case.when(case.next.at)
    if case.next.pause is not None:
        return f"The {name}, {at}, leaves {_once_resumed(case, case.next.pause)}."
    if case.next.reason is None:
        return _next_leaves(case, case.next, name)
    if case.next.reason == "source_stale":
        return f"The next reminder ({case.next.step}) waits{_until_read(case)}."
    return _not_next(case.next.reason, name, at, after=after)


def _next_leaves(case: Case, coming: Outlook, name: str) -> str:
    way = _WORDS.get(coming.channel or "", "")
    by, at = f" by {way}" if way else "", case.when(coming.at)
    if coming.stuck is not None:
        return f"The {name}, {at}, is to leave{by}, but {_out_of_use(case, coming.stuck)}"
    if coming.at <= case.now:
        return f"The {name} is overdue and leaves with the next run{by}{_or_with_another(case)}."
    return f"The {name} leaves {at}{by}{_or_with_another(case)}."


def _out_of_use(case: Case, stuck: Stuck) -> str:
    """Say since when and why a notifier sends nothing, what to do, and what leaves all the same."""
    setting, what = setting_of(stuck.reason, notifier=stuck.notifier), advice(stuck.reason)
    other = f" If that lasts, it leaves by {_WORDS[stuck.instead]}." if stuck.instead else ""
    return (
        f"{stuck.notifier} sends nothing since {case.when(stuck.since)}: "
        f"{in_words(stuck.reason)} ({setting}). {what}{other}"
    )


def _not_next(code: str, name: str, at: str, *, after: str) -> str:
    if code == after:
        return f"Nor will the {name} be, {at}, for the same reason."
    return f"The {name}, {at}, will not be sent: {in_words(code)}. {advice(code)}"


def _or_with_another(case: Case) -> str:
    if not case.beside:
        return ""
    return f", or with that of another visit of that day ({', '.join(case.beside)})"


def _told_cancelled(case: Case) -> str | None:
    sent = [m for m in case.messages if m["kind"] == "cancellation" and m["state"] == "sent"]
    return _sent(case, sent[-1]) if sent else None


def _may_be_told_off(case: Case) -> str | None:
    """Say what is known of a cancellation that may have arrived."""
    told = [m for m in case.messages if m["kind"] == "cancellation"]
    last = next((m for m in reversed(told) if m["state"] in (*IN_DOUBT, "unproven")), None)
    if last is None:
        return None
    if last["state"] == "unproven":
        return f"{_never_known(case, last)} {advice(last['reason'])}"
    return _in_doubt(case, last)


def _in_doubt(case: Case, message: Mapping[str, Any]) -> str:
    """Say what happens next with a message of which nobody knows yet whether it arrived."""
    name, again = _name(message), message.get("next_try_at")
    soon = "with the next run" if again is None or again <= case.now else case.when(again)
    if message["notifier"] not in case.mute:
        return (
            f"Nobody knows yet whether the {name} arrived: {_by(message)} is asked again {soon}, "
            "and nothing is sent twice meanwhile."
        )
    may = f"{_may_have_arrived(message)}: {_by(message)} cannot be asked."
    if message["id"] in case.repeated:
        return f"{may} It is sent once more {soon}."
    return f"{may} It is not sent again: call the person if it matters."


def _may_have_arrived(message: Mapping[str, Any]) -> str:
    return f"The {_name(message)} may have arrived, and nobody can prove it"


def _never_known(case: Case, message: Mapping[str, Any]) -> str:
    return (
        f"Nobody can find out whether the {_name(message)} of {case.when(message['settled_at'])} "
        f"arrived: {in_words(message['reason'])}."
    )


def _not_said(case: Case, kind: str) -> str | None:
    unsaid = [m for m in case.messages if m["kind"] == kind and m["state"] in ("skipped", "failed")]
    if not unsaid:
        return None
    return f"{_why(unsaid[-1])}. {_advice(unsaid[-1]['reason'] or 'provider_rejected')}".rstrip(
        " ."
    )


def _waiting_for_its_time(case: Case) -> str | None:
    message = case.last("planned")
    if message is None:
        return None
    if case.pause is not None and message["reason"] == "paused":
        return _waiting_for_the_end_of(case.pause, message, case)
    if message["reason"] == "source_stale":
        useless = case.when(message["useless_after"])
        return (
            f"The {_name(message)} waits{_until_read(case)}, and is of use until {useless}. "
            f"{advice('source_stale')}"
        )
    if case.waits is not None and case.waits.reason not in (None, *_NO_END):
        why = f"The {_name(message)} will not be sent: {in_words(case.waits.reason)}."
        return f"{why} {_advice(case.waits.reason)}".rstrip()
    return _leaves(case, message)


def _leaves(case: Case, message: Mapping[str, Any]) -> str:
    at = max(filter(None, (message["due_at"], message.get("next_try_at"))))
    soon = at <= case.now or message["reason"] in _MAY_LEAVE
    if message["id"] in case.repeated:
        again = "with the next run" if soon else case.when(at)
        return f"{_may_have_arrived(message)}. It is sent once more {again}."
    if soon:
        return f"The {_name(message)} is due and leaves with the next run (clinicrelay send)."
    code = message["reason"]
    why = f": {in_words(code)}" if code else ""
    what = _advice(code) if code else ""
    said = f"The {_name(message)} {_does(message)} {case.when(at)}{why}. {what}".rstrip()
    stuck = case.waits.stuck if case.waits is not None else None
    if stuck is None or stuck.reason == code:
        return said
    return f"{said} But {_out_of_use(case, stuck)}"


def _does(message: Mapping[str, Any]) -> str:
    """Say that it leaves, or where what sends it was out of use that it is only tried."""
    code = message["reason"] or ""
    fails = reason(code).setting.startswith("notifiers.") and code not in _SURE
    if not (message["tries"] or fails or code in _DOWN):
        return "leaves"
    return "is tried again" if message["tries"] else "is tried"


def _until_read(case: Case) -> str:
    return f" until {case.visit.source} is read again, which was silent for too long"


def _waiting_for_the_end_of(pause: Pause, message: Mapping[str, Any], case: Case) -> str:
    useless = message["useless_after"]
    if pause.until is not None and useless <= pause.until:
        return (
            f"The {_name(message)} will not be sent: the pause lasts until "
            f"{case.when(pause.until)}, and it is of use until {case.when(useless)}."
        )
    return f"The {_name(message)} leaves {_once_resumed(case, pause)}."


def _once_resumed(case: Case, pause: Pause, what: str = "messages") -> str:
    if pause.reason == ELSEWHERE:
        return f"only where the clinic is live, which is not here: {pause.ended_by}"
    if pause.until is not None:
        return f"after the pause ends {case.when(pause.until)}"
    noted = f" (it was noted: {pause.reason})" if pause.reason else ""
    return f"as soon as {what} are resumed: {pause.ended_by}{noted}"


def _not_shown(case: Case, trouble: Trouble) -> str:
    pause = trouble.pause
    if pause is None:
        return trouble.sentence
    paused = f"{pause.what} {'are' if pause.what == 'calendars' else 'is'} paused ({pause.command})"
    why = "this store is a copy" if pause.reason == ELSEWHERE else paused
    return (
        f"The calendar {trouble.calendar} does not show it as it stands: {why}. "
        f"It is written {_once_resumed(case, pause, 'calendars')}."
    )


def _sent_after(case: Case, message: Mapping[str, Any]) -> bool:
    since = message["settled_at"] or message["created_at"]
    return any((at := _reached(m)) is not None and at > since for m in case.messages)


def _reached(message: Mapping[str, Any]) -> Any:
    """Return when a message was sent, by itself or within that of another visit; None: it was not."""
    return message["settled_at"] if message["state"] == "sent" else message["left"]


def _said_otherwise(case: Case, message: Mapping[str, Any]) -> bool:
    """Whether what took a message's place was sent in the same moment: nobody missed anything."""
    return message["reason"] in _IN_ITS_PLACE and any(
        m["state"] == "sent" and m["settled_at"] == message["settled_at"] for m in case.messages
    )


def _sent(case: Case, message: Mapping[str, Any]) -> str:
    way = _WORDS.get(message["channel"] or message["left_by"] or "", "message")
    return f"by {way} on {case.when(_reached(message))}"


def _name(message: Mapping[str, Any]) -> str:
    return f"{message['kind']} {message['step']}".strip()


def _by(message: Mapping[str, Any]) -> str:
    return message["notifier"] or "the provider"


def _caveats(case: Case) -> Iterator[str]:
    last = case.left[-1] if case.left else None
    if last is not None and last["state"] in ("skipped", "failed") and case.ahead:
        yield f"Who was named before was not told that it is theirs no longer: {_why(last)}."
        yield _advice(last["reason"] or "provider_rejected")
    if case.ahead:
        yield from (_not_shown(case, one) for one in troubles(case.events, case.unlinked))
    if case.guardian and case.ahead:
        yield "The guardian whom the source names is addressed in the patient's place."
    if case.source_state in ("failed", "stale", "partial"):
        since = case.when(case.last_complete) if case.last_complete else "never"
        yield (
            f"Beware: {case.visit.source} is {case.source_state}, last read completely {since}, so "
            "it may have changed since (clinicrelay status)."
        )
