"""Which texts the settings would have a notifier send; some have to be approved there beforehand."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from clinicrelay.actions import MessageKind, Role
from clinicrelay.model import Channel
from clinicrelay.settings.schema import Settings

DOCTOR_REMINDER = f"{Role.DOCTOR.value}_{MessageKind.REMINDER.value}"
TO_DOCTORS = (DOCTOR_REMINDER, MessageKind.DIGEST.value)


def wanted(settings: Settings, name: str, channels: Collection[Channel]) -> list[str]:
    """Return the names of the texts that may leave by a notifier on some channel."""
    found = [
        text
        for channel in channels
        if _takes_part(settings, name, channel)
        for text in (*_to_patients(settings, channel), *_to_doctors(settings, channel))
    ]
    return list(dict.fromkeys(found))


def _takes_part(settings: Settings, name: str, channel: Channel) -> bool:
    named = settings.channels.named(channel)
    return named is None or name in named


def _to_patients(settings: Settings, channel: Channel) -> Iterator[str]:
    patient = settings.reminders.patient
    if patient is None or settings.channels.consent[channel] == "off":
        return
    # A patient may prefer any channel.
    usual = bool({"preferred", channel.value}.intersection(settings.channels.order))

    def goes(own: Collection[Channel] | None) -> bool:
        return usual if own is None else channel in own

    if patient.confirmation and goes(patient.confirmation.channels):
        yield MessageKind.CONFIRMATION.value
    if any(goes(step.channels) for step in patient.steps):
        yield MessageKind.REMINDER.value
    if patient.on_change and usual:
        yield MessageKind.CHANGE.value
    if (patient.on_cancel or patient.on_gone) and usual:
        yield MessageKind.CANCELLATION.value


def _to_doctors(settings: Settings, channel: Channel) -> Iterator[str]:
    doctor = settings.reminders.doctor
    if doctor is None:
        return
    usual = channel.value in settings.channels.order
    if any(usual if s.channels is None else channel in s.channels for s in doctor.steps):
        yield DOCTOR_REMINDER
    if doctor.digest and channel in doctor.digest.channels:
        yield MessageKind.DIGEST.value
