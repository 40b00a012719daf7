"""The audit trail: whoever writes, it is one chain, and whatever SQL does to it is named."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from sync.store import Store, audit, open_store
from sync.store.audit import Deed

HERE = "riverside"


@pytest.fixture
def store(store_url: str, now: datetime) -> Iterator[Store]:
    opened = open_store(store_url, HERE, now=now)
    yield opened
    opened.close()


def note(store: Store, *actions: str) -> None:
    for action in actions:
        with store.write() as connection:
            audit.note(connection, HERE, Deed("anna@desk", action, "part/patients"))


def broken(store: Store) -> list[tuple[int, str]]:
    with store.read() as connection:
        return [tuple(one) for one in audit.verify(connection, HERE).broken]


def by_hand(store: Store, statement: str) -> None:
    with store.write() as connection:
        connection.execute(text(statement))


def test_entries_stand_in_their_order_with_the_databases_own_time(store: Store) -> None:
    note(store, "pause", "resume")
    with store.read() as connection:
        first, second = audit.entries(connection, HERE)
        later = datetime.now(UTC) + timedelta(hours=1)
        assert list(audit.entries(connection, HERE, since=later)) == []
    assert (first.number, first.action, first.actor) == (1, "pause", "anna@desk")
    assert (second.number, second.before_hash) == (2, first.hash)
    assert abs((datetime.now(UTC) - second.at).total_seconds()) < 600
    assert broken(store) == []


def test_an_entry_belongs_to_what_it_tells_of(store: Store) -> None:
    note(store, "pause")
    with pytest.raises(RuntimeError), store.write() as connection:
        audit.note(connection, HERE, Deed("anna@desk", "resume"))
        raise RuntimeError("and then it did not happen")
    note(store, "live")
    with store.read() as connection:
        told = [(one.number, one.action) for one in audit.entries(connection, HERE)]
    assert told == [(1, "pause"), (2, "live")]
    assert broken(store) == []


@pytest.mark.parametrize(
    ("statement", "number", "word"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE number = 3", 3, "something else"),
        ("UPDATE audit SET done_at = done_at - 60 WHERE number = 2", 2, "something else"),
        ("UPDATE audit SET details = '{}' || ' ' WHERE number = 1", 1, "something else"),
        ("DELETE FROM audit WHERE number = 3", 4, "taken out"),
        ("DELETE FROM audit WHERE number = 5", 5, "does not end"),
        ("DELETE FROM audit", 5, "does not end"),
        (
            "INSERT INTO audit (clinic, number, done_at, actor, action, about, reason, details, "
            "before_hash, hash) SELECT clinic, 6, done_at, actor, action, about, reason, details, "
            "hash, hash FROM audit WHERE number = 5",
            6,
            "something else",
        ),
    ],
)
def test_what_sql_does_to_an_entry_is_named(
    store: Store, statement: str, number: int, word: str
) -> None:
    note(store, "pause", "resume", "live", "rehearse", "purge")
    if "||" in statement and store.engine.dialect.name == "mysql":
        statement = statement.replace("'{}' || ' '", "CONCAT('{}', ' ')")
    assert broken(store) == []
    by_hand(store, statement)
    found = broken(store)
    assert found[0][0] == number
    assert word in found[0][1]


def test_many_who_write_at_once_make_one_chain(store_url: str, store: Store, now: datetime) -> None:
    failed: list[BaseException] = []

    def write(name: str) -> None:
        mine = open_store(store_url, HERE, now=now)
        try:
            for n in range(8):
                with mine.write() as connection:
                    audit.note(connection, HERE, Deed(name, f"deed{n}"))
        except BaseException as error:  # noqa: BLE001 - told by the test itself
            failed.append(error)
        finally:
            mine.close()

    threads = [threading.Thread(target=write, args=(f"worker{n}",)) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failed == []
    with store.read() as connection:
        found = list(audit.entries(connection, HERE))
        assert audit.verify(connection, HERE).broken == []
    assert [one.number for one in found] == list(range(1, 33))
    for n in range(4):
        mine = [one.action for one in found if one.actor == f"worker{n}"]
        assert mine == [f"deed{n}" for n in range(8)]


def test_clinics_of_one_store_have_trails_of_their_own(
    store_url: str, store: Store, now: datetime
) -> None:
    open_store(store_url, "lakeside", now=now).close()
    note(store, "pause")
    with store.write() as connection:
        audit.note_everywhere(connection, Deed("anna@desk", "store.restore"))
    with store.read() as connection:
        assert [one.action for one in audit.entries(connection, HERE)] == ["pause", "store.restore"]
        assert [one.number for one in audit.entries(connection, "lakeside")] == [1]
        assert audit.verify(connection, "lakeside").broken == []


def test_what_is_too_old_goes_from_the_front_and_the_rest_is_whole(store: Store) -> None:
    note(store, "pause", "resume", "live")
    after = int(datetime.now(UTC).timestamp()) + 100
    with store.write() as connection:
        assert audit.forget_before(connection, HERE, before=after, most=1) == 1
        assert audit.forget_before(connection, HERE, before=after, most=10) == 1  # the last stays
    note(store, "purge")
    with store.read() as connection:
        found = audit.verify(connection, HERE)
        assert (found.entries, found.broken) == (2, [])
