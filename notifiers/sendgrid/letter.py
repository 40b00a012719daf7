"""A message as the body of SendGrid's mail/send: one recipient, and nothing personal beside it.

A plain object, without the helpers of SendGrid's library: they check little of what the service
checks, add ten times the work, and would be one more dependency for a call of forty lines.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Any

from clinicrelay import Attachment, Message
from notifiers import _mail

# A link that is rewritten to be counted looks like somebody else's, and an image that is added to be
# fetched tells others who reads what a clinic writes.
_UNTRACKED = {
    "click_tracking": {"enable": False, "enable_text": False},
    "open_tracking": {"enable": False},
    "subscription_tracking": {"enable": False},
}


def body(message: Message, *, sender: _mail.Mailbox, answers_to: _mail.Mailbox) -> dict[str, Any]:
    """Return what is posted; the attempt is all that SendGrid keeps beside the mail.

    SendGrid stores custom arguments for ever and shows them to its staff (Event Webhook Reference).
    Raises BadAddress.
    """
    try:
        recipient = _mail.travelling(message.to)
    except _mail.BadAddress as error:
        raise _mail.BadAddress("the recipient is not one plain e-mail address") from error
    found: dict[str, Any] = {
        "personalizations": [{"to": [{"email": recipient}]}],
        "from": _shown(sender),
        "subject": _mail.one_line(message.subject or "") or " ",  # it takes no empty one
        "content": list(_content(message)),
        "custom_args": {"attempt": _mail.opaque(message.id)},
        "headers": _headers(message, sender, answers_to),
        "tracking_settings": _UNTRACKED,
    }
    if answers_to.address != sender.address:
        found["reply_to"] = _shown(answers_to)
    if attached := _attached(message.attachments):
        found["attachments"] = attached
    return found


def _headers(message: Message, sender: _mail.Mailbox, answers_to: _mail.Mailbox) -> dict[str, str]:
    """Return headers that it lets a caller set.

    Reserved are x-sg-id, x-sg-eid, received, dkim-signature, Content-Type,
    Content-Transfer-Encoding, To, From, Subject, Reply-To, CC and BCC; Message-ID is not, so a mail
    that is repeated can be known as one.
    """
    return {
        "Message-ID": f"<{_mail.opaque(message.id)}@{sender.domain}>",
        "Auto-Submitted": "auto-generated",  # RFC 3834: no out-of-office answers
        "X-Auto-Response-Suppress": "OOF, AutoReply",  # what Exchange heeds instead
        "List-Unsubscribe": _mail.unsubscribe(answers_to),
    }


def _shown(box: _mail.Mailbox) -> dict[str, str]:
    name = _mail.one_line(box.name)
    return {"email": box.address, "name": name} if name else {"email": box.address}


def _content(message: Message) -> Iterator[dict[str, str]]:
    """Yield the parts in the order that SendGrid demands: text, HTML, then anything else.

    No part may be empty. That of a calendar may say its method; with a charset it is refused
    (sendgrid-nodejs #217 and #1313).
    """
    yield {"type": "text/plain", "value": _writable(message.text) or " "}
    if message.html:
        yield {"type": "text/html", "value": _writable(message.html)}
    for attachment in message.attachments:
        kind, parameters = _mail.media_type(attachment)
        if kind == "text/calendar" and attachment.content:
            method = parameters.get("method", "")
            said = method if re.fullmatch(r"[A-Za-z]+", method) else "REQUEST"
            yield {
                "type": f"text/calendar; method={said}",
                "value": _writable(attachment.content),
            }
            return


def _attached(attachments: Sequence[Attachment]) -> list[dict[str, str]]:
    """Return the files; a calendar is one as well, as Outlook shows only that (sendgrid-ruby #298)."""
    return [
        {
            "content": base64.b64encode(_writable(one.content).encode()).decode(),
            "filename": _mail.one_line(one.name) or "attachment",
            "type": _file_type(one),
            "disposition": "attachment",
        }
        for one in attachments
        if one.content  # it takes no empty one
    ]


def _file_type(attachment: Attachment) -> str:
    kind, _ = _mail.media_type(attachment)
    return "application/ics" if kind == "text/calendar" else kind or "application/octet-stream"


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
