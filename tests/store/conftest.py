"""A store with something in every table, and engines that end in the middle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, Engine, Float, Integer, LargeBinary, event

from sync.store import bulk, dialects, open_store
from sync.store.tables import metadata

ODD = "Zoë \u2028 \\ ' \" %s {} \t\n\r\x01 😀 "


def _value(column: Any, row: int) -> Any:
    if column.nullable and row % 3 == 0:
        return None
    if column.name == "id" and isinstance(column.type, LargeBinary):
        return bytes([row])
    kind = getattr(column.type, "impl", column.type)
    if isinstance(kind, Boolean):
        return row % 2 == 0
    if isinstance(kind, LargeBinary):
        return bytes(range(256)) * (row % 2 + 1)
    if isinstance(kind, Float):
        return 1_795_507_200.123456 + row
    if isinstance(kind, Integer):
        return 1 + row * 2**30 if "BIGINT" in str(kind) else row + 1
    length = getattr(kind, "length", None)
    return f"{row}{ODD * 9}"[: length or 4000]


@pytest.fixture
def fill() -> Callable[[str, datetime, int], None]:
    """Make a store, with so many rows of strange values in every table but `clinics`."""

    def made(url: str, now: datetime, number: int = 7) -> None:
        store = open_store(url, "riverside", now=now)
        for name, table in metadata.tables.items():
            if name == "clinics":
                continue
            columns = list(table.columns)
            rows = [tuple(_value(c, row) for c in columns) for row in range(number)]
            with store.write() as connection:
                bulk.write(connection, name, [c.name for c in columns], rows)
        with store.write() as connection:
            connection.exec_driver_sql("UPDATE leases SET until = 0")
        store.close()

    return made


RESTORED = {"clinicrelay store restore", "sync/gap"}


@pytest.fixture
def held() -> Callable[[str], dict[str, list[tuple[Any, ...]]]]:
    """Return every row of a store but its leases, and what a restore notes of itself."""

    def rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
        engine = dialects.connect(url)
        found = {}
        with engine.connect().execution_options(reading=True) as connection:
            for name, table in metadata.tables.items():
                if name != "leases":
                    rows = map(tuple, connection.execute(table.select()))
                    kept = (row for row in rows if RESTORED.isdisjoint(row))
                    found[name] = sorted(kept, key=repr)
        engine.dispose()
        return found

    return rows


@pytest.fixture
def any_database(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Make an empty database of a kind, as often as one likes."""
    from tests.conftest import empty_database

    with ExitStack() as stack:
        made = iter(range(100))
        yield lambda kind: stack.enter_context(
            empty_database(kind, tmp_path / f"other{next(made)}.db")
        )


class CutOff(Exception):
    """Here the process would have been killed."""


@pytest.fixture
def cut_off() -> Callable[[Engine, int], type[Exception]]:
    """Let an engine end with its n-th change of anything, once that is done."""

    def at(engine: Engine, after: int) -> type[Exception]:
        left = [after]

        def counted(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if not statement.lstrip().startswith(("SELECT", "PRAGMA", "SHOW", "SET", "BEGIN")):
                left[0] -= 1
                if left[0] == 0:
                    raise CutOff

        event.listen(engine, "after_cursor_execute", counted)
        return CutOff

    return at
