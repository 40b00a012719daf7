"""Leases: one owner, an end, and no way back for a ghost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from clinicrelay.errors import StoreBusy
from sync.store import Store, leases, open_store
from sync.store.leases import EVERY, LeaseLost, anyone_at_work, lease, take_turn

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


@pytest.mark.parametrize(("left", "renewed"), [(59, False), (55, False), (53, True), (300, True)])
def test_a_lease_is_written_down_anew_once_a_tenth_of_it_is_over_or_it_lasts_too_long(
    store: Store, left: int, renewed: bool
) -> None:
    def until() -> float:
        with store.read() as connection:
            return float(connection.execute(text("SELECT until FROM leases")).scalar_one())

    with lease(store, "source:a", MINUTE) as mine:
        assert mine is not None
        with store.write() as connection:
            connection.execute(text("UPDATE leases SET until = until - 60 + :left"), {"left": left})
        before = until()
        with store.write() as connection:
            mine.fence(connection)
        assert (until() != before) is renewed


def test_an_owner_whose_time_runs_out_ends_its_transaction_before_anybody_follows(
    store: Store,
) -> None:
    order: list[str] = []

    def follow() -> None:
        while "followed" not in order:
            with lease(store, "source:a", MINUTE) as quick:
                if quick is not None:
                    order.append("followed")

    other = threading.Thread(target=follow)
    with lease(store, "source:a", timedelta(seconds=0.5)) as slow:
        assert slow is not None
        with store.write() as connection:
            slow.fence(connection)
            other.start()
            other.join(1)  # twice as long as the lease
            order.append("written")
        other.join()
        with pytest.raises(LeaseLost), store.write() as connection:
            slow.fence(connection)
    assert order == ["written", "followed"]


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


def test_a_lease_that_could_not_be_given_back_is_free_for_its_own_process(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise StoreBusy("the store does not answer")

    with (
        monkeypatch.context() as unreachable,
        pytest.raises(StoreBusy),
        lease(store, "plan", MINUTE) as held,
    ):
        assert held is not None
        unreachable.setattr(leases, "_release", lost)
    with lease(store, "plan", MINUTE) as again:
        assert again is not None
        with lease(store, "plan", MINUTE) as second:
            assert second is None


def test_what_a_process_holds_is_given_back_at_its_end_and_nothing_else(store: Store) -> None:
    with lease(store, "plan", MINUTE) as ours, lease(store, "send", MINUTE) as theirs:
        assert ours is not None
        assert theirs is not None
        with store.write() as connection:
            owner = {"owner": f"elsewhere|1|{'0' * 8}|aaaa"}
            connection.execute(text("UPDATE leases SET owner = :owner WHERE name = 'send'"), owner)
            leases.release_ours(connection, store.clinic)
        with lease(store, "plan", MINUTE) as again, lease(store, "send", MINUTE) as taken:
            assert again is not None
            assert taken is None


def test_a_turn_is_one_processs_and_nobodys_until_it_is_over(store: Store) -> None:
    assert take_turn(store, "sweep", MINUTE)
    before = written(store)
    assert not take_turn(store, "sweep", MINUTE)
    assert written(store) == before
    with store.write() as connection:
        connection.execute(text("UPDATE leases SET until = 0"))
    assert take_turn(store, "sweep", MINUTE)


def test_whose_turn_it_was_is_not_at_work_for_it(store: Store) -> None:
    assert take_turn(store, f"{EVERY}pull:reception", MINUTE)
    with store.read() as connection:
        assert not anyone_at_work(connection)
    assert take_turn(store, "sweep", MINUTE)
    with store.read() as connection:
        assert anyone_at_work(connection)


def written(store: Store) -> list[tuple[object, ...]]:
    with store.read() as connection:
        rows = connection.execute(text("SELECT name, owner, token, until FROM leases"))
        return [tuple(row) for row in rows]
