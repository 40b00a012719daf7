"""The store, the same on every database."""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text

from clinicrelay.errors import SettingsError, StoreBusy
from clinicrelay.model import Appointment, Patient, Status
from sync.store import (
    Store,
    bulk,
    counting,
    dialects,
    memory,
    open_store,
    progress,
    schema,
    scratch,
    visits,
)
from sync.store.visits import Replacement


@pytest.fixture
def store(store_url: str, now: datetime) -> Iterator[Store]:
    opened = open_store(store_url, "riverside", now=now)
    yield opened
    opened.close()


def visit(key: str, now: datetime, **changes: object) -> Appointment:
    values = {"source": "reception", "key": key, "status": Status.BOOKED, "timezone": "UTC"}
    return Appointment(
        **{
            **values,
            "start": now + timedelta(days=2),
            "patients": (Patient(key="p1", phone="+12025550123"),),
            **changes,
        }  # type: ignore[arg-type]
    )


def keep(
    store: Store, now: datetime, *news: Appointment, imported: bool, run: str = "r1"
) -> list[int]:
    with store.write() as connection:
        return visits.insert(
            connection,
            store.clinic,
            "reception",
            news,
            [int(one.start.timestamp()) if one.start else None for one in news],
            run=run,
            now=now,
            first_look=(lambda visit: 0) if imported else None,
        )


def stored(store: Store, *keys: str) -> dict[str, visits.Stored]:
    with store.read() as connection:
        return visits.by_keys(connection, store.clinic, "reception", keys)


def test_a_new_database_and_a_migrated_one_have_the_same_schema(
    store_url: str, now: datetime
) -> None:
    made = open_store(store_url, "riverside", now=now)
    by_metadata = _described(made)
    with made.engine.begin() as connection:
        for table in inspect(connection).get_table_names():
            connection.exec_driver_sql(f"DROP TABLE {table}")
    with made.engine.begin() as connection:
        schema.migrate(connection, schema.head())
    assert _described(made) == by_metadata
    assert schema.version_of(made.engine) == schema.head()
    made.close()


def _described(store: Store) -> dict[str, object]:
    found = inspect(store.engine)
    return {
        table: (
            [(c["name"], repr(c["type"]), c["nullable"]) for c in found.get_columns(table)],
            sorted(map(_index, found.get_indexes(table))),
            found.get_pk_constraint(table)["constrained_columns"],
            sorted(str(u["column_names"]) for u in found.get_unique_constraints(table)),
        )
        for table in found.get_table_names()
        if table != "alembic_version"
    }


def _index(found: Any) -> str:
    """Return the columns of an index, and of which rows it is where it is not of all."""
    which = {name: str(said) for name, said in found.get("dialect_options", {}).items()}
    return f"{found['column_names']} {sorted(which.items())}"


def test_a_store_of_a_newer_program_is_refused(store: Store, store_url: str, now: datetime) -> None:
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError) as refused:
        open_store(store_url, "riverside", now=now)
    assert "9999" in refused.value.findings[0].message


def test_one_connection_serves_one_transaction_after_the_other(store: Store) -> None:
    used = set()
    for _ in range(3):
        with store.write() as connection:
            used.add(id(connection.connection.dbapi_connection))
    assert len(used) == 1


