"""A heartbeat tells that a job began and how it ended, and never disturbs the job."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from clinicrelay import heartbeat
from clinicrelay.heartbeat import Heart, fault
from clinicrelay.testing.http_server import Asked, HttpServer, Reply, serving

RID = "0b2c1f5e-6a3b-5d7e-9f00-112233445566"


@pytest.fixture
def watcher() -> Iterator[HttpServer]:
    with serving(lambda _asked: Reply(b"OK")) as server:
        yield server


def told(server: HttpServer) -> list[tuple[str, str]]:
    return [(asked.path, asked.body.decode()) for asked in server.log]


@pytest.mark.parametrize(
    ("well", "path"), [(True, "/key/sync"), (False, "/key/sync/fail"), (None, "/key/sync/log")]
)
def test_a_run_tells_its_beginning_and_its_end_under_one_id(
    watcher: HttpServer, well: bool | None, path: str
) -> None:
    missed: list[str] = []
    heart = Heart(f"{watcher.url}/key/sync/?create=1", RID, missed.append)

    heart.begin()
    heart.end(well=well, said="exit 3 source_failed")

    assert told(watcher) == [("/key/sync/start", ""), (path, "exit 3 source_failed")]
    assert [asked.query for asked in watcher.log] == [(("create", "1"), ("rid", RID))] * 2
    assert missed == []


def test_nothing_is_told_beside_a_success_without_a_word(watcher: HttpServer) -> None:
    Heart(watcher.url, RID).end(well=True, said="")
    assert [(asked.method, asked.path) for asked in watcher.log] == [("GET", "/")]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(b"", 503), "http_503"),
        (Reply(b"OK (not found)"), "unknown_check"),
        (Reply(reset=True), "unreachable"),
        (Reply(b"", 302, {"Location": "https://elsewhere.example/"}), "http_302"),
    ],
)
def test_what_does_not_take_a_ping_is_told_as_a_code_and_asked_once(
    watcher: HttpServer, reply: Reply, why: str
) -> None:
    watcher.answer = lambda _asked: reply
    missed: list[str] = []
    Heart(watcher.url, RID, missed.append).end(well=True, said="")
    assert missed == [why]
    assert len(watcher.log) == 1


def test_a_watcher_that_is_not_there_and_one_that_never_answers_end_a_run_all_the_same(
    watcher: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "_EACH", 0.05)
    missed: list[str] = []
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    absent = Heart(f"http://127.0.0.1:{port}/x", RID, missed.append)
    absent.begin()
    absent.end(well=True, said="")
    assert missed == ["unreachable", "unreachable"]

    held, missed[:] = threading.Event(), []

    def never(_asked: Asked) -> Reply:
        held.wait(20)
        return Reply()

    watcher.answer = never
    silent = Heart(watcher.url, RID, missed.append)
    silent.begin()
    silent.end(well=True, said="")
    held.set()
    assert "timeout" in missed
    assert set(missed) == {"timeout"}


def test_no_proxy_carries_a_ping_of_this_machine_to_another(
    watcher: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda _asked: Reply()) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        Heart(watcher.url, RID).end(well=True, said="")
        assert proxy.log == []
    assert len(watcher.log) == 1


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://hc.example/x", "without encryption"),
        ("ftp://hc.example/x", "no"),
        ("hc.example/x", "not an address"),
        ("https:///x", "not an address"),
        ("https://hc.example:x/", "not an address"),
        ("https://hc.example/a b", "not an address"),
        ("https://u:p@hc.example/x", "login"),
        ("https://hc.example/x/fail", "ours to add"),
    ],
)
def test_an_address_that_cannot_be_pinged_is_told_without_repeating_it(url: str, why: str) -> None:
    found = fault(url)
    assert found is not None
    assert why in found[0]
    assert url not in " ".join(found)


@pytest.mark.parametrize("url", ["", " ", "https://hc.example/x", "http://localhost:8000/p/x"])
def test_a_usable_address_and_none_at_all_are_right(url: str) -> None:
    assert fault(url) is None
