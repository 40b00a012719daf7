"""SMS through AWS: End User Messaging, or the older Simple Notification Service.

The calls are made by AWS's own library, which signs them and finds credentials where a machine has a
role; what it has by default for lost answers is switched off (see `wire`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from typing import Any

from clinicrelay import (
    Callback,
    Channel,
    Finding,
    Forged,
    Message,
    Notifier,
    Outcome,
    Receipt,
    SendResult,
    loopback,
    phones,
)
from clinicrelay.pace import LONGEST
from notifiers import _http, _pace
from notifiers.aws_sms import envelope, wire
from notifiers.aws_sms.failures import Unready, broken, judged, not_installed, not_ready
from notifiers.aws_sms.options import Options as AwsOptions

_CREDENTIALS = timedelta(seconds=15)  # what a machine is asked for its role
_ADDRESSES = 8  # of one host, each tried as long as a connection may take
_LONGEST = 1600  # letters that AWS takes as one text
_FIXES = {
    "credentials_refused": "Correct the key and its secret, or allow the actions that the guide "
    "names; and set this machine's clock.",
    "account_refused": "Look at the account's state in AWS's console.",
    "quota_used_up": "Ask AWS for a higher spending limit.",
    "sender_refused": "Correct `from`: AWS's console shows your numbers in this region.",
    "unreachable": "Let the firewall let this machine reach AWS; correct region and base_url; "
    "install clinicrelay[aws].",
    "certificate_refused": "Correct base_url, or name your own authority in AWS_CA_BUNDLE.",
}


class AwsSms(Notifier):
    """Hands SMS to AWS, once each; deliveries are heard of where an event destination reports them."""

    Options = AwsOptions
    channels = (Channel.SMS,)
    hands_over = True
    options: AwsOptions

    @property
    def outside(self) -> bool:
        url = self.options.base_url
        return url is None or not loopback.url_stays_here(url)

    @property
    def patience(self) -> timedelta:
        """Every address tried in vain but the last, a handshake, and an answer that comes late; and
        all that twice, as a role may have to be asked for first."""
        call = _ADDRESSES * _http.CONNECT + 2 * self.options.timeout
        return LONGEST + _CREDENTIALS + 2 * call

    def send(self, message: Message) -> SendResult:
        """Make the one call; nothing is tried again."""
        if not phones.is_e164(message.to):
            detail = "The recipient is not a number such as +4930123456."
            return SendResult(Outcome.REJECTED, "address_invalid", detail=detail)
        if len(message.text) > _LONGEST:
            detail = f"The text has more than {_LONGEST} letters."
            return SendResult(Outcome.REJECTED, "too_large", detail=detail)
        begun = time.monotonic()
        try:
            client = self._ready()  # before its turn, which is not to pass meanwhile
        except Unready as why:
            return why.result
        if (later := _pace.turn(self.kit)) is not None:
            return later
        left = self._left(message, timedelta(seconds=time.monotonic() - begun))
        if self.options.api == "eum" and left is not None and left < wire.SHORTEST:
            detail = "It is of use for less time than the shortest that AWS keeps a message."
            return SendResult(Outcome.NOT_SENT, "cut_off_passed", None, _http.SOON, detail)
        return self._hand_over(client, message, left)

    @property
    def tells(self) -> bool:
        """AWS lists no messages and knows no key that makes two calls one.

        Only an event of End User Messaging can prove later that an attempt was accepted; that none
        came proves nothing, as carriers may take three days.
        """
        return False

    def read_callback(self, callback: Callback) -> Iterator[Receipt]:
        """Read an event that the topic of the event destination posts.

        Its first post asks whether we want the others, which is answered at once: nobody else sees
        the address that says yes.
        """
        from notifiers.aws_sms import events

        fields = envelope.opened(callback, self.options.topic_arn, self._certificate)
        url = envelope.confirmation(fields)
        if url is not None:
            with suppress(Forged):  # AWS asks again
                self.fetch(url)
        elif fields["Type"] == "Notification" and (found := events.receipt(fields.get("Message"))):
            yield found

    def fetch(self, url: str) -> bytes:
        """Return what stands at an address of AWS."""
        return envelope.fetch(url)

    def advise(self) -> Iterator[Finding]:
        yield from _http.unencrypted(self.options.base_url or "", "messages")
        if self.options.api == "sns":
            yield Finding(
                "warning",
                "nothing_proven",
                "with api: sns AWS takes messages to people who have opted out and drops them "
                "without a word, and never says what was delivered",
                "write api: eum",
                path="api",
            )

    def check(self) -> Iterator[Finding]:
        """Ask for the account's numbers (eum) or SMS settings (sns): no message is sent."""
        try:
            client = self._ready()
        except Unready as why:
            yield _finding(why.result)
            return
        try:
            if self.options.api == "sns":
                client.get_sms_attributes()
                return
            own = client.describe_phone_numbers()
        except broken() as error:
            yield _finding(judged(error))
            return
        yield from self._looked_at(own)

    def close(self) -> None:
        self._line.close()

    def _ready(self) -> Any:
        """Return the client. Raises Unready where there is none, or no credentials for it."""
        try:
            return self._line.ready()
        except ImportError:
            raise Unready(not_installed()) from None
        except broken() as error:
            raise Unready(not_ready(error)) from None

    def _hand_over(self, client: Any, message: Message, left: timedelta | None) -> SendResult:
        self.kit.handing_over(message.id)
        try:
            answer = wire.send(client, self.options, message, left)
        except broken() as error:
            result = judged(error)
            if result.reason == "rate":
                self.kit.pace.refused("messages", result.retry_after)
            return result
        number = wire.id_in(answer)
        if number is None:
            return _http.lost("AWS", "its answer cannot be understood")
        return SendResult(Outcome.ACCEPTED, provider_id=number)

    def _left(self, message: Message, waited: timedelta) -> timedelta | None:
        """Return how long it is of use, by the later of two clocks: rather too short than too long."""
        if message.useless_after is None:
            return None
        now = max(self.kit.now, message.written_at or self.kit.now)
        return message.useless_after - now - waited

    def _looked_at(self, own: Any) -> Iterator[Finding]:
        """Say whether the number under `from` is one of the account's, and may send."""
        numbers = {n.get("PhoneNumber"): n for n in own.get("PhoneNumbers") or ()}
        sender = self.options.sender
        if not sender.startswith("+") or own.get("NextToken"):
            return
        number = numbers.get(sender)
        if number is None:
            message = "the account has no such number in this region"
        elif number.get("Status") != "ACTIVE" or "SMS" not in number.get("NumberCapabilities", ()):
            message = "the number is not active yet, or cannot send SMS"
        else:
            return
        # A number that another account shares with this one stands in no list of it.
        yield Finding("warning", "sender_refused", message, _FIXES["sender_refused"], path="from")

    def _certificate(self, url: str) -> bytes:
        if url not in self._certificates:
            self._certificates[url] = self.fetch(url)
        return self._certificates[url]

    @cached_property
    def _certificates(self) -> dict[str, bytes]:
        return {}

    @cached_property
    def _line(self) -> wire.Line:
        return wire.Line(self.options)


def _finding(result: SendResult) -> Finding:
    fix = _FIXES.get(result.reason, "Try again in a minute; if it goes on, ask AWS.")
    # A relay under base_url may pass on nothing but messages; it was reached all the same.
    severity = "warning" if result.code == "UnknownOperationException" else "error"
    return Finding(severity, result.reason, result.detail, fix)
