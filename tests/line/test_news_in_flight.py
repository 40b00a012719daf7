"""News that come while a message about the visit is on its way: whoever got it hears of them too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.testing import Fault
from sync import reads, seeing, steps
from sync.runners import once
from sync.send import MessageRun
from tests.notifiers.peers import PROVIDERS, Fate, Peer, Provider

if TYPE_CHECKING:
    from tests.line.conftest import Line

TELLING = [one for one in PROVIDERS if one.tells]


@pytest.fixture(params=TELLING, ids=lambda provider: provider.name)
def peer(line: Line, request: pytest.FixtureRequest) -> Iterator[Peer]:
    """The provider of a clinic that has told patient 2 of a visit, or is about to."""
    provider: Provider = request.param
    made = Peer(provider)
    line.set(
        calendars={},
        notifiers={"post": {**provider.options, "base_url": made.door()}},
        reminders={"patient": {"confirmation": {"channels": [provider.channel]}}},
    )
    line.book(1)
    line.drop()
    line.sync("2026-11-23 09:00")
    line.book(2, "2026-12-09 09:00")
    line.drop()
    yield made
    made.close()


def cancel(line: Line) -> None:
    line.cancel(2)
    line.drop()


def both_came(line: Line, peer: Peer) -> None:
    for _ in range(4):
        line.sync(timedelta(minutes=2))
    kinds = line.query("SELECT kind FROM messages WHERE state = 'sent'")
    assert kinds == [("cancellation",), ("confirmation",)]
    assert len(peer.taken) == 2


def test_a_cancellation_that_is_read_while_the_confirmation_is_on_its_way_is_told(
    line: Line, peer: Peer
) -> None:
    def meanwhile() -> Fate:
        peer.fate = lambda: None
        cancel(line)
        line.at_work(once.sync)
        return None

    peer.fate = meanwhile
    line.sync()
    both_came(line, peer)


def test_a_lost_confirmation_found_while_the_cancellation_is_planned_brings_it(
    line: Line, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.fate = lambda: Fault.ANSWER_LOST
    line.sync()
    peer.fate = lambda: None
    cancel(line)
    line.now += timedelta(minutes=2)
    line.at_work(lambda at_work: reads.pull(at_work, "reception"))
    found_after(monkeypatch, lambda: line.at_work(settled))
    line.at_work(steps.plan)
    both_came(line, peer)


def settled(at_work: Any) -> None:
    steps.settle(at_work, MessageRun())


def found_after(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Let something happen once, between what plan reads and what it writes."""
    real, left = seeing.Known.of, [happens]

    def of(connection: Any, batch: Any) -> Any:
        found = real(connection, batch)
        if left:
            left.pop()()
        return found

    monkeypatch.setattr(seeing.Known, "of", of)


def test_a_reminder_that_waits_behind_a_slow_one_does_not_leave_once_its_visit_is_cancelled(
    line: Line, peer: Peer
) -> None:
    line.set(reminders={"patient": {"steps": ["1d"]}})
    for number in (3, 4, 5):
        line.book(number, "2026-11-24 12:00")
    line.drop()
    line.sync()
    off = line.rows["5"]["email" if peer.provider.channel == "email" else "mobile"]

    def meanwhile() -> Fate:
        peer.fate = lambda: None
        line.cancel(5)
        line.drop()
        line.at_work(once.sync)
        return None

    before = len(peer.taken)
    peer.fate = meanwhile
    line.sync("2026-11-23 12:00")
    assert off not in [one.to for one in peer.taken[before:]]
