"""The pages of `clinicrelay run` for monitoring: what they answer, and whom they send away."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from clinicrelay.errors import SettingsError
from clinicrelay.settings.monitoring import Place
from commands._run import endpoints
from commands._run.endpoints import Endpoints
from commands._run.servers import Servers, shown_at
from sync.runners.watch import Answer, Watch

WELL, ILL = Answer(True, {"alive": True}), Answer(False, {"healthy": False})


class Seen:
    """Answers as a service would."""

    def __init__(self) -> None:
        self.written = b"clinicrelay_up 1\n"

    def live(self) -> Answer:
        return WELL

    def ready(self) -> Answer:
        return WELL

    def healthy(self) -> Answer:
        return ILL

    def metrics(self) -> bytes:
        return self.written


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def place() -> Place:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Place(f"127.0.0.1:{probe.getsockname()[1]}")


@pytest.fixture
def pages(place: Place, seen: Seen) -> Iterator[Endpoints]:
    made = Endpoints(place, cast(Watch, seen))
    yield made
    made.close()


def ask(place: Place, path: str, method: str = "GET") -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection(place.host, place.port, timeout=20)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


@pytest.mark.usefixtures("pages")
def test_what_is_not_well_is_answered_with_503_and_says_why(place: Place) -> None:
    assert ask(place, "/livez")[0].status == ask(place, "/readyz?verbose")[0].status == 200
    answer, body = ask(place, "/healthz")
    assert answer.status == 503
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert json.loads(body) == {"healthy": False}


@pytest.mark.usefixtures("pages")
def test_metrics_are_text(place: Place) -> None:
    answer, body = ask(place, "/metrics")
    assert (answer.status, body) == (200, b"clinicrelay_up 1\n")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")


@pytest.mark.usefixtures("pages")
def test_only_reading_is_allowed_and_other_pages_are_not_there(place: Place) -> None:
    answer, body = ask(place, "/livez", "HEAD")
    assert (answer.status, body) == (200, b"")
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer, _ = ask(place, "/livez", method)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    for path in ("/", "/livez/", "/../etc/passwd", "/%6civez"):
        answer, body = ask(place, path)
        assert (answer.status, body) == (404, b"404 Not Found\n")


@pytest.mark.usefixtures("pages")
def test_nothing_is_said_of_what_it_runs_on(place: Place) -> None:
    answer, _ = ask(place, "/livez")
    assert answer.headers["Server"].strip() == "clinicrelay"


@pytest.mark.usefixtures("pages")
def test_a_mistake_of_ours_is_answered_and_nothing_is_said_of_it(
    place: Place, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "healthy", lambda: 1 / 0)
    answer, body = ask(place, "/healthz")
    assert (answer.status, body) == (500, b"500 Internal Server Error\n")


def test_who_asks_slowly_or_too_often_is_sent_away(
    place: Place, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "_PATIENCE", 0.2)
    monkeypatch.setattr(endpoints, "_AT_ONCE", 3)
    pages = Endpoints(place, cast(Watch, seen))
    slow = [socket.create_connection((place.host, place.port), timeout=20) for _ in range(6)]
    try:
        for one in slow:
            one.sendall(b"GET /livez HTTP/1.1\r\n")  # and never the rest of it
        assert [one.recv(1) for one in slow] == [b""] * 6
        assert ask(place, "/livez")[0].status == 200
    finally:
        for one in slow:
            one.close()
        pages.close()


@pytest.mark.usefixtures("pages")
def test_a_request_of_any_length_is_cut_off(place: Place) -> None:
    with socket.create_connection((place.host, place.port), timeout=20) as connection:
        connection.sendall(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n")
        assert b" 414 " in connection.recv(100)


def test_it_listens_where_an_address_has_colons(seen: Seen) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
        port = int(probe.getsockname()[1])
    there = Place(f"[::1]:{port}")
    pages = Endpoints(there, cast(Watch, seen))
    try:
        assert ask(there, "/livez")[0].status == 200
    finally:
        pages.close()


@pytest.mark.usefixtures("pages")
def test_an_address_that_is_taken_names_the_setting(place: Place, seen: Seen) -> None:
    with pytest.raises(SettingsError) as caught:
        Endpoints(place, cast(Watch, seen), file="clinic.yaml")
    (finding,) = caught.value.findings
    assert (finding.path, finding.file) == ("monitoring.metrics", "clinic.yaml")
    assert str(place) in finding.message


# --- which address shows whom ----------------------------------------------------------------------


def clinic(name: str, place: Place | None) -> Any:
    return SimpleNamespace(
        clinic=SimpleNamespace(id=name), monitoring=SimpleNamespace(metrics=place)
    )


A, B = Place("127.0.0.1:9464"), Place("127.0.0.1:9465")


def test_an_address_that_is_alone_shows_all_clinics() -> None:
    assert shown_at([clinic("one", A), clinic("two", None)]) == {A: {"one", "two"}}


def test_of_several_addresses_each_shows_those_who_name_it() -> None:
    clinics = [clinic("one", A), clinic("two", B), clinic("three", B), clinic("four", None)]
    assert shown_at(clinics) == {A: {"one"}, B: {"two", "three"}}


def test_an_address_that_nobody_names_any_more_is_free_again(place: Place) -> None:
    service: Any = SimpleNamespace(units={})
    servers = Servers(service)
    assert servers.follow({Path("one.yaml"): clinic("one", place)}) == []
    assert str(servers) == str(place)
    assert servers.follow({Path("one.yaml"): clinic("one", None)}) == []
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind((place.host, place.port))


def test_while_another_address_is_taken_the_one_before_goes_on(place: Place) -> None:
    service: Any = SimpleNamespace(units={})
    servers = Servers(service)
    file = Path("one.yaml")
    try:
        assert servers.follow({file: clinic("one", place)}) == []
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = Place(f"127.0.0.1:{other.getsockname()[1]}")
            (wrong,) = servers.follow({file: clinic("one", taken)})
            assert wrong.file == "one.yaml"
            assert str(servers) == str(place)
            assert ask(place, "/nowhere")[0].status == 404
        assert servers.follow({file: clinic("one", taken)}) == []
        assert str(servers) == str(taken)
        with pytest.raises(OSError, match="refused"):
            ask(place, "/livez")
    finally:
        servers.close()
