"""Leases: one owner, an end, and no way back for a ghost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from sync.store import Store, open_store
from sync.store.leases import LeaseLost, lease

MINUTE = timedelta(seconds=60)


@pytest.fixture
def store(store_url: str, now: datetime) -> Iterator[Store]:
    opened = open_store(store_url, "riverside", now=now)
    yield opened
    opened.close()


def test_only_one_owner_at_a_time(store: Store) -> None:
    with lease(store, "source:a", MINUTE) as mine:
        assert mine is not None
        with lease(store, "source:a", MINUTE) as theirs:
            assert theirs is None
        with lease(store, "source:b", MINUTE) as other:
            assert other is not None
    with lease(store, "source:a", MINUTE) as again:
        assert again is not None
        assert again.token > mine.token


def test_an_owner_whose_time_is_over_is_followed_and_fenced_off(store: Store) -> None:
    with lease(store, "source:a", timedelta(0)) as slow, lease(store, "source:a", MINUTE) as quick:
        assert quick is not None
        assert slow is not None
        with pytest.raises(LeaseLost), store.write() as connection:
            slow.fence(connection)
        with store.write() as connection:
            quick.fence(connection)


def test_an_owner_that_waits_for_somebodys_answer_is_not_taken_for_dead(store: Store) -> None:
    with lease(store, "send", timedelta(0)) as patient:
        assert patient is not None
        with store.write() as connection:
            patient.fence(connection, MINUTE)
        with lease(store, "send", MINUTE) as hasty:
            assert hasty is None
        with store.write() as connection:
            patient.fence(connection)  # the answer came
        with lease(store, "send", MINUTE) as next_one:
            assert next_one is not None


def test_a_ghost_leaves_nothing_behind(store: Store) -> None:
    with lease(store, "source:a", timedelta(0)) as slow, lease(store, "source:a", MINUTE):
        assert slow is not None
        with pytest.raises(LeaseLost), store.write() as connection:
            connection.execute(text("UPDATE clinics SET policy = 'ghost'"))
            slow.fence(connection)
    with store.read() as connection:
        assert connection.execute(text("SELECT policy FROM clinics")).scalar_one() == ""


def test_an_owner_killed_on_this_host_is_followed_at_once(store: Store, store_url: str) -> None:
    program = (
        "import sys, os, signal\n"
        "from datetime import datetime, timedelta, UTC\n"
        "from sync.store import open_store\n"
        "from sync.store.leases import lease\n"
        "store = open_store(sys.argv[1], 'riverside', now=datetime.now(UTC))\n"
        "with lease(store, 'source:a', timedelta(hours=1)) as held:\n"
        "    assert held is not None\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, store_url], check=False)
    assert killed.returncode < 0
    with lease(store, "source:a", MINUTE) as mine:
        assert mine is not None


def test_an_owner_on_another_host_keeps_its_time(store: Store) -> None:
    with lease(store, "source:a", MINUTE):
        with store.write() as connection:
            connection.execute(
                text("UPDATE leases SET owner = :owner"),
                {"owner": f"elsewhere|{2**22 + os.getpid()}|1|ab"},
            )
        with lease(store, "source:a", MINUTE) as mine:
            assert mine is None
