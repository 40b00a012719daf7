"""Databases for tests: SQLite always; PostgreSQL where one answers, each test in a schema of its own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError

POSTGRES = os.environ.get(
    "CLINICRELAY_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/test"
)
REQUIRED = "postgres" in os.environ.get("CLINICRELAY_TEST_REQUIRE", "")


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database, once a kind of server."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db"
        return
    schema = f"test_{secrets.token_hex(6)}"
    engine = create_engine(POSTGRES)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    except DBAPIError:
        if REQUIRED:
            raise
        pytest.skip(f"no PostgreSQL answers at {engine.url.render_as_string()}")
    mark = "&" if "?" in POSTGRES else "?"
    yield f"{POSTGRES}{mark}options=-csearch_path%3D{schema}"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    engine.dispose()


@pytest.fixture
def now() -> datetime:
    """A Monday morning in Berlin, in winter."""
    return datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
