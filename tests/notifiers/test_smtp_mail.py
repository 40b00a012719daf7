"""The mails themselves as a server gets them, and the settings they are sent by."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any

import icalendar
import pytest
from pydantic import ValidationError

from clinicrelay import Attachment, EventWrite, Message, Outcome, ical
from clinicrelay.settings import load
from clinicrelay.testing import CLINIC, NOW, an_email
from clinicrelay.testing.kits import CANARY_EMAIL
from notifiers import _mail
from notifiers.smtp import Smtp

if TYPE_CHECKING:
    from tests.notifiers.conftest import Authority, Peer

PASSWORD = "open-sesame-päss"
SENDER = "Riverside <noreply@riverside.example>"


def read(content: bytes) -> EmailMessage:
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


# --- the mail itself --------------------------------------------------------------------------------


def delivered(
    peer: Callable[..., Peer], made: Callable[..., Smtp], *messages: Message, **how: Any
) -> list[EmailMessage]:
    server = peer(**how)
    notifier = made(server)
    for one in messages:
        assert notifier.send(one).outcome is Outcome.ACCEPTED
    return [read(mail.content) for mail in server.mails]


def test_a_mail_has_what_mail_programs_want(
    peer: Callable[..., Peer], made: Callable[..., Smtp]
) -> None:
    (mail,) = delivered(peer, made, an_email())
    assert mail["From"] == SENDER
    assert mail["Message-ID"] == "<cr0123abcd@riverside.example>"
    assert mail["Reply-To"] == f"{CLINIC.name} <{CLINIC.email}>"
    assert mail["List-Unsubscribe"] == f"<mailto:{CLINIC.email}?subject=unsubscribe>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == NOW
    assert mail.get_content_type() == "multipart/alternative"
    assert [p.get_content_type() for p in mail.iter_parts()] == ["text/plain", "text/html"]


def test_a_repeated_mail_is_the_same_bytes(
    peer: Callable[..., Peer], made: Callable[..., Smtp]
) -> None:
    server = peer()
    for _ in range(2):
        assert made(server).send(an_email()).outcome is Outcome.ACCEPTED
    first, second = server.mails
    assert first == second


def test_what_the_server_calls_it_is_kept(
    peer: Callable[..., Peer], made: Callable[..., Smtp]
) -> None:
    server = peer(script={"dot": [None, "250 2.0.0 thanks", f"250 queued as {CANARY_EMAIL}"]})
    notifier = made(server)
    ids = [notifier.send(an_email(id=f"cr{n}")).provider_id for n in range(3)]
    assert ids == ["4ZQ1x", "<cr1@riverside.example>", "<cr2@riverside.example>"]


@pytest.mark.parametrize("length", [1, 76, 998, 999, 5000])
def test_no_line_is_longer_than_a_server_must_take(
    peer: Callable[..., Peer], made: Callable[..., Smtp], length: int
) -> None:
    server = peer()
    text = "ß" * length
    long = an_email(text=text, html=f"<p>{'x' * length}</p>", subject="ü" * min(length, 998))
    assert made(server).send(long).outcome is Outcome.ACCEPTED
    content = server.mails[0].content
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert b"\n" not in content.replace(b"\r\n", b"")
    body = read(content).get_body(("plain",))
    assert body is not None
    assert body.get_content().rstrip() == text


def test_names_with_anything_in_them_stay_names(
    peer: Callable[..., Peer], made: Callable[..., Smtp]
) -> None:
    server = peer()
    for name in ('Praxis "Süd", Müller & Söhne', "診療所", "a" * 200, "x\r\nBcc: y@evil.example"):
        sender = f"{name} <noreply@riverside.example>"
        result = made(server).send(an_email(sender=sender))
        assert result.outcome is Outcome.ACCEPTED
        mail = read(server.mails[-1].content)
        (address,) = mail["From"].addresses
        assert address.display_name == " ".join(name.split())
        assert address.addr_spec == "noreply@riverside.example"
        assert mail["Bcc"] is None
    assert {m.recipient for m in server.mails} == {CANARY_EMAIL}


def test_a_domain_beyond_ascii_travels_as_dns_knows_it(
    peer: Callable[..., Peer], made: Callable[..., Smtp]
) -> None:
    server = peer()
    assert made(server).send(an_email(to="jo@bücher.example")).outcome is Outcome.ACCEPTED
    assert server.mails[0].recipient == "jo@xn--bcher-kva.example"


def test_a_domain_that_python_would_mistake_for_another_is_refused(
    peer: Callable[..., Peer], made: Callable[..., Smtp]
) -> None:
    server = peer()
    result = made(server).send(an_email(to="jo@straße.example"))  # not strasse.example
    assert (result.outcome, result.reason) == (Outcome.REJECTED, "address_invalid")
    assert not server.commands


def test_an_address_beyond_ascii_needs_a_server_that_knows_them(
    peer: Callable[..., Peer], made: Callable[..., Smtp]
) -> None:
    knows, not_ = peer(offers=("8BITMIME", "SMTPUTF8")), peer()
    odd = an_email(to="jörg@patient.example", subject="Grüße")
    assert made(knows).send(odd).outcome is Outcome.ACCEPTED
    assert "SMTPUTF8" in next(line for line in knows.commands[0] if line.startswith("MAIL"))
    assert knows.mails[0].recipient == "jörg@patient.example"
    assert "To: jörg@patient.example\r\n" in knows.mails[0].content.decode()
    assert "Subject: Grüße\r\n" in knows.mails[0].content.decode()

    notifier = made(not_)
    refused = notifier.send(odd)
    assert (refused.outcome, refused.reason) == (Outcome.REJECTED, "address_unsupported")
    assert "MAIL" not in not_.verbs
    assert notifier.send(an_email()).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    "to",
    [
        "a@b@c.example",
        "a b@c.example",
        "<a@c.example>",
        "a@c.example> SIZE=9",
        'a"x@c.example',
        "a,b@c.example",
        "a@c..example",
        "a@-c.example",
        "a@",
        "@c.example",
        "a",
        "",
        "a@c.example\r\nDATA",
        "a\u2028b@c.example",
        "a\ud800@c.example",
        f"{'a' * 65}@c.example",
    ],
)
def test_what_is_no_plain_address_never_reaches_the_wire(
    peer: Callable[..., Peer], made: Callable[..., Smtp], to: str
) -> None:
    server = peer()
    result = made(server).send(an_email(to=to))
    assert (result.outcome, result.reason) == (Outcome.REJECTED, "address_invalid")
    assert not server.commands
    assert "c.example" not in result.detail


def invitation(method: ical.Method, sequence: int) -> Attachment:
    text = ical.invite(
        EventWrite("r1", put=True, start=NOW, title="Appointment – Riverside", sequence=sequence),
        "appt-1@riverside.clinicrelay",
        organizer=ical.Person("frontdesk@riverside.example", "Praxis Süd"),
        attendee=ical.Person(CANARY_EMAIL),
        method=method,
    )
    return Attachment("invite.ics", f"text/calendar; method={method}", text)


def test_a_visit_booked_moved_and_cancelled_is_one_event_of_growing_number(
    peer: Callable[..., Peer], made: Callable[..., Smtp]
) -> None:
    methods = [ical.Method.REQUEST, ical.Method.REQUEST, ical.Method.CANCEL]
    sent = [
        an_email(id=f"cr{n}", attachments=(invitation(method, n),))
        for n, method in enumerate(methods)
    ]
    found = []
    for mail in delivered(peer, made, *sent):
        alternative, file = mail.iter_parts()
        part = list(alternative.iter_parts())[-1]
        assert part["Content-Type"].params["charset"] == "utf-8"
        text = part.get_content()
        assert text.encode() == file.get_content()
        assert file["Content-Type"].params["method"] == part["Content-Type"].params["method"]
        (event,) = icalendar.Calendar.from_ical(text).walk("VEVENT")
        said = icalendar.Calendar.from_ical(text)["METHOD"]
        assert part["Content-Type"].params["method"] == said
        found.append((said, str(event["UID"]), event["SEQUENCE"], str(event["STATUS"])))
    uid = "appt-1@riverside.clinicrelay"
    assert found == [
        ("REQUEST", uid, 0, "CONFIRMED"),
        ("REQUEST", uid, 1, "CONFIRMED"),
        ("CANCEL", uid, 2, "CANCELLED"),
    ]


# --- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_port_follows_from_the_security(security: str, port: int) -> None:
    said = {"host": "smtp.riverside.example", "from": SENDER, "security": security}
    assert Smtp.Options.model_validate(said).at_port == port


WRONG = {
    "host with a port": ({"host": "smtp.riverside.example:587"}, "port: 587"),
    "host with a scheme": ({"host": "smtp://riverside.example"}, "name alone"),
    "sender without address": ({"from": "Riverside"}, "noreply@riverside.example"),
    "two senders": ({"from": "a@b.example, c@d.example"}, "noreply@riverside.example"),
    "odd sender": ({"from": "jörg@riverside.example"}, "noreply@riverside.example"),
    "half a login": ({"username": "me"}, "password"),
    "another half": ({"password": "secret"}, "username"),
    "odd greeting": ({"ehlo": "me and you"}, "relay.clinic.example"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_in_the_settings_is_refused_with_its_remedy(mistake: str) -> None:
    said, fix = WRONG[mistake]
    with pytest.raises(ValidationError) as refusal:
        Smtp.Options.model_validate({"host": "smtp.x.example", "from": SENDER, **said})
    (error,) = refusal.value.errors()
    assert fix in str(error.get("ctx"))


def test_the_settings_file_is_read_with_its_secrets_hidden(
    tmp_path: Path, authority: Authority
) -> None:
    shipped = Path(__file__).resolve().parents[2] / "settings.yaml"
    said = shipped.read_text(encoding="utf-8").replace(
        "  outbox: {type: outbox}",
        "  post:\n    type: smtp\n    host: smtp.riverside.example\n    username: ${SMTP_USER}\n"
        f"    password: {PASSWORD}\n    from: Riverside <noreply@riverside.example>\n"
        "    timeout: 12s\n    rate: 5/s\n    ca: ca.pem\n",
    )
    (tmp_path / "settings.yaml").write_text(said, encoding="utf-8")
    (tmp_path / "ca.pem").write_bytes(authority.file.read_bytes())
    loaded = load(tmp_path / "settings.yaml", environ={"SMTP_USER": "clinic-login"})
    entry = loaded.settings.notifiers["post"]
    assert entry.options.timeout == timedelta(seconds=12)
    assert entry.options.ca == tmp_path / "ca.pem"
    assert str(entry.rate) == "5/s"
    (literal,) = [f for f in loaded.findings if f.code == "literal_secret"]
    assert literal.path == "notifiers.post.password"
    assert PASSWORD not in repr((loaded.findings, entry))
    assert "clinic-login" not in repr(entry)


def test_what_mails_share_is_made_once_and_nothing_of_a_person_is_among_it() -> None:
    sender = _mail.mailbox(SENDER)

    def made(local: str) -> bytes:
        message = an_email(id=f"cr{local}", to=f"{local}@mail.example", subject=f"for {local}")
        return _mail.compose(message, sender=sender, domain=sender.domain, date=NOW).as_bytes()

    alone = made("second")
    assert b"first" in made("first")
    assert made("second") == alone
    assert b"first" not in alone
    headers = _mail._policy(utf8=False).header_factory
    assert headers("To", "a@mail.example") is not headers("To", "a@mail.example")
    assert headers("Auto-Submitted", "auto-generated") is headers(
        "Auto-Submitted", "auto-generated"
    )
