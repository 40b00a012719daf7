"""What is older than settings keep it goes, piece by piece, and nobody hears of it."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from clinicrelay.times import parse_instant
from sync import purging
from sync.purging import Purged
from sync.store import audit, integrity
from sync.store.leases import lease

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from tests.line.conftest import Line

ON_SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
KEPT = {"appointments": "14d", "bodies": "7d", "quarantine": "7d", "exports": "10d", "runs": "20d"}
LATER = "2026-12-20 09:00"


@pytest.fixture
def aged(line: Line) -> Line:
    """A clinic of whose visits some are over for long, one is lately over, and some are to come."""
    line.set(retention=KEPT)
    line.book(1, "2026-11-23 16:00")
    line.book(2, "2026-11-24 10:00")
    line.book(3, "2026-12-10 10:00")
    line.book(4, "2027-02-22 10:00")
    line.book(5, "2027-02-23 10:00", status="XQ")
    line.drop()
    line.sync()
    line.change(1, start="2026-11-23 17:30")
    line.drop()
    line.sync("2026-11-23 10:00")
    line.sync("2026-11-23 18:45")
    line.sync("2026-11-24 09:00")
    for path in (line.folder / "drops" / "reception" / "processed").rglob("*.*"):
        written = parse_instant("2026-11-23 09:00", "Europe/Berlin").timestamp()
        os.utime(path, (written, written))
    return line


def purge(line: Line, when: str = LATER, within: float | None = None) -> Purged:
    line.now = parse_instant(when, "Europe/Berlin")
    done = line.at_work(lambda at_work: purging.purge(at_work, within=within, who="anna@desk"))
    assert done is not None
    return done


def dump(line: Line) -> dict[str, object]:
    """Return all rows but those that tell of the purging itself."""
    rows = line.dump()
    return {name: rows[name] for name in rows if name not in ("audit", "clinics", "memory", "runs")}


def whole(at_work: Clinic) -> list[str]:
    return [one.message for one in integrity.check(at_work.store.engine) if one.severity == "error"]


def test_what_is_old_goes_with_all_that_refers_to_it(aged: Line) -> None:
    aged.now = parse_instant(LATER, "Europe/Berlin")
    plan = aged.at_work(purging.outlook)
    files = {path.name for path in (aged.data / "outbox").iterdir()}
    done = purge(aged)
    assert done.counts["visits"] == plan["visits"] == 2
    assert done.counts["texts"] <= plan["texts"]
    assert aged.visits().keys() == {"reception/3", "reception/4"}
    for table in ("versions", "told", "events", "messages"):
        left = aged.query(
            f"SELECT x.appointment FROM {table} x WHERE x.appointment IS NOT NULL AND NOT EXISTS "
            "(SELECT 1 FROM appointments a WHERE a.id = x.appointment)"
        )
        assert left == []
    assert {row[0] for row in aged.query("SELECT source_key FROM people")} == {"P3", "P4"}
    assert aged.query("SELECT raw, detail FROM quarantine") == [("", "")]
    assert files
    assert list((aged.data / "outbox").iterdir()) == []
    assert list((aged.folder / "drops" / "reception" / "processed").rglob("*.csv")) == []
    assert aged.query("SELECT count(*) FROM runs WHERE started_at < 0") == [(0,)]
    assert aged.at_work(whole) == []
    assert purge(aged).counts == {}


def test_a_purged_visit_that_its_source_still_names_is_no_news(aged: Line) -> None:
    purge(aged)
    before, events = aged.outbox(), aged.events()
    assert aged.after("2026-12-20 10:00") == []  # the same words: recalled without a look
    aged.change(1, location="elsewhere")  # and other words: too old to be kept
    report_of = aged.visits().keys()
    assert aged.after("2026-12-20 11:00") == []
    assert aged.visits().keys() == report_of == {"reception/3", "reception/4"}
    assert aged.outbox() == before
    assert aged.events() == events  # what stands in a calendar stays there
    unseen = aged.query("SELECT held FROM incoming")
    assert unseen == []
    assert aged.query("SELECT state FROM sources") == [("ok",)]


@ON_SQLITE
def test_a_visit_that_was_purged_and_is_booked_again_is_told(aged: Line) -> None:
    purge(aged)
    aged.change(1, start="2027-01-15 10:00")
    said = aged.after("2026-12-20 10:00")
    assert ("confirmation", "p1@mail.example") in said


def test_it_ends_in_time_and_goes_on_the_next_time(aged: Line) -> None:
    first = purge(aged, within=0.0)
    assert first.left
    assert first.counts == {}
    again = purge(aged)
    assert not again.left
    assert again.counts["visits"] == 2


@ON_SQLITE
def test_visits_of_a_source_that_is_being_read_stay_for_the_next_time(aged: Line) -> None:
    def meanwhile(at_work: Clinic) -> Purged | None:
        with lease(at_work.store, "source:reception", timedelta(seconds=60)) as held:
            assert held is not None
            return purging.purge(at_work, who="anna@desk")

    aged.now = parse_instant(LATER, "Europe/Berlin")
    done = aged.at_work(meanwhile)
    assert done is not None
    assert done.left
    assert done.counts["visits"] == 0
    assert purge(aged).counts["visits"] == 2


@ON_SQLITE
def test_two_at_once_are_one(aged: Line) -> None:
    def meanwhile(at_work: Clinic) -> Purged | None:
        with lease(at_work.store, "purge", timedelta(seconds=60)) as held:
            assert held is not None
            return purging.purge(at_work, who="anna@desk")

    assert aged.at_work(meanwhile) is None


@ON_SQLITE
def test_sync_does_it_once_a_day_and_never_by_a_clock_that_was_set_by_hand(aged: Line) -> None:
    aged.sync(LATER)
    assert len(aged.visits()) == 4
    aged.real_clock = True
    aged.sync()
    assert len(aged.visits()) == 2
    rows = dump(aged)
    aged.sync()
    assert dump(aged) == rows
    days = "SELECT value FROM memory WHERE owner = 'sync/purge' AND name = 'day'"
    assert aged.query(days) == [('"2026-12-20"',)]
    aged.sync(timedelta(days=1))
    assert aged.query(days) == [('"2026-12-21"',)]


@ON_SQLITE
def test_what_was_deleted_is_noted_in_numbers(aged: Line) -> None:
    purge(aged)

    def entries(at_work: Clinic) -> list[tuple[str, str]]:
        with at_work.store.read() as connection:
            assert audit.verify(connection, "riverside").broken == []
            return [(e.actor, e.action) for e in audit.entries(connection, "riverside")]

    assert ("anna@desk", "purge") in aged.at_work(entries)


@ON_SQLITE
def test_a_message_whose_end_is_open_keeps_its_visit_and_its_text(aged: Line) -> None:
    def open_again(at_work: Clinic) -> None:
        with at_work.store.write() as connection:
            connection.exec_driver_sql(
                "UPDATE messages SET state = 'unknown' WHERE id = (SELECT min(message) FROM attempts)"
            )
            connection.exec_driver_sql(
                "UPDATE attempts SET state = 'unknown' "
                "WHERE message = (SELECT min(message) FROM attempts)"
            )

    aged.at_work(open_again)
    done = purge(aged)
    assert done.counts["visits"] == 1
    texts = aged.query("SELECT state, body IS NOT NULL FROM attempts WHERE state = 'unknown'")
    assert texts == [("unknown", 1)]
