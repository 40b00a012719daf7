"""A message as an e-mail: text and HTML, an invitation where there is one, headers nobody can forge.

One file for the notifiers that hand over a whole mail. What Python has for mail is imported when one
is written: it takes longer than a run with nothing to send.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache, lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from clinicrelay import Attachment, Message
from clinicrelay.contracts import ClinicFacts

if TYPE_CHECKING:
    from email.headerregistry import Address
    from email.message import EmailMessage
    from email.policy import EmailPolicy

# Unquoted local parts only (RFC 5321 section 4.1.2, RFC 6531): no comment, route or second address.
_LOCAL = re.compile(r"[^\s@<>()\[\]\\,;:\"\x00-\x1f\x7f-\xa0]{1,64}")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", re.ASCII)
# Python knows IDNA 2003 only, which makes of these another, existing domain: straße -> strasse.
_OTHER_IN_2008 = re.compile(r"[\u00df\u1e9e\u03c2\u200c\u200d]")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_OPAQUE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]*)>")


class BadAddress(ValueError):
    """Somebody's address is not one plain e-mail address; the text says whose, not which."""


class Mailbox(NamedTuple):
    """Somebody's address as it travels (its domain in ASCII), and the name that people read."""

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


def mailbox(text: str) -> Mailbox:
    """Read `Name <address>` or an address alone; quotes around the name are not part of it.

    Raises BadAddress.
    """
    written = _NAMED.fullmatch(one_line(text))
    if written is None:
        return Mailbox(travelling(text))
    name = written["name"].strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return Mailbox(travelling(written["address"]), name)


def answers_to(clinic: ClinicFacts) -> Mailbox | None:
    """Return the clinic's own mailbox; one that cannot be written is no reason to send nothing."""
    with suppress(BadAddress):
        return Mailbox(travelling(clinic.email or ""), clinic.name)
    return None


def travelling(address: str) -> str:
    """Return an address as mail servers take it, its domain in ASCII (RFC 5890).

    The local part stays as it is, non-ASCII included (RFC 6531). Raises BadAddress.
    """
    local, at, domain = address.partition("@")
    ascii_domain = _ascii(domain)
    plain = _LOCAL.fullmatch(local) and one_line(local) == local
    if not (at and plain and ascii_domain):
        raise BadAddress("this is not one plain e-mail address")
    return f"{local}@{ascii_domain}"


def _ascii(domain: str) -> str | None:
    if _OTHER_IN_2008.search(domain):
        return None
    try:
        found = domain if domain.isascii() else domain.encode("idna").decode()
    except UnicodeError:
        return None
    right = len(found) <= 253 and all(_LABEL.fullmatch(label) for label in found.split("."))
    return found if right else None


