"""What a delivery begins and may end with; light enough for a run that has nothing to send."""

from __future__ import annotations

from typing import NamedTuple

from clinicrelay import SendResult


class Letter(NamedTuple):
    """A mail ready to travel, from one address to one address; `id` is the attempt's."""

    id: str
    sender: str
    recipient: str
    content: bytes
    message_id: str

    @property
    def in_utf8(self) -> bool:
        """Whether only a server that knows RFC 6531 can pass it on."""
        return not self.recipient.isascii()


class Failure(Exception):
    """A delivery ended early. `usable` says that the connection may serve the next message,
    `stale` that a new connection may well do better: nothing of the message was handed over."""

    def __init__(
        self, result: SendResult, *, fix: str = "", usable: bool = False, stale: bool = False
    ) -> None:
        super().__init__(result.detail)
        self.result = result
        self.fix = fix
        self.usable = usable
        self.stale = stale