def test_a_connection_that_failed_serves_nobody_again(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as failed:
        failed.execute(text("UPDATE clinics SET policy = 'half'"))
        raise ZeroDivisionError
    assert failed.closed
    with store.write() as connection:
        assert connection.execute(text("SELECT policy FROM clinics")).scalar_one() == ""


def test_transactions_within_each_other_have_connections_of_their_own(store: Store) -> None:
    with store.read() as outer, store.read() as inner, store.write() as writer:
        assert len({id(one) for one in (outer, inner, writer)}) == 3


def test_a_look_at_a_file_is_consistent_from_its_first_statement(
    tmp_path: Path, now: datetime
) -> None:
    store = open_store(f"sqlite:///{tmp_path}/store.db", "riverside", now=now)
    with store.read() as connection:
        assert dialects.fetch(connection, "SELECT policy FROM clinics") == [("",)]
        with store.write() as writer:
            writer.execute(text("UPDATE clinics SET policy = 'new'"))
        assert dialects.fetch(connection, "SELECT policy FROM clinics") == [("",)]
    store.close()


def test_the_instance_key_outlives_the_process_and_differs_by_clinic(
    store: Store, store_url: str, now: datetime
) -> None:
    again = open_store(store_url, "riverside", now=now)
    other = open_store(store_url, "lakeside", now=now)
    assert again.instance_key == store.instance_key
    assert other.instance_key != store.instance_key
    again.close()
    other.close()


@pytest.mark.parametrize("number", [3, 500])
def test_bulk_write_inserts_updates_and_leaves_be(store: Store, number: int) -> None:
    columns = ("clinic", "owner", "name", "value")

    def rows(value: str) -> Iterator[tuple[str, ...]]:
        return (("riverside", "x", f"n{i}", value) for i in range(number))

    with store.write() as connection:
        assert bulk.write(connection, "memory", columns, rows("1")) == number
        bulk.write(connection, "memory", columns, rows("2"))
    with store.read() as connection:
        assert set(memory.recall(connection, "riverside", "x").values()) == {1}
    with store.write() as connection:
        bulk.write(connection, "memory", columns, rows("3"), update=("value",))
    with store.read() as connection:
        assert set(memory.recall(connection, "riverside", "x").values()) == {3}


def test_memory_forgets_what_is_no_longer_there(store: Store) -> None:
    with store.write() as connection:
        memory.remember(connection, "riverside", "x", {}, {"a": 1, "b": [2]})
        memory.remember(connection, "riverside", "x", {"a": 1, "b": [2]}, {"b": [3]})
        assert memory.recall(connection, "riverside", "x") == {"b": [3]}
        assert memory.recall(connection, "lakeside", "x") == {}


def test_nothing_of_a_failed_transaction_remains(store: Store, now: datetime) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as connection:
        progress.note(connection, "riverside", "reception", state="ok", last_read_at=now)
        raise ZeroDivisionError
    with store.read() as connection:
        assert progress.progress(connection, "riverside", "reception").state == "new"


def test_what_scratch_writes_vanishes(store: Store, store_url: str, now: datetime) -> None:
    keep(store, now, visit("1", now), imported=True)
    with scratch(store_url, "riverside", now=now) as copy:
        keep(copy, now, visit("2", now), imported=True)
        assert set(stored(copy, "1", "2")) == {"1", "2"}
    assert set(stored(store, "1", "2")) == {"1"}


def test_scratch_creates_no_store(tmp_path: Path, now: datetime) -> None:
    with scratch(f"sqlite:///{tmp_path}/none.db", "riverside", now=now) as copy:
        keep(copy, now, visit("1", now), imported=True)
    assert list(tmp_path.iterdir()) == []


def test_a_second_visit_with_the_same_key_keeps_the_first(store: Store, now: datetime) -> None:
    keep(store, now, visit("1", now), imported=True)
    newer = visit("1", now, service="x")
    made = keep(store, now, newer, visit("2", now), imported=False, run="r2")
    one = stored(store, "1")["1"]
    assert made == [0, stored(store, "2")["2"].id]
    assert (one.visit.service, one.version) == (None, 1)


def test_a_replaced_version_is_kept_with_what_changed_it(store: Store, now: datetime) -> None:
    keep(store, now, visit("1", now), imported=True)
    one = stored(store, "1")["1"]
    moved = visit("1", now, start=now + timedelta(days=3))
    change = Replacement(one.id, "rescheduled", visits.encode(moved).decode(), gone=False)
    with store.write() as connection:
        visits.replace(connection, "riverside", [change], run="r2", now=now)
    after = stored(store, "1")["1"]
    assert (after.version, after.visit) == (2, moved)
    with store.read() as connection:
        kept = connection.execute(text("SELECT version, content, what, run FROM versions")).one()
    assert (kept.version, kept.what, kept.run) == (1, "rescheduled", "r2")
    assert visits.decode(kept.content) == one.visit


def test_a_gone_visit_keeps_its_content(store: Store, now: datetime) -> None:
    keep(store, now, visit("1", now), imported=True)
    one = stored(store, "1")["1"]
    with store.write() as connection:
        gone = Replacement(one.id, "gone", None, gone=True)
        visits.replace(connection, "riverside", [gone], run="r2", now=now)
    after = stored(store, "1")["1"]
    assert after.visit == one.visit
    assert after.gone_at == int(now.timestamp())


def test_visits_are_counted_for_their_own_clinic_and_source(store: Store, now: datetime) -> None:
    keep(store, now, visit("1", now), visit("2", now), imported=True)
    with store.write() as connection:  # only one source was ever read
        progress.note(connection, "riverside", "reception", state="ok")
    with store.read() as connection:
        assert counting.kept(connection, "riverside", "reception") == 2
        assert counting.kept(connection, "riverside", "other") == 0
        assert counting.kept(connection, "hillside", "reception") == 0


def test_coming_visits_are_those_that_will_take_place(store: Store, now: datetime) -> None:
    keep(
        store,
        now,
        visit("ahead", now),
        visit("past", now, start=now - timedelta(hours=1)),
        visit("off", now, status=Status.CANCELLED),
        visit("unscheduled", now, start=None),
        imported=True,
    )
    with store.read() as connection:
        found = visits.coming(connection, "riverside", "reception", now=now)
        assert [one.source_key for one in found] == ["ahead"]
        assert visits.count_coming(connection, "riverside", "reception", now=now) == 1
        assert visits.count_coming(connection, "riverside", "other", now=now) == 0


def test_a_server_that_does_not_answer_is_a_sentence(now: datetime) -> None:
    with pytest.raises(StoreBusy):
        open_store("postgresql+psycopg://nobody@127.0.0.1:1/none", "riverside", now=now)


def test_other_users_cannot_read_a_sqlite_store(tmp_path: Path, now: datetime) -> None:
    open_store(f"sqlite:///{tmp_path}/deep/store.db", "riverside", now=now).close()
    assert (tmp_path / "deep" / "store.db").stat().st_mode & 0o077 == 0


def _count_up(url: str, times: int) -> None:
    engine = dialects.connect(url)
    for _ in range(times):
        with engine.begin() as connection:
            seen = connection.execute(text("SELECT value FROM memory")).scalar_one()
            connection.execute(text("UPDATE memory SET value = :v"), {"v": str(int(seen) + 1)})


def test_writers_that_read_first_never_find_the_database_locked(
    tmp_path: Path, now: datetime
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    store = open_store(url, "riverside", now=now)
    with store.write() as connection:
        memory.remember(connection, "riverside", "x", {}, {"n": 0})
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_count_up, args=(url, 50)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0, 0]
    with sqlite3.connect(tmp_path / "store.db") as look:
        assert look.execute("SELECT value FROM memory").fetchone() == ("200",)
    store.close()
