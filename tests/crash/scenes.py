"""Clinics to kill runs of, each with a database of its own: copies of one that was imported, or new."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from sync.store.tables import metadata
from tests.crash.scene import (
    CHANGED,
    IMPORTED,
    Point,
    Scene,
    first_export,
    second_export,
    write_settings,
)

SERVERS = {
    "postgres": os.environ.get(
        "CLINICRELAY_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/test"
    ),
    "mysql": os.environ.get("CLINICRELAY_TEST_MYSQL", "mysql+pymysql://root@127.0.0.1:3306/test"),
}
REQUIRED = os.environ.get("CLINICRELAY_TEST_REQUIRE", "")


class Base:
    """The state that every case begins with."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder, self.server = folder, server
        self.database = ""
        self.scene = Scene(folder, "")
        self.undisturbed: tuple[list[Point], dict[str, Any]] | None = None

    def build(self) -> None:
        self.scene.store_url = self._empty_store(self.folder)
        write_settings(self.folder)
        self.scene.drop(first_export(), 1)
        ended = self.scene.sync(IMPORTED)
        assert ended.code == 0, ended.said
        self.scene.drop(second_export(), 2)

    def _empty_store(self, folder: Path) -> str:
        if self.server == "sqlite":
            return f"sqlite:///{folder}/store.db"
        answers(self.server)
        self.database = create_database(self.server)
        return url_of(self.server, self.database)

    def close(self) -> None:
        if self.database:
            drop_database(self.server, self.database)


class Scenes:
    """Copies of the base and empty clinics; their databases go when the test ends."""

    def __init__(self, base: Base, folder: Path) -> None:
        self.base, self.folder = base, folder
        self.databases: list[str] = []
        self.made = 0

    @property
    def undisturbed(self) -> tuple[list[Point], dict[str, Any]]:
        """The points and the result of a run on the base that nobody killed."""
        if self.base.undisturbed is None:
            self.base.undisturbed = self.copied().undisturbed(CHANGED)
        return self.base.undisturbed

    def sample(self, points: list[Point]) -> list[Point]:
        """Return all points; on MySQL a third, which show that it is no different there."""
        return points[::3] if self.base.server == "mysql" else points

    def copied(self) -> Scene:
        """Return a clinic exactly as the base is, instance key included."""
        folder = self._folder()
        shutil.copytree(self.base.folder, folder)
        return Scene(folder, self._store(folder, template=self.base.database))

    def empty(self) -> Scene:
        """Return a clinic that has never run, with its first export."""
        scene = self.reading({})
        scene.drop(first_export(), 1)
        return scene

    def reading(self, sources: dict[str, Any]) -> Scene:
        """Return a clinic that has never run, with other sources than the shipped one."""
        folder = self._folder()
        folder.mkdir()
        write_settings(folder, sources)
        return Scene(folder, self._store(folder))

    def copy_of(self, scene: Scene) -> Scene:
        """Return a clinic exactly as another one is now."""
        folder = self._folder()
        shutil.copytree(scene.folder, folder)
        template = "" if self.base.server == "sqlite" else make_url(scene.store_url).database
        return Scene(folder, self._store(folder, template=template or ""))

    def _folder(self) -> Path:
        self.made += 1
        return self.folder / f"case{self.made}"

    def _store(self, folder: Path, template: str = "") -> str:
        server = self.base.server
        if server == "sqlite":
            return f"sqlite:///{folder}/store.db"
        self.databases.append(create_database(server, template))
        return url_of(server, self.databases[-1])

    def close(self) -> None:
        for database in self.databases:
            drop_database(self.base.server, database)


def answers(server: str) -> None:
    """Skip a test where no such server answers, unless it has to be there."""
    try:
        _administer(server)
    except DBAPIError:
        if server in REQUIRED:
            raise
        pytest.skip(f"no {server} answers")


def url_of(server: str, database: str) -> str:
    return make_url(SERVERS[server]).set(database=database).render_as_string(hide_password=False)


def create_database(server: str, template: str = "") -> str:
    """Make a database, empty or as another one is."""
    name = f"crash_{secrets.token_hex(6)}"
    made = f"CREATE DATABASE {name}"
    if server == "postgres":
        _administer(server, f"{made} TEMPLATE {template or 'template1'}")
        return name
    tables = [*metadata.tables, "alembic_version"] if template else []
    copies = [f"CREATE TABLE {name}.{table} LIKE {template}.{table}" for table in tables]
    rows = [f"INSERT INTO {name}.{table} SELECT * FROM {template}.{table}" for table in tables]
    _administer(server, made, *copies, *rows)
    return name


def drop_database(server: str, name: str) -> None:
    force = " WITH (FORCE)" if server == "postgres" else ""
    _administer(server, f"DROP DATABASE IF EXISTS {name}{force}")


def _administer(server: str, *statements: str) -> None:
    engine = create_engine(SERVERS[server], isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
