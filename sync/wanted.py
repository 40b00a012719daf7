"""An event as a calendar should show it: the visit at the level of detail that settings allow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from clinicrelay.contracts import Calendar, EventWrite
from clinicrelay.model import Appointment, Modality, Status, decode

if TYPE_CHECKING:
    from clinicrelay.settings.schema import EventText
    from sync.clinic import Clinic
    from sync.store.events import Pending

_TENTATIVE = (Status.PENDING, Status.PROPOSED)


def wanted(clinic: Clinic, plugin: Calendar, address: str, event: Pending) -> EventWrite:
    """Return an event as it should be, were it not for anybody's hand."""
    from sync.words.titles import event_text

    visit = decode(event.content)
    if event.state in ("remove", "removed") or visit.start is None:
        return EventWrite(event.ref, put=False, memo=event.memo, sequence=event.sequence + 1)
    settings = clinic.settings
    title, description, location = event_text(
        _detail(settings.calendars[plugin.kit.name].event, plugin, address),
        visit,
        settings.clinic.facts(),
        settings.clinic.language,
    )
    return EventWrite(
        ref=event.ref,
        put=True,
        start=visit.start,
        end=_end(visit),
        timezone=visit.timezone,
        title=title,
        description=description,
        location=location,
        tentative=visit.status in _TENTATIVE,
        sequence=event.sequence + 1 if event.written else event.sequence,
        written_at=datetime.fromtimestamp(event.changed_at, UTC),
        memo=event.memo,
        video=visit.modality is Modality.VIDEO
        and not (visit.join_url_practitioner or visit.join_url),
        in_doubt=bool(event.doubt),
    )


def _detail(event: EventText, plugin: Calendar, address: str) -> str:
    """Return how much an event may give away: personal data only to the domains that are named."""
    if event.detail not in ("initials", "full") or not plugin.outside:
        return event.detail
    domain = address.rpartition("@")[2].casefold()
    named = domain in {one.casefold() for one in event.domains}
    return event.detail if named else "minimal"


def _end(visit: Appointment) -> datetime:
    assert visit.start is not None
    return visit.end or visit.start + timedelta(minutes=30)
