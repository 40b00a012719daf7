"""Old bookings that the passing of days brings to light are confirmed to nobody (ADR 19)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.contracts import Page, Window
from clinicrelay.testing import NOW, Asked, Reply

if TYPE_CHECKING:
    from conftest import Clinic, Peer

DAY = timedelta(days=1)
SLICED = {"strategy": "window", "slice": "14d"}
BOTH = {"by": "practitioner", "ids": ["acar", "braun"]}


def window(days: int) -> Window:
    """The window of a run so many days from now."""
    return Window(NOW + (days - 1) * DAY, NOW + (days + 30) * DAY)


def no_news(clinic: Clinic, pages: list[Page]) -> list[str]:
    """Return of which visits a page says that no read before could have told."""
    found = []
    for page in pages:
        for record in clinic.records([page]):
            start = datetime.fromisoformat(record.data["start"])
            if page.widened or (page.widened_from and start >= page.widened_from):
                found.append(str(record.key))
    return sorted(found)


@pytest.mark.parametrize(
    "said",
    [
        SLICED,
        SLICED | {"preset": "cerner", "strategy": "partition", "partition": BOTH},
        {"strategy": "partition", "partition": {"by": "patient", "ids": ["p1"]}},
    ],
    ids=["window", "practitioners", "patients"],
)
def test_what_the_window_reaches_as_days_pass_is_no_news(
    peer: Peer, clinic: Clinic, said: dict[str, Any]
) -> None:
    peer.book("near", NOW + 3 * DAY)
    peer.book("far", NOW + 32 * DAY)
    cursor = clinic.cursor(clinic.read(None, window(0), **said))
    clinic.now += 3 * DAY
    peer.book("new", NOW + 5 * DAY)
    pages = clinic.read(cursor, window(3), **said)
    assert no_news(clinic, pages) == ["far"]
    assert {"near", "new"} <= {*clinic.keys(pages)}
    peer.book("late", NOW + 32 * DAY)
    again = clinic.read(clinic.cursor(pages), window(3), **said)
    assert "late" in clinic.keys(again)
    assert no_news(clinic, again) == []


@pytest.mark.parametrize("strategy", ["watermark", "history"])
def test_what_changed_beyond_the_window_says_when_it_was_created(
    peer: Peer, clinic: Clinic, strategy: str
) -> None:
    """What changed is told of any day; of a visit that was never met it must not be the first word."""
    peer.book("near", NOW + 3 * DAY)
    cursor = clinic.cursor(clinic.read(None, window(0), strategy=strategy))
    peer.book("edited", NOW + 60 * DAY, created="2023-11-05")
    peer.book("undated", NOW + 60 * DAY)
    peer.book("booked", NOW + 60 * DAY, created="2024-01-01T08:00:00+02:00")
    peer.book("inside", NOW + 4 * DAY, created="2023-11-05")
    pages = clinic.read(cursor, window(0), strategy=strategy)
    assert no_news(clinic, pages) == ["booked", "edited", "undated"]
    created = {record.key: record.created for record in clinic.records(pages)}
    assert created["edited"] == datetime(2023, 11, 6, tzinfo=UTC)  # of a day alone, its end
    assert created["booked"] == datetime(2024, 1, 1, 6, tzinfo=UTC)
    assert created["undated"] is None


def test_last_days_that_fail_once_do_not_hush_what_was_known(peer: Peer, clinic: Clinic) -> None:
    peer.book("near", NOW + 3 * DAY)
    cursor = clinic.cursor(clinic.read(None, window(0), **SLICED))
    last = max(one.one("date") or "" for one in peer.asked())

    def fails(asked: Asked) -> Reply | None:
        return peer.fhir({}, 403) if asked.one("date") == last else None

    peer.faults.append(fails)
    failed = clinic.read(cursor, window(0), **SLICED)
    assert not failed[-1].complete
    peer.faults.clear()
    peer.book("new", NOW + 29 * DAY)
    pages = clinic.read(clinic.cursor(failed), window(0), **SLICED)
    assert "new" in clinic.keys(pages)
    assert no_news(clinic, pages) == []


def test_a_longer_window_brings_no_news_of_its_new_days(peer: Peer, clinic: Clinic) -> None:
    peer.book("near", NOW + 3 * DAY)
    peer.book("far", NOW + 50 * DAY)
    cursor = clinic.cursor(clinic.read(None, window(0), **SLICED))
    pages = clinic.read(cursor, Window(NOW - DAY, NOW + 90 * DAY), **SLICED)
    assert no_news(clinic, pages) == ["far"]


def test_what_lay_behind_links_that_were_not_followed_is_no_news(
    peer: Peer, clinic: Clinic
) -> None:
    """A clinic that mends its settings after the first read is not yet a day ahead of its patients."""
    peer.max_count, peer.next_base = 2, "http://elsewhere.example"
    peer.fill(5)
    first = clinic.read(strategy="snapshot")
    assert not first[-1].complete
    peer.next_base = None
    second = clinic.read(clinic.cursor(first), strategy="snapshot")
    assert len(no_news(clinic, second)) == 5
    assert no_news(clinic, clinic.read(clinic.cursor(second), strategy="snapshot")) == []


def test_nor_is_it_where_other_days_of_the_first_read_came_whole(
    peer: Peer, clinic: Clinic
) -> None:
    peer.max_count, peer.next_base = 2, "http://elsewhere.example"
    peer.book("alone", NOW + DAY)
    for n in range(4):
        peer.book(f"one-of-many-{n}", NOW + 20 * DAY)
    first = clinic.read(None, window(0), **SLICED)
    assert not first[-1].complete
    peer.next_base = None
    second = clinic.read(clinic.cursor(first), window(0), **SLICED)
    assert {f"one-of-many-{n}" for n in range(4)} <= {*no_news(clinic, second)}
    assert no_news(clinic, clinic.read(clinic.cursor(second), window(0), **SLICED)) == []
