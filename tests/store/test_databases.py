"""Whichever database it is: bytes are kept apart and whole, and a busy server is told as such."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.dialects.mysql.reserved_words import RESERVED_WORDS_MARIADB, RESERVED_WORDS_MYSQL
from sqlalchemy.exc import DBAPIError

from clinicrelay.errors import StoreBusy
from clinicrelay.model import Appointment, Status
from sync.store import Store, bulk, dialects, memory, open_store, schema, scratch, sightings, visits
from sync.store.leases import lease
from sync.store.sightings import Sheet
from sync.store.tables import metadata

SERVERS = ["postgresql", "mysql"]
MYSQL_ONLY = pytest.mark.parametrize("store_url", ["mysql"], indirect=True)
ON_SERVERS = pytest.mark.parametrize("store_url", SERVERS, indirect=True)


@pytest.fixture
def store(store_url: str, now: datetime) -> Iterator[Store]:
    opened = open_store(store_url, "riverside", now=now)
    yield opened
    opened.close()


def remembered(store: Store) -> dict[str, Any]:
    with store.read() as connection:
        return memory.recall(connection, "riverside", "x")


def remember(store: Store, **values: Any) -> None:
    with store.write() as connection:
        memory.remember(connection, "riverside", "x", {}, values)


# --- keys and values -----------------------------------------------------------------------------


def test_keys_that_differ_in_a_byte_are_different_keys(store: Store) -> None:
    keys = [
        "A1",
        "a1",
        "é",
        "e",
        "e\u0301",
        "7",
        "7 ",
        "07",
        "ß",
        "ss",
        "İ",
        "i",
        "😀",
        "😁",
        "",
        " ",
    ]
    rows = [("riverside", "x", key, f'"{place}"') for place, key in enumerate(keys)]
    with store.write() as connection:
        bulk.write(connection, "memory", ("clinic", "owner", "name", "value"), rows)
    assert remembered(store) == {key: str(place) for place, key in enumerate(keys)}
    with store.write() as connection:
        bulk.write(
            connection,
            "memory",
            ("clinic", "owner", "name", "value"),
            [("riverside", "x", "a1", '"changed"')],
            update=("value",),
        )
    assert [key for key, value in remembered(store).items() if value == "changed"] == ["a1"]


def test_a_key_as_long_as_any_of_the_widest_letters_fits(store: Store) -> None:
    longest = "😀" * 255
    people = ("clinic", "source", "source_key", "name")
    with store.write() as connection:
        bulk.write(connection, "people", people, [("😀" * 64, "😀" * 64, longest, longest)] * 2)
        found = connection.execute(text("SELECT source_key FROM people")).scalar_one()
    assert found == longest


@ON_SERVERS
def test_a_value_that_does_not_fit_is_an_error_and_is_never_cut(store: Store) -> None:
    with pytest.raises(DBAPIError), store.write() as connection:
        bulk.write(
            connection, "people", ("clinic", "source", "source_key"), [("a", "b", "x" * 256)]
        )


def test_long_texts_and_pages_come_back_whole(store: Store) -> None:
    remember(store, long="ü😀\\'\"%s\n" * 200_000)
    assert remembered(store)["long"] == "ü😀\\'\"%s\n" * 200_000
    sheet = Sheet.of(bytes(range(256)) * 2000)
    with store.write() as connection:
        sightings.keep(connection, "riverside", "ehr", {0: sheet}, fingerprint=b"\x00\xff'")
    with store.read() as connection:
        assert sightings.load(connection, "riverside", "ehr", 0, fingerprint=b"\x00\xff'") == sheet


def test_more_than_a_server_takes_in_one_packet_is_written_in_several(store: Store) -> None:
    rows = (("riverside", "x", f"{n}", f'"{n % 10}{"x" * 10_000}"') for n in range(2_500))
    with store.write() as connection:
        bulk.write(connection, "memory", ("clinic", "owner", "name", "value"), rows)
        held = connection.execute(text("SELECT sum(length(value)) FROM memory")).scalar_one()
    assert held == 2_500 * 10_003


def test_how_long_a_lease_lasts_is_kept_to_the_second(store: Store) -> None:
    with lease(store, "source:a", timedelta(seconds=60)), store.read() as connection:
        until = connection.execute(text("SELECT until FROM leases")).scalar_one()
        clock = connection.exec_driver_sql(dialects.CLOCK[connection.dialect.name]).scalar_one()
    assert 50 < until - float(clock) <= 60


def test_a_fence_moves_the_end_by_the_clock_of_the_database(store: Store) -> None:
    def until() -> float:
        with store.read() as connection:
            clock = dialects.fetch(connection, dialects.CLOCK[connection.dialect.name])
            ends = dialects.fetch(connection, "SELECT until FROM leases WHERE name = ?", ("a",))
            return float(ends[0][0]) - float(clock[0][0])

    with lease(store, "a", timedelta(seconds=60)) as held:
        assert held is not None
        with store.write() as connection:
            held.fence(connection, timedelta(seconds=600))
        assert 590 < until() <= 600
        with store.write() as connection:
            held.fence(connection)
        assert 50 < until() <= 60


def test_what_goes_past_sqlalchemy_says_what_it_met_and_is_undone_with_the_rest(
    store: Store,
) -> None:
    odd = "100 % 'ü' \\?"
    rows = [("riverside", "x", f"{n}", odd) for n in range(3)]
    update = "UPDATE memory SET value = ? WHERE owner = ?"
    with store.write() as connection:
        bulk.write(connection, "memory", ("clinic", "owner", "name", "value"), rows)
        assert dialects.run(connection, update, (odd, "x")) == 3  # met, though none is different
        assert dialects.run(connection, update, (odd, "nobody")) == 0
    with pytest.raises(ZeroDivisionError), store.write() as connection:
        dialects.run_many(connection, update, [("a", "x"), ("b", "x")])
        _ = 1 / 0
    with store.read() as connection:
        there = dialects.fetch(connection, "SELECT value FROM memory WHERE owner = ?", ("x",))
    assert [tuple(row) for row in there] == [(odd,)] * 3


def test_only_one_column_needs_its_table_before_it() -> None:
    names = {c.name for t in metadata.tables.values() for c in t.columns} | set(metadata.tables)
    reserved = RESERVED_WORDS_MARIADB | RESERVED_WORDS_MYSQL
    # `role` is none since 5.7, `body` only where MariaDB plays Oracle.
    assert names & reserved - {"role", "body"} == {"reads"}


@MYSQL_ONLY
def test_mysql_makes_tables_of_ours_whatever_its_defaults_are(
    store_url: str, now: datetime
) -> None:
    engine = create_engine(store_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER DATABASE CHARACTER SET latin1 COLLATE latin1_swedish_ci")
    engine.dispose()
    store = open_store(store_url, "riverside", now=now)
    here = "FROM information_schema.{} WHERE table_schema = DATABASE()"
    with store.read() as connection:
        engines = connection.exec_driver_sql(f"SELECT DISTINCT engine {here.format('tables')}")
        assert engines.scalars().all() == ["InnoDB"]
        collations = connection.exec_driver_sql(
            f"SELECT DISTINCT collation_name {here.format('columns')} AND collation_name IS NOT NULL"
        )
        assert collations.scalars().all() in (["utf8mb4_nopad_bin"], ["utf8mb4_0900_bin"])
    store.close()


# --- transactions --------------------------------------------------------------------------------


@ON_SERVERS
def test_two_runs_that_wait_for_each_other_end_with_one_told_to_try_again(store: Store) -> None:
    remember(store, a=0, b=0)
    both_hold_one, told = threading.Barrier(2, timeout=20), []

    def change(first: str, second: str) -> None:
        one = text("UPDATE memory SET value = '1' WHERE name = :name")
        try:
            with store.write() as connection:
                connection.execute(one, {"name": first})
                both_hold_one.wait()
                connection.execute(one, {"name": second})
        except StoreBusy as busy:
            told.append(str(busy))

    runs = [threading.Thread(target=change, args=names) for names in (("a", "b"), ("b", "a"))]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(told) == 1
    assert remembered(store) == {"a": 1, "b": 1}


@MYSQL_ONLY
def test_whoever_waits_too_long_for_another_is_told_to_try_again(store: Store) -> None:
    remember(store, a=0)
    change = text("UPDATE memory SET value = '1'")
    with store.write() as connection:
        connection.execute(change)
        with pytest.raises(StoreBusy), store.write() as other:
            other.exec_driver_sql("SET SESSION innodb_lock_wait_timeout = 1")
            other.execute(change)


@ON_SERVERS
def test_a_connection_that_the_server_ends_is_told_and_the_next_one_works(store: Store) -> None:
    asks, ends = ("SELECT CONNECTION_ID()", "KILL {}")
    if store.engine.dialect.name == "postgresql":
        asks, ends = ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})")
    with pytest.raises(StoreBusy), store.write() as connection:
        number = connection.exec_driver_sql(asks).scalar_one()
        with store.read() as other:
            other.exec_driver_sql(ends.format(number))
        connection.exec_driver_sql("SELECT 1")
    remember(store, a=1)
    assert remembered(store) == {"a": 1}


@pytest.mark.parametrize("speaker", ["sqlalchemy.pool.impl.QueuePool", "psycopg"])
def test_what_a_pool_or_driver_says_of_a_lost_connection_is_printed_nowhere(speaker: str) -> None:
    """Where nobody listens, Python itself prints it, traceback and all: in a program without pytest."""
    program = (
        "import logging, sync.store.dialects\n"
        f"logging.getLogger({speaker!r}).error('Exception during reset', exc_info=True)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert (ran.stdout, ran.stderr) == ("", "")


@MYSQL_ONLY
def test_mysql_is_told_how_strict_to_be_and_how_long_to_wait(store: Store) -> None:
    with store.read() as connection:
        mode, zone, wait, idle, isolation = connection.exec_driver_sql(
            "SELECT @@sql_mode, @@time_zone, @@innodb_lock_wait_timeout, @@wait_timeout, "
            "@@tx_isolation"
        ).one()
    assert "STRICT_ALL_TABLES" in mode
    assert (zone, wait, idle, isolation) == ("+00:00", 20, 60, "READ-COMMITTED")


@MYSQL_ONLY
def test_a_mistake_of_ours_does_not_look_like_a_busy_server(store: Store) -> None:
    with pytest.raises(DBAPIError), store.read() as connection:
        connection.exec_driver_sql("SELECT nothing_of_that_name FROM memory")


def test_a_first_import_that_is_only_planned_leaves_no_trace(
    store: Store, store_url: str, now: datetime
) -> None:
    """Whatever the store does after a first import must not end a server's transaction."""
    visit = Appointment("ehr", "1", Status.BOOKED, "UTC", now)
    with scratch(store_url, "riverside", now=now) as copy:
        for _ in range(2):
            with copy.write() as connection:
                visits.insert(connection, "riverside", "ehr", [visit], [None], run="r", now=now)
                memory.remember(connection, "riverside", "x", {}, {"a": 1})
        with copy.read() as connection:
            assert visits.by_keys(connection, "riverside", "ehr", ["1"]).keys() == {"1"}
    with store.read() as connection:
        assert visits.by_keys(connection, "riverside", "ehr", ["1"]) == {}
    assert remembered(store) == {}


