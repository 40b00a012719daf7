"""The sentences of `why`'s short answer: what was heard or not and why, and what comes next. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sync.chronicle import decided_by, instant
from sync.reasons import advice, in_words, reason, setting_of
from sync.showing import Trouble, troubles
from sync.standing import ELSEWHERE

if TYPE_CHECKING:
    from sync.answers import Case, Outlook
    from sync.outlook import Stuck
    from sync.standing import Pause

_WORDS = {"email": "e-mail", "sms": "SMS", "whatsapp": "WhatsApp"}
_IN_ITS_PLACE = ("superseded_by_reschedule", "superseded_by_later_step", "already_sent")
OF_ITS_STEP = ("late_booking", "superseded_by_later_step")  # they stop no other step
_MAY_LEAVE = ("paused", "change_held")  # of what waited for a pause or a hold that is over
_NO_END = ("rehearsal", "source_stale", "change_held")  # it leaves all the same, or waits
_SURE = ("rate", "no_receipt")  # of what is a notifier's doing, and lets it leave at its time
_DOWN = ("server_busy", "not_sent")
IN_DOUBT = ("unknown", "sending")  # nobody knows yet whether it arrived


def heard(case: Case) -> str | None:
    """Say what the patient was told last, or why they count as told."""
    reached = [m for m in reversed(case.messages) if _reached(m)]
    if reached:
        message = max(reached, key=_reached)
        beside = message["together"]
        other = f", with that of another visit, {beside}" if beside else ""
        told = f"The patient was told {_sent(case, message)} ({name_of(message)}{other})."
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


def why_silent(case: Case) -> str | None:
    """Say why the latest message was not sent, where nothing was sent after it, and what to do."""
    message = silent(case)
    if message is None:
        return None
    if beside := message["together"]:
        return f"The {name_of(message)} is on its way with that of another visit ({beside})."
    if fell_due_aside(case, message):
        return f"The {name_of(message)} fell due while it was set aside, so it was not sent."
    why = f"The {name_of(message)} was not sent: {_why(message)}."
    return f"{why} {_advice(message['reason'])}".rstrip()


def aside_between(one: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Return from when on a record was set aside, and when it was taken in."""
    return instant(one["first_seen_at"]), instant(one["last_seen_at"])


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
    if sent_after(case, message) or _said_otherwise(case, message):
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


def coming(case: Case, *, after: str = "") -> str | None:
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


def told_cancelled(case: Case) -> str | None:
    """Say how and when a patient was told that the visit is off, if they were."""
    sent = [m for m in case.messages if m["kind"] == "cancellation" and m["state"] == "sent"]
    return _sent(case, sent[-1]) if sent else None


def may_be_told_off(case: Case) -> str | None:
    """Say what is known of a cancellation that may have arrived."""
    told = [m for m in case.messages if m["kind"] == "cancellation"]
    last = next((m for m in reversed(told) if m["state"] in (*IN_DOUBT, "unproven")), None)
    if last is None:
        return None
    if last["state"] == "unproven":
        return f"{never_known(case, last)} {advice(last['reason'])}"
    return in_doubt(case, last)


def in_doubt(case: Case, message: Mapping[str, Any]) -> str:
    """Say what happens next with a message of which nobody knows yet whether it arrived."""
    name, again = name_of(message), message.get("next_try_at")
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
    return f"The {name_of(message)} may have arrived, and nobody can prove it"


def never_known(case: Case, message: Mapping[str, Any]) -> str:
    """Say of a message that nobody can find out whether it arrived, and why."""
    return (
        f"Nobody can find out whether the {name_of(message)} of {case.when(message['settled_at'])} "
        f"arrived: {in_words(message['reason'])}."
    )


def not_said(case: Case, kind: str) -> str | None:
    """Say why the last message of a kind was not sent, where it was not."""
    unsaid = [m for m in case.messages if m["kind"] == kind and m["state"] in ("skipped", "failed")]
    if not unsaid:
        return None
    return f"{_why(unsaid[-1])}. {_advice(unsaid[-1]['reason'] or 'provider_rejected')}".rstrip(
        " ."
    )


def waiting_for_its_time(case: Case) -> str | None:
    """Say when the last planned message leaves, or what keeps it back."""
    message = case.last("planned")
    if message is None:
        return None
    if case.pause is not None and message["reason"] == "paused":
        return _waiting_for_the_end_of(case.pause, message, case)
    if message["reason"] == "source_stale":
        useless = case.when(message["useless_after"])
        return (
            f"The {name_of(message)} waits{_until_read(case)}, and is of use until {useless}. "
            f"{advice('source_stale')}"
        )
    if case.waits is not None and case.waits.reason not in (None, *_NO_END):
        why = f"The {name_of(message)} will not be sent: {in_words(case.waits.reason)}."
        return f"{why} {_advice(case.waits.reason)}".rstrip()
    return _leaves(case, message)


def _leaves(case: Case, message: Mapping[str, Any]) -> str:
    at = max(filter(None, (message["due_at"], message.get("next_try_at"))))
    soon = at <= case.now or message["reason"] in _MAY_LEAVE
    if message["id"] in case.repeated:
        again = "with the next run" if soon else case.when(at)
        return f"{_may_have_arrived(message)}. It is sent once more {again}."
    if soon:
        return f"The {name_of(message)} is due and leaves with the next run (clinicrelay send)."
    code = message["reason"]
    why = f": {in_words(code)}" if code else ""
    what = _advice(code) if code else ""
    said = f"The {name_of(message)} {_does(message)} {case.when(at)}{why}. {what}".rstrip()
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
            f"The {name_of(message)} will not be sent: the pause lasts until "
            f"{case.when(pause.until)}, and it is of use until {case.when(useless)}."
        )
    return f"The {name_of(message)} leaves {_once_resumed(case, pause)}."


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


def sent_after(case: Case, message: Mapping[str, Any]) -> bool:
    """Whether another message reached the patient after this one was given up."""
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


def name_of(message: Mapping[str, Any]) -> str:
    """Return what a message is called: its kind, and its step if it has one."""
    return f"{message['kind']} {message['step']}".strip()


def _by(message: Mapping[str, Any]) -> str:
    return message["notifier"] or "the provider"


def caveats(case: Case) -> Iterator[str]:
    """Yield what else is to be known of a visit: calendars, a guardian, a source that is silent."""
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
