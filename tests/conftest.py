"""Databases for tests: SQLite always; PostgreSQL and MySQL or MariaDB where one answers.

Each test has a schema or a database of its own. CLINICRELAY_TEST_REQUIRE names the servers
(`postgres`, `mysql`) whose absence fails the tests instead of skipping them.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from sync.store import schema

os.umask(0o077)  # as `commands.main` does

# How long an example takes says how busy the machine is, and nothing else.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

POSTGRES = os.environ.get(
    "CLINICRELAY_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/test"
)
MYSQL = os.environ.get("CLINICRELAY_TEST_MYSQL", "mysql+pymysql://root@127.0.0.1:3306/test")
REQUIRED = os.environ.get("CLINICRELAY_TEST_REQUIRE", "")


def pytest_make_parametrize_id(val: object) -> str | None:
    """A test is not named by bytes: an archive made now holds the time, and each worker of a
    parallel run would name the test otherwise and refuse the other's."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database, once a kind of server."""
    with empty_database(request.param, tmp_path / "store.db") as url:
        yield url


@contextmanager
def empty_database(kind: str, file: Path) -> Iterator[str]:
    """Make an empty database of a kind and drop it afterwards; SQLite's is `file`."""
    if kind == "sqlite":
        yield f"sqlite:///{file}"
        return
    name = f"test_{secrets.token_hex(6)}"
    if kind == "mysql":
        made, dropped = f"CREATE DATABASE {name}", f"DROP DATABASE {name}"
        url = make_url(MYSQL).set(database=name).render_as_string(hide_password=False)
    else:
        made, dropped = f"CREATE SCHEMA {name}", f"DROP SCHEMA {name} CASCADE"
        url = f"{POSTGRES}{'&' if '?' in POSTGRES else '?'}options=-csearch_path%3D{name}"
    engine = create_engine(MYSQL if kind == "mysql" else POSTGRES)
    _administer(engine, made)
    try:
        yield url
    finally:
        _administer(engine, dropped)
        engine.dispose()


def _administer(engine: Engine, statement: str) -> None:
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)
    except DBAPIError:
        name = "mysql" if engine.dialect.name == "mysql" else "postgres"
        if name in REQUIRED:
            raise
        pytest.skip(f"no {name} answers at {engine.url.render_as_string()}")


_NEXT = '''"""{title}."""

import sqlalchemy as sa
from alembic import op

revision = "{version}"
down_revision = "{before}"
says = "{says}"


def upgrade() -> None:
    op.create_table(
        "colours",
        sa.Column("clinic", sa.String(64), primary_key=True),
        sa.Column("colour", sa.String(20), nullable=False),
    )
    op.create_index("colours_colour", "colours", ["colour"])
    op.add_column("people", sa.Column("shade", sa.String(20), nullable=True))
    op.add_column("sources", sa.Column("hue", sa.Integer, nullable=False, server_default="5"))
    op.execute("UPDATE people SET shade = 'grey' WHERE shade IS NULL")
    op.drop_index("events_ref", "events")
'''


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The migrations of a program that has one more than this one."""
    folder = tmp_path / "newer"
    shutil.copytree(schema.VERSIONS.parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    before = schema.head()
    version = f"{int(before) + 1:04}"
    text = _NEXT.format(
        title="Gives people a shade", version=version, before=before, says="Shades are grey now."
    )
    (folder / "versions" / f"{version}_shades.py").write_text(text)
    return folder / "versions"


@pytest.fixture
def now() -> datetime:
    """A Monday morning in Berlin, in winter."""
    return datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
