"""SMART Backend Services: what is signed, where it goes, and what is said when it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from clinicrelay.auth.keys import KeyUnusable, new_key, public_jwk, read_key, thumbprint
from clinicrelay.http import Client, NoToken, Unwelcome
from clinicrelay.http.addresses import is_kin
from clinicrelay.testing import Reply

Make = Callable[..., Client]

EC, RSA = new_key("ec")[0].decode(), new_key("rsa")[0].decode()
SCOPE = ("Appointment", "Patient")


def smart(pem: str = EC, **more: Any) -> dict[str, Any]:
    return {"type": "smart_backend", "client_id": "us", "private_key": pem, **more}


def pem_of(private: Any, encryption: Any = None) -> str:
    made: bytes = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        encryption or serialization.NoEncryption(),
    )
    return made.decode()


# --- the statement -----------------------------------------------------------------------------


@pytest.mark.parametrize(("pem", "algorithm"), [(EC, "ES384"), (RSA, "RS384")], ids=["ec", "rsa"])
def test_a_signed_statement_buys_a_token(client: Make, town: Any, pem: str, algorithm: str) -> None:
    town.know(pem)
    assert client(smart(pem), scope=SCOPE).get("Slot").status == 200

    (claims,), (head,), (form,) = town.claims, town.heads, town.forms
    key = read_key(pem)
    assert head == {"alg": algorithm, "kid": thumbprint(public_jwk(key)), "typ": "JWT"}
    assert set(claims) == {"iss", "sub", "aud", "exp", "jti"}
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("us", "us", town.token_url)
    assert form["client_assertion_type"].endswith("client-assertion-type:jwt-bearer")
    assert "client_secret" not in form
    assert "client_id" not in form


def test_every_statement_is_new(client: Make, town: Any) -> None:
    town.know(EC)
    town.life = 1
    reading = client(smart())
    for _ in range(6):
        reading.get("Slot")
        town.clock.now += 2
    assert len(set(town.jtis)) == len(town.jtis) == len(town.given) == 6


@pytest.mark.parametrize("minutes", [-1, 0, 1])
def test_a_clock_may_be_a_minute_off_and_nobody_notices(
    client: Make, town: Any, minutes: int
) -> None:
    town.know(EC)
    town.ahead = timedelta(minutes=minutes)
    assert client(smart()).get("Slot").status == 200
    assert len(town.forms) == 1


@pytest.mark.parametrize("minutes", [-90, -7, 7, 90])
def test_a_clock_that_is_far_off_is_set_by_the_servers(
    client: Make, town: Any, minutes: int
) -> None:
    town.know(EC)
    town.ahead = timedelta(minutes=minutes)
    reading = client(smart())
    assert reading.get("Slot").status == 200
    assert len(town.forms) == 2
    town.clock.now += 300
    assert reading.get("Slot").status == 200
    assert len(town.forms) == 3


def test_a_refusal_that_is_not_the_clocks_fault_names_the_clock_all_the_same(
    client: Make, town: Any
) -> None:
    town.ahead = timedelta(minutes=7, seconds=30)
    with pytest.raises(NoToken, match="the clock of this machine is 7 min behind its clock"):
        client(smart()).get("Slot")
    assert len(town.forms) == 2


def test_a_key_that_is_not_registered_is_told_with_the_command_that_helps(
    client: Make, town: Any
) -> None:
    with pytest.raises(NoToken, match="does not have the public part of our key") as told:
        client(smart()).get("Slot")
    assert "clinicrelay keys jwks" in told.value.fix
    assert len(town.forms) == 1


def test_the_keys_name_and_the_audience_may_be_given(client: Make, town: Any) -> None:
    town.know(EC)
    town.keys["ours-2026"] = next(iter(town.keys.values()))
    assert client(smart(kid="ours-2026", audience=town.token_url)).get("x").status == 200
    assert town.heads[0]["kid"] == "ours-2026"

    with pytest.raises(NoToken):
        client(smart(audience="https://wrong.example")).get("x")
    assert town.claims[-1]["aud"] == "https://wrong.example"


# --- where, and for what -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capabilities", "scope"),
    [
        (["permission-v2"], "system/Appointment.rs system/Patient.rs"),
        (["permission-v1", "permission-v2"], "system/Appointment.rs system/Patient.rs"),
        (["permission-v1"], "system/Appointment.read system/Patient.read"),
        ([], "system/Appointment.read system/Patient.read"),
        (None, "system/Appointment.read system/Patient.read"),
    ],
)
def test_scopes_are_written_in_the_servers_style(
    client: Make, town: Any, capabilities: Any, scope: str
) -> None:
    town.know(EC)
    town.configuration["capabilities"] = capabilities
    client(smart(), scope=SCOPE).get("Slot")
    assert town.forms[0]["scope"] == scope


def test_scopes_of_the_settings_go_before(client: Make, town: Any) -> None:
    town.know(EC)
    client(smart(scope="system/*.read"), scope=SCOPE).get("Slot")
    assert town.forms[0]["scope"] == "system/*.read"


def test_nobody_is_asked_for_what_the_settings_say(client: Make, town: Any) -> None:
    town.know(EC)
    town.configuration = None
    client(smart(token_url=town.token_url, scope="system/*.rs")).get("Slot")
    assert [asked.path for asked in town.records.log] == ["/r4/Slot"]


def test_the_server_is_asked_once_in_a_run_and_without_credentials(client: Make, town: Any) -> None:
    town.know(EC)
    town.life = 1
    reading = client(smart(), scope=SCOPE)
    for _ in range(5):
        reading.get("Slot")
        town.clock.now += 2
    asked = [a for a in town.records.log if "well-known" in a.path]
    assert [a.path for a in asked] == ["/r4/.well-known/smart-configuration"]
    assert "authorization" not in asked[0].headers


def test_older_servers_say_it_in_their_capability_statement(client: Make, town: Any) -> None:
    town.know(EC)
    town.configuration = None
    uris = [
        {"url": "authorize", "valueUri": "https://auth.example/authorize"},
        {"url": "token", "valueUri": town.token_url},
    ]
    town.metadata = {
        "resourceType": "CapabilityStatement",
        "rest": [
            {
                "security": {
                    "extension": [
                        {"url": "http://other.example"},
                        {
                            "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                            "extension": uris,
                        },
                    ]
                }
            }
        ],
    }
    assert client(smart(), scope=SCOPE).get("Slot").status == 200
    assert town.forms[0]["scope"].endswith(".read")


@pytest.mark.parametrize("metadata", [None, {}, {"rest": "odd"}, {"rest": [{"security": []}]}])
def test_a_server_that_says_nowhere_is_told(client: Make, town: Any, metadata: Any) -> None:
    town.configuration, town.metadata = None, metadata
    with pytest.raises(NoToken, match="does not say where tokens are given") as told:
        client(smart()).get("Slot")
    assert "auth.token_url" in told.value.fix


@pytest.mark.parametrize("there", ["http://[", "//[x", "mailto:x", "http://a\x1b.example"])
def test_a_token_address_that_is_none_is_told(client: Make, town: Any, there: str) -> None:
    town.configuration["token_endpoint"] = there
    with pytest.raises(NoToken, match="does not say where tokens are given"):
        client(smart()).get("Slot")


@pytest.mark.parametrize("there", ["https://auth.example/token", "http://169.254.169.254/token"])
def test_a_token_address_of_another_domain_has_to_stand_in_the_settings(
    client: Make, town: Any, there: str
) -> None:
    town.configuration["token_endpoint"] = there
    with pytest.raises(NoToken, match="no host of its domain: nothing was sent there") as told:
        client(smart()).get("Slot")
    assert "auth.token_url" in told.value.fix


def test_a_token_address_that_is_not_encrypted_gets_nothing(client: Make, town: Any) -> None:
    with pytest.raises(Unwelcome, match=r"auth\.example is not encrypted"):
        client(smart(token_url="http://auth.example/token")).get("Slot")


@pytest.mark.parametrize(
    ("base", "there", "kin"),
    [
        ("https://fhir.ehr.example/r4", "https://fhir.ehr.example:8443/token", True),
        ("https://fhir.ehr.example/r4", "https://auth.ehr.example/token", True),
        ("https://fhir.ehr.example/r4", "https://login.auth.EHR.example./token", True),
        ("https://fhir.ehr.example/r4", "https://ehr.example/token", True),
        ("https://ehr.example/r4", "https://auth.ehr.example/token", True),
        ("https://ehr.example/r4", "https://auth.other.example/token", False),
        ("https://ehr.example/r4", "https://other.example/token", False),
        ("https://fhir.ehr.example/r4", "https://evil-ehr.example/token", False),
        ("https://fhir.ehr.example/r4", "https://ehr.example.evil.example/token", False),
        ("https://10.1.2.3/r4", "https://9.1.2.3/token", False),
        ("https://10.1.2.3/r4", "https://10.1.2.3:8443/token", True),
        ("https://ehr/r4", "https://db/token", False),
        ("https://[fd00::1]/r4", "https://[fd00::2]/token", False),
    ],
)
def test_hosts_of_one_domain_are_told_from_strangers(base: str, there: str, kin: bool) -> None:
    assert is_kin(base, there) is kin


def test_a_signature_that_the_server_does_not_take_is_told_before(client: Make, town: Any) -> None:
    town.configuration["token_endpoint_auth_signing_alg_values_supported"] = ["RS384"]
    with pytest.raises(NoToken, match="does not take signatures of our key's kind, ES384") as told:
        client(smart()).get("Slot")
    assert "RS384" in told.value.fix
    assert not town.forms


def test_a_server_in_trouble_is_asked_again_where_tokens_are_given(client: Make, town: Any) -> None:
    town.know(EC)
    usual, troubled = town.records.answer, iter([Reply(status=503)])
    town.records.answer = lambda asked: next(troubled, None) or usual(asked)
    assert client(smart(), scope=SCOPE).get("Slot").status == 200
    assert town.forms[0]["scope"] == "system/Appointment.rs system/Patient.rs"


# --- keys --------------------------------------------------------------------------------------


def test_a_thumbprint_is_that_of_the_standard() -> None:
    # RFC 7638 section 3.1
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_B"
        "JECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_F"
        "DW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4"
        "vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    jwk = {"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_public_key_holds_nothing_private(kind: Any) -> None:
    _, key = new_key(kind)
    shown = public_jwk(key)
    assert not {"d", "p", "q", "dp", "dq", "qi"} & set(shown)
    assert (shown["use"], shown["alg"], shown["kid"]) == ("sig", key.algorithm, key.kid)
    assert read_key(new_key(kind)[0].decode()).kid != key.kid


@pytest.mark.parametrize("pem", [EC, RSA], ids=["ec", "rsa"])
def test_a_key_is_the_same_as_pem_and_as_jwk(pem: str) -> None:
    from jwt.algorithms import ECAlgorithm, RSAAlgorithm

    key = read_key(pem)
    written = ECAlgorithm if key.algorithm == "ES384" else RSAAlgorithm
    jwk = written.to_jwk(key.private, as_dict=True)  # type: ignore[arg-type]
    other = new_key("ec")[1]
    both = {"keys": [public_jwk(other), {**jwk, "kid": "mine"}]}

    assert public_jwk(read_key(json.dumps(jwk))) == public_jwk(key)
    assert read_key(json.dumps(both)).kid == "mine"
    assert read_key(json.dumps(both), kid="named").kid == "named"
    assert read_key(pem.replace("\n", "\\n")).kid == key.kid


P256 = pem_of(ec.generate_private_key(ec.SECP256R1()))
BAD_KEYS = [
    ("", "is no key"),
    ("-----BEGIN PUBLIC KEY-----", "holds a public key"),
    (EC[:99] + "\n-----END PRIVATE KEY-----", "is a damaged PEM file"),
    ("{", "is a damaged JWK"),
    ("{}", "holds no private key"),
    ('{"kty": "EC", "crv": "P-384", "d": "x"}', "is a damaged JWK"),
    ('{"kty": "oct", "k": "eA", "d": "x"}', "is of a kind"),
    (pem_of(ed25519.Ed25519PrivateKey.generate()), "is of a kind"),
    (pem_of(ec.generate_private_key(ec.SECP521R1())), "is on a curve that servers do not take"),
    (P256, "is on the curve P-256"),
    (pem_of(rsa.generate_private_key(65537, 1024)), "has only 1024 bits"),
    (
        pem_of(
            ec.generate_private_key(ec.SECP384R1()), serialization.BestAvailableEncryption(b"x")
        ),
        "is protected by a password",
    ),
]


@pytest.mark.parametrize(("text", "what"), BAD_KEYS, ids=[what for _, what in BAD_KEYS])
def test_what_is_wrong_with_a_key_is_told_without_showing_it(text: str, what: str) -> None:
    with pytest.raises(KeyUnusable, match=what) as told:
        read_key(text)
    assert told.value.fix
    assert not [line for line in text.split("\n") if len(line) > 30 and line in str(told.value)]


def test_a_key_on_p256_signs_where_settings_say_so(client: Make, town: Any) -> None:
    town.keys[read_key(P256, algorithm="ES256").kid] = public_jwk(read_key(P256, algorithm="ES256"))
    town.configuration["token_endpoint_auth_signing_alg_values_supported"] = None
    assert client(smart(P256, algorithm="ES256")).get("x").status == 200
    assert town.heads[0]["alg"] == "ES256"


def test_a_key_cannot_sign_as_another_kind_does(client: Make) -> None:
    with pytest.raises(Unwelcome, match=r"auth\.private_key cannot sign RS384") as told:
        client(smart(EC, algorithm="RS384")).get("x")
    assert "ES384" in told.value.fix


def test_a_statement_is_good_for_less_than_five_minutes(client: Make, town: Any) -> None:
    town.know(EC)
    before = datetime.now(UTC).timestamp()
    client(smart()).get("Slot")
    assert before < town.claims[0]["exp"] <= datetime.now(UTC).timestamp() + 240
