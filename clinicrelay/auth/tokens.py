"""Keeps the token of a run: bought when first needed, renewed before its end, by one thread for all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from clinicrelay.http.errors import NoToken

_EARLY = 60.0  # seconds before its end that a token is renewed; of a short life, a fifth of it
_SHARE = 0.2
_IN_VAIN = 2  # renewals that did not help, after which a 401 is believed: it is not the token


@dataclass(frozen=True, slots=True, eq=False)
class Bought:
    """What was bought: a token, and how many seconds it lives; None where nobody said."""

    value: str = field(repr=False)
    life: float | None


@dataclass(slots=True, eq=False)
class Token:
    """A token in use. `until` is when a new one is due, by the clock of the process."""

    value: str = field(repr=False)
    until: float
    renewed: bool  # because the one before was refused
    worked: bool = False


class Tokens:
    """Hands out a token; `buy(renewing)` gets a new one and raises NoToken, Unwelcome, NotAnswered.

    Servers throttle those who ask too often (Oracle Health: closer than a minute), so nothing is
    bought ahead of need, and what they definitely refused is not asked for again in this run.
    """

    def __init__(self, buy: Callable[[bool], Bought], clock: Callable[[], float]) -> None:
        self._buy, self._clock = buy, clock
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._bought = 0
        self._refused: NoToken | None = None
        self._after_401 = False
        self._in_vain = 0

    def current(self) -> Token:
        """Return a token that should do."""
        with self._lock:
            if self._refused is not None:
                raise self._refused
            if self._token is None or self._clock() >= self._token.until:
                self._token = self._new()
            return self._token

    def answered(self, token: Token, status: int) -> bool:
        """Learn how a request with a token ended; return whether a new token may better it."""
        with self._lock:
            if status != 401:
                token.worked = True
                return False
            if token is not self._token:
                return True  # another thread has had it renewed meanwhile
            if token.renewed and not token.worked:
                self._in_vain += 1
                token.worked = True  # counted once
                return False
            if self._in_vain >= _IN_VAIN:
                return False
            self._token, self._after_401 = None, True
            return True

    def _new(self) -> Token:
        begun = self._clock()  # its life counts from before the question: we are sooner, not later
        try:
            bought = self._buy(self._bought > 0)
        except NoToken as error:
            self._refused = error
            raise
        self._bought += 1
        renewed, self._after_401 = self._after_401, False
        return Token(bought.value, begun + _useful(bought.life), renewed)


def _useful(life: float | None) -> float:
    """Return for how many seconds a token is used; one of unknown life, until it is refused."""
    return float("inf") if life is None else life - min(_EARLY, _SHARE * life)
