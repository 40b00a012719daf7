"""A JSON interface on this machine, and connectors that settings describe to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clinicrelay.contracts import Cursor, Page, Window
from clinicrelay.testing import NOW, WINDOW, Asked, HttpServer, Reply, kit
from clinicrelay.testing.connectors import Read, cycle
from connectors.rest import Rest

Answer = Callable[[Asked], Reply]


class OfARun:
    """A budget: so many requests in this run, then none."""

    def __init__(self, count: int) -> None:
        self.left = count

    def take(self, key: str, n: int = 1) -> timedelta:
        self.left -= n
        return timedelta(0) if self.left >= 0 else timedelta.max


@dataclass
class Api:
    """The interface, and what a clinic's settings say of it; each run is a process of its own."""

    server: HttpServer
    folder: Path
    said: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
    now: datetime = NOW
    slept: list[float] = field(default_factory=list)
    budget: int | None = None

    def answers(self, answer: Answer) -> None:
        self.server.answer = answer

    def settings(self, **said: Any) -> None:
        self.said = said

    def connector(self, **more: Any) -> Rest:
        options = Rest.Options.model_validate({"base_url": self.server.url} | self.said | more)
        pace = {} if self.budget is None else {"pace": OfARun(self.budget)}
        made = Rest(options, kit(self.folder, memory=self.memory, now=self.now, **pace))
        made.sleep = self.slept.append
        made.clock = lambda: sum(self.slept)
        made.today = lambda: datetime.now(UTC)
        return made

    def read(self, cursor: Cursor | None = None, window: Window = WINDOW) -> Read:
        connector = self.connector()
        connector.kit.columns  # noqa: B018 - a connector of JSON never asks; that it may is enough
        if window is WINDOW:
            return cycle(connector, cursor)
        return Read(list(connector.pull(cursor, window)))

    def last(self, cursor: Cursor | None = None) -> Page:
        return self.read(cursor).pages[-1]

    def keys(self, cursor: Cursor | None = None) -> list[str]:
        return [str(record.key) for record in self.read(cursor).records]

    @property
    def asked(self) -> list[Asked]:
        return self.server.log


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    server = HttpServer(lambda asked: Reply([]))
    server.start()
    try:
        yield Api(server, tmp_path)
    finally:
        server.stop()


def bookings(count: int) -> list[dict[str, Any]]:
    return [{"id": f"b{n}", "starts_at": f"2026-12-{n % 27 + 1:02}T09:00:00Z"} for n in range(count)]


@pytest.fixture
def many() -> list[dict[str, Any]]:
    """Two hundred and fifty bookings."""
    return bookings(250)
