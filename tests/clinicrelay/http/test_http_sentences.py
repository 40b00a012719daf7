"""Each way in which a server can fail us is told in a sentence of its own, over real sockets."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from posixpath import normpath
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clinicrelay.errors import Refused, TryLater
from clinicrelay.http import Client, Foreign, NotAnswered, Unwelcome
from clinicrelay.http.addresses import is_under
from clinicrelay.testing import Asked, Reply, serving

Make = Callable[..., Client]

# status | a word of the sentence | a word of the remedy
ANSWERS = [
    (400, "finds our request wrong", "params"),
    (401, "wants credentials, and there are none", "under auth"),
    (403, "does not let us read this", "let our account read GET /r4/Slot"),
    (404, "has nothing there", "base_url"),
    (405, "does not allow this kind", "base_url"),
    (406, "cannot answer in the form", "JSON"),
    (407, "the proxy wants a login", "proxy"),
    (410, "is gone", "manual"),
    (418, "answered 418", "manual"),
    (422, "understands our request and refuses", "params"),
]


@pytest.mark.parametrize(("status", "what", "fix"), ANSWERS)
def test_an_answer_that_no_other_try_would_better_is_told_at_once(
    client: Make, waits: Any, status: int, what: str, fix: str
) -> None:
    with serving(lambda _: Reply(status=status)) as server:
        with pytest.raises(Unwelcome) as told:
            client(f"{server.url}/r4").get("Slot?name=Quenby")

        assert len(server.log) == 1
    assert what in str(told.value)
    assert fix in told.value.fix
    assert f"({status} to GET /r4/Slot)" in str(told.value)
    assert told.value.status == status
    assert "Quenby" not in str(told.value)
    assert not waits.slept


def test_all_sentences_differ() -> None:
    assert len({what for _, what, _ in ANSWERS}) == len(ANSWERS)


@pytest.mark.parametrize(
    ("auth", "what"),
    [
        ({"type": "none"}, "wants credentials, and there are none"),
        ({"type": "bearer", "token": "abcdef"}, "does not accept our credentials"),
    ],
    ids=["none", "bearer"],
)
def test_a_401_is_told_by_what_we_had_to_show(
    client: Make, auth: dict[str, str], what: str
) -> None:
    with serving(lambda _: Reply(status=401)) as server, pytest.raises(Refused, match=what):
        client(server.url, auth=auth).get("x")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_trouble_of_the_servers_own_is_waited_for_five_times(
    client: Make, waits: Any, status: int
) -> None:
    with serving(lambda _: Reply(status=status)) as server:
        with pytest.raises(NotAnswered) as told:
            client(f"{server.url}/r4").get("Slot")

        assert len(server.log) == 6
    assert f"{status}" in str(told.value)
    assert len(waits.slept) == 5
    assert waits.slept[-1] > waits.slept[0]


def test_trouble_that_passes_is_never_told(client: Make) -> None:
    answers = iter([Reply(status=503), Reply(drop=True, body=b"{}{}"), Reply({"ok": True})])
    with serving(lambda _: next(answers)) as server:
        assert client(server.url).get("x").status == 200


# --- no answer ---------------------------------------------------------------------------------


def test_nobody_listens(client: Make, closed_port: str) -> None:
    with pytest.raises(NotAnswered, match="cannot be reached: nothing listens there"):
        client(closed_port).get("x")


def test_nobody_knows_the_name(client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(NotAnswered, match="nobody knows this name"):
        client("http://ehr.example").get("x")


def test_names_cannot_be_looked_up_now(client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(NotAnswered, match="names cannot be looked up now"):
        client("http://ehr.example").get("x")


def test_the_connection_is_dropped_before_an_answer(client: Make, raw: Any) -> None:
    with (
        raw(lambda connection: connection.recv(9999)) as url,
        pytest.raises(NotAnswered, match="broke the connection off"),
    ):
        client(url).get("x")


def test_the_connection_is_dropped_in_the_middle_of_an_answer(client: Make) -> None:
    with (
        serving(lambda _: Reply({"much": "x" * 999}, drop=True)) as server,
        pytest.raises(NotAnswered, match="broke its answer off"),
    ):
        client(server.url).get("x")


def test_something_else_than_http_answers(client: Make, raw: Any) -> None:
    def ssh(connection: socket.socket) -> None:
        connection.recv(9999)
        connection.sendall(b"SSH-2.0-Server\r\n\r\n")

    with raw(ssh) as url, pytest.raises(NotAnswered, match="does not speak HTTP"):
        client(url).get("x")


def test_no_answer_within_the_time_that_settings_allow(client: Make, raw: Any) -> None:
    with (
        raw(lambda connection: connection.recv(9999) and connection.recv(1)) as url,
        pytest.raises(NotAnswered, match=r"does not answer within 0\.05 s"),
    ):
        client(url, timeout=timedelta(milliseconds=50)).get("x")


def test_a_connection_that_died_while_nobody_used_it_is_opened_again(
    client: Make, raw: Any, waits: Any
) -> None:
    # Keep-alive is promised, and the connection closed right after the answer.
    def forgetful(connection: socket.socket) -> None:
        connection.recv(9999)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with raw(forgetful) as url:
        one = client(url)
        assert [one.get("x").content for _ in range(3)] == [b"{}"] * 3


# --- answers that are too much ---------------------------------------------------------------


def test_an_answer_that_drips_is_given_up(client: Make, raw: Any) -> None:
    hours = iter(range(0, 999_999, 61))  # each look at the clock is a minute later

    heard = threading.Event()

    def dripping(connection: socket.socket) -> None:
        connection.recv(9999)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
        while connection.send(b"x"):
            heard.wait(0.001)

    with raw(dripping) as url, pytest.raises(NotAnswered, match="takes too long to finish"):
        client(url, clock=lambda: next(hours)).get("x")


def test_an_answer_whose_first_lines_drip_is_given_up_too_and_not_asked_for_again(
    client: Make, raw: Any, waits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clinicrelay.http.client._WHOLE", 0.1)
    heard = threading.Event()

    def dripping(connection: socket.socket) -> None:
        connection.recv(9999)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while connection.send(b"x"):
            heard.wait(0.001)

    with raw(dripping) as url, pytest.raises(NotAnswered, match="takes too long to finish"):
        client(url, timeout=timedelta(milliseconds=25)).get("x")
    assert not waits.slept


def test_an_endless_answer_is_cut_off(client: Make, raw: Any) -> None:
    def flood(connection: socket.socket) -> None:
        connection.recv(9999)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(bytes(1 << 20))

    with raw(flood) as url, pytest.raises(Unwelcome, match="more than 64 MB") as told:
        client(url).get("x")
    assert "smaller pages" in told.value.fix


# --- links and redirects ---------------------------------------------------------------------


def test_a_redirect_on_the_same_host_is_followed_three_times(client: Make) -> None:
    def answer(asked: Asked) -> Reply:
        at = int(asked.path.rpartition("/")[2])
        if at < 3:
            return Reply(status=302, headers={"Location": f"/r4/{at + 1}?page=%2B"})
        return Reply({"at": at})

    with serving(answer) as server:
        assert client(f"{server.url}/r4").get("0", {"q": "1"}).content == b'{"at": 3}'
        assert [asked.query for asked in server.log] == [(("q", "1"),), *[(("page", "+"),)] * 3]


def test_a_redirect_in_circles_is_told(client: Make) -> None:
    with serving(lambda a: Reply(status=307, headers={"Location": a.path})) as server:
        with pytest.raises(Unwelcome, match="round in circles"):
            client(server.url).get("x")
        assert len(server.log) == 4


def test_a_redirect_to_another_host_gets_nothing(client: Make) -> None:
    with serving(lambda _: Reply()) as trap:
        away = {"Location": f"{trap.url}/x?token=abc"}
        with (
            serving(lambda _: Reply(status=302, headers=away)) as server,
            pytest.raises(Foreign) as told,
        ):
            client(server.url, auth={"type": "bearer", "token": "abcdef"}).get("x")
        assert not trap.log
    assert trap.url.removeprefix("http://") in str(told.value)
    assert "abc" not in str(told.value)


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("http://other.example/Quenby?Canary", "to another host, other.example: nothing"),
        ("http://" + "quenby." * 20 + "example/x", "quenby.quenby.quenby.quenby.quenby.quen…:"),
        ("http://other.example%1b[31m/x", None),
        ("http://other.example\x1b[31m/x", None),
        ("http:///x", None),
    ],
    ids=["usual", "long", "quoted sign", "bare sign", "none"],
)
def test_of_a_link_elsewhere_only_a_short_and_harmless_host_is_told(
    client: Make, link: str, shown: str | None
) -> None:
    with pytest.raises(Unwelcome) as told:
        client("http://127.0.0.1:1").get(link)
    assert shown is None or shown in str(told.value)
    assert "Quenby" not in str(told.value)
    assert "\x1b" not in str(told.value)


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ("Slot?name=Quenby", "GET /r4/Slot"),
        ("Patient/quenby-canary", "GET /r4/Patient/…"),
        ("Patient/quenby%1bcanary", "GET /r4/Patient/…"),
        ("Appointment/_history", "GET /r4/Appointment/_history"),
        ("quenby%20canary", "GET /r4/…"),
        ("{}/r4/next/quenby-canary", "GET /r4/…"),
        ("?_getpages=quenby", "GET /r4/…"),
    ],
)
def test_sentences_name_what_was_asked_for_and_no_id_and_no_link(
    client: Make, asked: str, where: str
) -> None:
    with serving(lambda _: Reply(status=403)) as server, pytest.raises(Unwelcome) as told:
        client(f"{server.url}/r4").get(asked.format(server.url))
    assert f"(403 to {where})" in str(told.value)
    assert "uenby" not in f"{told.value} {told.value.fix}"


def test_where_a_redirect_led_is_not_told(client: Make) -> None:
    def answer(asked: Asked) -> Reply:
        away = Reply(status=302, headers={"Location": "/r4/Quenby%1bCanary"})
        return away if asked.path == "/r4/Slot" else Reply(status=403)

    with serving(answer) as server, pytest.raises(Unwelcome, match="403 to GET /r4/Slot"):
        client(f"{server.url}/r4").get("Slot")


def test_a_redirect_to_the_same_host_encrypted_is_told_as_it_is(client: Make) -> None:
    with (
        serving(lambda _: Reply(status=301, headers={"Location": "https://127.0.0.1/x"})) as server,
        pytest.raises(Foreign, match="elsewhere, to https://127") as told,
    ):
        client(server.url).get("x")
    assert "base_url" in told.value.fix


@pytest.mark.parametrize(
    "there",
    [
        "/login",
        "/r42/Slot",
        "/r4/../admin",
        "/r4/..;/admin",
        "/r4/..%5cadmin",
        "/r4/..\\admin",
        "/r4/%2e%2e/admin",
        "/r4/%252e%252e/admin",
        "/r4/%25252e%25252e/admin",
        "/r4/%2525252525252e%2525252525252e/admin",
        "/r4/%c0%ae%c0%ae/admin",
        "/r4/.%09./admin",
        "/r4/%2e%00%2e;x=1%2fadmin",
    ],
)
def test_a_redirect_out_of_the_base_address_is_not_followed(client: Make, there: str) -> None:
    with serving(lambda _: Reply(status=302, headers={"Location": there})) as server:
        with pytest.raises(Foreign, match="out of what lies under base_url") as told:
            client(f"{server.url}/r4").get("Slot")
        assert len(server.log) == 1
    assert "admin" not in str(told.value)


def careless(path: str) -> str:
    """Return where a server that decodes without end, and cuts off parameters, ends up."""
    while (less := unquote(path)) != path:
        path = less
    steps = [step.partition(";")[0] for step in path.replace("\\", "/").split("/")]
    return normpath("/" + "/".join(steps).lstrip("/"))


_layers = st.integers(0, 12)
_sign = st.tuples(st.sampled_from("./\\;ax%"), _layers).map(lambda one: quoted(*one))


def quoted(sign: str, times: int) -> str:
    """Quote one sign so many times over."""
    return sign if times == 0 else "%" + "25" * (times - 1) + f"{ord(sign):02x}"


@given(st.lists(_sign, max_size=12).map("".join))
@example("..;/admin")
@example("%5c..%5cadmin")
@example(quoted(".", 11) * 2 + "/admin")
def test_no_path_that_counts_as_ours_leads_out_by_whatever_reading(rest: str) -> None:
    path = f"/api/r4/{rest}"
    if is_under("/api/r4", path):
        there = careless(path)
        assert there == "/api/r4" or there.startswith("/api/r4/")


@pytest.mark.parametrize(
    "path", ["Slot", "Patient/12", "Patient/a.b..c", "$export;v=1", "50%25", "é"]
)
def test_usual_paths_count_as_ours(path: str) -> None:
    assert is_under("/api/r4", f"/api/r4/{path}")


@pytest.mark.parametrize(
    ("link", "told"),
    [
        ("https://127.0.0.1:7/x", "http://127.0.0.1:7 leads to another host, https://127.0.0.1:7:"),
        ("http://127.0.0.1:8/x", "http://127.0.0.1:7 leads to another host, http://127.0.0.1:8:"),
    ],
)
def test_what_differs_from_our_host_is_said(client: Make, link: str, told: str) -> None:
    with pytest.raises(Foreign, match=re.escape(told)):
        client("http://127.0.0.1:7").resolve(link)


def test_a_search_that_is_redirected_is_not_sent_again(client: Make) -> None:
    with serving(lambda _: Reply(status=302, headers={"Location": "/y"})) as server:
        with pytest.raises(Unwelcome, match="sends us elsewhere"):
            client(server.url).ask("POST", "x", form={"a": "b"})
        assert len(server.log) == 1


@pytest.mark.parametrize(
    "link",
    [
        "http://other.example/r4/Slot?page=2",
        "https://127.0.0.1/r4/Slot",
        "//other.example/r4",
        "http://127.0.0.1:1/r4/Slot",
        "http://127.0.0.1.other.example/Slot",
    ],
)
def test_a_link_to_another_host_gets_nothing(client: Make, link: str) -> None:
    with serving(lambda _: Reply()) as server:
        with suppress(Foreign):
            client(f"{server.url}/r4").get(link)
        # `//other.example/r4` counts as a path: whatever it means, it stays on this host.
        assert all(asked.path.startswith("/r4") for asked in server.log)


def test_credentials_in_a_link_are_not_used(client: Make) -> None:
    with serving(lambda _: Reply({})) as server:
        there = server.url.replace("http://", "http://somebody:else@")
        client(server.url).get(f"{there}/x")
        assert "authorization" not in server.log[0].headers


def test_what_is_no_address_is_told(client: Make) -> None:
    with pytest.raises(Unwelcome, match="no address"):
        client("http://127.0.0.1:9").get("http://[::1/x")


# --- what is sent ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"date": ["ge2026-03-01T00:00:00+02:00", "lt2026-04-01"], "all": True, "q": "a b&c"},
        [
            ("date", "ge2026-03-01T00:00:00+02:00"),
            ("date", "lt2026-04-01"),
            ("all", True),
            ("q", "a b&c"),
        ],
    ],
    ids=["mapping", "pairs"],
)
def test_parameters_arrive_as_they_were_meant(client: Make, params: Any, raw: Any) -> None:
    seen: list[bytes] = []

    def listen(connection: socket.socket) -> None:
        seen.append(connection.recv(9999))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with raw(listen) as url:
        client(url).get("Slot?_sort=x+y%2f", params)
    line = seen[0].split(b"\r\n")[0].decode()
    assert line == (
        "GET /Slot?_sort=x+y%2f&date=ge2026-03-01T00%3A00%3A00%2B02%3A00&date=lt2026-04-01"
        "&all=true&q=a%20b%26c HTTP/1.1"
    )


def test_a_link_of_six_thousand_signs_is_followed(client: Make) -> None:
    with serving(lambda _: Reply({})) as server:
        client(f"{server.url}/r4").get("?_getpages=" + "x" * 6000)
        assert server.log[0].path == "/r4"
        assert server.log[0].one("_getpages") == "x" * 6000


def test_a_question_that_no_address_can_hold_is_told(client: Make) -> None:
    with pytest.raises(Unwelcome, match="too long for an address"):
        client("http://127.0.0.1:9").get("Slot", {"_id": ["x" * 36] * 3000})


def test_no_other_method_than_asked_for_is_ever_used(client: Make, tmp_path: Path) -> None:
    with serving(lambda _: Reply({})) as server:
        one = client(server.url)
        one.get("x")
        one.ask("POST", "x/_search", form={"a": "b"})
        assert [asked.method for asked in server.log] == ["GET", "POST"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD", "get"])
def test_a_source_is_never_written_to(client: Make, method: str) -> None:
    with serving(lambda _: Reply({})) as server:
        with pytest.raises(ValueError, match="only read"):
            client(server.url).ask(method, "x")
        assert not server.log


def test_an_answer_that_is_printed_shows_nothing_of_what_it_holds(client: Make) -> None:
    with serving(lambda _: Reply({"name": "Quenby"}, headers={"X-Name": "Quenby"})) as server:
        assert repr(client(server.url).get("x?name=Quenby")) == "Answer(status=200, where='GET /x')"


def test_errors_are_those_that_a_connector_may_raise() -> None:
    assert issubclass(NotAnswered, TryLater)
    assert issubclass(Unwelcome, Refused)
