"""What a run asks of the store is found by an index, however much the store holds."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.engine import make_url

from clinicrelay.testing.diary import World
from tests.line.conftest import Line

# Tables that grow with the clinic. All rows of a clinic or a source share these columns.
_BIG = "appointments|versions|people|messages|attempts|told|events"
_THROUGH_ALL = re.compile(
    rf"SCAN ({_BIG}|[ameov])\b|SEARCH ({_BIG}|[ameov]) .*\((clinic=\?|clinic=\? AND source=\?)\)"
)


@pytest.fixture
def asked(line: Line) -> Iterator[set[str]]:
    """Collect what the SQLite store is asked, with its values."""
    statements: set[str] = set()

    def listen(connection: object, _record: object) -> None:
        assert isinstance(connection, sqlite3.Connection)
        connection.set_trace_callback(statements.add)

    event.listen(Engine, "connect", listen)
    yield statements
    event.remove(Engine, "connect", listen)


# A server chooses by statistics, and differently every day.
@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_no_query_of_a_run_looks_through_all_visits(
    line: Line, asked: set[str], world: World
) -> None:
    line.set(calendars={"diary": {"type": "diary"}, "files": {"type": "ics"}})
    line.book(1, "2026-12-07 09:00")
    line.book_many(30)
    line.after()
    line.book(2, "2026-12-09 09:00")
    line.change(1, start="2026-12-10 09:00")
    line.cancel(105)
    line.rows["106"]["status"] = "XQ"  # set aside
    line.rows["998"] = {**line.rows.pop("107"), "appointment_id": "998"}  # under another id
    line.change(110, doctor_id="braun", doctor_email="braun@riverside.example")
    for _ in range(4):
        line.after()
        world.move("acar")
    assert len(asked) > 100

    with sqlite3.connect(make_url(line.loaded.settings.store_url).database or "") as store:
        found = set()
        for statement in asked:
            if re.match(r"SELECT|UPDATE|DELETE|INSERT", statement):
                plan = [row[3] for row in store.execute(f"EXPLAIN QUERY PLAN {statement}")]
                found |= {(step, statement) for step in plan if _THROUGH_ALL.match(step)}
    assert sorted(found) == []
