"""How people are told: a message, what came of it, and what a provider can say later."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

import msgspec

from clinicrelay.contracts.kit import Finding, Kit, Leftover, Outcome
from clinicrelay.model import Channel

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel


class Attachment(msgspec.Struct, frozen=True):
    """A file of a message; `media_type` may carry parameters (`text/calendar; method=REQUEST`)."""

    name: str
    media_type: str
    content: str


class Message(msgspec.Struct, frozen=True):
    """One message to one recipient, rendered. `id` is the attempt's: deterministic, opaque, and the
    only thing of ours that leaves the house with it (Message-ID, callback address).

    `template` is the text's name as in the files' names (`reminder`, `doctor_reminder`) and `values`
    are its pieces by name, in the message's language: for a provider that has texts of its own.
    """

    id: str
    channel: Channel
    to: str
    text: str
    language: str
    kind: str = ""
    sender: str | None = None
    subject: str | None = None
    html: str | None = None
    attachments: tuple[Attachment, ...] = ()
    useless_after: datetime | None = None
    written_at: datetime | None = None
    template: str = ""
    values: Mapping[str, str] = {}


class SendResult(msgspec.Struct, frozen=True):
    """What became of a message; `detail` is free of personal data, `reason` a stable code.

    `code` is the provider's own code, where it gave one.

    `pause` says that the notifier is to blame and no message (its server, account, password): for
    so long the others are not even tried, and none of them counts as refused. With UNKNOWN only the
    others wait: what became of this message is found out by itself.
    """

    outcome: Outcome
    reason: str = ""
    provider_id: str | None = None
    retry_after: timedelta | None = None
    detail: str = ""
    pause: timedelta | None = None
    code: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that a provider is asked about: its answer was lost, or its receipt is to come.

    It was accepted no earlier than `begun_at`, on whichever clock the provider goes by. `at` is the
    moment of this look; looks have found nothing since `nothing_since` (None: this is the first).
    `is_known` says whether an id of the provider belongs to an attempt that is not this one.
    `written_anew` says that a store which was put back from a copy made the text again: it may have
    read otherwise when it left, or have left within another message. Then nothing is `Absent` while
    the provider has any message to this person since, that is not known and may be this one.
    """

    message: Message
    begun_at: datetime
    at: datetime
    provider_id: str | None = None
    nothing_since: datetime | None = None
    is_known: Callable[[str], bool] = lambda provider_id: False
    written_anew: bool = False


class Found(msgspec.Struct, frozen=True):
    """The provider has it."""

    provider_id: str | None = None


class Absent(msgspec.Struct, frozen=True):
    """The provider proves that it never took it."""


class CannotTell(msgspec.Struct, frozen=True):
    """No proof either way: ask again after `retry_after`; without it there will never be one.

    `nothing` says that the provider was asked and has nothing yet: a list may lag, so the first such
    look proves nothing.
    """

    retry_after: timedelta | None = None
    nothing: bool = False


Proof: TypeAlias = Found | Absent | CannotTell


class Delivery(StrEnum):
    """How far an accepted message came; only the last is a failure."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    UNDELIVERED = "undelivered"


class Receipt(msgspec.Struct, frozen=True):
    """What a provider says of a message that it had accepted; known by one of the two ids.

    `reason` is a stable code, `code` the provider's own; `detail` is free of personal data.
    """

    delivery: Delivery
    attempt: str | None = None
    provider_id: str | None = None
    at: datetime | None = None
    reason: str = ""
    code: str = ""
    detail: str = ""


class Callback(msgspec.Struct, frozen=True):
    """A request that a provider made to us. `url` is the public one that it was told; the names of
    `headers` are in small letters."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class TheirText(NamedTuple):
    """A text that stands at the provider: its id there, its language, and what is put into it, in order.

    `values` are names of `Message.values`.
    """

    id: str
    language: str
    values: tuple[str, ...]


class Forged(Exception):
    """A callback is not signed by the provider, or for another address: nothing in it is believed."""


class Notifier:
    """Sends messages on one or more channels: one attempt a call, no retries, no exceptions.

    `hands_over` is true where `kit.handing_over` is called before each message can be accepted; an
    attempt is written down then, and else before `send` is called.
    `connects` is false where `check` only looks at files of this machine. `receipts` is true where
    the provider can be asked later whether a message was delivered.
    """

    Options: ClassVar[type[BaseModel]]
    channels: ClassVar[tuple[Channel, ...]]
    hands_over: ClassVar[bool] = False
    connects: ClassVar[bool] = True
    receipts: ClassVar[bool] = False

    def __init__(self, options: Any, kit: Kit) -> None:
        self.options = options
        self.kit = kit

    @property
    def outside(self) -> bool:
        """Whether messages leave this machine; see `clinicrelay.loopback`."""
        return True

    @property
    def mailbox(self) -> str | None:
        """The address that e-mails are from, where the notifier decides; answers may go there."""
        return None

    @property
    def tells(self) -> bool:
        """Whether `lookup` may ever find anything out."""
        return type(self).lookup is not Notifier.lookup

    @property
    def patience(self) -> timedelta:
        """How long one call of `send` may take at most: till then nobody takes its run for dead."""
        return timedelta(0)

    @classmethod
    def texts(cls, options: Any) -> Collection[str] | None:
        """Return the names of the texts that it can send; None: all, as they are written."""
        return None

    @classmethod
    def their_text(cls, options: Any, template: str, wanted: str, own: str) -> TheirText | None:
        """Return the provider's text that leaves instead of ours; None: ours does, or `texts` lacks it.

        `wanted` is a patient's language, `own` the clinic's.
        """
        return None

    def language(self, template: str, wanted: str) -> str:
        """Return the language that a text leaves in; a provider may have its own in some only."""
        return wanted

    def send(self, message: Message) -> SendResult:
        raise NotImplementedError

    def lookup(self, attempt: Attempt) -> Proof:
        """Ask the provider what became of an attempt whose answer was lost."""
        return CannotTell()

    def look_back(self, attempts: Sequence[Attempt]) -> Iterator[Receipt]:
        """Yield what the provider says of accepted attempts, as far as it tells of any."""
        yield from ()

    def read_callback(self, callback: Callback) -> Iterator[Receipt]:
        """Yield what a provider tells by itself. Raises Forged unless it is proven to be the provider.

        A callback may come twice, in any order, and before the answer to the call it is about.
        """
        raise Forged

    def advise(self) -> Iterator[Finding]:
        """Yield what is unwise in the settings as they stand; connects to nothing."""
        yield from ()

    def check(self) -> Iterator[Finding]:
        """Yield what is wrong with the way to the provider; sends nothing."""
        yield from ()

    def left(self) -> Iterator[Leftover]:
        """Yield the files that lie on this machine with patients' data when their work is done.

        They are deleted once they are old enough, so the clinic must not need them any more.
        """
        yield from ()

    def holds(self, path: Path, mentions: Callable[[str], bool]) -> bool:
        """Whether such a file has something in it that `mentions` somebody. Raises OSError."""
        return False

    def cut(self, path: Path, mentions: Callable[[str], bool]) -> None:
        """Take all that out of a file, or delete it where that cannot be done. Raises OSError."""

    def close(self) -> None:
        """Let go of connections; called when the run is over, and harmless at any time."""
