"""A clinic's system that lies: what it holds, what it said of each visit, and what is wrong."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from clinicrelay.testing import Asked, Reply
from clinicrelay.times import iso

Row = dict[str, Any]
PAGE = 4
LIES = ("short", "total", "empty", "down", "down later", "login", "old", "twice", "back", "cut")
PAGE_TO_LOG_IN = b"<html><body>Please sign in</body></html>"

SOURCE = {
    "type": "rest",
    "request": {"path": "/bookings", "params": {"since": "{watermark}"}},
    "records": "items",
    "key": "id",
    "cursor": "updated",
    "clock": "now",
    "reconcile_every": "6h",
    "paging": {"type": "cursor", "next": "next", "param": "after", "total": "total"},
    "read_by_id": {"path": "/bookings/{id}"},
}
MAPPING = """
version: 1
fields:
  key: {path: id, required: true}
  start: {path: start, type: datetime, required: true}
  status: {path: status}
  patient.key: {path: patient}
  patient.phone: {path: phone, type: phone}
  practitioner.key: {path: doctor}
  practitioner.email: {path: doctor, type: email}
"""


@dataclass
class Liar:
    """Serves its `book`, but for the `lies` of the moment.

    `claims` are the versions that it gave of each visit since the last read that was complete;
    `denied` are the visits of which it said, truly and by their id, that there are none.
    """

    book: dict[str, Row] = field(default_factory=dict)
    old: dict[str, Row] = field(default_factory=dict)
    lies: frozenset[str] = frozenset()
    now: datetime = datetime(2026, 1, 1)
    claims: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    denied: set[str] = field(default_factory=set)
    fresh: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    asked: int = 0

    def begin(self, now: datetime, lies: frozenset[str]) -> None:
        """Let a run come at this time, and tell it these lies."""
        self.now, self.lies, self.asked = now, lies, 0
        self.fresh.clear()

    def believed(self) -> None:
        """The read was complete: what it said before of the same visits counts no longer."""
        self.claims |= {key: list(rows) for key, rows in self.fresh.items()}

    def change(self, key: str, **said: Any) -> None:
        """Enter something new of a visit."""
        self.old[key] = self.book[key]
        self.book[key] = {**self.book[key], **said, "updated": iso(self.now)}

    # --- over HTTP -------------------------------------------------------------------------------

    def answer(self, asked: Asked) -> Reply:
        self.asked += 1
        if "down" in self.lies or ("down later" in self.lies and self.asked > 1):
            return Reply({"error": "down"}, 500)
        if "login" in self.lies:
            return Reply(PAGE_TO_LOG_IN, 200, {"Content-Type": "text/html"})
        name = asked.path.rpartition("/")[2]
        return self._list(asked) if name == "bookings" else self._one(name)

    def _one(self, key: str) -> Reply:
        row = None if "empty" in self.lies else self.book.get(key)
        if row is None:
            self.denied |= set() if key in self.book else {key}
            return Reply({"error": "not found"}, 404)
        return Reply(self._said(row))

    def _list(self, asked: Asked) -> Reply:
        since = "" if "old" in self.lies else asked.one("since") or ""
        some = [] if "empty" in self.lies else list(self._rows(since))
        at = int(asked.one("after") or 0)
        page, after = some[at : at + PAGE], at + PAGE
        if "short" in self.lies and at == 0:
            after += PAGE
        left = after < len(some)
        wrong = 3 if "total" in self.lies else 0
        told = self.now - timedelta(hours="back" in self.lies)
        said = {
            "items": [self._said(row) for row in page],
            "next": str(after) if left else None,
            "total": len(some) + wrong,
            "now": iso(told),
        }
        return Reply(said, drop="cut" in self.lies and at > 0)

    def _rows(self, since: str) -> list[Row]:
        rows = sorted(self.book.values(), key=lambda row: str(row["id"]))
        if "old" in self.lies:
            rows = [self.old.get(row["id"], row) for row in rows]
        if "twice" in self.lies:
            rows = [*rows[:2], *rows]
        return [row for row in rows if row["updated"] >= since]

    def _said(self, row: Row) -> Row:
        for said in (self.claims, self.fresh):
            if row not in said[row["id"]]:
                said[row["id"]].append(row)
        self.denied.discard(row["id"])
        return row
