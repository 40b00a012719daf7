"""A drop folder with a clock of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clinicrelay.contracts import Columns, Cursor
from clinicrelay.testing.connectors import Read, cycle, preview
from clinicrelay.testing.kits import kit
from connectors.csv import Csv

NOW_SECONDS = 1_795_420_800.0  # 2026-11-23 08:00 UTC, as the kit's clock says

COLUMNS = Columns(
    names=frozenset({"id", "date", "time", "patient", "notes", "datum", "uhrzeit", "status"}),
    required=(frozenset({"date", "datum"}), frozenset({"id", "patient"})),
    dates=frozenset({"date", "datum"}),
    fields=(("start",), ("key", "patient.name")),
    private=frozenset({"patient", "notes", "phone"}),
)


@dataclass
class Drops:
    """An inbox, and connectors that look at it as if a new process had made them."""

    root: Path
    memory: dict[str, Any] = field(default_factory=dict)
    now: float = NOW_SECONDS
    told: list[str] = field(default_factory=list)

    @property
    def inbox(self) -> Path:
        return self.root / "drops" / "test"

    def put(self, name: str, content: str | bytes, *, age: float = 100) -> Path:
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        os.utime(path, (self.now - age, self.now - age))
        return path

    def connector(self, columns: Columns | None = COLUMNS, wait: bool = False, **said: Any) -> Csv:
        options = Csv.Options.model_validate({"contents": "snapshot"} | said)
        made = kit(self.root, columns=columns, memory=self.memory, wait=wait, tell=self.told.append)
        connector = Csv(options, made)
        connector.clock = lambda: self.now
        connector.sleep = self.sleep
        return connector

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def read(self, cursor: Cursor | None = None, **said: Any) -> Read:
        return cycle(self.connector(**said), cursor)

    def look(self, cursor: Cursor | None = None, **said: Any) -> Read:
        return preview(self.connector(**said), cursor)

    def tree(self) -> list[str]:
        """Every file below the inbox, as names with their folders."""
        return sorted(str(p.relative_to(self.inbox)) for p in self.inbox.rglob("*") if p.is_file())


@pytest.fixture
def drops(tmp_path: Path) -> Drops:
    return Drops(tmp_path)
