"""Why a channel is closed to a person for one message: address, consent, what was learned. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from clinicrelay.model import Appointment, Channel, Issue, Patient, Practitioner
from clinicrelay.phones import is_e164
from sync.caps import CAPPED
from sync.guardians import is_minor
from sync.standing import named_by

if TYPE_CHECKING:
    from clinicrelay.actions import Say
    from sync.gate import GateOptions

CAP_REACHED = "cap_reached"
# What providers said of an address, and what it is called where it closes the way to it.
_LEARNED = {
    "opted_out": ("stop_received", "clinicrelay contacts"),
    "landline": ("landline", "clinicrelay contacts"),
    "not_on_whatsapp": ("not_on_whatsapp", "clinicrelay contacts"),
    "address_refused": ("address_refused", "clinicrelay contacts"),
    "address_invalid": ("address_invalid", "clinicrelay contacts"),
}


class Closed(NamedTuple):
    """Why a channel cannot be used for this person."""

    reason: str
    setting: str


def closed(
    channel: Channel,
    address: str | None,
    say: Say,
    fresh: Appointment | None,
    person: Patient | Practitioner | None,
    options: GateOptions,
) -> Closed | None:
    if not options.senders.get(channel):
        return Closed("no_notifier", f"channels.{channel}")
    unusable = _unusable(channel, address, person, fresh, options) or _learned(channel, options)
    if unusable is not None:
        return unusable
    if isinstance(person, Patient) and (refused := _refused(channel, person, options)):
        return refused
    if not named_by(options.only_recipients, address or ""):
        return Closed("only_recipients", "safety.only_recipients")
    if channel in options.full and say.kind in CAPPED:
        return Closed(CAP_REACHED, "safety.caps")
    return None


def _unusable(
    channel: Channel,
    address: str | None,
    person: Patient | Practitioner | None,
    fresh: Appointment | None,
    options: GateOptions,
) -> Closed | None:
    issues = _contact_issues(fresh, person)
    if address:
        if channel is Channel.SMS and "landline" in issues:
            return Closed("landline", options.order_setting)
        dialled = channel is Channel.EMAIL or is_e164(address)
        return None if dialled else Closed("invalid_contact", options.order_setting)
    if ("invalid_email" if channel is Channel.EMAIL else "invalid_phone") in issues:
        return Closed("invalid_contact", options.order_setting)
    if _lacks_a_guardian(person, fresh, options):
        return Closed("minor_no_guardian", "reminders.patient.guardian_until")
    return Closed("no_contact", options.order_setting)


def _learned(channel: Channel, options: GateOptions) -> Closed | None:
    learned = options.closed.get(channel)
    return Closed(*_LEARNED.get(learned, (learned, options.order_setting))) if learned else None


def _lacks_a_guardian(
    person: Patient | Practitioner | None, fresh: Appointment | None, options: GateOptions
) -> bool:
    """Whether nobody can be reached for a minor: neither they themselves nor a guardian."""
    if not isinstance(person, Patient) or fresh is None or person.phone or person.email:
        return False
    return is_minor(person, fresh, options.minors_until)


def _contact_issues(fresh: Appointment | None, person: Patient | Practitioner | None) -> set[str]:
    """Return what is odd about the contact data that are used: a guardian's are not the patient's."""
    issues = fresh.issues if fresh is not None else ()
    if not isinstance(person, Patient):
        return {issue.code for issue in issues if _of(issue, "practitioner")}
    guardians = person.guardian is not None
    ours = (one for one in issues if _of(one, "patient"))
    return {one.code for one in ours if not one.field or _of(one, "patient.guardian") is guardians}


def _of(issue: Issue, whose: str) -> bool:
    return (issue.field or whose).startswith(whose)


def _refused(channel: Channel, person: Patient, options: GateOptions) -> Closed | None:
    """Return why a patient's consent leaves a channel closed: a no of theirs holds in every mode."""
    if channel in person.opted_out:
        return Closed("opted_out", f"patient.consent.{channel}")
    consent, setting = options.consent.get(channel, "recorded"), f"channels.consent.{channel}"
    if consent == "off":
        return Closed("channel_off", setting)
    if consent == "recorded" and channel not in person.opted_in:
        return Closed("not_opted_in", setting)
    return None
