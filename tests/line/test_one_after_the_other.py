"""A batch of messages: what became of one is written with the beginning of the next, and in time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.testing import Fault
from clinicrelay.times import parse_instant
from sync import case
from sync.runners import once
from sync.store import standings
from sync.store.shards import shard_of
from tests.notifiers.peers import PROVIDERS, Fate, Peer, Provider

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.store.said import Due
    from tests.line.conftest import Line

PEOPLE = [n for n in range(3, 300) if shard_of(f"patient/P{n}") == 0][:3]  # of one sender


@pytest.fixture(params=PROVIDERS, ids=lambda provider: provider.name)
def peer(line: Line, request: pytest.FixtureRequest) -> Iterator[Peer]:
    """The provider of a clinic that owes three people a reminder within a minute."""
    provider: Provider = request.param
    made = Peer(provider)
    line.set(
        calendars={},
        notifiers={"post": {**provider.options, "base_url": made.door()}},
        reminders={"patient": {"steps": ["1d"]}},
    )
    for number in PEOPLE:
        line.book(number, "2026-11-24 12:00")
    line.drop()
    line.sync("2026-11-23 09:00")
    yield made
    made.close()


def states(line: Line) -> list[str]:
    found = line.query("SELECT state FROM messages ORDER BY state")
    return [state for (state,) in found]


def at_the_first(peer: Peer, happens: Any) -> None:
    """Let something happen while the first message is at its provider."""

    def meanwhile() -> Fate:
        peer.fate = lambda: None
        happens()
        return None

    peer.fate = meanwhile


def test_what_became_of_one_is_there_before_the_next_is_at_its_provider(
    line: Line, peer: Peer
) -> None:
    seen: list[list[str]] = []

    def look() -> Fate:
        seen.append(states(line))
        return None

    peer.fate = look
    line.sync("2026-11-23 12:00")
    assert [some.count("sent") for some in seen] == [0, 1, 2]
    assert all(some.count("sending") == 1 for some in seen)
    assert states(line) == ["sent"] * 3


def test_a_pause_while_one_is_at_its_provider_stops_all_others(line: Line, peer: Peer) -> None:
    def pause(at_work: Any) -> None:
        with at_work.store.write() as connection:
            standings.pause(
                connection,
                at_work.store.clinic,
                "patients",
                reason="a mistake in the text",
                until=None,
                since=at_work.now,
                who="somebody",
            )

    at_the_first(peer, lambda: line.at_work(pause))
    line.sync("2026-11-23 12:00")
    assert len(peer.taken) == 1
    assert states(line) == ["planned", "planned", "sent"]
    assert line.query("SELECT count(*) FROM attempts") == [(1,)]


def test_a_run_that_is_told_to_end_writes_down_what_became_of_its_last_message(
    line: Line, peer: Peer
) -> None:
    def sends(at_work: Any) -> None:
        at_the_first(peer, at_work.ending.set)
        once.sync(at_work)

    line.now = parse_instant("2026-11-23 12:00", "Europe/Berlin")
    line.at_work(sends)
    assert len(peer.taken) == 1
    assert states(line) == ["planned", "planned", "sent"]


def test_a_message_that_cannot_be_made_keeps_nothing_back_of_the_one_before(
    line: Line, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, rightly = list[str](), case.message_of

    def broken(clinic: Clinic, due: Due, *more: Any, **named: Any) -> Any:
        made.append(due.dedupe)
        if due.dedupe != made[0]:
            raise ZeroDivisionError
        return rightly(clinic, due, *more, **named)

    monkeypatch.setattr(case, "message_of", broken)
    with pytest.raises(ZeroDivisionError):
        line.sync("2026-11-23 12:00")
    assert states(line) == ["planned", "planned", "sent"]


def test_an_unknown_end_is_written_before_the_next_is_decided(line: Line, peer: Peer) -> None:
    fates = iter([Fault.ANSWER_LOST])
    peer.fate = lambda: next(fates, None)
    line.sync("2026-11-23 12:00")
    assert states(line).count("unknown") == 1
    assert "sending" not in states(line)
