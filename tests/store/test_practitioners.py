"""Who is visited is counted the same on every database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from clinicrelay.model import Appointment, Practitioner, Status
from sync.store import Store, open_store, practitioners, visits

DAY = timedelta(days=1)


def visit(
    key: str, start: datetime | None, *who: Practitioner, status: Status = Status.BOOKED
) -> Appointment:
    return Appointment("ehr", key, status, "Europe/Berlin", start, practitioners=who)


@pytest.fixture
def store(store_url: str, now: datetime) -> Iterator[Store]:
    """Five visits of acar, braun assisting at two of them, and one that nobody is named for."""
    acar, renamed = Practitioner("acar", "Dr. Acar"), Practitioner("acar", "Dr. Acar-Yildiz")
    braun = Practitioner("braun", "Dr. Braun", primary=False)
    kept = [
        visit("a", now + DAY, acar, braun),
        visit("b", now - DAY, acar, braun),
        visit("c", now + DAY, acar, status=Status.CANCELLED),
        visit("d", None, acar),
        visit("e", now + 2 * DAY),
        visit("f", now + DAY, renamed),
    ]
    opened = open_store(store_url, "riverside", now=now)
    with opened.write() as connection:
        starts = [one.start and int(one.start.timestamp()) for one in kept]
        visits.insert(connection, "riverside", "ehr", kept, starts, run="run-1", now=now)
        visits.insert(connection, "elsewhere", "ehr", kept[:1], starts[:1], run="run-1", now=now)
    yield opened
    opened.close()


def test_visits_ahead_are_those_that_a_calendar_will_show(store: Store, now: datetime) -> None:
    with store.read() as connection:
        found = practitioners.seen(connection, "riverside", now=now)

    assert [(one.source, one.practitioner.key, one.ahead) for one in found] == [
        ("ehr", "acar", 2),
        ("ehr", "braun", 1),
    ]


def test_a_practitioner_is_called_as_the_latest_visit_says(store: Store, now: datetime) -> None:
    with store.read() as connection:
        acar, braun = practitioners.seen(connection, "riverside", now=now)

    assert (acar.practitioner.name, braun.practitioner.name) == ("Dr. Acar-Yildiz", "Dr. Braun")


def test_a_clinic_without_visits_has_nobody(store: Store, now: datetime) -> None:
    with store.read() as connection:
        assert practitioners.seen(connection, "new", now=now) == []
