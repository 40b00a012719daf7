"""What a person should know before a part of the clinic goes live."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from clinicrelay import times
from clinicrelay.actions import Role
from clinicrelay.model import Channel
from sync.standing import ROLE_OF
from sync.store import incoming, memory, progress

if TYPE_CHECKING:
    from sync.clinic import Clinic

TRIED = "commands/try"  # who remembers which plugins were tried
ALERTS = "alerts"  # what is tried under this name: whether alerts arrive
BACKUP_KEEPS = timedelta(days=7)


class Point(NamedTuple):
    """A line of the checklist; what `blocks` has to be mended before this part can go live."""

    ok: bool
    what: str
    to_do: str = ""
    blocks: bool = False


def checklist(clinic: Clinic, part: str) -> list[Point]:
    """Return what a person should know before a part goes live, in the order of the line."""
    points = [*_sources(clinic), *_holds(clinic)]
    if part == "calendars":
        return [*points, *_calendars(clinic), _backup(clinic)]
    senders = _senders(clinic, ROLE_OF[part])
    points += [*_sending(clinic, senders), _alerts(clinic)]
    if part == "patients":
        points.append(_consent(clinic))
    return [*points, _recipients(clinic), _backup(clinic)]


def _sources(clinic: Clinic) -> Iterator[Point]:
    if not clinic.settings.sources:
        yield Point(False, "no source is named in the settings", "clinicrelay check", blocks=True)
    with clinic.store.read() as connection:
        known = {
            name: progress.progress(connection, clinic.store.clinic, name)
            for name in clinic.settings.sources
        }
    for name, one in known.items():
        if one.last_complete_at is None:
            yield Point(False, f"{name} was never read completely", "clinicrelay sync", blocks=True)
            continue
        at = datetime.fromtimestamp(one.last_complete_at, UTC)
        when = times.local(at, clinic.zone).strftime("%a %d %b %H:%M")
        if at > clinic.now:
            what = f"{name} was last read under a clock set to {when}"
            yield Point(False, what, "clinicrelay sync, without --now", blocks=True)
        elif one.state == "failed":
            yield Point(False, f"{name} could not be read", "clinicrelay status", blocks=True)
        else:
            yield Point(True, f"{name} read completely {when}")


def _holds(clinic: Clinic) -> Iterator[Point]:
    with clinic.store.read() as connection:
        holds = incoming.open_holds(connection, clinic.store.clinic)
    for hold in holds:
        yield Point(False, f"held: {hold['summary']}", f"clinicrelay held show h{hold['id']}")


def _calendars(clinic: Clinic) -> Iterator[Point]:
    if not clinic.settings.calendars:
        yield Point(False, "no calendar is named in the settings", blocks=True)
    tried = _remembered(clinic, TRIED)
    for name in clinic.settings.calendars:
        if clinic.calendar(name).outside:
            yield _tried(clinic, tried, name, f"clinicrelay try {name} --doctor ID")


def _senders(clinic: Clinic, role: Role) -> dict[str, bool]:
    """Return the notifiers that could reach these people, and whether each goes outside."""
    order = _order(clinic, role)
    names = [
        name
        for channel, own in clinic.senders.items()
        if channel in order or "preferred" in order
        for name in (clinic.settings.channels.named(channel) or own)
    ]
    return {name: clinic.notifier(name).outside for name in dict.fromkeys(names)}


def _order(clinic: Clinic, role: Role) -> Sequence[str]:
    return clinic.settings.channels.order if role is Role.PATIENT else [*Channel]


def _sending(clinic: Clinic, senders: dict[str, bool]) -> Iterator[Point]:
    if not senders:
        yield Point(False, "nothing is named that could send messages", "notifiers:", blocks=True)
    elif not any(senders.values()):
        names = ", ".join(senders)
        yield Point(True, f"{names}: nothing leaves this machine, live or not")
    tried = _remembered(clinic, TRIED)
    for name, outside in senders.items():
        if outside:
            yield _tried(clinic, tried, name, f"clinicrelay try {name} --to YOUR-OWN")


def _alerts(clinic: Clinic) -> Point:
    if clinic.settings.monitoring.alerts is None:
        to_do = "monitoring: {alerts: {to: [YOUR-OWN], via: NOTIFIER}}"
        return Point(False, "nobody is told when something goes wrong", to_do)
    return _tried(clinic, _remembered(clinic, TRIED), ALERTS, "clinicrelay try alerts")


def _tried(clinic: Clinic, tried: dict[str, Any], name: str, command: str) -> Point:
    if name not in tried:
        return Point(False, f"{name} was never tried", command)
    at = datetime.fromtimestamp(tried[name], UTC)
    return Point(True, f"{name} tried {times.local(at, clinic.zone):%a %d %b %H:%M}")


def _consent(clinic: Clinic) -> Point:
    channels = clinic.settings.channels
    if "consent" not in channels.model_fields_set:
        return Point(
            False,
            "nobody has said what allows the clinic to write to its patients",
            "channels: {consent: {sms: implied, email: implied}}, or recorded, or off",
            blocks=True,
        )
    said = ", ".join(f"{channel} {consent}" for channel, consent in channels.consent.items())
    return Point(True, f"consent: {said}")


def _recipients(clinic: Clinic) -> Point:
    named = clinic.settings.safety.only_recipients
    if named is None:
        return Point(True, "everybody may be reached (no safety.only_recipients)")
    what = f"only {len(named)} recipients may be reached, everybody else is skipped"
    return Point(False, what, "delete safety.only_recipients when you mean everybody")


def _backup(clinic: Clinic) -> Point:
    made = _remembered(clinic, "store").get("backup_at")
    if made is None or clinic.now - datetime.fromtimestamp(made, UTC) > BACKUP_KEEPS:
        return Point(False, "no backup of the store in the last 7 days", "clinicrelay store backup")
    at = times.local(datetime.fromtimestamp(made, UTC), clinic.zone)
    return Point(True, f"backup made {at:%a %d %b %H:%M}")


def _remembered(clinic: Clinic, owner: str) -> dict[str, Any]:
    with clinic.store.read() as connection:
        return memory.recall(connection, clinic.store.clinic, owner)


def note_tried(clinic: Clinic, name: str) -> None:
    """Remember that a plugin was tried, and did what it should."""
    before = _remembered(clinic, TRIED)
    after = {**before, name: int(clinic.now.timestamp())}
    with clinic.store.write() as connection:
        memory.remember(connection, clinic.store.clinic, TRIED, before, after)
