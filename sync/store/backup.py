"""Copies a whole store, as it is at one moment, into one file that any database can be filled from."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

from clinicrelay import __version__
from clinicrelay.times import iso
from sync.store import archive, audit, memory, schema, troubles, wholesale

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

Shape = dict[str, list[str]]


def backup(
    engine: Engine, file: Path, *, now: datetime, told: archive.Told = lambda _table, _rows: None
) -> archive.Manifest:
    """Write a copy of the store, and read it again to be sure of it; others may go on writing.

    `told` hears of the table at hand and how many of its rows are done. Raises SettingsError when
    there is no store, when it is newer than this program, or when the file cannot be written.
    """
    version = schema.version_of(engine)
    if version is None:
        raise troubles.refused(
            "no_store", "there is no store yet, so there is nothing to back up", "clinicrelay sync"
        )
    schema.refuse_newer(version)
    shape = shape_of(version)
    with archive.new(file) as handle:
        with wholesale.snapshot(engine) as connection, ZipFile(handle, "w") as copy:
            tables = {
                name: archive.add(
                    copy, name, columns, wholesale.rows(connection, name, columns), told
                )
                for name, columns in shape.items()
            }
            archive.end(
                copy,
                archive.Manifest(
                    archive.FORMAT, version, __version__, iso(now), _clinics(connection), tables
                ),
            )
        return archive.verify(handle, lambda _table, _rows: None)


def _clinics(connection: Connection) -> list[str]:
    found = connection.exec_driver_sql("SELECT clinic FROM clinics ORDER BY clinic")
    return [str(row[0]) for row in found]


def shape_of(version: str) -> Shape:
    """Return the tables and columns of a version, by making it in memory from its migrations.

    So a store can be copied before it is upgraded, and a copy of an older one be understood.
    """
    from sqlalchemy import create_engine, inspect

    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        schema.migrate(connection, version)
        found = inspect(connection)
        shape = {
            name: [str(column["name"]) for column in found.get_columns(name)]
            for name in sorted(found.get_table_names())
            if name != "alembic_version"
        }
    engine.dispose()
    return shape


def note_made(engine: Engine, clinics: Iterable[str], *, now: datetime, who: str = "") -> None:
    """Remember that there is a backup of these clinics, and `who` made it: going live asks for one.

    Raises StoreBusy and StoreRefused where nothing can be written to the store.
    """
    made = {"backup_at": int(now.timestamp())}
    with troubles.understood(engine), engine.begin() as connection:
        for clinic in clinics:
            before = memory.recall(connection, clinic, "store")
            memory.remember(connection, clinic, "store", before, {**before, **made})
            if who:
                audit.note(connection, clinic, audit.Deed(who, "store.backup", "store"))
