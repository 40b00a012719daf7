"""Tokens bought with a secret: how they are asked for, kept, renewed, and refused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from clinicrelay.http import Client, HttpOptions, NotAnswered, NoToken, Unwelcome
from clinicrelay.testing import Reply, kit, serving

Make = Callable[..., Client]


def bare(status: int = 400) -> Reply:
    return Reply(b"", status=status)


def refusal(code: str, status: int = 400) -> Reply:
    return Reply({"error": code, "error_description": "Quenby Canary"}, status=status)


# --- asking ------------------------------------------------------------------------------------


@pytest.mark.parametrize("send", ["basic", "body"])
def test_a_secret_of_any_signs_buys_a_token(
    client: Make, town: Any, by_secret: dict[str, Any], send: str
) -> None:
    assert client({**by_secret, "send": send}).get("Slot").status == 200

    (form,) = town.forms
    assert form["grant_type"] == "client_credentials"
    assert form["scope"] == "system/Appointment.read"
    assert ("client_secret" in form) is (send == "body")
    assert town.records.log[0].headers["authorization"] == "Bearer token-1"


def test_neither_server_sees_what_is_for_the_other(
    client: Make, town: Any, by_secret: dict[str, Any]
) -> None:
    client(by_secret, options={"headers": {"X-Site": "12"}}).get("Slot")

    assert "x-site" not in town.tokens.log[0].headers
    assert "token-1" not in str(town.tokens.log)
    assert "Basic" not in str(town.records.log)
    assert [asked.method for asked in town.tokens.log] == ["POST"]


def test_a_redirected_token_request_goes_nowhere(
    client: Make, town: Any, by_secret: dict[str, Any]
) -> None:
    with serving(lambda _: Reply()) as trap:
        town.answers = [Reply(status=307, headers={"Location": trap.url})]
        with pytest.raises(NoToken, match="sends us elsewhere for a token"):
            client(by_secret).get("Slot")
        assert not trap.log


def test_no_secret_goes_unencrypted_to_a_public_host(
    client: Make, by_secret: dict[str, Any]
) -> None:
    by_secret["token_url"] = "http://auth.example/token"
    with pytest.raises(Unwelcome, match="is not encrypted: nothing was sent there"):
        client(by_secret).get("Slot")


# --- keeping and renewing ------------------------------------------------------------------------


def test_one_token_serves_a_run(client: Make, town: Any, by_secret: dict[str, Any]) -> None:
    reading = client(by_secret)
    for _ in range(20):
        reading.get("Slot")
    assert len(town.given) == 1


@pytest.mark.parametrize(
    ("life", "fresh_for"), [(600, 540), (300, 240), (100, 80), (10, 8), ("300", 240)]
)
def test_a_token_is_renewed_before_its_end(
    client: Make, town: Any, by_secret: dict[str, Any], life: Any, fresh_for: int
) -> None:
    town.life = life
    reading = client(by_secret)
    reading.get("Slot")
    town.clock.now += fresh_for - 1
    reading.get("Slot")
    assert len(town.given) == 1
    town.clock.now += 2
    reading.get("Slot")
    assert len(town.given) == 2
    assert all(asked.headers["authorization"] for asked in town.records.log)
    assert len(town.records.log) == 3  # and never a 401


def test_tokens_of_one_second_last_through_a_hundred_pages(
    client: Make, town: Any, by_secret: dict[str, Any]
) -> None:
    town.life = 1
    reading = client(by_secret)
    for _ in range(100):
        assert reading.get("Slot").status == 200
        town.clock.now += 0.05
    # Five seconds: a handful of tokens, and not one a page.
    assert 5 <= len(town.given) <= 8
    assert reading.asked == 100


@pytest.mark.parametrize("life", [None, 0, -5, "soon"])
def test_a_token_of_unknown_life_is_used_until_it_is_refused(
    client: Make, town: Any, by_secret: dict[str, Any], life: Any
) -> None:
    town.life = life
    reading = client(by_secret)
    for _ in range(5):
        reading.get("Slot")
        town.clock.now += 10_000
    assert len(town.given) == 1
    town.given.clear()  # withdrawn
    assert reading.get("Slot").status == 200


def test_a_token_that_was_withdrawn_is_renewed_once_for_that_request(
    client: Make, town: Any, by_secret: dict[str, Any]
) -> None:
    reading = client(by_secret)
    for _ in range(4):
        reading.get("Slot")
        town.given = dict.fromkeys(town.given, 0.0)
    assert len(town.given) == 4
    assert [asked.path for asked in town.records.log] == ["/r4/Slot"] * 7


def test_a_second_401_is_believed(client: Make, town: Any, by_secret: dict[str, Any]) -> None:
    town.deaf = True
    with pytest.raises(Unwelcome, match="does not accept the tokens that we are given"):
        client(by_secret).get("Slot")
    assert len(town.given) == 2
    assert len(town.records.log) == 2


def test_where_401_may_pass_not_every_one_buys_a_token(
    client: Make, town: Any, by_secret: dict[str, Any]
) -> None:
    def answer(asked: Any) -> Reply:
        return Reply({}, status=401 if "Secret" in asked.path else 200)

    town.records.answer = answer
    reading = client(by_secret)
    for number in range(30):
        assert reading.get(f"Secret/{number}", passing=(401,)).status == 401
        assert reading.get(f"Slot/{number}").status == 200
    assert len(town.given) <= 3


def test_a_token_that_ran_out_is_renewed_also_where_401_may_pass(
    client: Make, town: Any, by_secret: dict[str, Any]
) -> None:
    reading = client(by_secret)
    reading.get("Slot")
    town.given = dict.fromkeys(town.given, 0.0)
    assert reading.get("Slot", passing=(401,)).status == 200


def test_threads_share_one_token(client: Make, town: Any, by_secret: dict[str, Any]) -> None:
    reading = client(by_secret)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: reading.get("Slot").status, range(24)))
        assert len(town.given) == 1
        town.given = dict.fromkeys(town.given, 0.0)
        answers += pool.map(lambda _: reading.get("Slot").status, range(24))
    assert set(answers) == {200}
    assert len(town.given) == 2


# --- being refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "what", "fix"),
    [
        (refusal("invalid_client", 401), "does not know our client_id", "auth.client_secret"),
        (refusal("invalid_scope"), "what auth.scope asks for: system/App", "register these scopes"),
        (refusal("unauthorized_client"), "does not let it have tokens this way", "grant"),
        (refusal("unsupported_grant_type"), "gives no tokens to programs", "auth.type"),
        (refusal("invalid_request"), "does not understand our request", "manual"),
        (refusal("access_denied", 403), "does not let this client_id", "active"),
        (refusal("invalid_grant"), "does not accept what we ask with", "withdrawn"),
        (bare(400), "says not why (400)", "everything under auth"),
        (bare(404), "gives no tokens at this address", "auth.token_url"),
        (Reply(b"<html>", headers={"Content-Type": "text/html"}), "answered with text/html", "url"),
        (Reply({"token": "x"}), "answered with something else", "auth.token_url"),
        (Reply({"access_token": "a\nb"}), "answered with something else", "auth.token_url"),
        (Reply({"access_token": "a", "token_type": "mac"}), "something else", "auth.token_url"),
        (refusal("odd_one"), "says not why (400)", "everything under auth"),
        (refusal("Quenby Canary"), "says not why (400)", "everything under auth"),
    ],
    ids=lambda _: None,
)
def test_each_refusal_has_a_sentence_of_its_own(
    client: Make, town: Any, by_secret: dict[str, Any], answer: Reply, what: str, fix: str
) -> None:
    town.answers = [answer]
    with pytest.raises(NoToken) as told:
        client(by_secret).get("Slot")
    assert what in str(told.value)
    assert fix in told.value.fix
    assert "Quenby" not in str(told.value)
    assert not town.records.log
    assert len(town.forms) == 1


def test_a_server_that_wants_a_scope_says_so(
    client: Make, town: Any, by_secret: dict[str, Any]
) -> None:
    town.answers = [refusal("invalid_scope")]
    with pytest.raises(NoToken, match="wants to know what we ask to read"):
        client({**by_secret, "scope": None}).get("Slot")


def test_what_was_refused_is_not_asked_for_again_in_a_run(
    client: Make, town: Any, by_secret: dict[str, Any]
) -> None:
    reading = client({**by_secret, "client_secret": "wrong"})
    for _ in range(5):
        with pytest.raises(NoToken, match="invalid_client"):
            reading.get("Slot")
    assert len(town.forms) == 1


def test_a_renewal_that_is_refused_without_a_reason_is_tried_twice_more(
    client: Make, town: Any, by_secret: dict[str, Any]
) -> None:
    reading = client(by_secret)
    reading.get("Slot")
    town.clock.now += 300
    town.answers = [bare(), bare()]
    assert reading.get("Slot").status == 200

    town.clock.now += 300
    town.answers = [bare(), bare(), bare()]
    with pytest.raises(NoToken, match="says not why"):
        reading.get("Slot")


@pytest.mark.parametrize(
    "trouble",
    [bare(503), bare(429), refusal("temporarily_unavailable"), Reply({"access": 1}, drop=True)],
    ids=["503", "429", "code", "dropped"],
)
def test_trouble_where_tokens_are_given_is_waited_for(
    client: Make, town: Any, by_secret: dict[str, Any], trouble: Reply
) -> None:
    town.answers = [trouble, trouble]
    assert client(by_secret).get("Slot").status == 200

    town.answers = [trouble] * 99
    with pytest.raises(NotAnswered) as told:
        client(by_secret).get("Slot")
    assert town.tokens.url.removeprefix("http://") in str(told.value)


def test_a_secret_that_was_changed_meanwhile_is_read_again(
    client: Make, town: Any, by_secret: dict[str, Any], tmp_path: Path
) -> None:
    fresh = HttpOptions.model_validate({"base_url": town.records.url, "auth": by_secret})
    reading = client(
        {**by_secret, "client_secret": "old"}, kit=kit(tmp_path, fresh_options=lambda: fresh)
    )
    assert reading.get("Slot").status == 200


def test_a_clock_that_is_far_off_is_told_with_the_refusal(
    client: Make, town: Any, by_secret: dict[str, Any]
) -> None:
    town.ahead = timedelta(minutes=-7)
    with pytest.raises(NoToken, match=r"the clock of this machine is [67] min ahead of its clock"):
        client({**by_secret, "client_secret": "wrong"}).get("Slot")


# --- answers that are no good ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "life",
    ["9" * 400, 10**400, "1e999", "nan", -5, 1e-9, [], {}],
    ids=["digits", "number", "endless", "nan", "negative", "tiny", "list", "object"],
)
def test_a_life_that_is_no_number_of_seconds_is_as_good_as_none(
    client: Make, town: Any, by_secret: dict[str, Any], life: Any
) -> None:
    town.given["token-1"] = town.clock.now + 10**9
    town.answers = [Reply({"access_token": "token-1", "expires_in": life})]
    reading = client(by_secret)
    assert [reading.get("Slot").status for _ in range(2)] == [200, 200]
    assert len(town.forms) == 1


@pytest.mark.parametrize("kind", [None, "BEARER", "bearer", ""])
def test_a_token_whose_kind_is_written_otherwise_is_one(
    client: Make, town: Any, by_secret: dict[str, Any], kind: str | None
) -> None:
    town.given["token-1"] = town.clock.now + 10**9
    town.answers = [Reply({"access_token": "token-1", "token_type": kind})]
    assert client(by_secret).get("Slot").status == 200


@pytest.mark.parametrize("which", ["deep", "other letters", "no clock"])
def test_an_answer_that_cannot_be_read_is_no_token_and_no_crash(
    client: Make, town: Any, by_secret: dict[str, Any], which: str
) -> None:
    late = {"Date": "Fri, 31 Dec 9999 23:59:59 -1400"}
    town.answers = [
        {
            "deep": Reply(b'{"a":' * 100_000),
            "other letters": Reply('{"access_token": "Renée"}'.encode("latin-1")),
            "no clock": Reply({"error": "invalid_client"}, status=401, headers=late),
        }[which]
    ]
    with pytest.raises(NoToken):
        client(by_secret).get("Slot")


@pytest.mark.parametrize("code", ["quenby_canary_1974", "quenby.canary", "555-0100", "x" * 60])
def test_a_code_that_no_standard_knows_is_not_repeated(
    client: Make, town: Any, by_secret: dict[str, Any], code: str
) -> None:
    town.answers = [refusal(code)]
    with pytest.raises(NoToken, match=r"\(400\)") as told:
        client(by_secret).get("Slot")
    assert code not in f"{told.value} {told.value.fix}"


def test_of_what_came_instead_of_a_token_only_a_known_kind_is_told(
    client: Make, town: Any, by_secret: dict[str, Any]
) -> None:
    town.answers = [Reply(b"x", headers={"Content-Type": "quenby/canary"})]
    with pytest.raises(NoToken, match="answered with something unknown instead") as told:
        client(by_secret).get("Slot")
    assert "quenby" not in str(told.value)
