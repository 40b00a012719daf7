"""Fills a store from a backup: all of it or nothing, on whichever database, and silent afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from clinicrelay.errors import StoreBusy
from sync.store import (
    archive,
    audit,
    bulk,
    dialects,
    erased,
    gap,
    leases,
    schema,
    standings,
    troubles,
    wholesale,
)
from sync.store.backup import Shape, shape_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_AT_ONCE = 1000
# What a store may hold and still be nobody's: a look at it, or a sync that read nothing.
_OF_NO_WEIGHT = {"clinics", "leases", "runs", "audit"}

Rows = Callable[[str], Iterator[Sequence[Any]]]


class Restored(NamedTuple):
    """What a store was filled with; `schema` is the version that the backup was of.

    `damaged` is where the file now lies that was in the store's place, and could not be filled.
    """

    clinics: list[str]
    schema: str
    tables: Mapping[str, int]
    damaged: Path | None = None


def restore(
    engine: Engine,
    file: Path,
    *,
    clinic: str,
    replace: bool,
    now: datetime,
    moved: bool = False,
    told: archive.Told = lambda _table, _rows: None,
    who: str = "",
) -> Restored:
    """Fill the store with what a backup holds; `replace` what it has, or it has to be empty.

    What `replace` leaves is the trail of who did what, `who` restored it included, and who was erased:
    their records are in the backup, and are erased again by the next `sync` or `purge`. `moved` says
    that nothing was sent since the backup was made, so nothing may have left before.

    The whole file is read and judged before anything is touched; `told` hears how far that is, and
    then how far the filling. Raises SettingsError when the file is damaged, of a newer program, or
    without this clinic, and when the store is not empty; StoreBusy when a run is at work on it.
    """
    held = archive.verify(file, told)
    _check(held, file, clinic)
    damaged = _put_aside(engine) if replace else None
    schema.prepare(engine, now=now, tell=lambda _sentence: None)
    shape = shape_of(schema.head())
    with _source(file, held, shape) as rows:
        made_at = None if moved else datetime.fromisoformat(held.made_at)
        tables = _fill(
            engine, shape, rows, replace=replace, made_at=made_at, now=now, told=told, who=who
        )
    return Restored(held.clinics, held.schema, tables, damaged)


def _check(held: archive.Manifest, file: Path, clinic: str) -> None:
    if held.schema not in schema.known():
        raise troubles.refused(
            "backup_newer",
            f"{file} has schema {held.schema}, this program knows {schema.head()}",
            f"restore it with clinicrelay {held.program}, or a newer one",
            path="",
        )
    if clinic not in held.clinics:
        raise troubles.refused(
            "backup_of_another",
            f"{file} holds {', '.join(held.clinics) or 'no clinic'}, these settings are of {clinic}",
            "name another backup, or other settings with --settings",
            path="",
        )


def _put_aside(engine: Engine) -> Path | None:
    """Move a store's file away that is damaged, for who wants to look at it; the rest of it goes along.

    Returns where it is now. What still has it open goes on with that one, and harms no other.
    """
    file = dialects.file_of(engine.url.render_as_string(hide_password=False))
    if file is None or not file.exists() or not _is_damaged(engine):
        return None
    engine.dispose()
    aside = archive.unused(file.parent, f"{file.name}.damaged")
    for end in ("-wal", "-shm", ""):
        part = file.with_name(f"{file.name}{end}")
        if part.exists():
            part.rename(f"{aside}{end}")
    return aside


def _is_damaged(engine: Engine) -> bool:
    try:
        with engine.connect().execution_options(reading=True) as connection:
            said = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
            return bool(said != "ok")
    except DBAPIError as error:
        if troubles.trouble(error, engine) != troubles.DAMAGED:
            raise
        return True


# --- where the rows come from --------------------------------------------------------------------


@contextmanager
def _source(file: Path, held: archive.Manifest, shape: Shape) -> Iterator[Rows]:
    """Give the rows of a backup in the shape of this program's schema.

    An older one is put into a store of its own, in a file that is gone afterwards, and upgraded
    there: so whatever a migration does to rows is done to it as it is to a store.
    """
    if held.schema == schema.head():
        with archive.opened(file) as (copy, _):
            yield lambda table: archive.rows(copy, table)
        return
    with TemporaryDirectory(prefix="clinicrelay-") as folder:
        engine = dialects.connect(f"sqlite:///{folder}/store.db")
        try:
            with engine.begin() as connection, archive.opened(file) as (copy, _):
                schema.migrate(connection, held.schema)
                for name, table in held.tables.items():
                    _load(connection, name, table.columns, archive.rows(copy, name), _quietly)
                schema.migrate(connection, schema.head())
            with wholesale.snapshot(engine) as connection:
                yield lambda table: wholesale.rows(connection, table, shape[table])
        finally:
            engine.dispose()


def _quietly(_table: str, _rows: int) -> None:
    pass


# --- where they go -------------------------------------------------------------------------------


def _fill(
    engine: Engine,
    shape: Shape,
    rows: Rows,
    *,
    replace: bool,
    made_at: datetime | None,
    now: datetime,
    told: archive.Told,
    who: str,
) -> dict[str, int]:
    with engine.connect() as connection:
        wholesale.keep_others_out(connection, sorted(shape))
        _refuse_while_at_work(connection)
        if not replace:
            _refuse_unless_empty(connection, shape)
        tokens = _tokens(connection)
        trails, marks = audit.trails(connection), erased.all_of(connection)
        for table in shape:
            connection.exec_driver_sql(f"DELETE FROM {table}")
        tables = {
            name: _load(connection, name, columns, rows(name), told)
            for name, columns in shape.items()
        }
        for table in filter(_is_numbered, shape):
            wholesale.number_on(connection, table)
        _let_go(connection, tokens)
        after_restore(connection, made_at=made_at, now=now)
        erased.put_back(connection, marks)
        if who:
            audit.put_back(connection, trails)
            audit.note_everywhere(connection, audit.Deed(who, "store.restore", "store"))
        connection.commit()
    return tables


def after_restore(connection: Connection, *, made_at: datetime | None, now: datetime) -> None:
    """Let nothing leave a restored store until a person resumes it, and nothing that left before.

    It may be a copy of one that is alive elsewhere, and what was sent since the backup was made is
    not in it. A clinic in rehearsal stays in rehearsal: what reaches nobody outside goes on.
    """
    for clinic in connection.execute(text("SELECT clinic FROM clinics")).scalars().all():
        if made_at is not None:
            gap.note(connection, clinic, since=min(made_at, now), until=now)
    live = connection.execute(text("SELECT DISTINCT clinic FROM live")).scalars().all()
    for clinic in live:
        standings.pause_restored(connection, clinic, now=now, who="clinicrelay store restore")


def _load(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    told: archive.Told,
) -> int:
    """Insert rows; returns how many there were. A database that has booleans is given some."""
    flags, coming, number = _flags(table, columns), iter(rows), 0
    told(table, 0)
    while some := [tuple(row) for row in islice(coming, _AT_ONCE)]:
        if flags:
            some = [
                tuple(v if i not in flags or v is None else bool(v) for i, v in enumerate(row))
                for row in some
            ]
        wholesale.load(connection, table, columns, some)
        number += len(some)
        told(table, number)
    return number


def _flags(table: str, columns: Sequence[str]) -> set[int]:
    """Return the places of the columns that are booleans: a copy may hold 0 and 1 there."""
    from sqlalchemy import Boolean

    from sync.store.tables import metadata

    if (known := metadata.tables.get(table)) is None:
        return set()
    flags = {column.name for column in known.columns if isinstance(column.type, Boolean)}
    return {place for place, name in enumerate(columns) if name in flags}


def _is_numbered(table: str) -> bool:
    from sync.store.tables import metadata

    known = metadata.tables.get(table)
    return known is not None and known.autoincrement_column is not None


# --- whether they may ----------------------------------------------------------------------------


def _refuse_while_at_work(connection: Connection) -> None:
    if leases.anyone_at_work(connection):
        raise StoreBusy("a run is at work on it")


def _refuse_unless_empty(connection: Connection, shape: Shape) -> None:
    for table in shape:
        if table in _OF_NO_WEIGHT:
            continue
        if connection.exec_driver_sql(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None:
            raise troubles.refused(
                "store_not_empty",
                "the store is not empty: a restore would replace what it holds",
                "restore into an empty database, or: clinicrelay store restore FILE --replace",
            )


def _tokens(connection: Connection) -> dict[tuple[str, str], int]:
    found = connection.exec_driver_sql("SELECT clinic, name, token FROM leases")
    return {(row[0], row[1]): row[2] for row in found}


def _let_go(connection: Connection, before: Mapping[tuple[str, str], int]) -> None:
    """Let nobody hold a lease, and no ghost of before come back with a token that is good again."""
    restored = _tokens(connection)
    newest = {
        at: max(before.get(at, 0), restored.get(at, 0)) + 1 for at in before.keys() | restored
    }
    bulk.write(
        connection,
        "leases",
        ("clinic", "name", "owner", "token", "until"),
        [(clinic, name, "nobody|0||0", token, 0) for (clinic, name), token in newest.items()],
        update=("owner", "token", "until"),
    )
