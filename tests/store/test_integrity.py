"""Whatever is wrong with a store is found, and a good one has nothing said of it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from clinicrelay.errors import SettingsError
from clinicrelay.model import Appointment, Patient, Status
from sync.store import Store, audit, integrity, memory, open_store, opened, sightings, visits
from sync.store.sightings import Sheet

ON_SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
ON_MYSQL = pytest.mark.parametrize("store_url", ["mysql"], indirect=True)


@pytest.fixture
def store(store_url: str, now: datetime) -> Iterator[Store]:
    """Two visits, one of them changed once, and what their source said last."""
    opened = open_store(store_url, "riverside", now=now)
    start = now + timedelta(days=2)
    kept = [
        Appointment("ehr", key, Status.BOOKED, "UTC", start, patients=(Patient(key),))
        for key in "ab"
    ]
    seconds = int(start.timestamp())
    with opened.write() as connection:
        made = visits.insert(connection, "riverside", "ehr", kept, [seconds] * 2, run="r1", now=now)
        change = visits.Replacement(made[0], "details", visits.encode(kept[0]).decode(), gone=False)
        visits.replace(connection, "riverside", [change], run="r2", now=now)
        memory.remember(connection, "riverside", "x", {}, {"a": 1})
        sheet = Sheet.of(bytes(32))
        sightings.keep(connection, "riverside", "ehr", {0: sheet}, fingerprint=b"f")
    yield opened
    opened.close()


def codes(store: Store) -> set[str]:
    return {finding.code for finding in integrity.check(store.engine)}


def test_nothing_is_said_of_a_good_store(store: Store) -> None:
    assert list(integrity.check(store.engine)) == []


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        ("UPDATE appointments SET content = '{'", "visits_unreadable"),
        ("UPDATE appointments SET status = 'cancelled'", "visits_unlike"),
        ("UPDATE appointments SET version = 1", "versions_ahead"),
        ("UPDATE versions SET appointment = 777", "orphans"),
        ("UPDATE appointments SET replaces = 777", "orphans"),
        ("UPDATE memory SET value = 'x'", "unreadable"),
        ("UPDATE versions SET content = 'x'", "unreadable"),
        ("UPDATE sightings SET visits = digests", "sightings_torn"),
        ("DROP TABLE told", "table_missing"),
        ("ALTER TABLE told RENAME TO tolds", "table_missing"),
        ("ALTER TABLE told DROP COLUMN kind", "table_changed"),
    ],
)
def test_damage_is_found(store: Store, damage: str, code: str) -> None:
    with store.write() as connection:
        connection.execute(text(damage))
    assert codes(store) == {code}


def test_an_audit_trail_that_somebody_altered_is_found(store: Store) -> None:
    with store.write() as connection:
        audit.note(connection, "riverside", audit.Deed("jo", "pause"))
        audit.note(connection, "riverside", audit.Deed("jo", "resume"))
    assert codes(store) == set()
    with store.write() as connection:
        connection.execute(text("UPDATE audit SET actor = 'nobody' WHERE number = 1"))
    (found,) = integrity.check(store.engine)
    assert (found.code, found.severity) == ("audit_altered", "warning")
    assert "riverside was altered at entry 1" in found.message


def test_an_index_that_somebody_dropped_is_found(store: Store) -> None:
    on = " ON appointments" if store.engine.dialect.name == "mysql" else ""
    with store.write() as connection:
        connection.execute(text(f"DROP INDEX appointments_wake{on}"))
    assert codes(store) == {"table_changed"}


@ON_MYSQL
@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE people CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
        "ALTER TABLE runs ENGINE = MyISAM",
    ],
)
def test_a_table_that_was_converted_is_found(store: Store, change: str) -> None:
    with store.write() as connection:
        connection.execute(text(change))
    assert codes(store) == {"table_converted"}


def test_a_lease_of_a_killed_run_is_told(store: Store, store_url: str) -> None:
    program = (
        "import os, sys; from datetime import UTC, datetime, timedelta\n"
        "from sync.store import open_store\nfrom sync.store.leases import lease\n"
        "store = open_store(sys.argv[1], 'riverside', now=datetime.now(UTC))\n"
        "with lease(store, 'source:a', timedelta(minutes=5)): os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program, store_url], check=False)
    assert codes(store) == {"lease_of_the_dead"}


def test_there_is_nothing_to_look_over_before_there_is_a_store(store_url: str) -> None:
    with opened(store_url) as engine, pytest.raises(SettingsError, match="no store yet"):
        list(integrity.check(engine))


@ON_SQLITE
def test_a_damaged_file_is_found(store: Store, tmp_path: Path) -> None:
    store.close()
    file = tmp_path / "store.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = 'CREATE INDEX appointments_wake "
            "ON appointments (clinic, start_at)' WHERE name = 'appointments_wake'"
        )
    connection.close()
    assert "store_damaged" in codes(store)


@ON_SQLITE
@pytest.mark.parametrize("start", [0, 8192 * 3])
def test_a_file_that_was_overwritten_is_told_in_a_sentence(
    store: Store, store_url: str, tmp_path: Path, now: datetime, start: int
) -> None:
    store.close()
    file = tmp_path / "store.db"
    content = bytearray(file.read_bytes())
    content[start:] = b"visits!!" * (len(content[start:]) // 8)
    file.write_bytes(content)
    assert codes(store) == {"store_damaged"}
    if start == 0:
        with pytest.raises(SettingsError, match="damaged"):
            open_store(store_url, "riverside", now=now)


@ON_SQLITE
def test_a_store_that_others_can_read_is_told(store: Store, tmp_path: Path) -> None:
    os.chmod(tmp_path / "store.db", 0o644)  # noqa: PTH101
    assert codes(store) == {"store_readable"}


@ON_SQLITE
@pytest.mark.parametrize(
    ("what", "value", "code"),
    [("_ROOM", 1 << 60, "disk_nearly_full"), ("_LONG_WAL", 1, "wal_long")],
)
def test_little_room_and_a_long_wal_are_told(
    store: Store, monkeypatch: pytest.MonkeyPatch, what: str, value: int, code: str
) -> None:
    monkeypatch.setattr(integrity, what, value)
    assert codes(store) == {code}


@ON_SQLITE
def test_a_network_disk_is_damage_to_come(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    kind: Callable[[Path], str] = lambda _file: "nfs4"  # noqa: E731
    monkeypatch.setattr(integrity, "_file_system", kind)
    assert codes(store) == {"network_disk"}
