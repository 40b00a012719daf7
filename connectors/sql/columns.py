"""The columns that a query gives, beside those that the settings name and the mapping reads."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from clinicrelay.contracts import Kit
from clinicrelay.errors import Refused
from clinicrelay.paths import fold
from connectors.sql.cells import Shape
from connectors.sql.options import SqlOptions


class Wanted:
    """What one source wants of the columns of its query."""

    def __init__(self, options: SqlOptions, kit: Kit) -> None:
        self._options, self._kit = options, kit

    def shape(self, columns: Sequence[str]) -> Shape:
        """Return what the columns are. Raises Refused where one that the settings name is not there."""
        options = self._options
        self._require_single(columns)
        named = (("key", options.keys), ("zones", options.zones), ("gone", options.gone))
        for option, names in named:
            for column in names:
                _require(option, column, columns)
        return Shape(
            columns,
            key=options.keys,
            zones={column: self._named(zone) for column, zone in options.zones.items()},
            gone=options.words_of_gone,
            place=self._kit.name,
        )

    def cursor_at(self, columns: Sequence[str]) -> int | None:
        """Return where the cursor stands. Raises Refused where it is not there."""
        cursor = self._options.cursor
        if cursor is None:
            return None
        _require("cursor", cursor, columns)
        return [fold(name) for name in columns].index(fold(cursor))

    def zone(self) -> str:
        """Return the zone of the cursor column."""
        zones = {fold(column): zone for column, zone in self._options.zones.items()}
        return self._named(zones.get(fold(self._options.cursor or ""), "utc"))

    def require_what_was_read(self, columns: Sequence[str], before: Sequence[str]) -> None:
        """Refuse a read that lacks a column it had: without a status all visits would be booked again.

        `before` are the columns that the same query gave; one that somebody changed may give what it
        likes.
        """
        if (wanted := self._kit.columns) is None:
            return
        now = {fold(name) for name in columns}
        groups = [*wanted.required, *(group for group, _ in wanted.hoped)]
        for name in before:
            told = any(fold(name) in group and group & now for group in groups)
            if fold(name) in wanted.names - now and not told:
                raise Refused(
                    f"the query no longer gives the column {name}, which the mapping reads",
                    fix=f"see `clinicrelay check {self._kit.name} --connect`; name the column in the "
                    "query with AS, or name all others there where it is gone for good",
                )

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

    def _named(self, zone: str) -> str:
        return {"clinic": self._kit.clinic.timezone, "utc": "UTC"}.get(zone, zone)


def _require(option: str, column: str, columns: Sequence[str]) -> None:
    called = {fold(name): name for name in columns}
    if fold(column) in called:
        return
    near = get_close_matches(fold(column), called, 1)
    meant = f"did you mean {called[near[0]]}? Else " if near else ""
    raise Refused(
        f"{option} names {column}, and the query gives no such column",
        fix=f"{meant}add it to the columns of the SELECT",
    )
