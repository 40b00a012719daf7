"""No secret and nothing of a query leaves by an error, a repr, a log line or another host."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from clinicrelay.errors import ClinicrelayError
from clinicrelay.http import Client, HttpOptions
from clinicrelay.testing import Asked, Reply, kit, serving

Make = Callable[..., Client]

SECRET = "canary7Secret+/=&x"
PATIENT = "Quenby"
KINDS: dict[str, dict[str, Any]] = {
    "basic": {"type": "basic", "username": SECRET, "password": SECRET},
    "bearer": {"type": "bearer", "token": SECRET},
    "header": {"type": "header", "name": "X-API-Key", "value": SECRET},
    "query": {"type": "query", "name": "api_key", "value": SECRET},
    "oauth2": {
        "type": "oauth2",
        "token_url": "http://127.0.0.1:1/token",
        "client_id": "us",
        "client_secret": SECRET,
    },
    "smart_backend": {"type": "smart_backend", "client_id": "us", "private_key": SECRET},
}


def leaks(*texts: object) -> list[str]:
    spellings = (SECRET, quote(SECRET, safe=""), "canary7", PATIENT)
    everything = "\n".join(str(text) for text in texts)
    return [spelling for spelling in spellings if spelling in everything]


def failing(asked: Asked) -> Reply:
    status = int(asked.path.rpartition("/")[2])
    return Reply({"echo": [asked.headers.get("authorization"), asked.query]}, status=status)


@pytest.mark.parametrize("kind", KINDS)
def test_no_error_and_no_log_line_holds_a_secret(
    client: Make, caplog: pytest.LogCaptureFixture, kind: str, closed_port: str
) -> None:
    for name in ("", "httpx", "httpcore", "httpcore.http11", "httpcore.connection"):
        caplog.set_level(logging.DEBUG, logger=name)
    told: list[str] = []

    def one(url: str, path: str) -> None:
        asking = client(url, auth=KINDS[kind], headers={"X-Site": SECRET})
        try:
            asking.get(f"{path}?name={PATIENT}", {"family": PATIENT})
        except ClinicrelayError as error:
            told.extend([str(error), repr(error), getattr(error, "fix", "")])
            told.extend(traceback.format_exception(error))
        told.extend([repr(asking), repr(asking.options), str(asking.options)])

    with serving(failing) as server:
        for status in (200, 400, 401, 403, 404, 429, 500):
            one(server.url, str(status))
        # Whoever turns the libraries up in the middle of a run sees nothing more.
        for name in ("httpx", "httpcore.http11", "httpcore.connection"):
            logging.getLogger(name).setLevel(logging.DEBUG)
        one(server.url, "200")
    one(closed_port, "x")
    one("https://127.0.0.1:1", "x")

    lines = [record.getMessage() for record in caplog.records]
    assert not leaks(*told, *lines, *(record.args for record in caplog.records))


def test_options_as_they_are_shown_hold_no_secret() -> None:
    options = HttpOptions.model_validate(
        {
            "base_url": "https://ehr.example",
            "headers": {"X-API-Key": SECRET},
            "proxy": f"http://us:{quote(SECRET, safe='')}@proxy.example:3128",
            "tls": {"cert": "a.pem", "password": SECRET},
        }
    )
    assert not leaks(repr(options), options)


@pytest.mark.parametrize(
    "wrong",
    [
        {"auth": {"type": "bearer", "token": SECRET + "\n"}},
        {"auth": {"type": "bearer", "token": f"{SECRET}\r\nX-Evil: 1"}},
        {"auth": {"type": "header", "name": "X-API-Key", "value": SECRET + "ü"}},
        {"auth": {"type": "header", "name": "X API", "value": SECRET}},
        {"headers": {"X-Site": SECRET + "\n"}},
        {"headers": {"X Site": SECRET}},
        {"base_url": f"https://us:{SECRET}@ehr.example"},
        {"base_url": f"https://ehr.example?key={SECRET}"},
        {"proxy": f"{SECRET}"},
    ],
    ids=lambda _: None,
)
def test_what_no_header_can_carry_is_refused_without_being_shown(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as told:
        HttpOptions.model_validate({"base_url": "https://ehr.example", **wrong})
    assert not leaks(str(told.value))


# --- each kind as it arrives -------------------------------------------------------------------


def arrived(client: Make, auth: dict[str, Any], path: str = "x") -> Asked:
    with serving(lambda _: Reply({})) as server:
        client(server.url, auth=auth).get(path)
    return server.log[0]


def test_a_key_as_name_without_a_password(client: Make) -> None:
    asked = arrived(client, {"type": "basic", "username": "key"})
    assert asked.headers["authorization"] == "Basic a2V5Og=="


def test_a_lasting_token(client: Make) -> None:
    asked = arrived(client, KINDS["bearer"])
    assert asked.headers["authorization"] == f"Bearer {SECRET}"


def test_a_key_in_a_header_of_its_own(client: Make) -> None:
    auth = {"type": "header", "name": "Authorization", "value": "ODFHIR a/b"}
    assert arrived(client, auth).headers["authorization"] == "ODFHIR a/b"


def test_a_key_in_the_address_leaves_the_rest_as_it_is(client: Make) -> None:
    asked = arrived(client, KINDS["query"], "x?sig=a%2Fb+c&api_key=old&sig=2")
    assert asked.query == (("sig", "a/b c"), ("sig", "2"), ("api_key", SECRET))


def test_no_credentials_are_none_at_all(client: Make) -> None:
    assert "authorization" not in arrived(client, {"type": "none"}).headers


# --- a secret that was renewed while we ran ------------------------------------------------------


def test_a_renewed_secret_is_read_again_after_a_401(client: Make, tmp_path: Path) -> None:
    def options(token: str) -> HttpOptions:
        auth = {"type": "bearer", "token": token}
        return HttpOptions.model_validate({"base_url": "http://elsewhere.example", "auth": auth})

    def answer(asked: Asked) -> Reply:
        return Reply({}, status=200 if asked.headers["authorization"] == "Bearer new" else 401)

    with serving(answer) as server:
        reading = kit(tmp_path, fresh_options=lambda: options("new"))
        asking = client(server.url, kit=reading, auth={"type": "bearer", "token": "old"})
        assert asking.get("x").status == 200
        # Who is asked does not change in the middle of a run, only how we say who we are.
        assert asking.get("y").status == 200
        assert [a.headers["authorization"] for a in server.log] == [
            "Bearer old",
            "Bearer new",
            "Bearer new",
        ]


def test_a_secret_that_is_the_same_is_not_sent_a_second_time(client: Make, tmp_path: Path) -> None:
    auth = {"type": "bearer", "token": "old"}
    with serving(lambda _: Reply(status=401)) as server:
        same = HttpOptions.model_validate({"base_url": server.url, "auth": auth})
        reading = kit(tmp_path, fresh_options=lambda: same)
        with pytest.raises(ClinicrelayError, match="does not accept our credentials"):
            client(server.url, kit=reading, auth=auth).get("x")
        assert len(server.log) == 1


# --- proxies -----------------------------------------------------------------------------------


def test_a_proxy_of_the_settings_is_used(client: Make) -> None:
    with serving(lambda _: Reply({})) as proxy:
        client("http://ehr.example", proxy=proxy.url).get("x")
        assert proxy.log[0].headers["host"] == "ehr.example"


def test_a_proxy_of_the_environment_is_used_but_for_the_hosts_it_excepts(
    client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda _: Reply({})) as proxy, serving(lambda _: Reply({})) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        client("http://ehr.example").get("x")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        client(server.url).get("y")
        assert [asked.headers["host"] for asked in proxy.log] == ["ehr.example"]
        assert len(server.log) == 1


@pytest.mark.parametrize(
    ("status", "what"),
    [
        (407, "the proxy wants a login"),
        (403, "the proxy does not let us through to ehr.example"),
        (502, "the proxy does not get through to ehr.example (502)"),
    ],
)
def test_a_proxy_that_refuses_is_told_as_such(client: Make, status: int, what: str) -> None:
    with serving(lambda _: Reply(status=status)) as proxy, pytest.raises(ClinicrelayError) as told:
        client("https://ehr.example", proxy=proxy.url).get("x")
    assert what in str(told.value)


def test_a_proxy_that_is_not_there_is_told_as_such(client: Make, closed_port: str) -> None:
    with pytest.raises(ClinicrelayError, match="by the proxy 127") as told:
        client("http://ehr.example", proxy=closed_port.replace("//", "//us:word@")).get("x")
    assert "word" not in str(told.value)
