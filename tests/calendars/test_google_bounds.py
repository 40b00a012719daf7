"""Whatever stands where Google is expected: nothing goes elsewhere, or is endless (R-065, R-086)."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from google_peer.peer import GooglePeer

from calendars.google.account import Account, NotLoggedIn
from calendars.google.connection import Connection, Endless
from calendars.google.options import Options
from clinicrelay.testing import HttpServer, Reply, serving

SOON = timedelta(milliseconds=200)
ANSWER = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def connected() -> Iterator[Callable[[timedelta], Connection]]:
    """Make connections that are closed in the end."""
    made: list[Connection] = []

    def make(timeout: timedelta) -> Connection:
        made.append(Connection(timeout))
        return made[-1]

    yield make
    for one in made:
        one.close()


# --- redirects -----------------------------------------------------------------------------------


@pytest.fixture
def trap() -> Iterator[HttpServer]:
    """Where a request would end that is sent on; it gives tokens to whoever asks."""
    token = Reply({"access_token": "of the trap", "expires_in": 3600, "token_type": "Bearer"})
    with serving(lambda asked: token) as server:
        yield server


def of_an_account(token_uri: str, peer: GooglePeer) -> dict[str, Any]:
    key = {**peer.service_account("relay@riverside.example"), "token_uri": token_uri}
    return {"credentials": json.dumps(key)}


def of_a_doctor(token_uri: str, _: GooglePeer) -> dict[str, Any]:
    client = {"client_id": "c", "client_secret": "CANARY-SECRET", "token_uri": token_uri}
    tokens = {"acar@riverside.example": "CANARY-REFRESH-TOKEN"}
    return {"mode": "oauth", "credentials": json.dumps({"installed": client}), "tokens": tokens}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("whose", [of_an_account, of_a_doctor])
def test_what_buys_a_token_is_not_sent_on_to_another_address(
    trap: HttpServer, whose: Callable[..., Any], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "google.auth._exponential_backoff.time", SimpleNamespace(sleep=lambda seconds: None)
    )
    away = Reply(status=status, headers={"Location": f"{trap.url}/token"})
    with GooglePeer(seed=7) as peer, serving(lambda asked: away) as evil:
        options = Options.model_validate(whose(f"{evil.url}/token", peer))
        with pytest.raises(NotLoggedIn) as told:
            Account(options, lambda seconds: True).token("acar@riverside.example")
        assert evil.log
    assert trap.log == []
    assert "trap" not in str(told.value.why)


def test_a_request_with_a_token_is_not_sent_on_either(trap: HttpServer, connected: Any) -> None:
    away = Reply(status=308, headers={"Location": f"{trap.url}/calendar"})
    with serving(lambda asked: away) as evil:
        answer, _ = connected(SOON).request(evil.url, headers={"authorization": "Bearer CANARY"})
    assert answer.status == 308
    assert trap.log == []


# --- a proxy -------------------------------------------------------------------------------------


def test_what_is_for_this_machine_goes_by_no_proxy(
    trap: HttpServer, connected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", trap.url)
    with serving(lambda asked: Reply({"here": True})) as google:
        _, content = connected(SOON).request(google.url)
    assert json.loads(content) == {"here": True}
    assert trap.log == []


# --- answers that are too much -------------------------------------------------------------------


@contextmanager
def saying(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve one connection after another over bare sockets."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(9999)
                    behave(connection)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def flood(connection: socket.socket) -> None:
    connection.sendall(ANSWER + b"\r\n")
    while True:
        connection.sendall(bytes(1 << 20))


def announced(connection: socket.socket) -> None:
    connection.sendall(ANSWER + b"Content-Length: 99999999999999\r\n\r\nx")


def in_a_huge_chunk(connection: socket.socket) -> None:
    connection.sendall(ANSWER + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFF\r\nx")


@pytest.mark.parametrize("endless", [flood, announced, in_a_huge_chunk])
def test_an_answer_that_is_larger_than_any_of_googles_is_given_up(
    endless: Callable[[socket.socket], None], connected: Any
) -> None:
    with saying(endless) as url, pytest.raises(Endless):
        connected(timedelta(seconds=30)).request(url)


def test_a_packed_bomb_does_not_go_off(connected: Any) -> None:
    bomb = Reply(gzip.compress(bytes(300 << 20), 9), headers={"Content-Encoding": "gzip"})
    with serving(lambda asked: bomb) as google, pytest.raises(Endless):
        connected(timedelta(seconds=30)).request(google.url)


def dripping(before: bytes) -> Callable[[socket.socket], None]:
    enough = time.monotonic() + 30

    def drip(connection: socket.socket) -> None:
        connection.sendall(before)
        while time.monotonic() < enough:
            connection.sendall(b"x")
            time.sleep(0.01)

    return drip


@pytest.mark.parametrize("before", [b"", ANSWER + b"X-Long: ", ANSWER + b"\r\n"])
def test_an_answer_that_drips_is_given_up(before: bytes, connected: Any) -> None:
    with saying(dripping(before)) as url, pytest.raises(TimeoutError):
        connected(SOON).request(url)


def test_a_connection_serves_many_requests(connected: Any) -> None:
    with serving(lambda asked: Reply({"n": asked.path})) as google:
        connection = connected(timedelta(seconds=5))
        said = [connection.request(f"{google.url}/{n}")[1] for n in range(5)]
        assert [json.loads(one)["n"] for one in said] == ["/0", "/1", "/2", "/3", "/4"]
        assert google.connections == 1
