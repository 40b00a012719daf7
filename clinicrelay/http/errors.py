"""What can go wrong on the way to a server: each is one of the four errors, with its own sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clinicrelay.errors import Refused, TryLater

if TYPE_CHECKING:
    from clinicrelay.http.client import Answer


class NotAnswered(TryLater):
    """Nobody answered, or only with trouble of their own, however often we asked."""


class TooSlow(NotAnswered):
    """An answer did not end in its time: another try would take as long, and others wait behind it."""


class Spent(TryLater):
    """The requests that settings allow are used up; what was read is kept."""


class Unwelcome(Refused):
    """The server answered, and not with what was asked for. `answer` is None before there was one."""

    def __init__(self, message: str, *, fix: str = "", answer: Answer | None = None) -> None:
        super().__init__(message, fix=fix)
        self.answer = answer

    @property
    def status(self) -> int:
        """The HTTP status, 0 where no answer came."""
        return self.answer.status if self.answer else 0


class NoToken(Unwelcome):
    """Where tokens are given, we got none: asking again without a change would not help."""


class Foreign(Unwelcome):
    """A link or redirect leads to another host: nothing was sent there."""
