"""A mail as bytes, as `_mail.compose` makes it and for a tenth of the work.

Python parses each header that it is given and folds it anew for every mail, though but three differ
from the mail before. Here what was folded once is kept, and the parts are put together as they are.
Whatever is not a plain text with its HTML, to a plain address, is left to `compose`; a test holds
that both write the same bytes.
"""

from __future__ import annotations

import re
from datetime import datetime
from email.contentmanager import raw_data_manager
from email.headerregistry import Address
from email.policy import SMTP
from email.utils import format_datetime
from functools import lru_cache
from typing import Any

from clinicrelay import Message
from notifiers import _mail

_POLICY = SMTP.clone(cte_type="7bit")
_PLAIN = re.compile(r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_LONGEST = 78  # of a line that needs no folding


def written(
    message: Message,
    *,
    sender: _mail.Mailbox,
    domain: str,
    date: datetime,
    answers_to: _mail.Mailbox | None = None,
) -> bytes:
    """Return the mail of a message; see `_mail.compose`. Raises BadAddress."""
    number = f"{_mail.opaque(message.id)}@{domain}"
    lines = (f"To: {message.to}", f"Message-ID: <{number}>")
    plain = all(len(line) <= _LONGEST for line in lines) and (
        _PLAIN.fullmatch(message.to) and _PLAIN.fullmatch(number)
    )
    if not plain or message.html is None or message.attachments:
        mail = _mail.compose(
            message, sender=sender, domain=domain, date=date, answers_to=answers_to
        )
        return mail.as_bytes()
    recipient = _mail.recipient_of(message)
    border = f"=_{_mail.opaque(message.id)}_0"
    others = answers_to is not None and answers_to.address != sender.address
    return "".join(
        [
            _address("From", sender),
            f"To: {recipient}\r\n",
            _address("Reply-To", answers_to) if others and answers_to else "",
            _header("Subject", _mail.one_line(message.subject or "")),
            _header("Date", format_datetime(date)),
            f"Message-ID: <{number}>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "X-Auto-Response-Suppress: OOF, AutoReply\r\n",
            _header("List-Unsubscribe", _mail.unsubscribe(answers_to or sender)),
            "MIME-Version: 1.0\r\n",
            _of_alternatives(border),
            _header("Content-Language", _mail.one_line(message.language)),
            f"\r\n--{border}\r\n",
            _part(message.text, "plain"),
            f"\r\n--{border}\r\n",
            _part(message.html, "html"),
            f"\r\n--{border}--\r\n",
        ]
    ).encode("ascii")


@lru_cache(maxsize=512)
def _header(name: str, value: str) -> str:
    header: Any = _POLICY.header_factory(name, value)
    return str(header.fold(policy=_POLICY))


@lru_cache(maxsize=64)
def _address(name: str, box: _mail.Mailbox) -> str:
    local, _, domain = box.address.rpartition("@")
    header: Any = _POLICY.header_factory(name, Address(_mail.one_line(box.name), local, domain))
    return str(header.fold(policy=_POLICY))


def _of_alternatives(border: str) -> str:
    line = f'Content-Type: multipart/alternative; boundary="{border}"'
    if len(line) <= _LONGEST:
        return f"{line}\r\n"
    return f'Content-Type: multipart/alternative;\r\n boundary="{border}"\r\n'


class _Part:
    """Takes what Python's content manager says of a text, and parses none of it."""

    policy = _POLICY

    def __init__(self) -> None:
        self.payload = ""
        self.encoding = "7bit"
        self.charset = "utf-8"

    def get_content_maintype(self) -> str:
        return "text"

    def clear_content(self) -> None:
        """There is none yet."""

    def set_payload(self, payload: str) -> None:
        self.payload = payload

    def set_param(self, _name: str, value: str, **_more: Any) -> None:
        self.charset = value

    def __setitem__(self, name: str, value: str) -> None:
        if name == "Content-Transfer-Encoding":
            self.encoding = value


def _part(text: str, subtype: str) -> str:
    part: Any = _Part()
    raw_data_manager.set_content(part, _mail.writable(text), subtype)
    payload = "\r\n".join(part.payload.split("\n"))
    version = "MIME-Version: 1.0\r\n" if subtype != "plain" else ""
    return (
        f'Content-Type: text/{subtype}; charset="{part.charset}"\r\n'
        f"Content-Transfer-Encoding: {part.encoding}\r\n{version}\r\n{payload}"
    )
