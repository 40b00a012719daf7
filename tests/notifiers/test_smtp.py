"""E-mail by SMTP: what is known of each message, whatever the server does."""

from __future__ import annotations

import email
import email.policy
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from clinicrelay import Outcome
from clinicrelay.testing import Arrived, Fault, NotifierContract, ProviderContract, an_email, kit
from clinicrelay.testing.kits import CANARY_EMAIL, canaries_in
from notifiers.smtp import Smtp

if TYPE_CHECKING:
    from tests.notifiers.conftest import Authority, Peer

PASSWORD = "open-sesame-päss"
LATE = timedelta(seconds=1.2)  # a busy machine answers sooner
SENDER = "Riverside <noreply@riverside.example>"


def smtp(folder: Path, port: int, **options: Any) -> Smtp:
    fields = {"host": "127.0.0.1", "port": port, "security": "none", "from": SENDER, **options}
    return Smtp(Smtp.Options.model_validate(fields), kit(folder))


def read(content: bytes) -> EmailMessage:
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def seen(recipient: str, content: bytes) -> Arrived:
    mail = read(content)
    assert not mail.defects
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert mail["To"] == recipient
    shown = html.get_content() if html else None
    return Arrived(recipient, text.get_content(), mail["Subject"], shown)


# --- the contract ----------------------------------------------------------------------------------

TAKEN_LATE = {Fault.ANSWER_LOST: "TAKE_AND_CUT", Fault.ANSWER_LATE: "TAKE_AND_HANG"}


class Served:
    """Starts a server for each promise of the contract, and closes what was made for it."""

    answers_lookups = False
    repeats_are_harmless = False
    faults = frozenset(Fault) - {Fault.TROUBLE}  # a server that says no has not taken it
    secrets = (PASSWORD, "clinic-login")

    @pytest.fixture(autouse=True)
    def _server(self, request: pytest.FixtureRequest) -> Iterator[None]:
        self.made: list[Smtp] = []
        self.start(request)
        yield
        for one in self.made:
            one.close()
        self.stop()

    def start(self, request: pytest.FixtureRequest) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        pass

    def plugin(self) -> type[Smtp]:
        return Smtp

    def keep(self, notifier: Smtp) -> Smtp:
        self.made.append(notifier)
        return notifier

    def traces(self, folder: Path) -> Sequence[str]:
        """Of a mail others see the Message-ID, the borders, and what it says of its sender."""
        heads = [content.partition(b"\r\n\r\n")[0] for content in self.contents()]
        return [
            line
            for head in heads
            for line in head.decode().replace("\r\n ", " ").split("\r\n")
            if not line.startswith(("To:", "Subject:"))
        ]

    def contents(self) -> list[bytes]:
        raise NotImplementedError


class TestSmtpKeepsTheContract(Served, ProviderContract):
    """With a server of our own that fails on command, under TLS and with a login."""

    def start(self, request: pytest.FixtureRequest) -> None:
        self.authority: Authority = request.getfixturevalue("authority")
        self.acts: Any = request.getfixturevalue("acts")
        self.peer: Peer = request.getfixturevalue("peer")(
            offers=("STARTTLS", "AUTH PLAIN LOGIN", "SMTPUTF8"),
            tls=self.authority.context("127.0.0.1"),
        )

    def make(self, folder: Path) -> Smtp:
        return self.keep(
            smtp(
                folder,
                self.peer.port,
                security="starttls",
                ca=str(self.authority.file),
                username="clinic-login",
                password=PASSWORD,
                timeout=LATE,
                final_timeout=LATE,
            )
        )

    def contents(self) -> list[bytes]:
        return [mail.content for mail in self.peer.mails]

    def arrived(self, folder: Path) -> Sequence[Arrived]:
        return [seen(mail.recipient, mail.content) for mail in self.peer.mails]

    def break_destination(self, folder: Path) -> None:
        self.peer.close()

    def play(self, folder: Path, fault: Fault) -> None:
        act = self.acts
        self.peer.script = {
            Fault.REFUSED: {"RCPT": [f"550 5.1.1 <{CANARY_EMAIL}>: no such user"]},
            Fault.BUSY: {"RCPT": [f"451 4.7.1 <{CANARY_EMAIL}> greylisted"]},
            Fault.GONE: {"body": [act.CUT]},
            Fault.ANSWER_LOST: {"dot": [act.TAKE_AND_CUT]},
            Fault.ANSWER_MANGLED: {"dot": ["2, they say"]},
            Fault.ANSWER_LATE: {"dot": [act.TAKE_AND_HANG]},
            Fault.LOCKED_OUT: {"AUTH": [f"535 5.7.8 not with {PASSWORD}"]},
        }[fault]


