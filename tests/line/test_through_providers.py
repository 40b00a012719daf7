"""The whole line through providers that lose answers, refuse, ail or are away: once, and in order."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.testing import Fault, Reply
from clinicrelay.times import parse_instant
from sync.health import health
from tests.notifiers.peers import CUT, PROVIDERS, Fate, Peer, Provider, Taken

if TYPE_CHECKING:
    from tests.line.conftest import Line

ZONE = "Europe/Berlin"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LOST = (Fault.ANSWER_LOST, Fault.ANSWER_LATE, Fault.ANSWER_MANGLED, Fault.TROUBLE, CUT)
UNTOLD = (Fault.GONE, Fault.BUSY)
TELLING = [one for one in PROVIDERS if one.tells]
SMS, EMAIL = TELLING[0], TELLING[1]


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """What providers do is the same on every store."""
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def peers(line: Line) -> Iterator[Callable[..., list[Peer]]]:
    """Let the clinic send by providers, and by nothing else; each is told the time."""
    made: list[Peer] = []

    def served(*providers: Provider, **reminders: Any) -> list[Peer]:
        made.extend(Peer(one) for one in providers)
        notifiers = {peer.provider.name: through(peer, peer.door()) for peer in made}
        line.set(calendars={}, notifiers=notifiers, reminders={"patient": reminders})
        return made

    sync = type(line).sync

    def told_the_time(self: Line, *arguments: Any) -> Any:
        for peer in made:
            peer.now = self.now
        return sync(self, *arguments)

    line.sync = told_the_time.__get__(line)  # type: ignore[method-assign]
    yield served
    for peer in made:
        peer.close()


def through(peer: Peer, url: str) -> dict[str, Any]:
    return {**peer.provider.options, "base_url": url, "timeout": "1s"}


def run(line: Line, moments: Iterable[datetime]) -> None:
    """Run at these times, whichever way the clock goes."""
    for moment in moments:
        line.now = moment
        line.sync(timedelta(0))


def after(line: Line, *minutes: float) -> None:
    began = line.now
    run(line, [began + timedelta(minutes=one) for one in minutes])


def at(clock: str) -> datetime:
    return parse_instant(f"2026-11-23T{clock}", ZONE)


def once_each(*fates: Fate) -> Callable[[], Fate]:
    """Let the first messages end so, and the others well."""
    left = list(fates)
    return lambda: left.pop(0) if left else None


def to(taken: Iterable[Taken]) -> list[str]:
    return sorted(one.to for one in taken)


def ledger(line: Line) -> list[tuple[Any, ...]]:
    return line.query("SELECT kind, state, reason FROM messages")


def imported(line: Line, count: int = 1, start: str = "2026-11-24 12:00") -> None:
    for number in range(1, count + 1):
        line.book(number, start)
    line.drop()
    line.sync("2026-11-23 09:00")


def name_of(provider: Provider) -> str:
    return provider.name


# --- answers that are lost -------------------------------------------------------------------------


@pytest.mark.parametrize("provider", TELLING, ids=name_of)
@pytest.mark.parametrize("fault", [*LOST, *UNTOLD])
def test_a_message_whose_answer_is_lost_arrives_once_though_lists_lag(
    line: Line, peers: Callable[..., list[Peer]], provider: Provider, fault: Fate
) -> None:
    (peer,) = peers(provider, steps=["1d"])
    peer.lag = timedelta(seconds=90)
    imported(line)
    peer.fate = once_each(fault)
    run(line, [at("12:00")])
    after(line, 0.5, 1, 1.25, 2, 4, 8, 15)
    assert len(peer.taken) == 1
    assert ledger(line) == [("reminder", "sent", None)]
    ((kept,),) = line.query("SELECT provider_id FROM attempts")
    assert kept == peer.taken[0].id


@pytest.mark.parametrize("provider", PROVIDERS, ids=name_of)
def test_a_provider_that_asks_for_time_is_not_asked_before_it_is_over(
    line: Line, peers: Callable[..., list[Peer]], provider: Provider
) -> None:
    (peer,) = peers(provider, steps=["1d"])
    imported(line, 3)
    busy = Reply({"errors": [], "code": 20429}, 429, {"Retry-After": "30"})
    peer.fate = once_each(busy)
    run(line, [at("12:00"), at("12:00:29"), at("12:00:30"), at("12:02")])
    assert peer.messages == [at("12:00"), *[at("12:00:30")] * 3]
    assert len(peer.taken) == 3
    assert ledger(line) == [("reminder", "sent", None)] * 3


@pytest.mark.parametrize("provider", PROVIDERS, ids=name_of)
def test_a_provider_that_nobody_reaches_gets_all_once_when_it_is_back(
    line: Line, peers: Callable[..., list[Peer]], provider: Provider
) -> None:
    (peer,) = peers(provider, steps=["1d"])
    there = line.said["notifiers"]
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    line.set(notifiers={provider.name: through(peer, url)})
    imported(line, 3)
    run(line, [at("12:00"), at("12:01"), at("12:05")])
    assert {state for _, state, _ in ledger(line)} == {"planned"}
    line.set(notifiers=there)
    after(line, 1, 2, 10)
    assert len(set(to(peer.taken))) == len(peer.taken) == 3


# --- clocks that jump ------------------------------------------------------------------------------

JUMPS = {
    "back": ("12:00", "11:00", "11:02", "11:30", "12:00", "12:01", "12:02", "12:10"),
    "on": ("12:00", "13:00", "13:02", "12:02", "12:03", "12:10", "13:05"),
    "to and fro": ("12:00", "11:00", "13:00", "11:01", "12:01", "12:03", "12:05", "13:10"),
}


@pytest.mark.parametrize("provider", TELLING, ids=name_of)
@pytest.mark.parametrize("fault", [None, Fault.ANSWER_LOST, Fault.GONE])
@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_jumps_by_an_hour_repeats_nothing(
    line: Line, peers: Callable[..., list[Peer]], provider: Provider, fault: Fate, jump: str
) -> None:
    (peer,) = peers(provider, steps=["1d", "1h"])
    peer.lag = timedelta(seconds=45)
    imported(line, 2)
    peer.fate = once_each(fault)
    run(line, map(at, JUMPS[jump]))
    assert to(peer.taken) == to({one.to: one for one in peer.taken}.values())
    assert len(peer.taken) == 2
    assert ledger(line) == [("reminder", "sent", None)] * 2


# --- one of several that ails ----------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.GONE, Fault.ANSWER_LATE, Fault.LOCKED_OUT, Fault.BUSY])
def test_a_provider_that_ails_delays_no_other_and_gets_its_own_once_it_is_well(
    line: Line, peers: Callable[..., list[Peer]], fault: Fate
) -> None:
    sms, mail = peers(SMS, EMAIL, steps=["1d"])
    for number in range(1, 7):
        reached = {"mobile": ""} if number % 2 else {"email": ""}
        line.book(number, "2026-11-24 12:00", **reached)
    line.drop()
    line.sync("2026-11-23 09:00")
    mail.fate = lambda: fault
    run(line, [at("12:00")])
    assert len(sms.taken) == 3
    assert len(mail.messages) == 1
    run(line, [at("12:20"), at("12:40")])
    mail.fate = lambda: None
    run(line, [at("13:00"), at("13:01"), at("13:03"), at("13:05"), at("13:20")])
    assert len(sms.taken) == 3
    if fault is Fault.ANSWER_LATE:  # each was taken, and found there
        assert len(set(to(mail.taken))) == len(mail.taken) == 3
    assert len(set(to(mail.taken))) == len(mail.taken) == 3
    assert {state for _, state, _ in ledger(line)} == {"sent"}


@pytest.mark.parametrize("provider", PROVIDERS, ids=name_of)
def test_a_person_who_is_refused_delays_nobody(
    line: Line, peers: Callable[..., list[Peer]], provider: Provider
) -> None:
    (peer,) = peers(provider, steps=["1d"])
    imported(line, 4)
    peer.fate = once_each(None, Fault.REFUSED)
    run(line, [at("12:00"), at("12:01")])
    assert len(set(to(peer.taken))) == len(peer.taken) == 3
    assert [state for _, state, _ in ledger(line)] == ["failed", "sent", "sent", "sent"]


@pytest.mark.parametrize("provider", PROVIDERS, ids=name_of)
def test_a_wrong_key_is_tried_a_few_times_an_hour_said_once_and_costs_no_message(
    line: Line, peers: Callable[..., list[Peer]], provider: Provider
) -> None:
    (peer,) = peers(provider, steps=["1d"])
    imported(line, 6)
    peer.fate = lambda: Fault.LOCKED_OUT
    run(line, [at("12:00") + n * 2 * MINUTE for n in range(30)])
    assert 1 <= len(peer.messages) <= 5
    needs = line.at_work(lambda at_work: health(at_work).needs)
    assert sum(provider.name in need.what for need in needs) == 1
    peer.fate = lambda: None
    run(line, [at("13:05"), at("13:20")])
    assert len(set(to(peer.taken))) == len(peer.taken) == 6
    assert line.at_work(lambda at_work: health(at_work).needs) == []


# --- what leaves, and in which order ---------------------------------------------------------------


def test_an_sms_expires_before_it_is_of_no_use(
    line: Line, peers: Callable[..., list[Peer]]
) -> None:
    (peer,) = peers(SMS, steps=["3d", "1d", "2h", "30m"], confirmation={"channels": ["sms"]})
    imported(line, 1, "2026-11-23 15:00")
    starts = {1: at("15:00")}
    for number, hour in ((2, 13), (3, 12)):
        line.book(number, f"2026-11-23 {hour}:00")
        starts[number] = at(f"{hour}:00")
    line.drop()
    run(line, [at("09:00") + n * 30 * MINUTE for n in range(12)])
    assert len(peer.taken) == 5
    for one in peer.taken:
        left = starts[int(one.to[-1])] - one.at
        assert 0 < int(one.said["ValidityPeriod"]) <= left.total_seconds(), one


@pytest.mark.parametrize("provider", PROVIDERS, ids=name_of)
@pytest.mark.parametrize(
    ("fault", "arrives"), [(None, 2), (Fault.ANSWER_LOST, 2), (Fault.GONE, 0), (Fault.BUSY, 0)]
)
@pytest.mark.parametrize("lag", [0, 55])
def test_a_cancellation_never_comes_before_the_confirmation_that_it_cancels(
    line: Line,
    peers: Callable[..., list[Peer]],
    provider: Provider,
    fault: Fate,
    arrives: int,
    lag: int,
) -> None:
    (peer,) = peers(provider, confirmation={"channels": [provider.channel]})
    peer.lag = timedelta(seconds=lag)
    imported(line)
    line.book(2, "2026-12-09 09:00")
    line.drop()
    peer.fate = once_each(fault)
    run(line, [at("10:00")])
    line.cancel(2)
    line.drop()
    run(line, [at("10:00:30"), at("10:01"), at("10:02"), at("10:04"), at("10:30")])
    kinds = line.query("SELECT kind FROM messages WHERE state = 'sent'")
    if fault is Fault.GONE and not provider.tells:
        # Nobody knows whether they read of the booking, so they read that it is off.
        assert len(peer.taken) == 1
        return
    assert len(peer.taken) == arrives
    if arrives:
        first, second = peer.taken
        assert "cancel" not in first.text.lower()
        assert first.text != second.text
    assert ("cancellation",) in kinds or not arrives
