"""How many processes may use a notifier at once: so many, whoever comes first, and no limit without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from sync import connections
from sync.connections import Connections
from sync.store import Store, open_store


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    made = open_store(store_url, "riverside", now=datetime.now(UTC))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_PATIENCE", 0.0)


def of_one_process(store: Store, held: ExitStack) -> Connections:
    notifiers = {"sms": SimpleNamespace(at_once=2), "mail": SimpleNamespace(at_once=None)}
    lease = SimpleNamespace(lease=timedelta(minutes=1))
    settings = SimpleNamespace(notifiers=notifiers, store=lease)
    clinic: Any = SimpleNamespace(store=store, settings=settings, ending=Event())
    return Connections(clinic, held)


def test_a_third_process_finds_no_place_where_two_may_be(store: Store) -> None:
    with ExitStack() as first, ExitStack() as second, ExitStack() as third:
        assert of_one_process(store, first).has("sms")
        assert of_one_process(store, second).has("sms")
        late = of_one_process(store, third)
        assert not late.has("sms")
        assert late.has("mail")
        assert late.has("a notifier that settings name no longer")
        first.close()
        assert not late.has("sms"), "who found no place asks no more in this step"
        assert of_one_process(store, first).has("sms")


def test_one_process_takes_one_place_however_often_it_asks(store: Store) -> None:
    with ExitStack() as first, ExitStack() as second:
        mine = of_one_process(store, first)
        assert all(mine.has("sms") for _ in range(3))
        assert of_one_process(store, second).has("sms")


def test_a_process_that_waits_gets_the_place_that_comes_free(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_PATIENCE", 10.0)
    with ExitStack() as first, ExitStack() as second, ExitStack() as third:
        assert of_one_process(store, first).has("sms")
        assert of_one_process(store, second).has("sms")
        waiting = of_one_process(store, third)
        waiting._clinic.ending.wait = lambda moment: first.close() or False  # type: ignore[method-assign,assignment,func-returns-value]
        assert waiting.has("sms")
