"""A doctor's digest: the visits of its day, and what became of others since the last one was sent.

What counts as news is found as everything else is: how a visit stood when the doctor last got a
list, against how it stands. So a visit that moved there and back is none, and a digest that never
left takes its news over into the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from clinicrelay import times
from clinicrelay.actions import Say
from clinicrelay.model import Appointment, Kind, Practitioner
from sync.digest_hours import digest_say
from sync.plan import dedupe_key
from sync.store import digests, wakes

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from clinicrelay.settings.schema import Digest
    from sync.clinic import Clinic
    from sync.store.wakes import Past, Woken

LOOK_BACK = 14  # days; who got no digest for longer begins anew
AHEAD = timedelta(days=14)  # who has no visit for longer gets no digest of an empty day


class News(NamedTuple):
    """A visit that a doctor knows otherwise: `booked`, `moved`, `cancelled` or `reassigned`.

    `visit` is as it stands where it is still theirs, else as it was; `before` when it was.
    """

    what: str
    visit: Appointment
    before: datetime | None = None


class Changed(NamedTuple):
    """A visit as it stood at some moment (None: it was not there, or off) and as it stands."""

    before: Appointment | None
    now: Appointment | None

    @property
    def practitioners(self) -> Iterator[Practitioner]:
        for visit in (self.now, self.before):
            yield from visit.practitioners if visit else ()


def visits_of(clinic: Clinic, say: Say) -> list[Woken]:
    """Return the visits of a digest's day."""
    return [
        woken
        for woken in _between(clinic, say, timedelta(days=1))
        if woken.visit.status.on_calendar and _is_of(woken.visit, say.facts.practitioner)
    ]


def known_from(clinic: Clinic, say: Say) -> Iterator[Appointment]:
    """Yield visits that may name the doctor of a digest: the day's, altered ones, coming ones."""
    yield from (woken.visit for woken in visits_of(clinic, say))
    yield from (one.visit for one in news_of(clinic, say))
    yield from (woken.visit for woken in _between(clinic, say, AHEAD))


def _between(clinic: Clinic, say: Say, span: timedelta) -> list[Woken]:
    start = say.facts.start
    assert start is not None
    with clinic.store.read() as connection:
        return wakes.of_day(connection, clinic.store.clinic, first=start, end=start + span)


def _is_of(visit: Appointment | None, practitioner: str | None) -> bool:
    return visit is not None and any(p.key == practitioner for p in visit.practitioners)


# --- what is new ---------------------------------------------------------------------------------


def news_of(clinic: Clinic, say: Say) -> list[News]:
    """Return what a doctor's digest has to say of other visits, by their time; none in the first."""
    doctor = clinic.settings.reminders.doctor
    key = say.facts.practitioner
    if doctor is None or doctor.digest is None or key is None:
        return []
    with clinic.store.read() as connection:
        since = last_sent(clinic, connection, key, date.fromisoformat(say.step), doctor.digest)
        altered = changed(clinic, connection, since) if since else ()
    found = (news(one, key, now=clinic.now) for one in altered)
    return sorted(filter(None, found), key=lambda one: (one.visit.start or clinic.now, one.what))


def news(changed: Changed, practitioner: str, *, now: datetime) -> News | None:
    """Return what a change means to one doctor; what has begun by now is no news."""
    was, stands = (
        visit if _is_of(visit, practitioner) else None for visit in (changed.before, changed.now)
    )
    if stands is not None and was is not None:
        moved = was.start != stands.start
        return News("moved", stands, was.start) if moved and _ahead(stands, was, now) else None
    if stands is not None:
        return News("booked", stands) if _ahead(stands, stands, now) else None
    if was is not None and _ahead(was, was, now):
        return News("reassigned" if changed.now is not None else "cancelled", was)
    return None


def _ahead(one: Appointment, other: Appointment, now: datetime) -> bool:
    return any(visit.start is not None and visit.start > now for visit in (one, other))


