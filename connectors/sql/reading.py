"""One read of a query: which way, its pages, and the cursor that each of them asks to keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from clinicrelay.contracts import Cursor, Kit, Page, Record, Stretch, Unreadable, Window
from clinicrelay.errors import Refused
from clinicrelay.paths import fold
from connectors.sql.cells import Shape, keys_in, text_of
from connectors.sql.keys import Kinds, bound_as
from connectors.sql.options import SqlOptions
from connectors.sql.query import among, bind_names, since
from connectors.sql.server import Clock, Rows, Server
from connectors.sql.watermark import FIRST, Marks, begin, wall_of

# A column may hold local time or UTC: a day more on both sides loses no visit to that.
_MARGIN = timedelta(days=1)
_LAST = datetime(2199, 12, 31)  # noqa: DTZ001 - as databases hold it
_FIRST_DAY = datetime(1970, 1, 1)  # noqa: DTZ001 - as databases hold it
_KEYS_AT_ONCE = 100
_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Way:
    """How a read goes: `changes` or everything; `known` is the cursor it stands on."""

    strategy: str
    changes: bool
    text: str
    values: dict[str, Any]
    known: Cursor
    covers: Sequence[Stretch]
    notes: list[str] = field(default_factory=list)


class Reader:
    """Reads the query of one source. `clock` asks for the source's time, before a transaction begins."""

    def __init__(
        self, options: SqlOptions, kit: Kit, server: Server, text: str, clock: Callable[[], Clock]
    ) -> None:
        self._options, self._kit, self._server = options, kit, server
        self._text, self._clock = text, clock
        self._binds = bind_names(text)

    # --- which way ---------------------------------------------------------------------------------

    def way(self, cursor: Cursor | None, window: Window) -> Way:
        """Choose how to read; a cursor of another query, or of other columns, is worth nothing."""
        known = dict(cursor) if cursor and cursor.get("of") == self._of() else {}
        strategy, why = self._strategy()
        notes = [why] if why and known.get("strategy") != strategy else []
        if strategy == "cursor" and known.get("watermark") and not self._is_due(known):
            text = self._text if "watermark" in self._binds else self._since(window)
            values = self._values(window, self._begin(known))
            return Way(strategy, True, text, values, known, [], notes)
        values = self._values(window, FIRST)
        return Way(strategy, False, self._text, values, known, [self._stretch(window)], notes)

    def _since(self, window: Window) -> str:
        (column,) = self._real([self._options.cursor or ""], window)
        return since(self._text, column)

    def _strategy(self) -> tuple[str, str]:
        """Return the strategy, and why where the settings leave it open."""
        said, cursor = self._options.strategy, self._options.cursor
        if said != "auto":
            return said, ""
        if cursor:
            every = _hours(self._options.reconcile_every)
            return "cursor", f"reads what {cursor} says has changed, and everything every {every}"
        if self._windowed():
            return "row_hash", "reads the whole window and compares it: cursor names no column"
        return (
            "snapshot",
            "reads every row and compares it: neither cursor nor window is named",
        )

    def _windowed(self) -> bool:
        return bool(self._binds & {"window_start", "window_end"})

    def _is_due(self, known: Cursor) -> bool:
        before = datetime.fromisoformat(known.get("reconciled", "1970-01-01T00:00:00+00:00"))
        return not timedelta(0) <= self._kit.now - before < self._options.reconcile_every

    def _begin(self, known: Cursor) -> datetime:
        at = datetime.fromisoformat(known["watermark"])
        coarse, naive = bool(known.get("coarse", True)), bool(known.get("naive", True))
        return wall_of(begin(at, self._options.overlap, coarse=coarse, naive=naive), self._zone())

    def _values(self, window: Window, watermark: datetime) -> dict[str, Any]:
        moment = self._server.moment
        return {
            "watermark": moment(watermark),
            "window_start": moment(_naive(window.start) - _MARGIN),
            "window_end": moment(_naive(window.end) + _MARGIN),
        }

    def _stretch(self, window: Window) -> Stretch:
        return Stretch(
            window.start if "window_start" in self._binds else None,
            window.end if "window_end" in self._binds else None,
        )

    def _of(self) -> str:
        """Return what a cursor belongs to: read otherwise, it would leave rows out."""
        options = self._options
        told = repr((self._text, options.cursor, options.keys, sorted(options.zones.items())))
        return blake2b(told.encode(), digest_size=8).hexdigest()

    # --- the pages ---------------------------------------------------------------------------------

    def pages(self, way: Way) -> Iterator[Page]:
        """Yield the pages of a read; until the last one the cursor stays as it was.

        Raises TryLater and Refused.
        """
        marks = Marks(
            self._clock() if way.strategy == "cursor" else Clock(self._kit.now), self._zone()
        )
        rows = self._server.ask(way.text, way.values, self._options.fetch_size)
        try:
            shape, at = self._shape(rows), self._cursor_at(rows)
            self._require_what_was_read(rows.columns)
            kinds, nameless, page = Kinds(shape.key), False, self._page(way, shape, [])
            for batch in self._counted(rows):
                if at is not None:
                    marks.see([row[at] for row in batch])
                kinds.see(batch)
                if page.records or page.unreadable:
                    yield page
                page = self._page(way, shape, batch)
                nameless |= bool(page.unreadable)
        finally:
            rows.close()
            self._server.done()
        self._remember(kinds, way)
        self._kit.memory["columns"] = {"of": self._of(), "names": list(rows.columns)}
        yield self._last(way, page, marks, nameless=nameless)

    def _page(self, way: Way, shape: Shape, batch: Sequence[tuple[Any, ...]]) -> Page:
        nameless: list[Unreadable] = []
        if shape.key and any(shape.lacks_key(row) for row in batch):
            nameless = [shape.nameless(row) for row in batch if shape.lacks_key(row)]
            batch = [row for row in batch if not shape.lacks_key(row)]
        records = shape.records(batch)
        return Page(self._kit.name, records, nameless, way.known, changes=way.changes)

    def _last(self, way: Way, page: Page, marks: Marks, *, nameless: bool) -> Page:
        cursor: Cursor = {**way.known, "of": self._of(), "strategy": way.strategy}
        if way.strategy == "cursor":
            cursor |= self._marked(way, marks)
        if not way.changes:
            cursor["reconciled"] = self._kit.now.isoformat()
        everything = not way.changes and not nameless
        return Page(
            page.scope,
            page.records,
            page.unreadable,
            cursor,
            last=True,
            complete=not nameless,
            notes=[*way.notes, *self._told(way, marks, nameless=nameless)],
            changes=way.changes,
            covers=way.covers if everything else [],
        )

    def _marked(self, way: Way, marks: Marks) -> Cursor:
        """Return where a whole read of changes, or of everything, has got to."""
        if marks.highest is None and marks.unreadable:
            raise Refused(
                f"{self._options.cursor} holds no times that can be compared",
                fix="name a column of times as cursor, or write strategy: row_hash",
            )
        before = way.known.get("watermark")
        reached = marks.reached(datetime.fromisoformat(before) if before else None)
        if reached is None:
            return {}
        found: Cursor = {"watermark": reached.isoformat()}
        if marks.highest is not None:
            sure = self._options.zones.get(self._options.cursor or "") == "utc"
            coarse = (
                marks.coarse if not way.changes else marks.coarse or way.known.get("coarse", True)
            )
            naive = marks.naive or (way.changes and way.known.get("naive", True))
            found |= {"coarse": coarse, "naive": bool(naive and not sure)}
        return found

    def _told(self, way: Way, marks: Marks, *, nameless: bool) -> Iterator[str]:
        if nameless:
            yield "some rows have no key and could be any visit: nothing is taken for deleted"
        if marks.ahead and not way.changes:
            name = self._options.cursor
            yield (
                f"some values of {name} are later than the database's clock and do not count: typing "
                f"errors, or local time (then write zones: {{{name}: clinic}})"
            )

    def _counted(self, rows: Rows) -> Iterator[Sequence[tuple[Any, ...]]]:
        most, number = self._options.max_rows, 0
        for batch in rows:
            number += len(batch)
            if number > most:
                raise Refused(
                    f"the query gives more than {most} rows",
                    fix="compare the start with :window_start and :window_end, or raise max_rows",
                )
            yield batch

    # --- its columns -------------------------------------------------------------------------------

    def columns(self, window: Window) -> Sequence[str]:
        """Return the columns of the query. Raises Refused also where key or cursor are missing."""
        values = self._values(window, _naive(self._kit.now))
        rows = self._server.ask(self._text, values, 1)
        try:
            self._shape(rows)
            self._cursor_at(rows)
            self._require_what_was_read(rows.columns)
            return rows.columns
        finally:
            rows.close()
            self._server.done()

    def sample(self, window: Window) -> tuple[Sequence[str], list[dict[str, str]]]:
        """Return the columns of the query and a few rows. Raises TryLater and Refused."""
        values = self._values(window, _FIRST_DAY)
        rows = self._server.ask(self._text, values, _SAMPLES)
        try:
            few = rows.first[:_SAMPLES]
            told = [dict(zip(rows.columns, map(text_of, row), strict=True)) for row in few]
            return rows.columns, told
        finally:
            rows.close()
            self._server.done()

    def _shape(self, rows: Rows) -> Shape:
        columns, kit = rows.columns, self._kit
        self._require_single(columns)
        for column in self._options.keys:
            _require("key", column, columns)
        return Shape(
            columns,
            key=self._options.keys,
            zones={column: self._named(zone) for column, zone in self._options.zones.items()},
            place=kit.name,
        )

    def _real(self, names: Sequence[str], window: Window) -> list[str]:
        """Return columns as the database calls them, quoted: `UpdatedAt` is found as `updated_at`."""
        if (known := self._kit.memory.get("columns") or {}).get("of") != self._of():
            known = {"names": self.columns(window)}
        called = {fold(name): name for name in known["names"]}
        return [self._server.quoted(called.get(fold(name), name)) for name in names]

    def _require_single(self, columns: Sequence[str]) -> None:
        """Of two columns with one name nobody could tell which is read."""
        own = {fold(name) for name in (*self._options.keys, self._options.cursor or "")}
        read = own | (self._kit.columns.names if self._kit.columns else frozenset())
        folded = [fold(name) for name in columns]
        for name in columns:
            if fold(name) in read and folded.count(fold(name)) > 1:
                raise Refused(
                    f"two columns of the query are called {name}",
                    fix="give one of them another name with AS",
                )

    def _require_what_was_read(self, columns: Sequence[str]) -> None:
        """Refuse a read that lacks a column it had: without a status all visits would be booked again.

        A query that somebody changed may give what it likes.
        """
        known, wanted = self._kit.memory.get("columns") or {}, self._kit.columns
        if wanted is None or known.get("of") != self._of():
            return
        now = {fold(name) for name in columns}
        groups = [*wanted.required, *(group for group, _ in wanted.hoped)]
        for name in known["names"]:
            told = any(fold(name) in group and group & now for group in groups)
            if fold(name) in wanted.names - now and not told:
                raise Refused(
                    f"the query no longer gives the column {name}, which the mapping reads",
                    fix=f"see `clinicrelay check {self._kit.name} --connect`; name the column in the "
                    "query with AS, or name all others there where it is gone for good",
                )

    def _cursor_at(self, rows: Rows) -> int | None:
        cursor = self._options.cursor
        if cursor is None:
            return None
        _require("cursor", cursor, rows.columns)
        return [fold(name) for name in rows.columns].index(fold(cursor))

    def _zone(self) -> str:
        zones = {fold(column): zone for column, zone in self._options.zones.items()}
        return self._named(zones.get(fold(self._options.cursor or ""), "utc"))

    def _named(self, zone: str) -> str:
        return {"clinic": self._kit.clinic.timezone, "utc": "UTC"}.get(zone, zone)

    # --- by key ------------------------------------------------------------------------------------

    def _remember(self, kinds: Kinds, way: Way) -> None:
        """Remember of what type keys are: only then can one be asked for."""
        before = self._kit.memory.get("keys") if way.changes else None
        self._kit.memory["keys"] = kinds.told(before)

    def among(self, keys: Sequence[str]) -> Iterator[Page]:
        """Yield, for keys, the rows that are there, and the others as gone."""
        columns = self._options.keys
        kinds = self._kit.memory.get("keys") or []
        parts = {
            key: found for key in keys if (found := bound_as(keys_in(key, len(columns)), kinds))
        }
        asked = list(parts)
        names = self._real(columns, Window(self._kit.now, self._kit.now)) if asked else []
        for begin_at in range(0, len(asked), _KEYS_AT_ONCE):
            some = asked[begin_at : begin_at + _KEYS_AT_ONCE]
            yield self._found(
                some, among(self._text, names, len(some)), [parts[key] for key in some]
            )

    def _found(self, keys: Sequence[str], text: str, parts: Sequence[Sequence[Any]]) -> Page:
        moment = self._server.moment
        flat = [value for values in parts for value in values]
        values = {f"key{at}": value for at, value in enumerate(flat)}
        values |= {
            "watermark": moment(FIRST),
            "window_start": moment(FIRST),
            "window_end": moment(_LAST),
        }
        rows = self._server.ask(text, values, self._options.fetch_size)
        try:
            shape = self._shape(rows)
            self._require_what_was_read(rows.columns)
            there = [row for batch in rows for row in batch]
        finally:
            rows.close()
            self._server.done()
        met = {shape.key_of(row) for row in there}
        gone = [_gone(key, self._kit.name) for key in keys if key not in met]
        wanted = [row for row in there if shape.key_of(row) in set(keys)]
        return Page(self._kit.name, [*shape.records(wanted), *gone], last=True, changes=True)


def _gone(key: str, place: str) -> Record:
    digest = blake2b(f"gone {key}".encode(), digest_size=16).digest()
    return Record({}, digest, place, key=key, gone=True)


def _require(option: str, column: str, columns: Sequence[str]) -> None:
    if fold(column) not in map(fold, columns):
        raise Refused(
            f"{option} names {column}, and the query gives no such column",
            fix="add it to the columns of the SELECT",
        )


def _naive(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:g} h"
