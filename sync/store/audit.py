"""Who did what: entries that are only ever added, each sealed together with the one before it.

An entry is written in the transaction of what it tells of. Its hash is made with the installation's
key over all it says and over the hash of the entry before; the clinic's row holds the last one. So an
entry that was altered, taken out or put in by SQL is named by `verify`. No text of a patient belongs
here: it cannot be taken out again.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from sync.store import dialects, instant, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

_COLUMNS = (
    *("clinic", "number", "done_at", "actor", "action", "about", "reason", "details"),
    *("before_hash", "hash"),
)
_PAGE = 1000


class Deed(NamedTuple):
    """What somebody did: `about` is KIND/ID, `details` are numbers and ids, never a patient's data."""

    actor: str
    action: str
    about: str = ""
    reason: str = ""
    details: Mapping[str, Any] = {}


class Entry(NamedTuple):
    """One line of the audit trail as it stands; `details` is JSON."""

    clinic: str
    number: int
    done_at: int
    actor: str
    action: str
    about: str
    reason: str
    details: str
    before_hash: str
    hash: str

    @property
    def at(self) -> datetime:
        return instant(self.done_at)


class Broken(NamedTuple):
    """An entry that is not what it was, or that is not there; and how that is seen."""

    number: int
    what: str


class Verdict(NamedTuple):
    """What looking over a clinic's trail has found."""

    entries: int
    broken: list[Broken]


def note(connection: Connection, clinic: str, deed: Deed) -> None:
    """Add an entry, in the transaction of what it tells of; others who add one wait for its end.

    Best called last in its transaction: nobody who waits for the clinic's row then holds another
    that is wanted here.
    """
    key, number, before = _head(connection, clinic)
    ((now,),) = dialects.fetch(connection, dialects.CLOCK[connection.dialect.name])
    said = Entry(
        clinic,
        number + 1,
        int(now),
        deed.actor[:120],
        deed.action[:40],
        deed.about[:120],
        deed.reason,
        json.dumps(dict(deed.details), ensure_ascii=False, sort_keys=True),
        before,
        "",
    )
    entry = said._replace(hash=_seal(key, said))
    marks = ", ".join("?" * len(_COLUMNS))
    dialects.run(
        connection, f"INSERT INTO audit ({', '.join(_COLUMNS)}) VALUES ({marks})", tuple(entry)
    )
    _set_head(connection, entry)


def note_everywhere(connection: Connection, deed: Deed) -> None:
    """Add an entry for each clinic of a store, of what was done to the whole of it."""
    for (clinic,) in dialects.fetch(connection, "SELECT clinic FROM clinics ORDER BY clinic"):
        note(connection, clinic, deed)


def _head(connection: Connection, clinic: str) -> tuple[bytes, int, str]:
    """Return the key of an installation, and the number and hash of the last entry of its trail."""
    ((key, head),) = dialects.locked(
        connection, "SELECT instance_key, audit_head FROM clinics WHERE clinic = ?", (clinic,)
    )
    number, _, last = head.partition(":")
    return bytes(key), int(number or 0), last


def _set_head(connection: Connection, entry: Entry) -> None:
    head = f"{entry.number}:{entry.hash}"
    dialects.run(
        connection, "UPDATE clinics SET audit_head = ? WHERE clinic = ?", (head, entry.clinic)
    )


def _seal(key: bytes, entry: Entry) -> str:
    said = json.dumps([*entry[:-1]], ensure_ascii=False, separators=(",", ":"))
    return hmac.new(key, said.encode(), "sha256").hexdigest()


# --- reading ---------------------------------------------------------------------------------------


def entries(
    connection: Connection, clinic: str, *, since: datetime | None = None
) -> Iterator[Entry]:
    """Yield a clinic's entries in their order, a page at a time."""
    after, first = 0, seconds(since) if since else 0
    statement = (
        f"SELECT {', '.join(_COLUMNS)} FROM audit WHERE clinic = ? AND number > ? "
        f"AND done_at >= ? ORDER BY number LIMIT {_PAGE}"
    )
    while rows := dialects.fetch(connection, statement, (clinic, after, first)):
        yield from map(Entry._make, rows)
        after = rows[-1][1]


