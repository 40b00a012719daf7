"""What a source said last, page by page: by it an unchanged record is known without being parsed.

A page holds the digest of each of its records, and whose visit it is. It is a promise: the visit
stands in the store just as that record tells it. So whatever gives a visit another content, lets it
go, or removes it has to `forget` it here, in the same transaction.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from sync.store import bulk, dialects

if TYPE_CHECKING:
    from sqlalchemy import Connection

_DIGEST = 16  # bytes
NOBODY = -1  # a record that is known, and of a visit that is not kept (too old, or erased)
_STRETCH = 16 * _DIGEST
_COLUMNS = ("clinic", "source", "page", "fingerprint", "digests", "visits", "starts")


class Sheet(NamedTuple):
    """One page: digests end to end; a visit's number and start (seconds) for each, or 0.

    The number of a record that is not kept is NOBODY.
    """

    digests: bytes
    visits: array[int]
    starts: array[int]

    @classmethod
    def of(cls, digests: bytes) -> Sheet:
        """Return a page of records that are nobody's yet."""
        nothing = bytes(len(digests) // _DIGEST * 8)
        return cls(digests, array("q", nothing), array("q", nothing))

    def copy_alike(self, old: Sheet) -> list[int]:
        """Take over whose the records are that stand where they stood; return where others are.

        A few that follow each other are compared at once: most are alike.
        """
        size = min(len(self.visits), len(old.visits))
        self.visits[:size], self.starts[:size] = old.visits[:size], old.starts[:size]
        one, other, others = self.digests, old.digests, []
        for begin in range(0, size * _DIGEST, _STRETCH):
            if one[begin : begin + _STRETCH] != other[begin : begin + _STRETCH]:
                places = range(begin, min(begin + _STRETCH, size * _DIGEST), _DIGEST)
                others += [
                    at // _DIGEST
                    for at in places
                    if one[at : at + _DIGEST] != other[at : at + _DIGEST]
                ]
        others += range(size, len(self.visits))
        for at in others:
            self.visits[at] = self.starts[at] = 0
        return others

    def places(self) -> dict[bytes, int]:
        """Return where in the page the record with a digest is, if it is somebody's."""
        digests, ends = self.digests, range(0, len(self.digests), _DIGEST)
        return {
            digests[end : end + _DIGEST]: at
            for at, (end, visit) in enumerate(zip(ends, self.visits, strict=True))
            if visit
        }


def load(
    connection: Connection, clinic: str, source: str, page: int, *, fingerprint: bytes
) -> Sheet | None:
    """Return a page, None where there is none that was read with this mapping."""
    mark = dialects.marks(connection, 1)
    row = connection.exec_driver_sql(
        "SELECT digests, visits, starts FROM sightings WHERE "
        f"clinic = {mark} AND source = {mark} AND page = {mark} AND fingerprint = {mark}",
        (clinic, source, page, fingerprint),
    ).fetchone()
    return None if row is None else Sheet(bytes(row[0]), _numbers(row[1]), _numbers(row[2]))


def keep(
    connection: Connection,
    clinic: str,
    source: str,
    sheets: Mapping[int, Sheet],
    *,
    fingerprint: bytes,
) -> None:
    """Write pages, by their numbers, over what they held before."""
    rows = [
        (
            clinic,
            source,
            page,
            fingerprint,
            sheet.digests,
            bytes(sheet.visits),
            bytes(sheet.starts),
        )
        for page, sheet in sheets.items()
    ]
    bulk.write(connection, "sightings", _COLUMNS, rows, update=_COLUMNS[3:])


def cut(connection: Connection, clinic: str, source: str, pages: int) -> None:
    """Drop the pages beyond the first `pages`: the source says less now."""
    mark = dialects.marks(connection, 1)
    connection.exec_driver_sql(
        f"DELETE FROM sightings WHERE clinic = {mark} AND source = {mark} AND page >= {mark}",
        (clinic, source, pages),
    )


def forget(connection: Connection, clinic: str, source: str, visits: Collection[int]) -> None:
    """Know nothing of these visits any more: what their source says next is looked at anew."""
    wanted, mark = set(visits), dialects.marks(connection, 1)
    for page, numbers in list(_whose(connection, clinic, source)):
        if wanted.isdisjoint(numbers):
            continue
        left = array("q", (0 if number in wanted else number for number in numbers))
        connection.exec_driver_sql(
            f"UPDATE sightings SET visits = {mark} "
            f"WHERE clinic = {mark} AND source = {mark} AND page = {mark}",
            (bytes(left), clinic, source, page),
        )


def retire(
    connection: Connection, clinic: str, source: str, visits: Collection[int], *, now: int
) -> None:
    """Let the records of these visits be nobody's: the same said again is not looked at.

    Those that are still to come no longer count as such; past ones still say how far back a read goes.
    """
    wanted, where = set(visits), "WHERE clinic = ? AND source = ? AND page = ?"
    for page, numbers in list(_whose(connection, clinic, source)):
        if wanted.isdisjoint(numbers):
            continue
        rows = dialects.fetch(
            connection, f"SELECT starts FROM sightings {where}", (clinic, source, page)
        )
        starts = _numbers(rows[0][0])
        for at, number in enumerate(numbers):
            if number in wanted:
                numbers[at], starts[at] = NOBODY, starts[at] if starts[at] <= now else 0
        values = (bytes(numbers), bytes(starts), clinic, source, page)
        dialects.run(connection, f"UPDATE sightings SET visits = ?, starts = ? {where}", values)


def _whose(connection: Connection, clinic: str, source: str) -> Iterator[tuple[int, array[int]]]:
    mark = dialects.marks(connection, 1)
    rows = connection.exec_driver_sql(
        f"SELECT page, visits FROM sightings WHERE clinic = {mark} AND source = {mark}",
        (clinic, source),
    )
    for page, visits in rows:
        yield page, _numbers(visits)


def _numbers(blob: bytes) -> array[int]:
    return array("q", bytes(blob))
