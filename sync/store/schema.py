"""Brings a store to the schema this program knows; refuses one that is newer."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from sync.store import dialects
from sync.store.troubles import means_no_table, refused

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from clinicrelay.errors import SettingsError

VERSIONS = Path(__file__).parent / "migrations" / "versions"


def known() -> tuple[str, ...]:
    """Return every version of the schema that this program knows, by the names of its migrations."""
    return _known(VERSIONS)


def head() -> str:
    """Return the version that this program works with."""
    return known()[-1]


@cache
def _known(folder: Path) -> tuple[str, ...]:
    # Plain os, and no look into the files: this runs at every start.
    names = os.listdir(folder)  # noqa: PTH208
    return tuple(sorted(name[:4] for name in names if name[:4].isdigit() and name[-3:] == ".py"))


def prepare(engine: Engine, *, now: datetime, tell: Callable[[str], None]) -> bool:
    """Create the tables of an empty database; bring an older SQLite store up, after a copy of it.

    A server's store may be in use by other programs of the older version: a person says when.
    Returns whether the database was empty, and nobody else was faster. Raises SettingsError when it
    is older on a server, or newer than this program.
    """
    version = version_of(engine)
    made = False
    if version is None:
        made = create(engine)
    elif version != head():
        refuse_newer(version)
        if engine.dialect.name != "sqlite":
            raise _older(version)
        from sync.store import upgrade

        done = upgrade.upgrade(engine, folder=upgrade.beside(engine), now=now)
        if done is not None:
            tell(done.sentence)
    return made


def refuse_other(version: str | None) -> None:
    """Raise SettingsError when a store is not of the version that this program works with."""
    if version is not None and version != head():
        refuse_newer(version)
        raise _older(version)


def refuse_newer(version: str) -> None:
    """Raise SettingsError when a newer program has already upgraded the store."""
    if version not in known():
        raise refused(
            "store_newer",
            f"the store has schema {version}, this program knows {head()}",
            "install the newer clinicrelay again, or restore a backup of the store",
        )


def _older(version: str) -> SettingsError:
    return refused(
        "store_older",
        f"the store has schema {version}, this program works with {head()}",
        "stop what else runs on it, then: clinicrelay store upgrade",
    )


def migrate(connection: Connection, to: str) -> None:
    """Run the migrations up to a version, in the transaction that is open.

    Where tables change outside of transactions (MySQL) a run that was cut off goes on at the next.
    """
    from alembic import command
    from alembic.config import Config

    settings = Config(attributes={"connection": connection})
    settings.set_main_option("script_location", str(VERSIONS.parent).replace("%", "%%"))
    command.upgrade(settings, to)


def version_of(engine: Engine) -> str | None:
    """Return the schema version of a database, None for an empty one."""
    try:
        with engine.connect().execution_options(reading=True) as connection:
            return version_in(connection)
    except DBAPIError as error:
        if means_no_table(error):
            return None
        raise


def version_in(connection: Connection) -> str | None:
    """Return the schema version that a store is stamped with; the stamp's table has to be there."""
    rows = connection.exec_driver_sql("SELECT version_num FROM alembic_version").fetchall()
    return rows[0][0] if rows else None


def create(engine: Engine) -> bool:
    """Make all tables, unless somebody else has just done so; return whether we did.

    What a creation that was cut off left behind is taken as it is. Only MySQL and MariaDB leave
    something: there, each table is there for good once it is made.
    """
    from sqlalchemy import Column, MetaData, String, Table

    from sync.store import mysql_tables  # noqa: F401 - how they are made there
    from sync.store.tables import metadata

    stamp = Table(
        "alembic_version", MetaData(), Column("version_num", String(32), primary_key=True)
    )
    with engine.begin() as connection, dialects.alone(connection):
        stamp.create(connection, checkfirst=True)
        if version_in(connection) is not None:
            return False
        for table in metadata.sorted_tables:
            table.create(connection, checkfirst=True)
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                index.create(connection, checkfirst=True)
        connection.execute(stamp.insert(), {"version_num": head()})
    return True
