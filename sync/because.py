"""The reason code that a short answer is about, with the setting that decided and what to do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from clinicrelay.model import Status
from sync import answers, sentences
from sync.chronicle import decided_by
from sync.plan import UNDER_WAY
from sync.reasons import setting_of, to_do
from sync.showing import troubles

if TYPE_CHECKING:
    from sync.answers import Case
    from sync.outlook import Stuck
    from sync.showing import Trouble


_STANDS = ("reminded", "waits")  # the rules about a visit that is to take place
# The person was told, or missed one step of several, or it passes: what keeps back more is graver.
_WELL = (
    *sentences.OF_ITS_STEP,
    *("told_recently", "told_together", "already_sent", "as_told", "imported", "mended"),
    *("superseded_by_reschedule", "minor_change", "quiet_hours_deferred"),
)


class Because(NamedTuple):
    """Why somebody was, or will be, told nothing: code, setting (may be empty), and what to do."""

    reason: str
    setting: str
    to_do: str


def because(case: Case) -> Because | None:
    """Return why a visit's first patient was not told, or no calendar shows it; None: all is well."""
    rule, _ = answers.spoken(case)
    found = _CAUSES[rule](case) if rule else None
    wrong = next(troubles(case.events, case.unlinked), None) if case.ahead else None
    well = found is None or (rule in _STANDS and found[0] in _WELL)
    if well and wrong is not None:
        found = wrong.reason, wrong.setting
    if found is None or not found[0]:
        return None
    reason, setting = found
    own = setting_of(reason, setting, source=case.visit.source)
    return Because(reason, own, _to_do(reason, setting, case, wrong))


_Cause = tuple[str, str] | None


def _to_do(reason: str, setting: str, case: Case, wrong: Trouble | None) -> str:
    """Return what to do: about a pause, the command that ends this one."""
    pauses = (case.next and case.next.pause, case.pause, wrong and wrong.pause)
    of_this = (
        pause for pause in pauses if pause and reason == "paused" and pause.command == setting
    )
    return next((pause.ended_by for pause in of_this), to_do(reason))


def _plain(code: str, setting: str = "") -> Callable[[Case], _Cause]:
    return lambda case: (code, setting)


def _of(message: Mapping[str, Any] | None) -> _Cause:
    if message is None or not message["reason"]:
        return None
    return message["reason"], decided_by(message)


def _set_aside(case: Case) -> _Cause:
    return case.aside[-1]["reason"], ""


def _off(code: str, kind: str = "cancellation") -> Callable[[Case], _Cause]:
    """Return the cause of a visit that is off: why nobody heard of that, if there is more to say."""

    def cause(case: Case) -> _Cause:
        told = [m for m in case.messages if m["kind"] == kind]
        if told and told[-1]["state"] == "sent":
            return None
        return (_of(told[-1]) if told else None) or (code, "")

    return cause


def _past(case: Case) -> _Cause:
    return _of(sentences.silent(case)) or (None if case.messages else ("past_visit", ""))


def _not_booked(case: Case) -> _Cause:
    if case.visit.status is Status.NO_SHOW:
        return "no_show", ""
    return ("already_arrived" if case.visit.status in UNDER_WAY else "not_booked"), ""


def _in_doubt(case: Case) -> _Cause:
    return _of(case.last(*sentences.IN_DOUBT)) or ("unknown", "")


def _waits(case: Case) -> _Cause:
    message = case.last("planned")
    if message is not None and message["reason"] == "paused" and case.pause is not None:
        return "paused", _pause(case)
    if case.waits is not None and case.waits.reason:
        return case.waits.reason, case.waits.setting
    if case.waits is not None and case.waits.stuck is not None:
        return _out_of_use(case.waits.stuck)
    return _of(message)


def _pause(case: Case) -> str:
    """Return the command that paused it: of everything, of a part, or of one notifier."""
    pause = (case.next.pause if case.next else None) or case.pause
    return pause.command if pause else "clinicrelay pause"


def _reminded(case: Case) -> _Cause:
    quiet = sentences.silent(case)
    if quiet is not None and quiet["reason"] in _WELL:
        aside = sentences.fell_due_aside(case, quiet)
        return _coming(case) or (("mended", "") if aside else _of(quiet))
    if found := _of(quiet) or _coming(case):
        return found
    if case.told is not None and case.told.by is None and case.imported and not case.messages:
        return ("mended" if case.was_aside else "imported"), ""
    return ("outside_policy", "reminders.patient") if case.silent and not case.messages else None


def _coming(case: Case) -> _Cause:
    """Return what keeps the next reminder back."""
    coming = case.next
    if coming is not None and coming.pause is not None:
        return "paused", _pause(case)
    if coming is not None and coming.stuck is not None:
        return _out_of_use(coming.stuck)
    return (coming.reason, coming.setting) if coming is not None and coming.reason else None


def _out_of_use(stuck: Stuck) -> _Cause:
    return stuck.reason, setting_of(stuck.reason, notifier=stuck.notifier)


_CAUSES: Mapping[str, Callable[[Case], _Cause]] = {
    "held": _plain("held"),
    "set_aside": _set_aside,
    "block": _plain("no_patient"),
    "moved_to_another": _plain("superseded_by_reschedule", "reminders.patient.on_change"),
    "gone": _off("gone"),
    "error": _plain("entered_in_error"),
    "cancelled": _off("cancelled"),
    "unscheduled": _plain("unscheduled"),
    "past": _past,
    "not_booked": _not_booked,
    "unknown": _in_doubt,
    "unproven": lambda case: _of(case.last("unproven")),
    "approval": _plain("awaiting_approval"),
    "failed": lambda case: _of(case.last("failed")) or ("provider_rejected", ""),
    "waits": _waits,
    "reminded": _reminded,
}