def verify(connection: Connection, clinic: str) -> Verdict:
    """Look whether each entry says what it said, and whether none is missing.

    Those that the retention took are the oldest ones; the chain begins with the first that is left.
    """
    key, head = _known(connection, clinic)
    while True:
        count, broken, last = 0, list[Broken](), None
        for entry in entries(connection, clinic):
            count += 1
            broken += _wrong(key, entry, last)
            last = entry
        before, head = head, _known(connection, clinic)[1]
        if head == before:  # else somebody added one meanwhile
            break
    number, _, seal = head.partition(":")
    end = (str(last.number), last.hash) if last else ("", "")
    if end != (number, seal) and (not broken or end[0] != number):
        what = "the trail does not end where it did: entries were taken out or put in at its end"
        broken.append(Broken(max(int(number or 0), int(end[0] or 0)), what))
    return Verdict(count, broken)


def _known(connection: Connection, clinic: str) -> tuple[bytes, str]:
    rows = dialects.fetch(
        connection, "SELECT instance_key, audit_head FROM clinics WHERE clinic = ?", (clinic,)
    )
    return (bytes(rows[0][0]), rows[0][1]) if rows else (b"", "")


def _wrong(key: bytes, entry: Entry, last: Entry | None) -> Iterator[Broken]:
    if last is not None and entry.number != last.number + 1:
        missing = f"{last.number + 1} to {entry.number - 1}"
        yield Broken(entry.number, f"the entries {missing} before it were taken out")
    elif last is not None and entry.before_hash != last.hash:
        yield Broken(entry.number, "it does not follow from the entry before it")
    if not hmac.compare_digest(_seal(key, entry._replace(hash="")), entry.hash):
        yield Broken(entry.number, "it says something else than it did")


# --- what is too old, and what a restore would lose --------------------------------------------------


def forget_before(connection: Connection, clinic: str, *, before: int, most: int) -> int:
    """Delete at most so many entries of before a moment, the oldest first; the last one stays.

    Returns how many.
    """
    ends = dialects.fetch(
        connection,
        "SELECT number FROM audit WHERE clinic = ? AND done_at < ? ORDER BY number LIMIT ?",
        (clinic, before, most),
    )
    _, last, _ = _head(connection, clinic)
    numbers = [row[0] for row in ends if row[0] < last]
    if not numbers:
        return 0
    return dialects.run(
        connection,
        "DELETE FROM audit WHERE clinic = ? AND number <= ? AND done_at < ?",
        (clinic, numbers[-1], before),
    )


def put_back(connection: Connection, before: Mapping[str, list[Entry]]) -> None:
    """Give clinics the trail that they had before a restore, where it goes on from the restored one.

    What was done since the backup was made was done all the same.
    """
    for clinic, kept in before.items():
        rows = dialects.fetch(
            connection, "SELECT audit_head FROM clinics WHERE clinic = ?", (clinic,)
        )
        if not rows or not kept:
            continue
        known = {"", *(f"{entry.number}:{entry.hash}" for entry in kept)}
        if rows[0][0] in known:
            connection.execute(text("DELETE FROM audit WHERE clinic = :clinic"), {"clinic": clinic})
            marks = ", ".join("?" * len(_COLUMNS))
            dialects.run_many(
                connection,
                f"INSERT INTO audit ({', '.join(_COLUMNS)}) VALUES ({marks})",
                [tuple(entry) for entry in kept],
            )
            _set_head(connection, kept[-1])


def trails(connection: Connection) -> dict[str, list[Entry]]:
    """Return the trails of all clinics of a store, whole."""
    rows = dialects.fetch(
        connection, f"SELECT {', '.join(_COLUMNS)} FROM audit ORDER BY clinic, number"
    )
    found: dict[str, list[Entry]] = {}
    for entry in map(Entry._make, rows):
        found.setdefault(entry.clinic, []).append(entry)
    return found