class TestSmtpWithAnotherServer(Served, NotifierContract):
    """With aiosmtpd, which others wrote: STARTTLS first, then a login."""

    def start(self, request: pytest.FixtureRequest) -> None:
        self.authority: Authority = request.getfixturevalue("authority")
        self.envelopes: list[Any] = []
        context = self.authority.context("127.0.0.1")

        class Strict(Controller):
            def factory(self) -> SMTP:
                return SMTP(
                    self.handler,
                    tls_context=context,
                    require_starttls=True,
                    auth_required=True,
                    authenticator=_knows,
                    enable_SMTPUTF8=True,
                    loop=self.loop,
                )

        self.controller = Strict(self, hostname="127.0.0.1", port=_free_port())
        self.controller.start()

    async def handle_DATA(  # noqa: N802 - aiosmtpd calls it so
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        assert session.ssl is not None
        self.envelopes.append(envelope)
        return "250 2.0.0 OK"

    def stop(self) -> None:
        if self.controller.server is not None:
            self.controller.stop()

    def make(self, folder: Path) -> Smtp:
        port = self.controller.server.sockets[0].getsockname()[1] if self.controller.server else 1
        return self.keep(
            smtp(
                folder,
                port,
                security="starttls",
                ca=str(self.authority.file),
                username="clinic-login",
                password=PASSWORD,
            )
        )

    def contents(self) -> list[bytes]:
        return [envelope.original_content for envelope in self.envelopes]

    def arrived(self, folder: Path) -> Sequence[Arrived]:
        return [seen(*e.rcpt_tos, e.original_content) for e in self.envelopes]

    def break_destination(self, folder: Path) -> None:
        for one in self.made:
            one.close()
        self.controller.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _knows(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    assert isinstance(data, LoginPassword)
    right = (data.login, data.password) == (b"clinic-login", PASSWORD.encode())
    return AuthResult(success=right, handled=False)


# --- every phase -----------------------------------------------------------------------------------

NOT_SENT, REJECTED, UNKNOWN = Outcome.NOT_SENT, Outcome.REJECTED, Outcome.UNKNOWN
ALL, ONE = "waits with all others", "concerns this one"

PHASES: list[tuple[str, str, Outcome, str, str]] = [
    ("connect", "421 4.3.2 too busy", NOT_SENT, "server_busy", ALL),
    ("connect", "554 5.7.1 go away", NOT_SENT, "account_refused", ALL),
    ("connect", "HTTP/1.1 400 Bad Request", NOT_SENT, "unreachable", ALL),
    ("connect", "CUT", NOT_SENT, "unreachable", ALL),
    ("connect", "HANG", NOT_SENT, "unreachable", ALL),
    ("EHLO", "421 4.3.2 too busy", NOT_SENT, "server_busy", ALL),
    ("EHLO", "550 5.7.1 who are you", NOT_SENT, "account_refused", ALL),
    ("EHLO", "CUT", NOT_SENT, "unreachable", ALL),
    ("EHLO", "HANG", NOT_SENT, "unreachable", ALL),
    ("STARTTLS", "454 4.7.0 not now", NOT_SENT, "server_busy", ALL),
    ("STARTTLS", "502 5.5.1 what is that", NOT_SENT, "tls_refused", ALL),
    ("STARTTLS", "CUT", NOT_SENT, "unreachable", ALL),
    ("STARTTLS", "HANG", NOT_SENT, "unreachable", ALL),
    ("AUTH", "535 5.7.8 wrong", NOT_SENT, "credentials_refused", ALL),
    ("AUTH", "454 4.7.0 directory is away", NOT_SENT, "server_busy", ALL),
    ("AUTH", "421 4.3.2 too busy", NOT_SENT, "server_busy", ALL),
    ("AUTH", "CUT", NOT_SENT, "unreachable", ALL),
    ("AUTH", "HANG", NOT_SENT, "unreachable", ALL),
    ("MAIL", "451 4.7.1 too many from you", NOT_SENT, "server_busy", ALL),
    ("MAIL", "421 4.3.2 too busy", NOT_SENT, "server_busy", ALL),
    ("MAIL", "530 5.7.0 log in first", NOT_SENT, "credentials_refused", ALL),
    ("MAIL", "553 5.7.1 not your address", NOT_SENT, "sender_refused", ALL),
    ("MAIL", "552 5.3.4 too large", REJECTED, "too_large", ONE),
    ("MAIL", "CUT", NOT_SENT, "unreachable", ONE),
    ("MAIL", "HANG", NOT_SENT, "unreachable", ALL),
    ("RCPT", "450 4.2.1 <{to}> come back", NOT_SENT, "server_busy", ONE),
    ("RCPT", "421 4.3.2 too busy", NOT_SENT, "server_busy", ONE),
    ("RCPT", "550 5.1.1 <{to}> unknown", REJECTED, "address_refused", ONE),
    ("RCPT", "552 5.2.2 <{to}> is full", REJECTED, "mailbox_full", ONE),
    ("RCPT", "554 5.7.1 <{to}>: Relay access denied", NOT_SENT, "account_refused", ALL),
    ("RCPT", "503 5.5.1 MAIL first", NOT_SENT, "server_busy", ONE),
    ("RCPT", "CUT", NOT_SENT, "unreachable", ONE),
    ("RCPT", "HANG", NOT_SENT, "unreachable", ALL),
    ("DATA", "451 4.3.0 later", NOT_SENT, "server_busy", ONE),
    ("DATA", "554 5.7.1 no", REJECTED, "content_refused", ONE),
    ("DATA", "CUT", NOT_SENT, "unreachable", ONE),
    ("DATA", "HANG", NOT_SENT, "unreachable", ALL),
    ("body", "CUT", NOT_SENT, "unreachable", ONE),
    ("body", "552 5.3.4 too large", REJECTED, "too_large", ONE),
    ("body", "554-5.7.1 looks\r\n554 5.7.1 like spam", REJECTED, "content_refused", ONE),
    ("body", "451 4.3.0 later", NOT_SENT, "server_busy", ONE),
    ("body", "554-5.7.1 half an answer", NOT_SENT, "unreachable", ONE),
    ("body", "220 2.0.0 what now", NOT_SENT, "server_busy", ONE),
    ("dot", "451 4.3.0 later", NOT_SENT, "server_busy", ONE),
    ("dot", "421 4.3.2 too busy", NOT_SENT, "server_busy", ONE),
    ("dot", "550 5.1.1 <{to}> unknown", REJECTED, "address_refused", ONE),
    ("dot", "552 5.3.4 too large", REJECTED, "too_large", ONE),
    ("dot", "554 5.7.1 looks like spam", REJECTED, "content_refused", ONE),
    ("dot", "550 5.7.60 not as this sender", NOT_SENT, "sender_refused", ALL),
    ("dot", "CUT", UNKNOWN, "answer_lost", ALL),
    ("dot", "TAKE_AND_CUT", UNKNOWN, "answer_lost", ALL),
    ("dot", "TAKE_AND_HANG", UNKNOWN, "answer_lost", ALL),
    ("dot", "what do you mean", UNKNOWN, "answer_lost", ALL),
    ("dot", "354 go on", UNKNOWN, "answer_lost", ALL),
    ("dot", "250" + " x" * 50_000, UNKNOWN, "answer_lost", ALL),
]


@pytest.mark.parametrize(
    ("stage", "act", "outcome", "reason", "whom"),
    PHASES,
    ids=[f"{p[0]} {p[1][:24]}" for p in PHASES],
)
def test_a_failure_in_each_phase_is_what_it_is(
    peer: Callable[..., Peer],
    made: Callable[..., Smtp],
    acts: Any,
    secure: dict[str, Any],
    logged_in: dict[str, Any],
    stage: str,
    act: str,
    outcome: Outcome,
    reason: str,
    whom: str,
) -> None:
    script = {stage: getattr(acts, act, act.format(to=CANARY_EMAIL))}
    server = peer(script=script, **secure)
    result = made(server, **logged_in).send(an_email())

    assert (result.outcome, result.reason) == (outcome, reason)
    assert (result.pause is not None) == (whom == ALL)
    assert not canaries_in(result)
    assert len(server.commands) == 1, "one attempt, one connection"
    assert len(server.mails) == act.startswith(("TAKE", "250"))


def test_a_password_is_tried_once_and_not_with_every_mechanism(
    peer: Callable[..., Peer],
    made: Callable[..., Smtp],
    secure: dict[str, Any],
    logged_in: dict[str, Any],
) -> None:
    server = peer(script={"AUTH": "535 5.7.8 wrong"}, **secure)
    result = made(server, **logged_in).send(an_email())
    assert server.verbs.count("AUTH") == 1
    # N38: five tries in an hour, and nobody's message counts as refused.
    assert result.pause is not None
    assert timedelta(hours=1) / result.pause < 5


def test_a_server_that_knows_only_login_by_question_and_answer_is_logged_in_to(
    peer: Callable[..., Peer],
    made: Callable[..., Smtp],
    secure: dict[str, Any],
    logged_in: dict[str, Any],
) -> None:
    login = (logged_in["username"], logged_in["password"])
    name, password = (b64encode(word.encode()).decode() for word in login)
    script = {
        "AUTH": "334 VXNlcm5hbWU6",
        name.upper(): "334 UGFzc3dvcmQ6",
        password.upper(): "235 2.7.0 welcome",
    }
    server = peer(script=script, **{**secure, "offers": ("STARTTLS", "AUTH LOGIN")})
    assert made(server, **logged_in).send(an_email()).outcome is Outcome.ACCEPTED
    assert server.commands[0][3:6] == ["AUTH LOGIN", name, password]


def test_a_server_that_wants_another_kind_of_login_is_told_of(
    peer: Callable[..., Peer],
    made: Callable[..., Smtp],
    secure: dict[str, Any],
    logged_in: dict[str, Any],
) -> None:
    server = peer(**{**secure, "offers": ("STARTTLS", "AUTH XOAUTH2")})
    result = made(server, **logged_in).send(an_email())
    assert (result.outcome, result.reason) == (Outcome.NOT_SENT, "credentials_refused")
    assert result.detail == "The server offers no login by PLAIN or LOGIN."
