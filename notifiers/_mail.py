"""A message as an e-mail: text and HTML, an invitation where there is one, headers nobody can forge.

One file for the notifiers that hand over a whole mail. What Python has for mail is imported when one
is written: it takes longer than a run with nothing to send.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from clinicrelay import Attachment, Message

if TYPE_CHECKING:
    from email.headerregistry import Address
    from email.message import EmailMessage

_ADDRESS = re.compile(r"[^\s@<>()\[\]\\,;:\"]+@[^\s@<>()\[\]\\,;:\"]+", re.ASCII)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+")
_OPAQUE = re.compile(r"[A-Za-z0-9_-]{1,64}")


class BadAddress(ValueError):
    """Somebody's address is not one plain e-mail address; the text says whose, not which."""


def opaque(attempt: str) -> str:
    """Return an attempt's id in letters that are safe in file names and Message-IDs.

    An id of any other form becomes a hash of itself: an odd Message-ID makes `email` in Python
    3.11 raise IndexError, and what is no plain id might say something about a person.
    """
    if _OPAQUE.fullmatch(attempt):
        return attempt
    return sha256(attempt.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def compose(message: Message, *, sender: str, domain: str, date: datetime) -> EmailMessage:
    """Return the mail of a message; `sender` is `Name <address>`, `domain` ends its Message-ID.

    The Message-ID is the attempt's for ever, so a repeated mail can be known as one. Raises
    BadAddress.
    """
    from email.message import EmailMessage
    from email.policy import SMTP
    from email.utils import format_datetime

    if not _ADDRESS.fullmatch(message.to) or not message.to.isascii():  # RFC 6531 is rare
        raise BadAddress("the recipient is not one plain e-mail address")
    mail = EmailMessage(policy=SMTP)
    mail["From"] = _from(sender)
    mail["To"] = message.to
    mail["Subject"] = one_line(message.subject or "")
    mail["Date"] = format_datetime(date)
    mail["Message-ID"] = f"<{opaque(message.id)}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    _fill(mail, message)
    # Last, as parts that are added take the Content- headers there are with them.
    mail["Content-Language"] = one_line(message.language)
    return mail


def one_line(text: str) -> str:
    """Return the text without line ends and control characters, which could begin a new header."""
    return _UNSAFE.sub(" ", text).strip()


def _from(sender: str) -> Address:
    from email.headerregistry import Address
    from email.utils import parseaddr

    name, address = parseaddr(one_line(sender))
    if not _ADDRESS.fullmatch(address):
        raise BadAddress("the sender is not one plain e-mail address; mend `from` in the settings")
    return Address(display_name=name, addr_spec=address)


def _fill(mail: EmailMessage, message: Message) -> None:
    """Order of RFC 2046 section 5.1.4: the plainest first, so that every reader shows its best."""
    mail.set_content(_writable(message.text))
    if message.html is not None:
        mail.add_alternative(_writable(message.html), subtype="html")
    invitations = [a for a in message.attachments if _kind(a)[0] == "text/calendar"]
    for invitation in invitations[:1]:
        mail.add_alternative(
            _writable(invitation.content), subtype="calendar", params=_kind(invitation)[1]
        )
    for attachment in message.attachments:
        _attach(mail, attachment)


def _attach(mail: EmailMessage, attachment: Attachment) -> None:
    # Some programs act on the alternative part, others (Outlook among them) show only the file.
    kind, _ = _kind(attachment)
    maintype, _, subtype = ("application/ics" if kind == "text/calendar" else kind).partition("/")
    mail.add_attachment(
        _writable(attachment.content).encode(),
        maintype=maintype,
        subtype=subtype,
        filename=one_line(attachment.name),
    )


def _kind(attachment: Attachment) -> tuple[str, dict[str, str]]:
    """Take `text/calendar; method=REQUEST` apart."""
    kind, *parameters = (one_line(p) for p in attachment.media_type.split(";"))
    pairs: Sequence[tuple[str, str, str]] = [p.partition("=") for p in parameters if p]
    return kind.lower(), {name.strip(): value.strip().strip('"') for name, _, value in pairs}


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
