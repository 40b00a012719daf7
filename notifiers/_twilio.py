"""What SMS and WhatsApp through Twilio share: the account, the one call, and what can be found out.

Messages are created with Twilio's own library on a wire of ours (`_http.Door`): the library's waits for
ever and cannot say whether a request was written. Twilio knows no idempotency key. What it does know
is the list of messages to a number, so an attempt whose answer was lost is looked for there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import Field, SecretStr, StringConstraints

from clinicrelay import (
    Absent,
    Attempt,
    Callback,
    CannotTell,
    Delivery,
    Finding,
    Forged,
    Found,
    Message,
    Notifier,
    Outcome,
    Receipt,
    SendResult,
    phones,
)
from clinicrelay.contracts import Proof
from clinicrelay.http.options import BaseUrl
from clinicrelay.pace import LONGEST
from notifiers import _http, _pace
from notifiers._twilio_codes import refusal, undelivered

if TYPE_CHECKING:
    from twilio.rest import Client

API = "https://api.twilio.com"
_LONGEST_VALIDITY = 36_000  # seconds, Twilio's own default: a reminder may wait ten hours there
# The list of messages lags behind what was accepted, so two looks apart are wanted before it counts.
_APART = timedelta(seconds=75)
_CLOCKS_DIFFER = timedelta(minutes=1)
_CALLBACK_REFUSED = "21609"  # https://www.twilio.com/docs/api/errors/21609: a host it cannot reach
_LOOKED_THROUGH = 200  # messages to one number, the newest first
_ON_ITS_WAY = {"accepted", "scheduled", "queued", "sending"}
_DELIVERIES = {
    "sent": Delivery.SENT,
    "delivered": Delivery.DELIVERED,
    "read": Delivery.READ,
    "undelivered": Delivery.UNDELIVERED,
    "failed": Delivery.UNDELIVERED,
    "canceled": Delivery.UNDELIVERED,
}


class Options(_http.Options):
    """The clinic's account at Twilio."""

    account_sid: Annotated[str, StringConstraints(pattern=r"^AC[0-9a-fA-F]{32}$")] = Field(
        description="The account's SID, as the first page of its console shows it.",
        examples=["AC0123456789abcdef0123456789abcdef"],
    )
    auth_token: SecretStr = Field(
        description="The account's token. It also proves that a callback is Twilio's.",
        examples=["${TWILIO_AUTH_TOKEN}"],
    )
    base_url: BaseUrl = Field(
        default=API, description="Another address of the service.", examples=[API]
    )


