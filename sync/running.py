"""Keeps what a run decides by, so that an edit can be compared with it and steps have an age."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from sync.store import instant, seconds
from sync.store import running as kept
from sync.store.running import Running

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from clinicrelay.settings import Settings
    from sync.clinic import Clinic
    from sync.store.leases import Lease

_SHAPE = 1  # of what is kept


def differs(connection: Connection, clinic: Clinic) -> bool:
    """Whether the settings are others than those that ran last."""
    return kept.fingerprint(connection, clinic.store.clinic) != fingerprint(clinic)


def keep(clinic: Clinic, lease: Lease) -> None:
    """Keep the settings that this run decides by, unless the last one decided by the same."""
    with clinic.store.read() as connection:
        if not differs(connection, clinic):
            return
    from clinicrelay.settings.parts import parts_of

    with clinic.store.write() as connection:
        lease.fence(connection)
        before = kept.running(connection, clinic.store.clinic)
        steps = steps_since(clinic.settings, before.steps if before else {}, now=clinic.now)
        parts = parts_of(clinic.settings)
        one = Running(fingerprint(clinic), clinic.now, parts, steps)
        kept.keep(connection, clinic.store.clinic, one)


def fingerprint(clinic: Clinic) -> str:
    """Return by what the settings of two runs are told apart: more than plan decides by."""
    own = clinic.settings
    kinds = [
        sorted((name, one.type) for name, one in room.items())
        for room in (own.sources, own.notifiers)
    ]
    parts = (_SHAPE, clinic.policy, own.safety, kinds)
    return sha256(repr(parts).encode()).hexdigest()[:32]


def steps_since(settings: Settings, before: Mapping[str, int], *, now: datetime) -> dict[str, int]:
    """Return since when each step holds with its present hours, carrying over what was known."""
    return {key: before.get(key, seconds(now)) for key in _steps(settings)}


def _steps(settings: Settings) -> Iterator[str]:
    """Yield a name for each step that is another one where its hours are."""
    rules = settings.reminders
    clocks = repr((settings.quiet_hours, settings.clinic.timezone))
    hours = sha256(clocks.encode()).hexdigest()[:8]
    for role, some in (("patient", rules.patient), ("doctor", rules.doctor)):
        for step in some.steps if some else ():
            yield f"{role}/{step.name}/{step.latest.total_seconds():.0f}/{hours}"


class Ran(NamedTuple):
    """The settings that the last run decided by, and since when each step (`patient/1d`) holds."""

    settings: Settings
    steps: Mapping[str, datetime]


def ran(clinic: Clinic, connection: Connection) -> Ran:
    """Return what the last run decided by; where nobody knows, the settings as they are, since now."""
    one = kept.running(connection, clinic.store.clinic)
    settings = (settings_of(clinic, one) if one else None) or clinic.settings
    since = steps_since(settings, one.steps if one else {}, now=clinic.now)
    ages = {"/".join(key.split("/")[:2]): instant(at) for key, at in since.items()}
    return Ran(settings, ages)


def settings_of(clinic: Clinic, one: Running) -> Settings | None:
    """Return the settings with the parts that ran; None where another version kept those."""
    if one.fingerprint == fingerprint(clinic):
        return clinic.settings
    from pydantic import ValidationError

    from clinicrelay.settings.parts import with_parts

    try:
        return with_parts(clinic.settings, one.parts)
    except (ValidationError, KeyError):
        return None
