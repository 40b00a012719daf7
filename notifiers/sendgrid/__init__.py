"""E-mail through SendGrid, one recipient a message.

A message is one JSON object and one request, so it is posted on a wire of ours (`_http.Door`) without
SendGrid's library: that one opens a connection for each message, waits for ever, and cannot say
whether a request was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import quote

import msgspec

from clinicrelay import (
    Absent,
    Attempt,
    Callback,
    CannotTell,
    Channel,
    Delivery,
    Finding,
    Found,
    Message,
    Notifier,
    Outcome,
    Receipt,
    SendResult,
)
from clinicrelay.contracts import Proof
from clinicrelay.pace import LONGEST
from notifiers import _http, _mail, _pace
from notifiers.sendgrid import events, letter
from notifiers.sendgrid.options import Options as SendgridOptions
from notifiers.sendgrid.verdicts import judged

# What was accepted shows in Email Activity after a while, so two looks apart are wanted.
_APART = timedelta(minutes=2)
_CLOCKS_DIFFER = timedelta(minutes=1)
_LOOKED_THROUGH = 100  # mails to one address
_FIXES = {
    "credentials_refused": "Make an API key with leave for Mail Send, and write it as api_key.",
    "account_refused": "Give the API key leave for Mail Send; look at the account's state.",
    "quota_used_up": "Wait for the next period, or buy a larger plan.",
}


class Sendgrid(Notifier):
    """Posts mails to SendGrid; with Email Activity it can be asked what became of one."""

    Options = SendgridOptions
    channels = (Channel.EMAIL,)
    hands_over = True
    receipts = True
    options: SendgridOptions

    @property
    def outside(self) -> bool:
        return self._door.outside

    @property
    def mailbox(self) -> str:
        return self._sender.address

    @property
    def tells(self) -> bool:
        return bool(self.options.activity)

    @property
    def patience(self) -> timedelta:
        return LONGEST + self._door.patience

    def send(self, message: Message) -> SendResult:
        """Post one mail; nothing is tried again."""
        try:
            content = msgspec.json.encode(self._letter(message))
        except _mail.BadAddress as error:
            return SendResult(Outcome.REJECTED, "address_invalid", detail=f"E-mail: {error}.")
        if (later := _pace.turn(self.kit)) is not None:
            return later
        self.kit.handing_over(message.id)
        try:
            answer = self._call("POST", "/v3/mail/send", content=content)
        except _http.NotReached as why:
            return _http.not_reached("SendGrid", why)
        except _http.Lost as why:
            return _http.lost("SendGrid", str(why))
        return self._outcome(answer)

    def lookup(self, attempt: Attempt) -> Proof:
        """Ask Email Activity for the attempt; an account without it never tells."""
        if not self.options.activity:
            return CannotTell()
        try:
            row = self._activity(attempt)
            unclear = row is None and attempt.written_anew and self._has_others(attempt)
        except (_http.NotReached, _http.Lost):
            return CannotTell(_http.SOON)
        except _NotTold as why:
            return CannotTell(why.retry_after)
        if row is not None:
            return Found(events.own_id(row.get("msg_id")))
        since = attempt.nothing_since
        if since is not None and attempt.at - since >= _APART:
            return CannotTell() if unclear else Absent()
        return CannotTell(_APART, nothing=True)

    def look_back(self, attempts: Sequence[Attempt]) -> Iterator[Receipt]:
        """Ask Email Activity for each accepted mail, till it has had enough of questions."""
        for attempt in attempts if self.options.activity else ():
            try:
                receipt = self._delivery(attempt, self._activity(attempt) or {})
            except (_http.NotReached, _http.Lost, _NotTold):
                return
            if receipt:
                yield receipt

    def read_callback(self, callback: Callback) -> Iterator[Receipt]:
        """Read a batch of the signed Event Webhook."""
        yield from events.receipts(events.believed(callback, self.options.webhook_key))

    def advise(self) -> Iterator[Finding]:
        yield from _http.unencrypted(self.options.base_url, "mails and the key")

    def check(self) -> Iterator[Finding]:
        """Ask what the key may do; nothing is sent."""
        try:
            answer = self._call("GET", "/v3/scopes")
        except (_http.NotReached, _http.Lost) as why:
            yield _unreachable(f"SendGrid: {why}.")
            return
        scopes = _listed(answer, "scopes") if answer.status == 200 else None
        if scopes is not None:
            yield from self._may(scopes)
        elif 400 <= answer.status < 500:
            result = judged(answer)
            fix = _FIXES.get(result.reason, "Try again in a minute, or correct base_url.")
            yield Finding("error", result.reason, result.detail, fix)
        else:
            yield _unreachable(f"SendGrid: it answered {answer.status} and not what a key may do.")

    def close(self) -> None:
        self._door.close()

    def _letter(self, message: Message) -> dict[str, Any]:
        sender = _mail.mailbox(message.sender) if message.sender else self._sender
        return letter.body(message, sender=sender, answers_to=self._answers_to or sender)

    def _outcome(self, answer: _http.Answer) -> SendResult:
        number = events.own_id(answer.headers.get("x-message-id"))
        if answer.status == 202 and number:
            return SendResult(Outcome.ACCEPTED, provider_id=number)
        result = judged(answer)
        if answer.status == 429:
            self.kit.pace.refused("messages", result.retry_after)
        return result

    def _has_others(self, attempt: Attempt) -> bool:
        """Whether mails left to the same address since, of which nobody knows what they were.

        Raises NotReached, Lost, and _NotTold.
        """
        try:
            to = _mail.travelling(attempt.message.to)
        except _mail.BadAddress:
            return False  # to none of these anything was sent
        rows = self._rows(f'to_email="{_quoted(to)}"', _LOOKED_THROUGH)
        return any(
            not isinstance(row, dict)
            or (
                _may_be_since(row.get("last_event_time"), attempt.begun_at)
                and not attempt.is_known(events.own_id(row.get("msg_id")) or "")
            )
            for row in rows or []
        )

    def _rows(self, query: str, limit: int) -> list[Any] | None:
        """Return rows of Email Activity. Raises NotReached, Lost, and _NotTold."""
        answer = self._call("GET", "/v3/messages", params={"query": query, "limit": str(limit)})
        if answer.status in (401, 403, 404):  # what an account without the add-on is told
            raise _NotTold(None)
        if answer.status != 200:
            raise _NotTold(answer.retry_after or _http.SOON)
        return _listed(answer, "messages")

    def _activity(self, attempt: Attempt) -> dict[str, Any] | None:
        """Return the row of an attempt. Raises NotReached, Lost, and _NotTold."""
        rows = self._rows(f"unique_args['attempt']=\"{_mail.opaque(attempt.message.id)}\"", 1)
        if rows == []:
            return None
        row = rows[0] if rows else None
        if not isinstance(row, dict) or not _is_of(attempt, row):
            raise _NotTold(_http.BY_HAND)
        return row

    def _delivery(self, attempt: Attempt, row: dict[str, Any]) -> Receipt | None:
        """Return how far a mail came by its row in Email Activity. Raises NotReached and Lost."""
        ids = (attempt.message.id, attempt.provider_id)
        if row.get("status") == "delivered":
            return Receipt(Delivery.DELIVERED, *ids)
        if row.get("status") != "not_delivered":
            return None
        answer = self._call("GET", f"/v3/messages/{quote(str(row['msg_id']), safe='')}")
        told = _listed(answer, "events") if answer.status == 200 else None
        detail = "SendGrid: the mail did not arrive."
        return Receipt(Delivery.UNDELIVERED, *ids, reason=events.why(told or []), detail=detail)

    def _may(self, scopes: list[Any]) -> Iterator[Finding]:
        if "mail.send" not in scopes:
            fix = _FIXES["account_refused"]
            yield Finding("error", "account_refused", "SendGrid: the API key may not send.", fix)
        if self.options.activity and "messages.read" not in scopes:
            yield Finding(
                "warning",
                "account_refused",
                "SendGrid: the API key may not read Email Activity, so what became of a message "
                "whose answer was lost cannot be found out",
                "give the key leave for Email Activity, or write activity: false",
                path="activity",
            )

    def _call(self, method: str, path: str, **given: Any) -> _http.Answer:
        key = self.options.api_key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"}
        if "content" in given:
            headers["Content-Type"] = "application/json"
        return self._door.call(method, self.options.base_url + path, headers=headers, **given)

    @cached_property
    def _door(self) -> _http.Door:
        return _http.Door(self.options.base_url, self.options)

    @cached_property
    def _sender(self) -> _mail.Mailbox:
        return _mail.mailbox(self.options.sender)

    @cached_property
    def _answers_to(self) -> _mail.Mailbox | None:
        return _mail.answers_to(self.kit.clinic)


class _NotTold(Exception):
    """Email Activity says nothing; asked again after `retry_after` it may, without it never."""

    def __init__(self, retry_after: timedelta | None) -> None:
        super().__init__()
        self.retry_after = retry_after


def _quoted(address: str) -> str:
    """Return an address as it may stand between quotes in a query."""
    return address.replace("\\", "").replace('"', "")


def _may_be_since(moment: object, begun: datetime) -> bool:
    """Whether the last thing that happened to a mail may lie behind a moment; unread, it may."""
    try:
        at = datetime.fromisoformat(str(moment))
    except ValueError:
        return True
    return (at if at.tzinfo else at.replace(tzinfo=UTC)) >= begun - _CLOCKS_DIFFER


def _is_of(attempt: Attempt, row: dict[str, Any]) -> bool:
    """Whether a row can be this attempt's: a query that was not heeded returns anybody's."""
    number, to = events.own_id(row.get("msg_id")), row.get("to_email")
    if number is None or not isinstance(to, str):
        return False
    mine = number == attempt.provider_id or not attempt.is_known(number)
    with suppress(_mail.BadAddress):  # to none of these anything was sent
        return mine and to.lower() == _mail.travelling(attempt.message.to).lower()
    return False


def _listed(answer: _http.Answer, name: str) -> list[Any] | None:
    try:
        found = msgspec.json.decode(answer.content)[name]
    except (msgspec.DecodeError, LookupError, TypeError):
        return None
    return found if isinstance(found, list) else None


def _unreachable(says: str) -> Finding:
    fix = "Let the firewall let this machine reach the service, or correct base_url."
    return Finding("error", "unreachable", says, fix)