def test_what_a_scratch_store_could_not_end_is_gone_with_its_connection(
    store: Store, store_url: str, now: datetime
) -> None:
    with pytest.raises(CutOff), scratch(store_url, "riverside", now=now) as copy:
        with copy.write() as connection:
            memory.remember(connection, "riverside", "x", {}, {"a": 1})
        raise CutOff
    assert remembered(store) == {}


# --- making the tables ---------------------------------------------------------------------------


class CutOff(Exception):
    """Here the process would have been killed."""


def cut_off(engine: Engine, after: int) -> None:
    """Let an engine end with its n-th change of a table, once that is done."""
    left = [after]

    def counted(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.lstrip().startswith(("CREATE", "ALTER", "DROP")):
            left[0] -= 1
            if left[0] == 0:
                raise CutOff

    event.listen(engine, "after_cursor_execute", counted)


def described(engine: Engine) -> dict[str, object]:
    """Return all that a database says of our tables, in words that can be compared."""
    found = inspect(engine)
    return {
        table: (
            [(c["name"], repr(c["type"]), c["nullable"]) for c in found.get_columns(table)],
            sorted((str(i["name"]), i["column_names"]) for i in found.get_indexes(table)),
            found.get_pk_constraint(table)["constrained_columns"],
            sorted(
                (str(u["name"]), u["column_names"]) for u in found.get_unique_constraints(table)
            ),
        )
        for table in found.get_table_names()
    }


def make(engine: Engine, way: str) -> None:
    if way == "created":
        schema.create(engine)
        return
    with engine.begin() as connection:
        schema.migrate(connection, schema.head())


@pytest.mark.parametrize("way", ["created", "migrated"])
@pytest.mark.parametrize("after", [1, 2, 7, 20, 28])
def test_a_store_whose_making_was_cut_off_is_made_all_the_same(
    store_url: str, now: datetime, way: str, after: int
) -> None:
    engine = dialects.connect(store_url)
    cut_off(engine, after)
    with pytest.raises(CutOff):
        make(engine, way)
    engine.dispose()
    made = dialects.connect(store_url)
    assert schema.version_of(made) is None
    make(made, way)
    whole = described(made)
    with made.begin() as connection:
        for table in whole:
            connection.exec_driver_sql(f"DROP TABLE {table}")
    schema.create(made)
    assert described(made) == whole
    made.dispose()
    open_store(store_url, "riverside", now=now).close()
