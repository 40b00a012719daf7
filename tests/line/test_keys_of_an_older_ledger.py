"""A ledger whose keys an older program wrote: after the upgrade nothing of it is owed once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sync.store import schema

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from tests.line.conftest import Line


def keys(line: Line) -> list[tuple[Any, ...]]:
    return line.query("SELECT id, dedupe FROM messages ORDER BY id")


def upgraded(line: Line, *, after: int = 0) -> None:
    """Give the entries after this one the keys they had with 0008, and upgrade."""

    def work(at_work: Clinic) -> None:
        with at_work.store.write() as connection:
            mysql = connection.dialect.name == "mysql"
            rest, lost = "substr(dedupe, 9)", "'a1b2c3d4'"
            old = f"CONCAT({rest}, {lost})" if mysql else f"{rest} || {lost}"
            connection.exec_driver_sql(f"UPDATE messages SET dedupe = {old} WHERE id > {after}")
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0008'")
            schema.migrate(connection, "0009")
            connection.exec_driver_sql(
                f"UPDATE alembic_version SET version_num = '{schema.head()}'"
            )
            connection.exec_driver_sql("UPDATE appointments SET wake_at = 0")  # all looked at anew

    line.at_work(work)


@pytest.fixture
def told(line: Line) -> Line:
    """A clinic that told of two visits, one of them moved, and sent digests and reminders."""
    line.set(
        reminders={
            "patient": {"steps": ["3d", "1d"]},
            "doctor": {"steps": ["1d"], "digest": {"at": "06:30"}},
        }
    )
    line.book(1)
    line.book(2, "2026-12-08 09:00")
    line.after()
    line.book(3, "2026-12-08 11:00")
    line.after()
    line.change(3, start="2026-12-07 11:00")
    line.after()
    line.after("2026-12-04 12:00")
    line.after("2026-12-06 12:00")
    return line


def test_what_was_told_before_an_upgrade_is_not_owed_again(told: Line) -> None:
    before = keys(told)
    assert len(before) > 5
    upgraded(told)
    assert told.quietly("2026-12-06 12:30") == []
    assert keys(told) == before


def test_an_upgrade_that_was_cut_off_changes_only_the_keys_that_are_left(told: Line) -> None:
    before = keys(told)
    upgraded(told, after=before[3][0])
    assert keys(told) == before