class TwilioNotifier(Notifier):
    """Sends by one call, and asks Twilio what became of it where the answer was lost."""

    receipts = True
    options: Options
    _called_back = True  # until Twilio refuses the callback address

    @property
    def outside(self) -> bool:
        return self._door.outside

    @property
    def patience(self) -> timedelta:
        calls = 2 if self.kit.callback_url and self._called_back else 1
        return LONGEST + calls * self._door.patience

    # --- what differs by channel -----------------------------------------------------------------

    def address(self, number: str) -> str:
        """Return a number the way this channel writes it."""
        raise NotImplementedError

    def content(self, message: Message) -> dict[str, Any]:
        """Return the parameters that say who sends what."""
        raise NotImplementedError

    def could_be(self, message: Message, there: Any) -> bool | None:
        """Whether a message that Twilio has could be this one; None: that cannot be seen."""
        raise NotImplementedError

    # --- the contract ----------------------------------------------------------------------------

    def send(self, message: Message) -> SendResult:
        """Create one message; nothing is tried again."""
        if not phones.is_e164(message.to):
            detail = "The recipient is not a number such as +4930123456."
            return SendResult(Outcome.REJECTED, "address_invalid", detail=detail)
        client = self._client  # its library takes a while, and the turn is not to pass meanwhile
        if (later := _pace.turn(self.kit)) is not None:
            return later
        return self._create(client, message)

    def lookup(self, attempt: Attempt) -> Proof:
        """Look for the attempt in the list of messages to its number."""
        try:
            sid, unclear = self._listed(attempt)
        except (_http.NotReached, _http.Lost):
            return CannotTell(_http.SOON)
        except _broken():
            return CannotTell(_http.BY_HAND)
        if sid:
            return Found(sid)
        since = attempt.nothing_since
        if since is not None and attempt.at - since >= _APART:
            # What shows no text now is not going to: which harm is worse is decided elsewhere.
            return CannotTell() if unclear else Absent()
        return CannotTell(_APART, nothing=True)

    def look_back(self, attempts: Sequence[Attempt]) -> Iterator[Receipt]:
        """Ask for each accepted message; what cannot be asked now is left for another time."""
        for attempt in attempts:
            if attempt.provider_id is None:
                continue
            try:
                told = self._client.messages(attempt.provider_id).fetch()
            except (_http.NotReached, _http.Lost):
                return
            except _broken():
                continue
            if told.status not in _ON_ITS_WAY:
                receipt = _receipt(told.status, told.error_code, told.sid, told.date_updated)
                if receipt:
                    yield receipt

    def read_callback(self, callback: Callback) -> Iterator[Receipt]:
        """Read a status callback; its address ends with the attempt's id."""
        from twilio.request_validator import RequestValidator

        token = self.options.auth_token.get_secret_value()
        fields = dict(parse_qsl(callback.body.decode("utf-8", "replace"), keep_blank_values=True))
        signature = callback.headers.get("x-twilio-signature", "")
        if not RequestValidator(token).validate(callback.url, fields, signature):
            raise Forged
        attempt = unquote(urlsplit(callback.url).path.rpartition("/")[2]) or None
        code = fields.get("ErrorCode", "")
        found = _receipt(
            fields.get("MessageStatus", ""),
            int(code) if code.isdigit() else None,
            fields.get("MessageSid"),
            None,
            attempt=attempt,
        )
        if found:
            yield found

    def advise(self) -> Iterator[Finding]:
        yield from _http.unencrypted(self.options.base_url, "messages and the token")

    def check(self) -> Iterator[Finding]:
        """Ask for one message of the account's list: login and account are proven, nothing is sent."""
        try:
            self._client.messages.list(limit=1, page_size=1)
        except _http.NotReached as why:
            fix = "Let the firewall let this machine reach the service, or correct base_url."
            yield Finding("error", "unreachable", f"Twilio: {why}.", fix)
        except _http.Lost as why:
            yield Finding("error", "unreachable", f"Twilio: {why}.", "Try again in a minute.")
        except _broken():
            yield self._refused_at_check()

    def close(self) -> None:
        self._door.close()

    # --- the call --------------------------------------------------------------------------------

    def _create(self, client: Client, message: Message) -> SendResult:
        result = self._created(client, message)
        if result.code == _CALLBACK_REFUSED and self._called_back:
            # That it would not call us back is no reason for the message not to leave.
            self._called_back = False
            result = self._created(client, message)
        return result

    def _created(self, client: Client, message: Message) -> SendResult:
        self._wire.answer = None  # what another request was answered says nothing of this one
        try:
            created = client.messages.create(
                to=self.address(message.to), **self.content(message), **self._limits(message)
            )
        except _http.NotReached as why:
            return _http.not_reached("Twilio", why)
        except _http.Lost as why:
            return _http.lost("Twilio", str(why))
        except _broken():
            return self._judged()
        if not created.sid:
            return _http.lost("Twilio", "its answer cannot be understood")
        return SendResult(Outcome.ACCEPTED, provider_id=created.sid)

    def _limits(self, message: Message) -> dict[str, Any]:
        """Until when the message is of use, and where Twilio may tell what became of it."""
        found: dict[str, Any] = {}
        if message.useless_after is not None:
            left = message.useless_after - (message.written_at or self.kit.now)
            found["validity_period"] = max(1, min(int(left.total_seconds()), _LONGEST_VALIDITY))
        if self.kit.callback_url and self._called_back:
            found["status_callback"] = f"{self.kit.callback_url}/{quote(message.id, safe='')}"
        return found

    def _judged(self) -> SendResult:
        """Return what an answer means that is no success, or none that can be read."""
        answer = self._wire.answer
        if answer is None or not 400 <= answer.status < 500 or answer.status == 408:
            return _http.lost("Twilio", "it said that something went wrong")
        if answer.status == 429:
            self.kit.pace.refused("messages", answer.retry_after)
        return refusal(answer.status, _code_in(answer.content), answer.retry_after)

    def _refused_at_check(self) -> Finding:
        result = self._judged()
        fixes = {
            "credentials_refused": "Correct account_sid and auth_token: the console shows both.",
            "account_refused": "Look at the account's state in Twilio's console.",
        }
        fix = fixes.get(result.reason, "Try again in a minute; if it goes on, ask Twilio.")
        return Finding("error", result.reason, result.detail, fix)

    def _listed(self, attempt: Attempt) -> tuple[str | None, bool]:
        """Return the id under which Twilio has an attempt, the oldest of those that could be it.

        Else whether there is one of which nobody can say.
        """
        message, since = attempt.message, attempt.begun_at - _CLOCKS_DIFFER
        found = [
            (one.sid, self.could_be(message, one))
            for one in self._client.messages.list(
                to=self.address(message.to), limit=_LOOKED_THROUGH, page_size=_LOOKED_THROUGH
            )
            if one.direction != "inbound"
            and (one.date_created is None or _aware(one.date_created) >= since)
            and not attempt.is_known(one.sid)
        ]
        sure = [sid for sid, it_is in found if it_is]
        unclear = any(it_is is None or attempt.written_anew for _, it_is in found)
        return (sure[-1] if sure else None), unclear

    @cached_property
    def _door(self) -> _http.Door:
        return _http.Door(self.options.base_url, self.options)

    @cached_property
    def _wire(self) -> Any:
        from notifiers._twilio_wire import Wire

        return Wire(self._door)

    @cached_property
    def _client(self) -> Client:
        client = self._login(self._wire)
        client.api.base_url = self.options.base_url
        return client

    def _login(self, wire: Any) -> Client:
        from twilio.rest import Client

        token = self.options.auth_token.get_secret_value()
        return Client(self.options.account_sid, token, http_client=wire)


def same_text(sent: str, there: str) -> bool:
    """Whether two texts read alike; a trial account puts a sentence of its own before each."""
    return " ".join(there.split()).endswith(" ".join(sent.split()))


def _broken() -> tuple[type[Exception], ...]:
    """Return what the library raises for answers that are no success, or that it cannot read."""
    from twilio.base.exceptions import TwilioException

    return (TwilioException, ValueError, LookupError, TypeError, AttributeError)


def _code_in(content: bytes) -> int | None:
    import msgspec

    try:
        code = msgspec.json.decode(content).get("code")
    except (msgspec.DecodeError, AttributeError):
        return None
    return code if isinstance(code, int) else None


def _receipt(
    status: str,
    code: int | None,
    sid: str | None,
    at: datetime | None,
    *,
    attempt: str | None = None,
) -> Receipt | None:
    delivery = _DELIVERIES.get(status)
    if delivery is None:
        return None
    when = _aware(at) if at else None
    if delivery is not Delivery.UNDELIVERED:
        return Receipt(delivery, attempt, sid, when)
    why = undelivered(code)
    detail = f"Twilio: {why.says}" + (f" ({code})." if code else ".")
    return Receipt(delivery, attempt, sid, when, why.reason, str(code or ""), detail)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