def last_sent(
    clinic: Clinic, connection: Connection, practitioner: str, day: date, digest: Digest
) -> datetime | None:
    """Return when a doctor last got a digest before that of a day; None: never, or long ago."""
    days = (day - timedelta(days=n) for n in range(1, LOOK_BACK + 1))
    says = (digest_say(practitioner, one, (), digest, clinic.zone) for one in days)
    keys = [dedupe_key("digest", say.step, say, None) for say in says]
    return digests.last_sent(connection, clinic.store.clinic, keys)


def changed(clinic: Clinic, connection: Connection, since: datetime) -> Sequence[Changed]:
    """Return the coming visits that changed since; looked up once a run, for all doctors."""
    known = (clinic.now, since)
    if known not in clinic.altered:
        woken = digests.changed(connection, clinic.store.clinic, since=since, now=clinic.now)
        past = wakes.history(connection, [one.id for one in woken])
        for old in [key for key in clinic.altered if key[0] != clinic.now]:
            del clinic.altered[old]
        clinic.altered[known] = [_changed(one, past.get(one.id, ()), since) for one in woken]
    found: Sequence[Changed] = clinic.altered[known]
    return found


def _changed(woken: Woken, past: Sequence[Past], since: datetime) -> Changed:
    return Changed(_stood(woken, past, since), _on(woken.visit, gone=woken.gone_at is not None))


def _stood(woken: Woken, past: Sequence[Past], since: datetime) -> Appointment | None:
    """Return a visit as it stood then; what came with an import later stood from the beginning."""
    at = since.timestamp()
    if woken.first_seen_at > at:
        if woken.baseline is None:
            return None
        return _on(wakes.visit_of(past[0].content) if past else woken.visit, gone=False)
    for number, one in enumerate(past):
        if one.replaced_at > at:
            gone = number > 0 and "gone" in past[number - 1].what.split(",")
            return _on(wakes.visit_of(one.content), gone=gone)
    return _on(woken.visit, gone=woken.gone_at is not None)


def _on(visit: Appointment, *, gone: bool) -> Appointment | None:
    on = visit.status.on_calendar and visit.start is not None and not gone
    return visit if on and visit.kind is Kind.VISIT else None


# --- who gets one --------------------------------------------------------------------------------


def starts_by_doctor(
    clinic: Clinic, connection: Connection, day: date, digest: Digest, since: datetime | None
) -> dict[str, list[datetime]]:
    """Return who gets the digest of a day, with the starts of their visits of that day.

    Whoever has none gets it where there is news for them, or where the settings want it.
    """
    first, end = (times.first_instant(day + timedelta(days=n), clinic.zone) for n in (0, 1))
    until = first + AHEAD if digest.empty == "send" else end
    found: dict[str, list[datetime]] = {}
    coming = wakes.of_day(connection, clinic.store.clinic, first=first, end=until)
    for visit in (woken.visit for woken in coming):
        for who in visit.practitioners if visit.status.on_calendar else ():
            starts = found.setdefault(who.key, [])
            if visit.start is not None and visit.start < end:
                starts.append(visit.start)
    for key in _with_news(clinic, connection, day, digest, since) - found.keys():
        found[key] = []
    return found


def _with_news(
    clinic: Clinic, connection: Connection, day: date, digest: Digest, since: datetime | None
) -> set[str]:
    """Return the doctors for whom something changed since they last got a list."""
    recent = changed(clinic, connection, since) if since else ()
    keys = {who.key for one in recent for who in one.practitioners}
    return {key for key in keys if _has_news(clinic, connection, key, day, digest)}


def _has_news(clinic: Clinic, connection: Connection, key: str, day: date, digest: Digest) -> bool:
    last = last_sent(clinic, connection, key, day, digest)
    altered: Iterable[Changed] = changed(clinic, connection, last) if last else ()
    return any(news(one, key, now=clinic.now) for one in altered)


def moment(seconds: int | None) -> datetime | None:
    """Return a remembered moment."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
