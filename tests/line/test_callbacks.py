"""With a public address providers are told where to report, and nothing depends on their doing so."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.testing import Fault
from clinicrelay.times import parse_instant
from tests.notifiers.peers import PROVIDERS, Peer, Provider

if TYPE_CHECKING:
    from tests.line.conftest import Line

TWILIO, SENDGRID, _ = PROVIDERS
pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


@pytest.fixture
def public() -> str:
    """An address at which nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def reminded(line: Line) -> Iterator[Callable[..., Peer]]:
    made: list[Peer] = []

    def served(provider: Provider, fault: Fault | None = None, **said: Any) -> Peer:
        peer = Peer(provider)
        made.append(peer)
        through = {**provider.options, "base_url": peer.door(), "timeout": "1s"}
        reminders = {"patient": {"steps": ["1d"]}}
        line.set(notifiers={"post": through}, calendars={}, reminders=reminders, **said)
        for number in range(1, 4):
            line.book(number, "2026-11-24 12:00")
        line.drop()
        line.sync("2026-11-23 09:00")
        fates = [fault]
        peer.fate = lambda: fates.pop() if fates else None
        line.now = parse_instant("2026-11-23T12:00", "Europe/Berlin")
        for minutes in (0, 2, 2, 5, 10):
            line.now += timedelta(minutes=minutes)
            peer.now = line.now
            line.sync(timedelta(0))
        return peer

    yield served
    for peer in made:
        peer.close()


@pytest.mark.parametrize("fault", [None, Fault.ANSWER_LOST, Fault.GONE])
def test_each_message_names_an_address_of_its_own_and_leaves_once_though_nobody_answers_there(
    line: Line, reminded: Callable[..., Peer], public: str, fault: Fault | None
) -> None:
    peer = reminded(TWILIO, fault, callbacks={"url": public})
    assert len({one.to for one in peer.taken}) == len(peer.taken) == 3
    assert line.query("SELECT state FROM messages") == [("sent",)] * 3
    attempts = {str(row[0]) for row in line.query("SELECT id FROM attempts")}
    addresses = {one.said["StatusCallback"] for one in peer.taken}
    assert addresses == {f"{public}/callbacks/riverside/post/{one}" for one in attempts}
    known = [cell for row in line.rows.values() for cell in (*row.values(), row["mobile"][1:])]
    assert not [cell for cell in known if len(cell) > 3 and any(cell in url for url in addresses)]


def test_without_it_no_address_is_named(line: Line, reminded: Callable[..., Peer]) -> None:
    peer = reminded(TWILIO)
    assert len(peer.taken) == 3
    assert not [one for one in peer.taken if "StatusCallback" in one.said]


def test_where_reports_are_switched_on_at_the_provider_each_carries_its_attempt(
    line: Line, reminded: Callable[..., Peer], public: str
) -> None:
    peer = reminded(SENDGRID, callbacks={"url": public})
    attempts = {row[0] for row in line.query("SELECT id FROM attempts")}
    assert {one.said["custom_args"]["attempt"] for one in peer.taken} == attempts
    assert public not in str([one.said for one in peer.taken])


def test_check_says_that_nobody_listens_there_yet(line: Line, public: str) -> None:
    line.set(callbacks={"url": public})
    (finding,) = (one for one in line.loaded.findings if one.path == "callbacks.url")
    assert (finding.severity, finding.code) == ("warning", "nobody_listens")
    assert f"{public}/callbacks/riverside/NAME" in finding.message
