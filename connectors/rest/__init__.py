"""Any JSON interface, described in settings.yaml without code: how to ask, to page and to go on.

What its words mean is said by a mapping. Nothing is written there: GET, and POST for a search or a
login that the settings declare.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from pydantic import BaseModel

from clinicrelay.contracts import Connector, Cursor, Finding, Kit, Offer, Page, Window
from connectors.rest.door import Door
from connectors.rest.looking import advice, findings, offers
from connectors.rest.options import RestOptions
from connectors.rest.reading import Reading
from connectors.rest.single import reread


class Rest(Connector):
    """Reads a JSON interface by what settings say of it."""

    Options: ClassVar[type[BaseModel]] = RestOptions
    mapping: ClassVar[str | None] = None

    # Real time, for waiting and for what the server's clock is compared with; tests put in their own.
    sleep: Callable[[float], None] = staticmethod(time.sleep)
    clock: Callable[[], float] = staticmethod(time.monotonic)
    today: Callable[[], datetime] = staticmethod(lambda: datetime.now(UTC))

    options: RestOptions

    def __init__(self, options: Any, kit: Kit) -> None:
        super().__init__(options, kit)
        self.rereads = options.read_by_id is not None
        self._door: Door | None = None

    @property
    def lists_everything(self) -> bool:
        return self.options.missing == "gone"

    @property
    def duplicates(self) -> str:
        # Lists change while they are read, and what is cancelled comes after what is booked.
        return "last"

    def pull(self, cursor: Cursor | None, window: Window) -> Iterator[Page]:
        """Yield the lists page by page. Raises TryLater and Refused."""
        reading = Reading(self.options, self.kit, self.door, cursor, window)
        self.strategy = reading.strategy
        try:
            yield from reading.pages()
        finally:
            self.close()

    def reread(self, keys: Sequence[str]) -> Iterator[Page]:
        """Ask for visits one by one. Raises TryLater and Refused."""
        yield from reread(self.options, self.kit, self.door, keys)

    def advise(self) -> Iterator[Finding]:
        yield from advice(self.options)

    def check(self) -> Iterator[Finding]:
        try:
            yield from findings(self.options, self.kit, self.door, self.today())
        finally:
            self.close()

    def offers(self) -> Iterator[Offer]:
        try:
            yield from offers(self.options, self.kit, self.door)
        finally:
            self.close()

    @property
    def door(self) -> Door:
        """What everything is asked through."""
        if self._door is None:
            self._door = Door(self.options, self.kit, sleep=self.sleep, clock=self.clock)
        return self._door

    def close(self) -> None:
        if self._door is not None:
            self._door.close()