def opaque(attempt: str) -> str:
    """Return an attempt's id in letters that are safe in file names and Message-IDs.

    An id of any other form becomes a hash of itself: an odd Message-ID makes `email` in Python
    3.11 raise IndexError, and what is no plain id might say something about a person.
    """
    if _OPAQUE.fullmatch(attempt):
        return attempt
    return sha256(attempt.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def compose(
    message: Message,
    *,
    sender: Mailbox,
    domain: str,
    date: datetime,
    answers_to: Mailbox | None = None,
) -> EmailMessage:
    """Return the mail of a message; `domain` ends its Message-ID, `answers_to` is read by people.

    The Message-ID is the attempt's for ever, so a repeated mail can be known as one. All of it is
    ASCII in short lines, so that any server can pass it on unchanged; only an address with a
    non-ASCII local part makes the headers UTF-8 (RFC 6532). Raises BadAddress.
    """
    from email.message import EmailMessage
    from email.utils import format_datetime

    try:
        recipient = travelling(message.to)
    except BadAddress as error:
        raise BadAddress("the recipient is not one plain e-mail address") from error
    utf8 = not recipient.isascii()
    mail = EmailMessage(policy=_policy(utf8=utf8))
    mail["From"] = _of_clinic("From", sender, utf8=utf8)
    mail["To"] = _shown(Mailbox(recipient))
    if answers_to is not None and answers_to.address != sender.address:
        mail["Reply-To"] = _of_clinic("Reply-To", answers_to, utf8=utf8)
    mail["Subject"] = one_line(message.subject or "")
    mail["Date"] = format_datetime(date)
    mail["Message-ID"] = f"<{opaque(message.id)}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    mail["X-Auto-Response-Suppress"] = "OOF, AutoReply"  # what Exchange heeds instead
    mail["List-Unsubscribe"] = unsubscribe(answers_to or sender)
    _fill(mail, message)
    _name_borders(mail, opaque(message.id))
    # Last, as parts that are added take the Content- headers there are with them.
    mail["Content-Language"] = one_line(message.language)
    return mail


@cache
def _policy(*, utf8: bool) -> EmailPolicy[EmailMessage]:
    from email.policy import SMTP, SMTPUTF8

    from notifiers._mail_headers import Headers

    return (SMTPUTF8 if utf8 else SMTP).clone(cte_type="7bit", header_factory=Headers())


def one_line(text: str) -> str:
    """Return the text without line ends and control characters, which could begin a new header.

    Python decodes RFC 2047 words in what it is given, and writes the line ends that it finds in them
    (seen in 3.11 with `=?utf-8?q?=0D=0ABcc:_x?=`): the beginning of such a word is taken apart.
    """
    return _UNSAFE.sub(" ", text).replace("=?", "= ?").strip()


@lru_cache(maxsize=16)
def _of_clinic(header: str, box: Mailbox, *, utf8: bool) -> Any:
    """Return a header that many mails share: to read it takes Python as long as all the others."""
    return _policy(utf8=utf8).header_factory(header, _shown(box))


def _shown(box: Mailbox) -> Address:
    from email.headerregistry import Address

    local, _, domain = box.address.rpartition("@")
    return Address(one_line(box.name), local, domain)


def unsubscribe(box: Mailbox) -> str:
    """Return the List-Unsubscribe header of what is from a mailbox (RFC 2369 section 3.2).

    A link that needs one click only (RFC 8058) needs somebody to hear it.
    """
    from urllib.parse import quote

    return f"<mailto:{quote(box.address, safe='@')}?subject=unsubscribe>"


def _fill(mail: EmailMessage, message: Message) -> None:
    """Order of RFC 2046 section 5.1.4: the plainest first, so that every reader shows its best."""
    mail.set_content(_writable(message.text))
    if message.html is not None:
        mail.add_alternative(_writable(message.html), subtype="html")
    invitations = [a for a in message.attachments if media_type(a)[0] == "text/calendar"]
    for invitation in invitations[:1]:
        mail.add_alternative(
            _writable(invitation.content), subtype="calendar", params=media_type(invitation)[1]
        )
    for attachment in message.attachments:
        _attach(mail, attachment)


def _attach(mail: EmailMessage, attachment: Attachment) -> None:
    # Some programs act on the alternative part, others (Outlook among them) show only the file.
    kind, parameters = media_type(attachment)
    maintype, _, subtype = ("application/ics" if kind == "text/calendar" else kind).partition("/")
    mail.add_attachment(
        _writable(attachment.content).encode(),
        maintype=maintype,
        subtype=subtype,
        filename=one_line(attachment.name),
        params=parameters if kind == "text/calendar" else None,
    )


def media_type(attachment: Attachment) -> tuple[str, dict[str, str]]:
    """Take `text/calendar; method=REQUEST` apart."""
    kind, *parameters = (one_line(p) for p in attachment.media_type.split(";"))
    pairs: Sequence[tuple[str, str, str]] = [p.partition("=") for p in parameters if p]
    return kind.lower(), {name.strip(): value.strip().strip('"') for name, _, value in pairs}


def _name_borders(mail: EmailMessage, name: str) -> None:
    """Give the parts borders that are always the same, so that a repeated mail is the same bytes.

    Neither base64 nor quoted-printable can hold `=_` (RFC 2045 section 6.7).
    """
    for number, part in enumerate(p for p in mail.walk() if p.is_multipart()):
        part.set_boundary(f"=_{name}_{number}")


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
