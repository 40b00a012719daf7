"""Upgrades a store to the schema of this program, after a copy of it, whoever else starts or dies.

SQLite and PostgreSQL change all of it or nothing. MySQL and MariaDB keep each change of a table at
once: an upgrade that was cut off there is finished by the next one (`sync.store.mysql_migrations`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clinicrelay.errors import StoreBusy
from sync.store import archive, audit, dialects, leases, schema

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


class Step(NamedTuple):
    """One migration, and what it says to the person who upgrades: changed defaults above all."""

    version: str
    title: str
    says: str


class Outlook(NamedTuple):
    """What an upgrade would do."""

    version: str | None
    head: str
    steps: list[Step]
    rows: int


class Upgraded(NamedTuple):
    """What an upgrade did; `copy` is what was kept of the store as it was before."""

    before: str
    after: str
    steps: list[Step]
    copy: Path | None

    @property
    def sentence(self) -> str:
        kept = f"; as it was before: {self.copy}" if self.copy else ""
        return f"The store was upgraded from schema {self.before} to {self.after}{kept}."


def outlook(engine: Engine) -> Outlook:
    """Return what an upgrade would do. Raises SettingsError when the store is newer than we are."""
    version = schema.version_of(engine)
    if version is None:
        return nothing()
    schema.refuse_newer(version)
    with engine.connect().execution_options(reading=True) as connection:
        return Outlook(version, schema.head(), list(steps_after(version)), _rows(connection))


def nothing() -> Outlook:
    """Return what an upgrade would do where there is no store yet."""
    return Outlook(None, schema.head(), [], 0)


def _rows(connection: Connection) -> int:
    from sqlalchemy import inspect

    from sync.store.tables import metadata

    there = set(inspect(connection).get_table_names()) & set(metadata.tables)
    counts = (connection.exec_driver_sql(f"SELECT count(*) FROM {name}") for name in sorted(there))
    return sum(int(found.scalar_one()) for found in counts)


def steps_after(version: str) -> Iterator[Step]:
    """Yield the migrations that a store of this version still needs, in their order."""
    for file in sorted(schema.VERSIONS.glob("[0-9][0-9][0-9][0-9]_*.py")):
        if file.name[:4] > version:
            spec = spec_from_file_location(f"migration_{file.stem}", file)
            assert spec is not None
            assert spec.loader is not None
            spec.loader.exec_module(module := module_from_spec(spec))
            title = (module.__doc__ or file.stem).strip().splitlines()[0]
            yield Step(file.name[:4], title, getattr(module, "says", ""))


def upgrade(
    engine: Engine,
    *,
    folder: Path | None,
    now: datetime,
    told: Callable[[str, int], None] = lambda _table, _rows: None,
    who: str = "",
) -> Upgraded | None:
    """Bring a store to this program's schema; None when it is there already.

    `folder` is where a copy of the store goes before anything changes; None makes none. `told` hears
    how far the copy has come; `who` is noted as having done it. Raises SettingsError when the store is
    newer, StoreBusy when a run is at work on it, or another program is upgrading it.
    """
    with engine.begin() as connection:
        dialects.may_take_long(connection)
        with dialects.alone(connection):
            version = schema.version_in(connection)
            if version in (None, schema.head()):
                return None
            assert version is not None
            schema.refuse_newer(version)
            if leases.anyone_at_work(connection):
                raise StoreBusy("a run is at work on the store, which has to be upgraded first")
            copy = None if folder is None else _copy(engine, version, folder, now=now, told=told)
            schema.migrate(connection, schema.head())
            if who:
                about = f"store/{version} to {schema.head()}"
                audit.note_everywhere(connection, audit.Deed(who, "store.upgrade", about))
    return Upgraded(version, schema.head(), list(steps_after(version)), copy)


def beside(engine: Engine) -> Path | None:
    """Return where the copies of a SQLite store belong: beside it. None for one in memory."""
    file = dialects.file_of(engine.url.render_as_string(hide_password=False))
    return None if file is None else file.parent / "backups"


def _copy(
    engine: Engine,
    version: str,
    folder: Path,
    *,
    now: datetime,
    told: Callable[[str, int], None],
) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    source = dialects.file_of(engine.url.render_as_string(hide_password=False))
    name = f"before-{schema.head()}-{now:%Y%m%dT%H%M%SZ}"
    copy = archive.unused(folder, name, ".zip" if source is None else ".db")
    if source is None:
        from sync.store import backup

        backup.backup(engine, copy, now=now, told=told)
    else:
        _copy_file(source, copy)
    return copy


def _copy_file(source: Path, copy: Path) -> None:
    """Copy a SQLite store that is in use, to a file that is whole as soon as it has its name.

    Whoever upgrades holds the store's write lock, so nobody else is at the same part.
    """
    part = copy.parent / "upgrade.part"
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    with closing(sqlite3.connect(part)) as other:
        dialects.copy_file(source, other)
        # What the copy takes over is its source's WAL mode; alone, it has to be one file.
        other.execute("PRAGMA journal_mode=DELETE")
    archive.put_in_place(part, copy)
