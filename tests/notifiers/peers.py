"""The providers as tests of other rooms meet them: one entry a provider, each on its own small peer.

A new provider is one more `Provider` in `PROVIDERS`. Its exchange takes what is right, refuses the
rest, plays one `fault`, and keeps what stands in `unlisted` out of whatever can be asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

from clinicrelay.testing import Asked, Fault, HttpServer, Reply
from notifiers import _templates
from tests.notifiers import test_aws_sms as aws
from tests.notifiers import test_sendgrid as sendgrid
from tests.notifiers import test_twilio as twilio
from tests.notifiers import test_twilio_whatsapp as whatsapp

CUT = "half of the answer comes"
LATE = 1.3  # seconds; settings allow no timeout under one
# What becomes of a message: a fault, an answer that stands for any, or nothing strange.
Fate: TypeAlias = Fault | Reply | str | None


class Taken(NamedTuple):
    """A message that a provider accepted: under which id, to whom, and when by the clinic's clock."""

    id: str
    to: str
    text: str
    at: datetime
    said: Mapping[str, Any]  # all that was asked for


@dataclass(frozen=True)
class Provider:
    """One provider and how a clinic reaches it.

    `tells`: whether what became of a message can be found out. `apart`: how far apart the two looks
    are that prove that it has nothing.
    """

    name: str
    exchange: Callable[[], Any]
    options: Mapping[str, Any]
    sends: tuple[str, str]  # method and path of the request that hands a message over
    kept: Callable[[Any], Iterable[tuple[str, str, str, Mapping[str, Any]]]]
    channel: str
    tells: bool = True
    apart: timedelta = timedelta(0)

    @property
    def channels(self) -> dict[str, Any]:
        """The settings under which messages take its channel."""
        return {"order": [self.channel], "consent": {self.channel: "implied"}}


def _by_twilio(exchange: twilio.Exchange) -> Iterable[tuple[str, str, str, Mapping[str, Any]]]:
    return ((m["sid"], m["to"], m["body"], m["form"]) for m in exchange.messages)


def _by_sendgrid(exchange: sendgrid.Exchange) -> Iterable[tuple[str, str, str, Mapping[str, Any]]]:
    for mail in exchange.mails:
        (to,) = mail["personalizations"][0]["to"]
        yield mail["id"], to["email"], mail["content"][0]["value"], mail


def _by_aws(exchange: aws.Aws) -> Iterable[tuple[str, str, str, Mapping[str, Any]]]:
    name = type(exchange).__name__.lower()
    for number, one in enumerate(exchange.taken):
        yield f"{name}-{number}", one["to"], one["text"], one["fields"]


def _with_templates() -> whatsapp.Strict:
    """Return a Twilio that has a template for each text of a patient, with places for all values."""
    return whatsapp.Strict(
        templates={
            sid: whatsapp.a_template(
                ", ".join(f"{{{{{n}}}}}" for n, _ in enumerate(_templates.ORDER[text], 1))
            )
            for text, sid in _SIDS.items()
        }
    )


_SIDS = {
    text: whatsapp.hx(number)
    for number, text in enumerate(("confirmation", "reminder", "change", "cancellation"), 1)
}
_TWILIO = {
    "type": "twilio_sms",
    "account_sid": twilio.SID,
    "auth_token": twilio.TOKEN,
    "from": twilio.SENDER,
}
_SENDGRID = {"type": "sendgrid", "api_key": sendgrid.KEY, "from": sendgrid.SENDER}
_AWS = {
    "type": "aws_sms",
    "api": "eum",
    "region": aws.REGION,
    "access_key_id": aws.KEY,
    "secret_access_key": aws.SECRET,
    "from": aws.SENDER,
}
_ANY = ("POST", "/")
_MAILS = ("POST", "/v3/mail/send")

PROVIDERS = (
    Provider(
        "twilio",
        twilio.Exchange,
        _TWILIO,
        ("POST", f"{twilio.PATH}.json"),
        _by_twilio,
        "sms",
        apart=timedelta(seconds=75),
    ),
    Provider(
        "sendgrid",
        sendgrid.Exchange,
        {**_SENDGRID, "activity": True},
        _MAILS,
        _by_sendgrid,
        "email",
        apart=timedelta(minutes=2),
    ),
    Provider(
        "sendgrid_silent", sendgrid.Exchange, _SENDGRID, _MAILS, _by_sendgrid, "email", tells=False
    ),
)
# Besides, where it is about what each of them can prove.
ALL = (
    *PROVIDERS,
    Provider(
        "whatsapp",
        _with_templates,
        {
            **_TWILIO,
            "type": "twilio_whatsapp",
            "templates": {text: {"de": sid} for text, sid in _SIDS.items()},
        },
        ("POST", f"{twilio.PATH}.json"),
        _by_twilio,
        "whatsapp",
        apart=timedelta(seconds=75),
    ),
    Provider("aws_eum", lambda: aws.Eum("sms-voice"), _AWS, _ANY, _by_aws, "sms", tells=False),
    Provider(
        "aws_sns",
        lambda: aws.Sns("sns"),
        {**_AWS, "api": "sns"},
        _ANY,
        _by_aws,
        "sms",
        tells=False,
    ),
)


@dataclass
class Peer:
    """One provider at work, asked by many at once.

    `now` is the clinic's time, which a test sets: what was taken shows in lists `lag` later. `fate`
    says what happens to each message that comes.
    """

    provider: Provider
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    lag: timedelta = timedelta(0)
    fate: Callable[[], Fate] = lambda: None
    taken: list[Taken] = field(default_factory=list)
    asked: list[tuple[datetime, Asked]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.exchange = self.provider.exchange()
        self.lock = threading.Lock()
        self.doors: list[HttpServer] = []

    def door(self) -> str:
        """Open one more way in, so that it is known who comes; return its address."""
        number = len(self.doors)
        self.doors.append(HttpServer(lambda asked: self.answer(number, asked)))
        self.doors[-1].start()
        return self.doors[-1].url

    def close(self) -> None:
        self.exchange.over.set()
        for door in self.doors:
            door.stop()

    def answer(self, door: int, asked: Asked) -> Reply:
        with self.lock:
            self.asked.append((self.now, asked))
            if not self.is_message(asked):
                late = {one.id for one in self.taken if self.now < one.at + self.lag}
                self.exchange.unlisted = late
                found: Reply = self.exchange.answer(asked)
                return found
            fate = self.fate()
            return self._take(asked, fate)

    def is_message(self, asked: Asked) -> bool:
        return (asked.method, asked.path) == self.provider.sends

    @property
    def messages(self) -> list[datetime]:
        """When each message was tried, by the clinic's clock."""
        return [at for at, asked in self.asked if self.is_message(asked)]

    def _take(self, asked: Asked, fate: Fate) -> Reply:
        if isinstance(fate, Reply):
            return fate
        late = fate is Fault.ANSWER_LATE
        self.exchange.fault = fate if isinstance(fate, Fault) and not late else None
        reply: Reply = self.exchange.answer(asked)
        self.exchange.fault = None
        for id_, to, text, said in list(self.provider.kept(self.exchange))[len(self.taken) :]:
            self.taken.append(Taken(id_, to, text, self.now, said))
        if late:
            self.exchange.over.wait(LATE)
        if fate == CUT:
            return replace(reply, drop=True) if reply.body else Reply(reset=True)
        return reply
