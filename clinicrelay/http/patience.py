"""How often a request is tried again, and how long a server is left alone before that."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from clinicrelay.http import waits
from clinicrelay.http.errors import NotAnswered

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")

TRIES = 5  # more of one request, after the first
TRIES_OF_A_RUN = 40
LONGEST_WAIT = timedelta(minutes=5)  # a server that asks for more gets its peace till the next run


class Again(Exception):
    """This try failed in a way that the next may not; `after` is what the server asks for."""

    def __init__(self, sentence: str, after: timedelta | None = None) -> None:
        super().__init__(sentence)
        self.after = after


class Patience:
    """The tries of one run: each request has some, and all of them together not too many."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self._sleep = sleep
        self._left = TRIES_OF_A_RUN

    def with_tries(self, once: Callable[[], T]) -> T:
        """Return what `once` does, later and later if it raises Again. Raises NotAnswered."""
        try:
            return once()
        except Again as first:
            return self._again(first, once)

    def _again(self, first: Again, once: Callable[[], T]) -> T:
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt
        from tenacity.wait import wait_exponential, wait_random

        # Jitter, so that all clinics of a server that was down do not come back in one breath.
        usual = wait_exponential(multiplier=1, max=30) + wait_random(0, 1)

        def wait(state: RetryCallState) -> float:
            failed = state.outcome.exception() if state.outcome else None
            return self._pause(failed if isinstance(failed, Again) else first, usual(state))

        self._sleep(self._pause(first, random.uniform(0.2, 0.8)))  # noqa: S311 - no secret
        retrying = Retrying(
            stop=stop_after_attempt(TRIES),
            wait=wait,
            retry=retry_if_exception_type(Again),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(once)
        except Again as last:
            raise NotAnswered(str(last), after=last.after) from None

    def _pause(self, failed: Again, usual: float) -> float:
        """Return how long to wait before the next try. Raises NotAnswered when it is not worth it."""
        self._left -= 1
        if failed.after is not None and failed.after > LONGEST_WAIT:
            raise NotAnswered(
                f"{failed}, and asks for {waits.told(failed.after)} of peace", after=failed.after
            ) from None
        if self._left < 0:
            raise NotAnswered(f"{failed}, again and again in this run") from None
        return max(usual, failed.after.total_seconds() if failed.after else 0.0)
