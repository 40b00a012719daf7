"""A mail whatever stands in it: every server can take it, and no text becomes a header."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clinicrelay import Channel, Message
from notifiers import _mail

AT = datetime(2026, 11, 20, 9, 3, tzinfo=UTC)
HEADERS = {
    *("From", "To", "Reply-To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
    *("X-Auto-Response-Suppress", "List-Unsubscribe", "MIME-Version", "Content-Language"),
    *("Content-Type", "Content-Transfer-Encoding"),
}
anything = st.text(max_size=300)
odd = st.text(alphabet=list("aß診\r\n\t\x00\x85\u2028\ud800=?_.,;:<>()[]\"'\\@ "), max_size=120)
words = anything | odd
locals_ = st.text(alphabet=list("aZ0.!#$%&'*+-/=?^_`{|}~éж診"), min_size=1, max_size=64)


def composed(**changes: str) -> bytes:
    fields = {
        "to": "jo@patient.example",
        "text": "x",
        "subject": "y",
        "language": "en",
        "name": "z",
    }
    said = {**fields, **changes}
    message = Message(
        "cr1",
        Channel.EMAIL,
        said["to"],
        said["text"],
        said["language"],
        subject=said["subject"],
        html=said.get("html"),
    )
    clinic = _mail.Mailbox("frontdesk@riverside.example", said["name"])
    sender = _mail.Mailbox("noreply@riverside.example", said["name"])
    mail = _mail.compose(message, sender=sender, domain="x.example", date=AT, answers_to=clinic)
    return mail.as_bytes()


def read(content: bytes) -> EmailMessage:
    found = email.message_from_string(content.decode(), policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


@settings(deadline=None)
@given(words, words, words, words)
@example("", "", "", "")
@example("=?utf-8?q?=0D=0ABcc:_x?=", "a" * 3000, "=?utf-8?b?DQpCY2M6IHg=?=", "")
def test_any_words_make_a_mail_that_every_server_takes(
    subject: str, text: str, name: str, html: str
) -> None:
    content = composed(subject=subject, text=text, name=name, html=html, language=name)
    assert content.isascii()
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert b"\r" not in content.replace(b"\r\n", b"")
    assert max(map(len, content.split(b"\r\n"))) <= 998
    mail = read(content)
    assert set(mail.keys()) <= HEADERS
    assert [a.addr_spec for a in mail["To"].addresses] == ["jo@patient.example"]
    assert [a.addr_spec for a in mail["From"].addresses] == ["noreply@riverside.example"]
    assert [a.addr_spec for a in mail["Reply-To"].addresses] == ["frontdesk@riverside.example"]


@settings(deadline=None)
@given(locals_)
@example("a..b")
@example(".a")
@example("a%b!c")
@example("=?utf-8?q?x?=")
def test_any_address_is_written_to_as_it_is_or_refused(local: str) -> None:
    address = f"{local}@patient.example"
    try:
        content = composed(to=address)
    except _mail.BadAddress:
        return
    assert content.isascii() is local.isascii()
    head = content.decode().partition("\r\n\r\n")[0].replace("\r\n ", "")
    (line,) = [line for line in head.split("\r\n") if line.startswith("To:")]
    assert address in line.replace('"', "").replace(" ", "")


@pytest.mark.parametrize(
    ("written", "name", "address"),
    [
        ("a@b.example", "", "a@b.example"),
        ("Riverside <a@b.example>", "Riverside", "a@b.example"),
        ("<a@b.example>", "", "a@b.example"),
        ('"Dr. X, \\"Süd\\"" <a@b.example>', 'Dr. X, "Süd"', "a@b.example"),
        ("Dr. X, Süd <a@bücher.example>", "Dr. X, Süd", "a@xn--bcher-kva.example"),
    ],
)
def test_a_sender_is_read_as_people_write_it(written: str, name: str, address: str) -> None:
    assert _mail.mailbox(written) == _mail.Mailbox(address, name)


@pytest.mark.parametrize(
    "written", ["", "Riverside", "a@b.example, c@d.example", "X <a@b.example> <c@d.example>", "<>"]
)
def test_what_is_no_sender_is_refused(written: str) -> None:
    with pytest.raises(_mail.BadAddress):
        _mail.mailbox(written)
