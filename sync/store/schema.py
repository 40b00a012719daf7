"""Brings a store to the schema this program knows; refuses one that is newer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError
from sync.store import dialects

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

HEAD = "0001"
KNOWN = ("0001",)


def prepare(engine: Engine) -> None:
    """Create the tables of an empty database.

    Raises SettingsError when a newer program has already upgraded it.
    """
    version = version_of(engine)
    if version is None:
        _create(engine)
    elif version not in KNOWN:
        raise SettingsError(
            [
                Finding(
                    severity="error",
                    code="store_newer",
                    path="store.url",
                    message=f"the store has schema {version}, this program knows {HEAD}",
                    fix="install the newer clinicrelay again, or restore a backup of the store",
                )
            ]
        )


def upgrade(engine: Engine, to: str = HEAD) -> None:
    """Run the migrations up to a version; one that was cut off is run again by the next start."""
    from alembic import command
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, to)


def version_of(engine: Engine) -> str | None:
    """Return the schema version of a database, None for an empty one."""
    try:
        with engine.connect().execution_options(reading=True) as connection:
            return _version(connection)
    except DBAPIError as error:
        if "alembic_version" in str(error.orig):
            return None
        raise


def _version(connection: Connection) -> str | None:
    rows = connection.exec_driver_sql("SELECT version_num FROM alembic_version").fetchall()
    return rows[0][0] if rows else None


def _create(engine: Engine) -> None:
    from sqlalchemy import inspect

    from sync.store.tables import metadata

    with engine.begin() as connection:
        if lock := dialects.CREATION_LOCK.get(engine.dialect.name):
            connection.exec_driver_sql(lock)
        if inspect(connection).has_table("alembic_version"):
            return
        metadata.create_all(connection)
        connection.exec_driver_sql(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"
        )
        connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{HEAD}')")
