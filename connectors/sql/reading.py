"""One read of a query: its pages, the cursor that each of them asks to keep, and visits by their key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any

from msgspec.structs import replace

from clinicrelay.contracts import Cursor, Kit, Page, Record, Unreadable, Window
from clinicrelay.errors import Refused
from clinicrelay.paths import fold
from connectors.sql.cells import Shape, keys_in, text_of
from connectors.sql.columns import Wanted
from connectors.sql.keys import Kinds, bound_as
from connectors.sql.options import SqlOptions
from connectors.sql.query import among, since
from connectors.sql.server import Clock, Rows, Server
from connectors.sql.watermark import Marks, wall_of
from connectors.sql.ways import Way, Ways

_FIRST_DAY = datetime(1970, 1, 1)  # noqa: DTZ001 - as databases hold it
_KEYS_AT_ONCE = 100
_SAMPLES = 5


class Reader:
    """Reads the query of one source. `clock` asks for the source's time, before a transaction begins."""

    def __init__(
        self, options: SqlOptions, kit: Kit, server: Server, text: str, clock: Callable[[], Clock]
    ) -> None:
        self._options, self._kit, self._server = options, kit, server
        self._text, self._clock = text, clock
        self._ways, self._wanted = Ways(options, kit, text, server.moment), Wanted(options, kit)

    def way(self, cursor: Cursor | None, window: Window) -> Way:
        """Choose how to read."""
        return self._ways.way(cursor, window, zone=self._wanted.zone())

    # --- the pages ---------------------------------------------------------------------------------

    def pages(self, way: Way, window: Window) -> Iterator[Page]:
        """Yield the pages of a read; until the last one the cursor stays as it was.

        Raises TryLater and Refused.
        """
        text = self._text_of(way, window)
        clock = self._clock() if way.strategy == "cursor" else Clock(self._kit.now)
        marks = Marks(clock, self._wanted.zone())
        rows = self._server.ask(text, way.values, self._options.fetch_size)
        try:
            shape, at = self._known(rows), self._wanted.cursor_at(rows.columns)
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
        self._remember(kinds, rows, way)
        yield self._last(way, page, marks, nameless=nameless)

    def _text_of(self, way: Way, window: Window) -> str:
        if not way.changes or "watermark" in self._ways.binds:
            return self._text
        (column,) = self._real([self._options.cursor or ""], window)
        return since(self._text, column)

    def _page(self, way: Way, shape: Shape, batch: Sequence[tuple[Any, ...]]) -> Page:
        nameless: list[Unreadable] = []
        if shape.key and any(shape.lacks_key(row) for row in batch):
            nameless = [shape.nameless(row) for row in batch if shape.lacks_key(row)]
            batch = [row for row in batch if not shape.lacks_key(row)]
        records = shape.records(batch)
        widened = not way.changes and way.reach.is_new()
        return Page(
            self._kit.name,
            records,
            nameless,
            way.known,
            changes=way.changes,
            widened=widened,
            widened_from=None if way.changes else way.reach.until,
        )

    def _last(self, way: Way, page: Page, marks: Marks, *, nameless: bool) -> Page:
        cursor: Cursor = {**way.known, "of": self._ways.of, "strategy": way.strategy}
        if way.strategy == "cursor":
            cursor |= self._marked(way, marks)
        if not way.changes:
            cursor["reconciled"] = self._kit.now.isoformat()
        everything = not way.changes and not nameless
        for stretch in way.covers:
            way.reach.ended(until=stretch.end, read_until=stretch.end)
        return replace(
            page,
            cursor=cursor,
            last=True,
            complete=not nameless,
            notes=[*way.notes, *self._told(way, marks, nameless=nameless)],
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

    # --- what a read leaves for the next -----------------------------------------------------------

    def _remember(self, kinds: Kinds, rows: Rows, way: Way) -> None:
        """Remember the columns, and of what type keys are: only then can one be asked for."""
        memory = self._kit.memory
        memory["keys"] = kinds.told(memory.get("keys") if way.changes else None)
        memory["columns"] = {"of": self._ways.of, "names": list(rows.columns)}

    def _before(self) -> Sequence[str]:
        """Return the columns that the last read of this query found, none if there was none."""
        known = self._kit.memory.get("columns") or {}
        return known["names"] if known.get("of") == self._ways.of else ()

    def _known(self, rows: Rows) -> Shape:
        shape = self._wanted.shape(rows.columns)
        self._wanted.require_what_was_read(rows.columns, self._before())
        return shape

    def _real(self, names: Sequence[str], window: Window) -> list[str]:
        """Return columns as the database calls them, quoted: `UpdatedAt` is found as `updated_at`."""
        called = {fold(name): name for name in self._before() or self.columns(window)}
        return [self._server.quoted(called.get(fold(name), name)) for name in names]

    # --- a look --------------------------------------------------------------------------------------

    def columns(self, window: Window) -> Sequence[str]:
        """Return the columns of the query. Raises Refused also where key or cursor are missing."""
        rows = self._server.ask(
            self._text, self._ways.values(window, wall_of(self._kit.now, "UTC")), 1
        )
        try:
            self._known(rows)
            self._wanted.cursor_at(rows.columns)
            return rows.columns
        finally:
            rows.close()
            self._server.done()

    def sample(self, window: Window) -> tuple[Sequence[str], list[dict[str, str]]]:
        """Return the columns of the query and a few rows. Raises TryLater and Refused."""
        rows = self._server.ask(self._text, self._ways.values(window, _FIRST_DAY), _SAMPLES)
        try:
            few = rows.first[:_SAMPLES]
            told = [dict(zip(rows.columns, map(text_of, row), strict=True)) for row in few]
            return rows.columns, told
        finally:
            rows.close()
            self._server.done()

    # --- by key ------------------------------------------------------------------------------------

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
        flat = [value for values in parts for value in values]
        values = self._ways.anytime() | {f"key{at}": value for at, value in enumerate(flat)}
        rows = self._server.ask(text, values, self._options.fetch_size)
        try:
            shape = self._known(rows)
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
