"""How people are told: a message, what came of it, and what a provider can say later."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import msgspec

from clinicrelay.contracts.kit import Finding, Kit, Outcome
from clinicrelay.model import Channel

if TYPE_CHECKING:
    from pydantic import BaseModel


class Attachment(msgspec.Struct, frozen=True):
    """A file of a message; `media_type` may carry parameters (`text/calendar; method=REQUEST`)."""

    name: str
    media_type: str
    content: str


class Message(msgspec.Struct, frozen=True):
    """One message to one recipient, rendered. `id` is the attempt's: deterministic, opaque, and the
    only thing of ours that leaves the house with it (Message-ID, callback address)."""

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


class SendResult(msgspec.Struct, frozen=True):
    """What became of a message; `detail` is free of personal data, `reason` a stable code.

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


class Found(msgspec.Struct, frozen=True):
    """The provider has it."""

    provider_id: str | None = None


class Absent(msgspec.Struct, frozen=True):
    """The provider proves that it never took it."""


class CannotTell(msgspec.Struct, frozen=True):
    """No proof either way: ask again after `retry_after`; without it there will never be one."""

    retry_after: timedelta | None = None


Proof: TypeAlias = Found | Absent | CannotTell


class Notifier:
    """Sends messages on one or more channels: one attempt a call, no retries, no exceptions.

    `hands_over` is true where `kit.handing_over` is called before each message can be accepted.
    `connects` is false where `check` only looks at files of this machine.
    """

    Options: ClassVar[type[BaseModel]]
    channels: ClassVar[tuple[Channel, ...]]
    hands_over: ClassVar[bool] = False
    connects: ClassVar[bool] = True

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
    def patience(self) -> timedelta:
        """How long one call of `send` may take at most: till then nobody takes its run for dead."""
        return timedelta(0)

    def send(self, message: Message) -> SendResult:
        raise NotImplementedError

    def lookup(self, message: Message) -> Proof:
        """Ask the provider what became of an attempt whose answer was lost."""
        return CannotTell()

    def advise(self) -> Iterator[Finding]:
        """Yield what is unwise in the settings as they stand; connects to nothing."""
        yield from ()

    def check(self) -> Iterator[Finding]:
        """Yield what is wrong with the way to the provider; sends nothing."""
        yield from ()

    def close(self) -> None:
        """Let go of connections; called when the run is over, and harmless at any time."""
