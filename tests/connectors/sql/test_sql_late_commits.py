"""No row is lost to a late commit: in real transactions, of several people at a reception."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

SERVERS = pytest.mark.parametrize("store_url", ["postgresql", "mysql"], indirect=True)


class Desk:
    """Somebody at the reception, whose transaction stays open until told."""

    def __init__(self, clinic: Any) -> None:
        clinic.desks.append(self)  # an open one would keep the database from being dropped
        self._engine = create_engine(clinic.url, poolclass=NullPool)
        self._connection = self._engine.connect()
        self._transaction = self._connection.begin()

    def book(self, number: int) -> None:
        """Add a visit, stamped with the server's clock now (not when the transaction ends)."""
        now = "clock_timestamp()" if self._engine.dialect.name == "postgresql" else "SYSDATE(6)"
        self._connection.exec_driver_sql(
            "INSERT INTO appointments (appointment_id, appointment_date, updated_at) "
            f"VALUES ('A-{number}', '2026-12-01 09:30:00', {now})"
        )

    def commit(self) -> None:
        self._transaction.commit()
        self.leave()

    def leave(self) -> None:
        self._connection.close()
        self._engine.dispose()


@pytest.fixture
def desk_clinic(clinic: Any) -> Iterator[Any]:
    """A clinic of several writers at a time, which SQLite does not have."""
    clinic.real_clock = True
    column = "TIMESTAMPTZ" if clinic.kind == "postgresql" else "TIMESTAMP(6)"
    clinic.run(
        "CREATE TABLE appointments (appointment_id VARCHAR(20), appointment_date VARCHAR(30), "
        f"updated_at {column} NULL)"
    )
    yield clinic
    for desk in clinic.desks:
        desk.leave()


QUERY = "SELECT * FROM appointments"


def schedule(clinic: Any, **said: Any) -> set[str]:
    """The schedule of S-06: six rows, of which two are committed after later ones were read."""
    seen: set[str] = set()
    cursor: Any = None
    said |= {
        "zones": {"updated_at": "utc"}
    }  # else an hour more is read, for the end of summer time

    def poll() -> None:
        nonlocal cursor
        read = clinic.read(cursor, query=QUERY, cursor="updated_at", **said)
        cursor = read.cursor
        seen.update(str(record.key) for record in read.records)

    one = Desk(clinic)
    one.book(1)
    one.commit()
    poll()
    late, very_late = Desk(clinic), Desk(clinic)
    late.book(2)
    very_late.book(4)
    three = Desk(clinic)
    three.book(3)
    three.commit()
    poll()
    late.commit()
    five = Desk(clinic)
    five.book(5)
    five.commit()
    poll()
    six = Desk(clinic)
    six.book(6)
    six.commit()
    poll()
    very_late.commit()
    poll()
    return seen


ALL_SIX = {f"A-{n}" for n in range(1, 7)}


@SERVERS
def test_rows_committed_late_are_found_within_the_overlap(desk_clinic: Any) -> None:
    assert schedule(desk_clinic) == ALL_SIX


@SERVERS
def test_an_open_transaction_holds_the_watermark_back_where_it_is_seen(desk_clinic: Any) -> None:
    """With next to no overlap only the bound by the oldest transaction finds them all."""
    assert schedule(desk_clinic, overlap="0.001s") == ALL_SIX


@SERVERS
def test_without_overlap_and_bound_a_late_row_is_lost(desk_clinic: Any) -> None:
    """Else the two tests above could not fail."""
    desk_clinic.blind = True
    assert schedule(desk_clinic, overlap="0.001s") < ALL_SIX


@SERVERS
def test_the_oldest_open_transaction_is_seen(desk_clinic: Any) -> None:
    late = Desk(desk_clinic)
    late.book(1)
    connector = desk_clinic.connector(query=QUERY, cursor="updated_at")
    clock = connector.clock(connector.server)
    assert clock.sees_others
    assert clock.oldest is not None
    assert clock.oldest <= clock.now


@SERVERS
def test_a_transaction_that_began_since_the_last_look_is_not_overlooked(desk_clinic: Any) -> None:
    """MySQL shows to a second look what it showed to the first, if that is not long ago."""
    connector = desk_clinic.connector(query=QUERY, cursor="updated_at")
    before = connector.clock(connector.server).now
    late = Desk(desk_clinic)
    late.book(1)
    oldest = connector.clock(connector.server).oldest
    assert oldest is not None
    assert oldest <= before + timedelta(seconds=1)


@SERVERS
def test_a_writer_is_not_kept_waiting_by_a_read(desk_clinic: Any) -> None:
    for number in range(5):
        desk = Desk(desk_clinic)
        desk.book(number)
        desk.commit()
    connector = desk_clinic.connector(query=QUERY, cursor="updated_at", fetch_size=10)
    rows = connector.server.ask(QUERY, {}, 2)
    done = threading.Event()

    def write() -> None:
        desk = Desk(desk_clinic)
        desk.book(99)
        desk._connection.exec_driver_sql("UPDATE appointments SET appointment_date = 'x'")
        desk.commit()
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    writer.join(4)
    assert done.is_set()
    rows.close()
