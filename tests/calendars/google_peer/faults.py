"""What may go wrong on demand, and when."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = (
    *("status", "html", "close_before", "close_after", "reset_before", "reset_after", "truncate"),
    *("hang", "hang_after", "drop_part", "empty_list", "call"),
)
PAGE = b"<html><head><title>Bad Gateway</title></head><body>The proxy is unwell.</body></html>"


@dataclass
class Rule:
    """One fault: `kind` says what, `operation` and `calendar` where, and the rest how often.

    `operation` "*" is any call of the API, in a batch or not; "batch" and "token" are the request
    that holds the calls and the one for a token. `kind` "call" runs `call` before the call is
    answered, in the peer's own process. The place in a batch counts as a call of its own for `nth`.
    """

    kind: str
    operation: str = "*"
    calendar: str | None = None
    nth: int | None = None
    every: int | None = None
    probability: float | None = None
    limit: int | None = None
    status: int = 503
    reason: str = "backendError"
    message: str = "Backend Error"
    retry_after: int | None = None
    seconds: float = 0.0
    call: Callable[[], Any] | None = None
    met: int = 0
    fired: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind} is none of {', '.join(KINDS)}")

    def concerns(self, operation: str, calendar: str) -> bool:
        of_calls = self.operation == "*" and operation not in ("batch", "token")
        return (of_calls or self.operation == operation) and self.calendar in (None, calendar)

    def fires(self, chance: random.Random) -> bool:
        """Count one call that it concerns; return whether it goes wrong."""
        self.met += 1
        due = (
            (self.limit is None or self.fired < self.limit)
            and (self.nth is None or self.met == self.nth)
            and (self.every is None or self.met % self.every == 0)
            and (self.probability is None or chance.random() < self.probability)
        )
        self.fired += due
        return due


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: `body` None is an empty one. `wire` says how the bytes fail to arrive."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    wire: str = ""  # close | reset | truncate | drop
