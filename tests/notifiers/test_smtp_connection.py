"""One connection for many mails: kept, replaced, encrypted, and tried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay import Attempt, CannotTell, Outcome
from clinicrelay.testing import NOW, an_email
from clinicrelay.testing.kits import CANARY_EMAIL
from notifiers.smtp import Smtp
from notifiers.smtp.session import tls

if TYPE_CHECKING:
    from tests.notifiers.conftest import Authority, Peer

ATTEMPT = Attempt(an_email(), begun_at=NOW, at=NOW)
SENDER = "Riverside <noreply@riverside.example>"


# --- one connection for many -----------------------------------------------------------------------


def test_one_connection_serves_all_messages_and_ends_with_goodbye(
    peer: Callable[..., Peer], made: Callable[..., Smtp]
) -> None:
    server = peer()
    notifier = made(server)
    for number in range(5):
        assert notifier.send(an_email(id=f"cr{number}")).outcome is Outcome.ACCEPTED
    notifier.close()
    assert len(server.commands) == 1
    assert server.commands[0][-1] == "QUIT"
    assert [m.recipient for m in server.mails] == [CANARY_EMAIL] * 5


def test_a_connection_that_the_server_dropped_costs_and_doubles_nothing(
    peer: Callable[..., Peer], made: Callable[..., Smtp]
) -> None:
    server = peer()
    notifier = made(server)
    for number in range(4):
        assert notifier.send(an_email(id=f"cr{number}")).outcome is Outcome.ACCEPTED
        server.drop_idle()
    assert len(server.mails) == 4
    assert all(f"<cr{n}@".encode() in mail.content for n, mail in enumerate(server.mails))


@pytest.mark.parametrize(
    "script",
    [
        {"RSET": ["421 4.4.2 you slept too long"]},
        {"RSET": ["250 ok", "CUT"]},
        {"MAIL": [None, "421 4.7.0 too many messages in this connection"]},
        {"MAIL": [None, "452 4.7.0 too many messages in this connection"]},
        {"MAIL": [None, "CUT"]},
        {"RCPT": [None, "421 4.3.2 shutting down"]},
        {"DATA": [None, "CUT"]},
        {"body": [None, "CUT"]},
    ],
    ids=str,
)
def test_a_used_connection_that_fails_before_the_end_is_replaced_within_the_attempt(
    peer: Callable[..., Peer], made: Callable[..., Smtp], acts: Any, script: dict[str, list[str]]
) -> None:
    played = {k: [getattr(acts, str(a), a) for a in v] for k, v in script.items()}
    server = peer(script=played)
    notifier = made(server)
    results = [notifier.send(an_email(id=f"cr{n}")).outcome for n in range(3)]
    assert results == [Outcome.ACCEPTED] * 3
    assert len(server.mails) == 3
    assert len(server.commands) == 2


def test_an_answer_lost_on_a_used_connection_is_not_tried_again(
    peer: Callable[..., Peer], made: Callable[..., Smtp], acts: Any
) -> None:
    server = peer(script={"dot": [None, acts.TAKE_AND_CUT]})
    notifier = made(server)
    results = [notifier.send(an_email(id=f"cr{n}")).outcome for n in range(3)]
    assert results == [Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.ACCEPTED]
    assert len(server.mails) == 3


def test_a_refused_message_does_not_spoil_the_connection_for_the_next(
    peer: Callable[..., Peer], made: Callable[..., Smtp]
) -> None:
    server = peer(script={"RCPT": ["550 5.1.1 unknown"], "DATA": [None, "554 5.6.0 no"]})
    notifier = made(server)
    results = [notifier.send(an_email(id=f"cr{n}")).outcome for n in range(4)]
    assert results == [Outcome.REJECTED, Outcome.ACCEPTED, Outcome.REJECTED, Outcome.ACCEPTED]
    assert len(server.commands) == 1
    assert server.verbs.count("RSET") == 3


def test_nobody_can_be_asked_afterwards(
    peer: Callable[..., Peer], made: Callable[..., Smtp]
) -> None:
    assert made(peer()).lookup(ATTEMPT) == CannotTell(retry_after=None)


def test_a_rate_that_is_used_up_lets_the_others_wait_without_a_call(
    peer: Callable[..., Peer], made: Callable[..., Smtp]
) -> None:
    class Slow:
        def take(self, key: str, n: int = 1) -> timedelta:
            return timedelta(seconds=36)

    server = peer()
    notifier = made(server)
    notifier.kit = replace(notifier.kit, pace=Slow())
    result = notifier.send(an_email())
    assert (result.outcome, result.reason, result.pause) == (
        Outcome.NOT_SENT,
        "rate",
        timedelta(seconds=36),
    )
    assert not server.commands


# --- encryption ------------------------------------------------------------------------------------


def test_a_server_that_hides_starttls_gets_neither_password_nor_mail(
    peer: Callable[..., Peer],
    made: Callable[..., Smtp],
    logged_in: dict[str, Any],
) -> None:
    server = peer(offers=("AUTH PLAIN LOGIN",))
    result = made(server, **logged_in).send(an_email())
    assert (result.outcome, result.reason) == (Outcome.NOT_SENT, "tls_refused")
    assert server.verbs == ["EHLO"]


def test_what_was_offered_before_the_encryption_counts_for_nothing(
    peer: Callable[..., Peer],
    made: Callable[..., Smtp],
    secure: dict[str, Any],
    logged_in: dict[str, Any],
) -> None:
    server = peer(**secure)
    assert made(server, **logged_in).send(an_email()).outcome is Outcome.ACCEPTED
    assert server.verbs[:4] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]


def test_tls_from_the_first_byte(
    peer: Callable[..., Peer], made: Callable[..., Smtp], authority: Authority
) -> None:
    server = peer(tls=authority.context("127.0.0.1"), from_the_first_byte=True)
    notifier = made(server, security="tls", ca=str(authority.file))
    assert notifier.send(an_email()).outcome is Outcome.ACCEPTED
    assert not list(notifier.check())


def test_old_tls_is_not_spoken(authority: Authority) -> None:
    options = Smtp.Options.model_validate(
        {"host": "x.example", "from": SENDER, "ca": str(authority.file)}
    )
    context = tls(options)
    assert context.minimum_version.name == "TLSv1_2"
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"


DISTRUSTED: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "unknown signer": ("127.0.0.1", {}, {"ca": None}, "signed by nobody"),
    "another name": ("mail.other.example", {}, {}, "is not for that address"),
    "expired": ("127.0.0.1", {"ends_in": timedelta(days=-1)}, {}, "has expired"),
}


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("flaw", DISTRUSTED)
def test_a_certificate_that_proves_nothing_ends_it_and_is_explained(
    peer: Callable[..., Peer],
    made: Callable[..., Smtp],
    authority: Authority,
    logged_in: dict[str, Any],
    flaw: str,
    security: str,
) -> None:
    name, how, options, said = DISTRUSTED[flaw]
    server = peer(
        offers=("STARTTLS", "AUTH PLAIN"),
        tls=authority.context(name, **how),
        from_the_first_byte=security == "tls",
    )
    notifier = made(server, **{**logged_in, "security": security, **options})
    result = notifier.send(an_email())
    assert (result.outcome, result.reason) == (Outcome.NOT_SENT, "certificate_refused")
    assert said in result.detail
    (finding,) = notifier.check()
    assert (finding.severity, finding.code) == ("error", "certificate_refused")
    assert finding.fix
    assert not {"AUTH", "MAIL"} & set(server.verbs)


def test_tls_at_a_port_without_it_says_so(
    peer: Callable[..., Peer], made: Callable[..., Smtp]
) -> None:
    notifier = made(peer(), security="tls")
    (finding,) = notifier.check()
    assert finding.code == "tls_refused"
    assert "ask whoever runs" in finding.fix


# --- check -----------------------------------------------------------------------------------------


def test_a_check_goes_as_far_as_a_message_would_and_sends_none(
    peer: Callable[..., Peer],
    made: Callable[..., Smtp],
    secure: dict[str, Any],
    logged_in: dict[str, Any],
) -> None:
    server = peer(**secure)
    assert not list(made(server, **logged_in).check())
    assert server.verbs == ["EHLO", "STARTTLS", "EHLO", "AUTH", "NOOP", "QUIT"]


CHECKED = [
    ("connect", "CUT", "unreachable"),
    ("connect", "554 5.7.1 go away", "account_refused"),
    ("AUTH", "535 5.7.8 wrong", "credentials_refused"),
    ("AUTH", "HANG", "unreachable"),
    ("NOOP", "CUT", "unreachable"),
]


@pytest.mark.parametrize(("stage", "act", "code"), CHECKED)
def test_a_check_says_in_a_sentence_what_to_mend(
    peer: Callable[..., Peer],
    made: Callable[..., Smtp],
    acts: Any,
    secure: dict[str, Any],
    logged_in: dict[str, Any],
    stage: str,
    act: str,
    code: str,
) -> None:
    server = peer(script={stage: getattr(acts, act, act)}, **secure)
    notifier = made(server, **logged_in)
    (finding,) = notifier.check()
    assert (finding.severity, finding.code) == ("error", code)
    assert finding.message.endswith(".")
    assert finding.fix.endswith(".")
    assert logged_in["password"] not in repr(finding)


def test_a_server_that_is_not_there_is_told_from_one_that_refuses(
    peer: Callable[..., Peer], made: Callable[..., Smtp]
) -> None:
    server = peer()
    notifier = made(server)
    server.close()
    (finding,) = notifier.check()
    assert finding.message == "At connecting nobody answers at that port."
    assert "host and port" in finding.fix


def test_a_server_that_is_there_and_silent_may_be_encrypted_from_the_first_byte(
    peer: Callable[..., Peer], made: Callable[..., Smtp], authority: Authority
) -> None:
    server = peer(tls=authority.context("127.0.0.1"), from_the_first_byte=True)
    (finding,) = made(server, security="starttls").check()
    assert (finding.code, finding.message) == (
        "unreachable",
        "At connecting no answer came in time.",
    )
    assert "security: tls" in finding.fix


def test_encryption_that_is_not_there_for_now_is_waited_for(
    peer: Callable[..., Peer],
    made: Callable[..., Smtp],
    secure: dict[str, Any],
    logged_in: dict[str, Any],
) -> None:
    server = peer(script={"STARTTLS": "454 4.7.0 TLS not available"}, **secure)
    (finding,) = made(server, **logged_in).check()
    assert finding.code == "server_busy"
    assert finding.fix.startswith("Wait")


@pytest.mark.parametrize(
    ("port", "security", "severity", "fix"),
    [
        (465, "starttls", "error", "write security: tls"),
        (587, "tls", "warning", "write security: starttls, or port: 465"),
        (25, "tls", "warning", "write security: starttls, or port: 465"),
    ],
)
def test_a_port_known_for_another_way_of_encryption_is_told_of(
    made: Callable[..., Smtp], port: int, security: str, severity: str, fix: str
) -> None:
    (advice,) = made(port, security=security).advise()
    assert (advice.severity, advice.code, advice.fix) == (severity, "tls_refused", fix)


@pytest.mark.parametrize(("port", "security"), [(587, "starttls"), (465, "tls"), (2465, "tls")])
def test_a_usual_port_needs_no_advice(made: Callable[..., Smtp], port: int, security: str) -> None:
    assert not list(made(port, security=security).advise())


def test_a_certificate_about_to_end_is_a_warning(
    peer: Callable[..., Peer],
    made: Callable[..., Smtp],
    authority: Authority,
    logged_in: dict[str, Any],
) -> None:
    context = authority.context("127.0.0.1", ends_in=timedelta(days=5, hours=1))
    server = peer(offers=("STARTTLS", "AUTH PLAIN"), tls=context)
    (finding,) = made(server, **logged_in).check()
    assert (finding.severity, finding.code) == ("warning", "certificate_ends")
    assert "ends in 5 days" in finding.message


def test_an_unencrypted_way_is_a_warning_but_for_this_machine(made: Callable[..., Smtp]) -> None:
    away = made(25, host="smtp.riverside.example", username="u", password="p")
    (finding,) = away.advise()
    assert (finding.severity, finding.code) == ("warning", "unencrypted")
    assert "the password" in finding.message
    assert not list(made(2525).advise())


def test_a_signers_file_that_is_not_there_is_an_error(
    made: Callable[..., Smtp], tmp_path: Path
) -> None:
    notifier = made(2525, security="tls", ca=str(tmp_path / "gone.pem"))
    (advice,) = notifier.advise()
    assert (advice.severity, advice.fix) == ("error", "correct the path under ca")
    result = notifier.send(an_email())
    assert (result.outcome, result.reason) == (Outcome.NOT_SENT, "certificate_refused")


# --- where it leads ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "port", "outside"),
    [
        ("127.0.0.1", 2525, False),
        ("127.8.9.1", 1025, False),
        ("localhost", 2525, False),
        ("::1", 2525, False),
        ("[::1]", 2525, False),
        ("127.0.0.1", 25, True),
        ("localhost", 465, True),
        ("::1", 587, True),
        ("smtp.riverside.example", 2525, True),
        ("10.0.0.4", 2525, True),
        ("localhost.riverside.example", 2525, True),
    ],
)
def test_only_a_server_of_this_machine_that_passes_nothing_on_is_inside(
    made: Callable[..., Smtp], host: str, port: int, outside: bool
) -> None:
    assert made(port, host=host).outside is outside
