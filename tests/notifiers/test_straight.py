"""The way to a provider without a proxy: what is written and read, and how long anything may last."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from clinicrelay.testing.http_server import Asked, Reply, serving
from notifiers._straight import Broken, Request, Straight, Unreachable, leads_to

if TYPE_CHECKING:
    from tests.notifiers.conftest import Authority

SOON = 0.3


@pytest.fixture
def straight() -> Iterator[Straight]:
    made = Straight(None, connect=SOON, seconds=SOON, largest=1000)
    yield made
    made.close()


@contextmanager
def saying(*answers: Callable[[socket.socket], None]) -> Iterator[str]:
    """Accept one connection after another; each is told what stands for it, then closed."""
    listening = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        for answer in answers:
            with suppress(OSError):
                connection = listening.accept()[0]
                with connection:
                    connection.settimeout(5)
                    connection.recv(65536)
                    answer(connection)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def bytes_of(answer: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(answer)


def dripping(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in range(40):
        time.sleep(0.05)  # each well within the time that one octet may take
        connection.sendall(b"X-More: 1\r\n")


def test_a_request_travels_as_it_was_given(straight: Straight) -> None:
    with serving(lambda _: Reply({"sid": "SM1"}, 201, {"X-Way": "Straight"})) as server:
        form = {"To": "+12025550199", "Body": "grün & gut", "Media": ["a", "b"]}
        asked = Request("POST", f"{server.url}/m", {"X-Site": "12"}, None, None, form, ("u", "p"))
        status, headers, content = straight.exchange(asked)
        assert (status, headers["x-way"], content) == (201, "Straight", b'{"sid": "SM1"}')
        (got,) = server.log
        assert got.body == b"To=%2B12025550199&Body=gr%C3%BCn+%26+gut&Media=a&Media=b"
        assert got.headers["authorization"] == "Basic dTpw"
        assert got.headers["content-type"] == "application/x-www-form-urlencoded"
        assert got.headers["x-site"] == "12"
        straight.exchange(Request("GET", f"{server.url}/m", None, {"To": "+1", "Page": 2}))
        assert server.log[1].query == (("To", "+1"), ("Page", "2"))
        assert server.connections == 1


def test_several_threads_have_connections_of_their_own(straight: Straight) -> None:
    together = threading.Barrier(3, timeout=5)

    def answer(asked: Asked) -> Reply:
        together.wait()
        return Reply(asked.body)

    with serving(answer) as server:
        found: dict[int, bytes] = {}

        def work(n: int) -> None:
            request = Request("POST", server.url, content=str(n).encode())
            found[n] = straight.exchange(request)[2]

        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {n: str(n).encode() for n in range(3)}


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", b"hi"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_an_answer_of_any_form_is_read(straight: Straight, answer: bytes, content: bytes) -> None:
    with saying(bytes_of(answer)) as url:
        assert straight.exchange(Request("GET", url))[2] == content


def test_an_answer_that_was_packed_unasked_is_unpacked(straight: Straight) -> None:
    packed = gzip.compress(b"hello")
    with serving(lambda _: Reply(packed, 200, {"Content-Encoding": "gzip"})) as server:
        assert straight.exchange(Request("GET", server.url))[2] == b"hello"
        assert server.log[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"x" * 100_000),
        b"220 mail.example ESMTP\r\n",
    ],
)
def test_what_is_no_whole_answer_is_none(straight: Straight, answer: bytes) -> None:
    with saying(bytes_of(answer)) as url, pytest.raises(Broken):
        straight.exchange(Request("GET", url))


@pytest.mark.parametrize("answer", [dripping, lambda connection: time.sleep(2 * SOON)])
def test_an_answer_has_an_end_however_it_comes(
    straight: Straight, answer: Callable[[socket.socket], None]
) -> None:
    with saying(answer) as url:
        begun = time.monotonic()
        with pytest.raises(Broken) as caught:
            straight.exchange(Request("GET", url))
        assert isinstance(caught.value.__cause__, TimeoutError)
        assert time.monotonic() - begun < 3 * SOON


def test_a_connection_that_was_closed_meanwhile_is_not_written_to(straight: Straight) -> None:
    good = bytes_of(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    with saying(good, good) as url:
        for _ in range(2):
            assert straight.exchange(Request("POST", url, content=b"x"))[2] == b"hi"
            time.sleep(0.05)  # the server closes what it has answered


def test_nothing_is_written_where_no_connection_comes_about(straight: Straight) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        nobody = f"http://127.0.0.1:{bound.getsockname()[1]}"
    with pytest.raises(Unreachable):
        straight.exchange(Request("GET", nobody))


def test_a_certificate_nobody_vouches_for_is_no_connection(authority: Authority) -> None:
    import ssl

    with serving(lambda _: Reply(b"hi"), tls=authority.context("127.0.0.1")) as server:
        strict = Straight(ssl.create_default_context(), connect=1, seconds=1, largest=1000)
        with pytest.raises(Unreachable) as caught:
            strict.exchange(Request("GET", server.url))
        assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value.__cause__)
        without = Straight(None, connect=1, seconds=1, largest=1000)
        with pytest.raises(Unreachable):
            without.exchange(Request("GET", server.url))
        assert not server.log


def test_a_line_end_makes_no_second_header(straight: Straight) -> None:
    with serving(lambda _: Reply(b"")) as server:
        for request in (
            Request("GET", server.url, {"X-Site": "1\r\nX-Other: 2"}),
            Request("GET", server.url, {"X-Site": "€"}),
        ):
            with pytest.raises(Unreachable):
                straight.exchange(request)
        assert not server.log


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_no_straight_way(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{other}_proxy", raising=False)
        monkeypatch.delenv(f"{other}_proxy".upper(), raising=False)
    assert leads_to("https://api.example/v1")
    monkeypatch.setenv(name, "http://proxy.clinic.example:3128")
    assert not leads_to("https://api.example/v1")
    assert leads_to("http://127.0.0.1:8085")
    assert not leads_to("https://user:word@127.0.0.1")
    assert not leads_to("https://münchen.example/v1")
