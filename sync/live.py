"""Going live, in parts: what would happen, and the step itself.

At that moment what is true counts as told, so nothing that fell due in rehearsal goes out later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from clinicrelay.errors import StoreBusy
from clinicrelay.ids import ulid
from clinicrelay.model import Channel
from sync import instance, outward
from sync.digest_hours import latest_digest
from sync.standing import ROLE_OF
from sync.store import audit, going_live, high_water, looking_ahead, memory, standings, wakes
from sync.store.leases import lease
from sync.store.shards import SHARDS, lease_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic

AHEAD = timedelta(days=7)


@dataclass(slots=True)
class Outlook:
    """What would leave in the coming days: messages by kind, people, and SMS that are paid for."""

    messages: Counter[str] = field(default_factory=Counter)
    people: int = 0
    sms: int = 0
    first: datetime | None = None
    events: int = 0


# --- what would happen -----------------------------------------------------------------------


def outlook(clinic: Clinic, part: str, doctor: str = "") -> Outlook:
    """Return what would leave in the next 7 days, by doing it all on a copy of the store."""
    from sync import store as stores
    from sync.foresee import foresee

    settings = clinic.settings
    with stores.scratch(settings.store_url, settings.clinic.id, now=clinic.now) as copy:
        there = replace(clinic, store=copy, run=ulid(datetime.now(UTC)), dry=True, _plugins={})
        only = _those_who_enter(there, part, doctor)
        with copy.write() as connection:
            _enter(there, connection, part, only)
        forecast = foresee(there, until=clinic.now + AHEAD)
        if part == "calendars":
            outside = [name for name in settings.calendars if there.calendar(name).outside]
            there_now = [c for c in forecast.calendars if c["calendar"].split(":")[0] in outside]
            return Outlook(events=len(there_now))
        with copy.read() as connection:
            said = looking_ahead.said_by(connection, copy.clinic, there.run, ROLE_OF[part].value)
        return _counted([one for one in said if only is None or one.appointment in only])


def _counted(said: Sequence[looking_ahead.Said]) -> Outlook:
    from clinicrelay.sms import segments

    texts = [one.text for one in said if one.channel != Channel.EMAIL]
    return Outlook(
        messages=Counter(one.kind for one in said),
        people=len({one.recipient for one in said}),
        sms=sum(segments(text).messages for text in texts),
        first=min((one.at for one in said), default=None),
    )


# --- the step itself -------------------------------------------------------------------------


def go(clinic: Clinic, part: str, doctor: str = "", *, who: str) -> None:
    """Take a part of the clinic live. Raises StoreBusy while another run plans or sends."""
    length = clinic.settings.store.lease
    with ExitStack() as all_:
        names = ("plan", high_water.SENDING, *map(lease_of, range(SHARDS)))
        planning, sending, *shards = (
            all_.enter_context(lease(clinic.store, name, length)) for name in names
        )
        if planning is None or sending is None or None in shards:
            raise StoreBusy("another run is planning or sending")
        only = _those_who_enter(clinic, part, doctor)
        with clinic.store.write() as connection:
            planning.fence(connection)
            sending.fence(connection)
            _enter(clinic, connection, part, only)
            standings.go_live(
                connection,
                clinic.store.clinic,
                part,
                doctor=doctor,
                since=clinic.now,
                place=clinic.place,
                who=who,
            )
            about = f"part/{part}" + (f" of {doctor}" if doctor else "")
            audit.note(connection, clinic.store.clinic, audit.Deed(who, "live", about))
            instance.note_meant(connection, clinic.store.clinic)
        high_water.note(clinic.settings.data, sending.token)


def _enter(clinic: Clinic, connection: Connection, part: str, only: set[int] | None) -> None:
    name, now = clinic.store.clinic, clinic.now
    going_live.bring_the_clock_back(connection, name, now=now)
    if part == "calendars":
        return
    role, some = ROLE_OF[part].value, None if only is None else sorted(only)
    going_live.undo_rehearsed(connection, name, role, now=now, only=some)
    going_live.count_as_told(connection, name, role, now=now, only=some)
    if part == "doctors":
        _count_digests_as_sent(clinic, connection)


def _those_who_enter(clinic: Clinic, part: str, doctor: str) -> set[int] | None:
    """Return whose visits become live now; None: all. Those that are live already are left alone."""
    if doctor:
        return visits_of(clinic, doctor)
    there = [one.doctor for one in clinic.standing().live if one.part == part and one.doctor]
    if not there:
        return None
    live = set().union(*(visits_of(clinic, one) for one in there))
    with clinic.store.read() as connection:
        ahead = wakes.coming(connection, clinic.store.clinic, now=clinic.now)
        return {one.id for one in ahead if one.id not in live}


def visits_of(clinic: Clinic, doctor: str) -> set[int]:
    """Return the coming visits of a doctor, by their number."""
    with clinic.store.read() as connection:
        ahead = wakes.coming(connection, clinic.store.clinic, now=clinic.now)
        return {one.id for one in ahead if doctor in outward.doctors_of(clinic, one.visit)}


def _count_digests_as_sent(clinic: Clinic, connection: Connection) -> None:
    """Let the next digest be the first: what fell due until now counts as sent."""
    rules = clinic.settings.reminders.doctor
    if rules is None or rules.digest is None:
        return
    owner = "sync/digest"
    before = memory.recall(connection, clinic.store.clinic, owner)
    day = latest_digest(clinic.now, rules.digest, clinic.zone).isoformat()
    memory.remember(connection, clinic.store.clinic, owner, before, {**before, "day": day})
