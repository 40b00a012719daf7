"""Tries one plugin for real: a made-up patient's reminder, or an event put, read back and removed.

No visit is touched, and nothing is written to the store but that it was tried, and that a notifier
which sent nothing works again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from clinicrelay import times
from clinicrelay.actions import MessageKind, Role
from clinicrelay.contracts import EventResult, EventWrite, Message, Outcome, SendResult
from clinicrelay.errors import TryLater
from clinicrelay.model import Channel, Practitioner
from clinicrelay.settings.monitoring import channel_of
from sync import breaker
from sync.checklist import ALERTS, note_tried

if TYPE_CHECKING:
    from clinicrelay.contracts import Calendar
    from sync.clinic import Clinic
    from sync.words.facts import TextFacts

_MORNING = timedelta(hours=10, minutes=30)


class Tried(NamedTuple):
    """How a trial ended: whether all went well, and each step of it in a sentence."""

    ok: bool
    steps: tuple[str, ...]


# --- messages --------------------------------------------------------------------------------


def message(
    clinic: Clinic, name: str, address: str, *, channel: Channel, language: str | None
) -> Tried:
    """Send a made-up patient's reminder of a visit tomorrow to one address."""
    notifier = clinic.notifier(name)
    spoken = notifier.language(MessageKind.REMINDER.value, language or clinic.words.default)
    words = clinic.words.render(MessageKind.REMINDER, Role.PATIENT, channel, spoken, _facts(clinic))
    sample = Message(
        id=clinic.opaque("try", clinic.run),
        channel=channel,
        to=address,
        text=words.text,
        html=words.html,
        subject=words.subject,
        language=words.locale or words.language,
        kind=MessageKind.REMINDER.value,
        useless_after=clinic.now + timedelta(hours=1),
        written_at=clinic.now,
        template=MessageKind.REMINDER.value,
        values=words.values,
    )
    result = notifier.send(sample)
    if result.outcome is Outcome.ACCEPTED:
        note_tried(clinic, name)
        breaker.lift(clinic, name)
    return Tried(result.outcome is Outcome.ACCEPTED, (_sent(name, channel, result),))


def alerts(clinic: Clinic) -> Tried:
    """Send an alert that says it is only tried to everybody who is told of what is wrong."""
    told = clinic.settings.monitoring.alerts
    assert told is not None
    results = []
    for address in told.to:
        channel = channel_of(address)
        text = f"{clinic.settings.clinic.name}: this is how alerts of clinicrelay arrive."
        sample = Message(
            id=clinic.opaque("try", clinic.run, address),
            channel=channel,
            to=address,
            text=text if channel is Channel.SMS else f"{text}\n\nNothing is wrong: somebody tried.",
            subject=text if channel is Channel.EMAIL else None,
            language="en",
            kind=MessageKind.ALERT.value,
            useless_after=clinic.now + timedelta(hours=1),
            written_at=clinic.now,
            template=MessageKind.ALERT.value,
        )
        results.append((channel, clinic.notifier(told.via).send(sample)))
    ok = all(result.outcome is Outcome.ACCEPTED for _, result in results)
    if ok:
        note_tried(clinic, ALERTS)
    return Tried(ok, tuple(_sent(told.via, channel, result) for channel, result in results))


def _facts(clinic: Clinic) -> TextFacts:
    from sync.words.facts import TextFacts

    own = clinic.settings.clinic
    return TextFacts(
        at=clinic.now,
        start=_tomorrow(clinic),
        timezone=clinic.zone,
        place=None if own.address else own.name,  # the texts know the address
        first_name="Alex",
    )


def _sent(name: str, channel: Channel, result: SendResult) -> str:
    why = (result.detail or result.reason).rstrip(".")
    if result.outcome is Outcome.ACCEPTED:
        return f"{name} took the {channel.value}. Did it arrive, and does it read well?"
    if result.outcome is Outcome.UNKNOWN:
        return f"{name} gave no answer ({why}): it may have arrived. Look before you try again."
    return f"{name} did not take it: {why}."


# --- calendars -------------------------------------------------------------------------------


def event(clinic: Clinic, name: str, address: str) -> Tried:
    """Put an event into a calendar, read it back, and remove it; none where it could not be removed."""
    plugin = clinic.calendar(name)
    for reach in plugin.reach([address]):
        if reach.wrong is not None:
            why = f"{reach.wrong.message}. {reach.wrong.fix}"
            return Tried(False, (f"{name} cannot write there: {why}",))
    start = _tomorrow(clinic)
    write = EventWrite(
        ref=clinic.opaque("try", clinic.run),
        put=True,
        start=start,
        end=start + timedelta(minutes=15),
        timezone=clinic.zone,
        title="clinicrelay",
        description="",
        written_at=clinic.now,
    )
    put = _apply(plugin, address, write)
    if put.outcome is not Outcome.ACCEPTED:
        return Tried(False, (f"{name} did not take the event: {_why(put)}",))
    there = _shows(plugin, address, write.ref, put)
    gone = _apply(plugin, address, EventWrite(write.ref, put=False, memo=put.memo, sequence=1))
    steps = (
        f"{name} took an event for tomorrow {times.local(start, clinic.zone):%H:%M}.",
        "Read back: it is there." if there else "Read back: it is NOT there.",
        "Removed."
        if gone.outcome is Outcome.ACCEPTED
        else f"It could not be removed: {_why(gone)} Please delete it by hand.",
    )
    ok = there and gone.outcome is Outcome.ACCEPTED
    if ok:
        note_tried(clinic, name)
    return Tried(ok, steps)


def address_of(clinic: Clinic, name: str, doctor: str) -> str | None:
    """Return the calendar that a doctor of the settings, or a practitioner of a source, has."""
    for one in clinic.settings.doctors:
        if one.id == doctor:
            match = one.match if isinstance(one.match, dict) else {"": one.match}
            source, key = next(iter(match.items()))
            return _linked(clinic, name, source, Practitioner(key=key))
    return _linked(clinic, name, "", Practitioner(key=doctor))


def _linked(clinic: Clinic, name: str, source: str, practitioner: Practitioner) -> str | None:
    calendars = clinic.calendars_of(source, practitioner)
    return next((c.partition(":")[2] for c in calendars if c.startswith(f"{name}:")), None)


def _apply(plugin: Calendar, address: str, write: EventWrite) -> EventResult:
    (result,) = plugin.apply(address, [write])
    while result.outcome is Outcome.AGAIN:
        write = replace(write, memo=result.memo)
        (result,) = plugin.apply(address, [write])
    return result


def _shows(plugin: Calendar, address: str, ref: str, put: EventResult) -> bool:
    try:
        return plugin.shows(address, ref, put.memo)
    except TryLater:
        return False


def _why(result: EventResult) -> str:
    return " ".join(part for part in (f"{result.reason}.", result.fix or result.detail) if part)


def _tomorrow(clinic: Clinic) -> datetime:
    day = times.day_of(clinic.now, clinic.zone) + timedelta(days=1)
    return times.first_instant(day, clinic.zone) + _MORNING
