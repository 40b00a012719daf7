"""Encrypted connections: whom we believe, how we prove who we are, and what is said otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from clinicrelay.http import Client, HttpOptions, Unwelcome, advice
from clinicrelay.http.private import is_private
from clinicrelay.http.trust import trusted_by
from clinicrelay.testing import Asked, Reply, serving

Make = Callable[..., Client]


def ok(_: Asked) -> Reply:
    return Reply({"ok": True})


def asks(client: Make, context: Any, **given: Any) -> int:
    with serving(ok, tls=context) as server:
        return client(server.url, **given).get("x").status


def fails(client: Make, context: Any, **given: Any) -> str:
    with pytest.raises(Unwelcome) as told:
        asks(client, context, **given)
    return f"{told.value} | {told.value.fix}"


def test_the_clinics_own_signer_is_believed(client: Make, authority: Any) -> None:
    context = authority.serving(authority.sign())
    assert asks(client, context, tls={"ca": authority.file}) == 200


def test_a_signer_in_the_systems_own_store_is_believed(
    client: Make, authority: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    assert asks(client, authority.serving(authority.sign())) == 200


def test_the_usual_signers_are_known_where_the_system_has_no_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    options = HttpOptions(base_url="https://ehr.example")
    assert len(trusted_by(options, options.base_url).get_ca_certs()) > 50


def test_an_unknown_signer_is_not_believed(client: Make, authority: Any) -> None:
    said = fails(client, authority.serving(authority.sign()))
    assert "signed by somebody we do not know" in said
    assert "tls.ca" in said


def test_a_server_that_signed_itself_works_with_its_certificate_and_not_without(
    client: Make, authority: Any
) -> None:
    own = authority.sign(by_itself=True)
    said = fails(client, authority.serving(own))
    assert "is signed by itself" in said
    assert "name that certificate in tls.ca" in said
    assert asks(client, authority.serving(own), tls={"ca": own.cert}) == 200


def test_an_expired_certificate_is_told_as_such(client: Make, authority: Any) -> None:
    context = authority.serving(authority.sign(days=-1))
    assert "has expired" in fails(client, context, tls={"ca": authority.file})


def test_a_certificate_of_tomorrow_is_told_as_such(client: Make, authority: Any) -> None:
    context = authority.serving(authority.sign(days=30))
    said = fails(client, context, tls={"ca": authority.file})
    assert "is not valid yet" in said
    assert "clocks" in said


@pytest.mark.parametrize("host", ["127.0.0.2", "ehr.example"])
def test_a_certificate_of_another_name_is_told_as_such(
    client: Make, authority: Any, host: str
) -> None:
    context = authority.serving(authority.sign(host=host))
    assert "is for another name" in fails(client, context, tls={"ca": authority.file})


def test_a_server_without_encryption_is_told_as_such(client: Make) -> None:
    with (
        serving(ok) as server,
        pytest.raises(Unwelcome, match="does not speak an encrypted language"),
    ):
        client(server.url.replace("http:", "https:")).get("x")


# --- our own certificate -----------------------------------------------------------------------


def test_our_own_certificate_is_shown_to_whoever_wants_it(client: Make, authority: Any) -> None:
    ours = authority.sign("clinic", password=b"open sesame")
    context = authority.serving(authority.sign(), clients=True)
    tls = {"ca": authority.file, "cert": ours.cert, "key": ours.key, "password": "open sesame"}
    assert asks(client, context, tls=tls) == 200


def test_a_server_that_wants_a_certificate_of_ours_says_so(client: Make, authority: Any) -> None:
    context = authority.serving(authority.sign(), clients=True)
    said = fails(client, context, tls={"ca": authority.file})
    assert "wants a certificate of ours" in said
    assert "tls.cert" in said


def test_a_certificate_of_ours_that_nobody_knows_there_is_told(
    client: Make, authority: Any, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    stranger = type(authority)(tmp_path / "other", "Another CA").sign("clinic")
    context = authority.serving(authority.sign(), clients=True)
    tls = {"ca": authority.file, "cert": stranger.cert, "key": stranger.key}
    assert "does not accept our certificate" in fails(client, context, tls=tls)


@pytest.mark.parametrize(
    ("tls", "what"),
    [
        ({"ca": "gone.pem"}, "tls.ca cannot be read"),
        ({"ca": "server.key"}, "tls.ca is no PEM file of this kind"),
        ({"cert": "gone.pem"}, "tls.cert cannot be read"),
        ({"cert": "server.pem", "key": "gone.key"}, "tls.key cannot be read"),
        ({"cert": "server.pem", "key": "locked.key"}, "tls.key does not open with tls.password"),
        (
            {"cert": "locked.pem", "key": "locked.key", "password": "wrong"},
            "tls.key does not open with tls.password",
        ),
        ({"cert": "locked.pem", "key": "server.key"}, "tls.key does not belong"),
        ({"cert": "server.key"}, "tls.cert is no PEM file of this kind"),
    ],
    ids=lambda one: one if isinstance(one, str) else "-".join(one),
)
def test_what_is_wrong_with_our_files_is_told_before_anybody_is_asked(
    client: Make, authority: Any, tmp_path: Path, tls: dict[str, str], what: str
) -> None:
    authority.sign("server")
    authority.sign("locked", password=b"open sesame")
    files = {k: v if k == "password" else tmp_path / v for k, v in tls.items()}
    with pytest.raises(Unwelcome) as told:
        client("https://127.0.0.1:9", tls=files).get("x")
    assert what in str(told.value)
    assert told.value.fix

    options = HttpOptions.model_validate({"base_url": "https://127.0.0.1:9", "tls": files})
    assert [(f.severity, what in f.message) for f in advice(options)] == [("error", True)]


def test_a_key_without_its_certificate_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(ValidationError, match="a key without its certificate"):
        HttpOptions.model_validate({"base_url": "https://a.example", "tls": {"key": "a.key"}})


# --- insecure ----------------------------------------------------------------------------------


def test_any_certificate_is_believed_of_a_private_host_if_settings_say_so(
    client: Make, authority: Any
) -> None:
    context = authority.serving(authority.sign(days=-1, by_itself=True))
    assert asks(client, context, tls={"insecure": True}) == 200


def test_of_a_public_host_no_certificate_is_believed_unseen(client: Make) -> None:
    with pytest.raises(Unwelcome, match=r"203\.0\.114\.7 is none") as told:
        client("https://203.0.114.7", tls={"insecure": True}).get("x")
    assert "tls.ca" in told.value.fix


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("127.0.0.1", True),
        ("10.1.2.3", True),
        ("192.168.0.9", True),
        ("172.31.0.1", True),
        ("172.32.0.1", False),
        ("100.100.1.1", True),
        ("::1", True),
        ("fd00::17", True),
        ("2606:4700::1", False),
        ("8.8.8.8", False),
        ("ehr", True),
        ("EHR.Local", True),
        ("ehr.riverside.internal", True),
        ("ehr.example", False),
        ("local.example", False),
        ("10.1.2.3.example", False),
    ],
)
def test_which_hosts_are_of_ones_own_network(host: str, private: bool) -> None:
    assert is_private(host) is private


def test_a_name_is_private_where_all_its_addresses_are(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"in.example": ["10.0.0.1"], "both.example": ["10.0.0.1", "8.8.8.8"]}

    def addresses(host: str, *_: Any, **__: Any) -> Any:
        return [(2, 1, 6, "", (one, 0)) for one in known[host]]

    monkeypatch.setattr("socket.getaddrinfo", addresses)
    assert is_private("in.example", resolve=True)
    assert not is_private("both.example", resolve=True)


def test_where_tokens_are_given_has_to_prove_who_it_is_all_the_same(
    client: Make, authority: Any
) -> None:
    context = authority.serving(authority.sign(host="localhost", by_itself=True))
    with serving(ok, tls=context) as tokens, serving(ok, tls=context) as server:
        auth = {**TOKEN_IN_CLEAR, "token_url": tokens.url.replace("127.0.0.1", "localhost")}
        with pytest.raises(Unwelcome, match=r"certificate of localhost:[0-9]+ is signed by itself"):
            client(server.url, tls={"insecure": True}, auth=auth).get("x")
        assert not tokens.log


# --- advice ------------------------------------------------------------------------------------

BEARER = {"type": "bearer", "token": "abcdef"}
TOKEN_IN_CLEAR = {
    "type": "oauth2",
    "token_url": "http://auth.example/token",
    "client_id": "a",
    "client_secret": "b",
}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"base_url": "https://ehr.example", "auth": BEARER}, []),
        ({"base_url": "http://127.0.0.1:8103", "auth": BEARER}, []),
        (
            {"base_url": "http://10.0.0.7", "auth": BEARER},
            [("warning", "credentials and patients'")],
        ),
        ({"base_url": "HTTP://ehr.example"}, [("warning", "patients' data")]),
        (
            {"base_url": "https://ehr.lan", "tls": {"insecure": True}},
            [("warning", "any certificate is believed of ehr.lan")],
        ),
        (
            {"base_url": "https://ehr.example", "tls": {"insecure": True}},
            [("warning", "is refused if it is none")],
        ),
        (
            {"base_url": "https://ehr.example", "auth": TOKEN_IN_CLEAR},
            [("error", "the token address of auth.example is not encrypted")],
        ),
        (
            {
                "base_url": "https://ehr.example",
                "auth": {"type": "smart_backend", "client_id": "a", "private_key": "nonsense"},
            },
            [("error", "auth.private_key is no key")],
        ),
    ],
    ids=lambda one: None,
)
def test_what_is_unwise_is_told_before_anything_is_sent(
    given: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    told = list(advice(HttpOptions.model_validate(given)))
    assert [one.severity for one in told] == [severity for severity, _ in found]
    assert all(word in one.message for one, (_, word) in zip(told, found, strict=True))
    assert all(one.fix for one in told)
