"""Old bookings that the passing of days brings to light are confirmed to nobody (ADR 19)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.contracts import Page, Window
from clinicrelay.testing import NOW, Asked, Reply
from connectors.fhir.spans import Span, uncovered

if TYPE_CHECKING:
    from conftest import Clinic, Peer

DAY = timedelta(days=1)
SLICED = {"strategy": "window", "slice": "14d"}
BOTH = {"by": "practitioner", "ids": ["acar", "braun"]}


def window(days: int) -> Window:
    """The window of a run so many days from now."""
    return Window(NOW + (days - 1) * DAY, NOW + (days + 30) * DAY)


def silent(clinic: Clinic, pages: list[Page]) -> list[str]:
    return clinic.keys([page for page in pages if page.widened])


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
    assert silent(clinic, pages) == ["far"]
    assert {"near", "new"} <= {*clinic.keys(pages)}
    peer.book("late", NOW + 32 * DAY)
    again = clinic.read(clinic.cursor(pages), window(3), **said)
    assert "late" in clinic.keys(again)
    assert silent(clinic, again) == []


@pytest.mark.parametrize("strategy", ["watermark", "history"])
def test_an_edit_beyond_the_window_is_no_booking(peer: Peer, clinic: Clinic, strategy: str) -> None:
    """What changed is told of any day; of a visit that was never met it must not be the first word."""
    peer.book("near", NOW + 3 * DAY)
    cursor = clinic.cursor(clinic.read(None, window(0), strategy=strategy))
    long_ago, today = "2023-11-05", peer.now.isoformat()
    peer.book("edited", NOW + 60 * DAY, created=long_ago)
    peer.book("undated", NOW + 60 * DAY)
    peer.book("booked", NOW + 60 * DAY, created=today)
    peer.book("booked-too", NOW + 60 * DAY, created=today[:10])
    peer.book("inside", NOW + 4 * DAY, created=long_ago)
    pages = clinic.read(cursor, window(0), strategy=strategy)
    assert {"booked", "booked-too", "inside"} <= {*clinic.keys(pages)}
    assert silent(clinic, pages) == ["edited", "undated"]


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
    assert silent(clinic, pages) == []


def test_a_longer_window_brings_no_news_of_its_new_days(peer: Peer, clinic: Clinic) -> None:
    peer.book("near", NOW + 3 * DAY)
    peer.book("far", NOW + 50 * DAY)
    cursor = clinic.cursor(clinic.read(None, window(0), **SLICED))
    pages = clinic.read(cursor, Window(NOW - DAY, NOW + 90 * DAY), **SLICED)
    assert silent(clinic, pages) == ["far"]


@pytest.mark.parametrize("strategy", ["window", "watermark", "snapshot"])
def test_what_a_first_read_could_not_get_at_is_no_news_when_it_can(
    peer: Peer, clinic: Clinic, strategy: str
) -> None:
    """As where a proxy writes another host into links, and `paging.rewrite_links` mends it."""
    peer.max_count, peer.next_base = 5, "http://inner.example/fhir/r4"
    said: dict[str, Any] = {"strategy": strategy, "reconcile_every": "1h"}
    peer.fill(30)
    first = clinic.read(None, window(0), **said)
    known = {*clinic.keys(first)}
    assert not first[-1].complete
    clinic.now += timedelta(hours=2)
    again = clinic.read(clinic.cursor(first), window(0), **said)
    assert {*clinic.keys(again)} == known
    said["paging"] = {"rewrite_links": True}
    clinic.now += timedelta(hours=2)
    mended = clinic.read(clinic.cursor(again), window(0), **said)
    assert mended[-1].complete
    assert len(clinic.keys(mended)) == 30
    assert {*silent(clinic, mended)} >= {*clinic.keys(mended)} - known
    peer.book("new", NOW + 2 * DAY)
    clinic.now += timedelta(hours=2)
    last = clinic.read(clinic.cursor(mended), window(0), **said)
    assert "new" in clinic.keys(last)
    assert silent(clinic, last) == []


def test_days_that_failed_at_first_bring_no_news_and_leave_the_others_theirs(
    peer: Peer, clinic: Clinic
) -> None:
    peer.book("near", NOW + 2 * DAY)
    peer.book("hidden", NOW + 29 * DAY)
    clinic.read(None, window(0), **SLICED)
    last = max(one.one("date") or "" for one in peer.asked())
    peer.faults.append(lambda asked: peer.fhir({}, 500) if asked.one("date") == last else None)
    cursor = clinic.cursor(clinic.read(None, window(0), **SLICED))
    peer.faults.clear()
    peer.book("new", NOW + 3 * DAY)
    pages = clinic.read(cursor, window(0), **SLICED)
    assert "new" in clinic.keys(pages)
    assert silent(clinic, pages) == ["hidden"]


def test_who_joins_with_days_that_fail_brings_no_news_of_them_later(
    peer: Peer, clinic: Clinic
) -> None:
    said = SLICED | {"strategy": "partition", "partition": BOTH}
    for n, doctor in enumerate(["acar", "acar", "braun", "braun"]):
        peer.book(f"{doctor}-{n}", NOW + (2 if n % 2 else 29) * DAY, practitioner=doctor)
    peer.faults.append(
        lambda asked: peer.fhir({}, 403) if asked.one("practitioner") == "braun" else None
    )
    first = clinic.read(None, window(0), **said)
    last = max(one.one("date") or "" for one in peer.asked())
    peer.faults[:] = [
        lambda asked: (
            peer.fhir({}, 500)
            if asked.one("practitioner") == "braun" and asked.one("date") == last
            else None
        )
    ]
    joined = clinic.read(clinic.cursor(first), window(0), **said)
    assert silent(clinic, joined) == ["braun-3"]
    peer.faults.clear()
    pages = clinic.read(clinic.cursor(joined), window(0), **said)
    assert silent(clinic, pages) == ["braun-2"]


def test_a_server_that_ignores_a_parameter_leaves_out_nothing(peer: Peer, clinic: Clinic) -> None:
    said = SLICED | {"params": {"clinic": "7"}, "on_ignored_parameter": "incomplete"}
    peer.book("near", NOW + 2 * DAY)
    first = clinic.read(None, window(0), **said)
    assert not first[-1].complete
    peer.book("new", NOW + 3 * DAY)
    pages = clinic.read(clinic.cursor(first), window(0), **said)
    assert "new" in clinic.keys(pages)
    assert silent(clinic, pages) == []


def test_what_is_left_of_days_is_neither_more_nor_less() -> None:
    asked = [Span("a", "2", "8"), Span("b", "2", "8"), Span("c"), Span("d", "5", "5")]
    read = [Span("a", "3", "4"), Span("a", "6", "9"), Span("b", "1", "9"), Span("c", "3", "4")]
    assert uncovered(asked, read) == (
        Span("a", "2", "3"),
        Span("a", "4", "6"),
        Span("c", "", "3"),
        Span("c", "4"),
    )
