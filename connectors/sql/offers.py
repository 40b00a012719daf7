"""What a database has that may be appointments: a guess by the names of its tables and columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from clinicrelay.contracts import Offer
from clinicrelay.errors import Refused, TryLater
from clinicrelay.paths import fold
from connectors.sql.cells import moment, text_of
from connectors.sql.options import SqlOptions
from connectors.sql.query import BadQuery, bind_names, check, tidied
from connectors.sql.server import Server, Table

_SAMPLES = 5
_OFFERED = 5
# Folded names, as such systems call them; likeliest first where one of several is taken.
_TABLES = frozenset(
    {
        *("appointment", "appointments", "appt", "appts", "visit", "visits", "booking", "bookings"),
        *("termin", "termine", "cita", "citas", "rendezvous", "rdv", "randevu", "schedule"),
        *("calendar", "calendarevents", "event", "events"),
    }
)
_KEYS = (
    *("appointmentid", "apptid", "aptnum", "visitid", "bookingid", "terminid", "eventid"),
    *("pceid", "id"),
)
_STARTS = (
    *("appointmentdate", "start", "startsat", "startdatetime", "starttime", "aptdatetime"),
    *("scheduledat", "pceventdate", "date"),
)
_WRITTEN = (
    *("updatedat", "datemodified", "modifiedat", "lastmodified", "updated", "changedat"),
    *("datetstamp", "lastupdated", "modified", "datechanged", "lastupdate", "updatedon"),
    *("modifiedon", "changed"),
)
_STATUS = ("status", "state", "apptstatus", "aptstatus", "pcapptstatus", "estado", "statut")
_PEOPLE = ("patientid", "patnum", "patient", "patientname", "pid", "pcpid", "clientid")
# Systems that have a page of their own: a table, folded, a column that it has, the page and the mapping
# that understands the table as it is.
_KNOWN = (
    ("openemrpostcalendarevents", "pceid", "connect-openemr-sql", "openemr_sql"),
    ("patientappointment", "startdatetime", "connect-bahmni-sql", None),
    ("appointment", "aptnum", "connect-opendental-sql", None),
)


class Guess(NamedTuple):
    """A table, how much it looks like appointments, and which columns are what."""

    table: Table
    score: int
    key: str | None
    start: str | None
    cursor: str | None


def offers_of(server: Server) -> Iterator[Offer]:
    """Yield the likeliest tables first, with a query, key, cursor, strategy and a few rows.

    What cannot be read comes last, with its reason. Raises TryLater and Refused where nothing can.
    """
    guesses = sorted(map(guess, server.tables()), key=lambda one: -one.score)
    readable, failed = 0, list[tuple[Guess, TryLater | Refused]]()
    for one in guesses:
        if readable == _OFFERED or not _is_likely(one):
            break
        try:
            offer = _offer(server, one)
        except (TryLater, Refused) as error:
            failed.append((one, error))
            continue
        readable += 1
        yield offer
    server.done()
    if failed and not readable:
        raise failed[0][1]
    for one, why in failed[:_OFFERED]:
        yield Offer(f"{one.table.name} (not readable: {why})", {})


def _is_likely(one: Guess) -> bool:
    """Whether it may be appointments; of a view that does not work nobody can tell."""
    return one.score > 0 or not one.table.columns


def offer_of_query(
    options: SqlOptions, columns: Sequence[str], samples: Sequence[Mapping[str, str]]
) -> Offer:
    """Return what is to be added to a query that somebody wrote: its key, and when rows were written."""
    one = guess(Table((), columns))
    settings: dict[str, Any] = {}
    if options.key is None and one.key:
        settings["key"] = one.key
    by_days = {"window_start", "window_end"} & bind_names(options.query or "")
    if not options.cursor and not by_days and one.cursor and _tells_time(samples, one.cursor):
        settings["cursor"] = one.cursor
    notes = [] if samples else ["it gives no rows now: a draft needs some"]
    return Offer("the query in the settings", settings, samples, notes)


def guess(table: Table) -> Guess:
    """Judge a table by its name and those of its columns."""
    columns = table.columns
    folded = {fold(name): name for name in columns}
    key, start, cursor = (_first(folded, names) for names in (_KEYS, _STARTS, _WRITTEN))
    name = fold(table.parts[-1]) if table.parts else ""
    score = 4 * (name in _TABLES) + 2 * any(word in name for word in _TABLES if len(word) > 3)
    score += 2 * bool(start) + 2 * bool(_first(folded, _PEOPLE)) + bool(_first(folded, _STATUS))
    if _known(table):
        score += 10
    told = score if (start or name in _TABLES or score > 9) else 0
    return Guess(table, told, key or (columns[0] if start else None), start, cursor)


def _first(folded: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((folded[name] for name in names if name in folded), None)


def _offer(server: Server, one: Guess) -> Offer:
    query = _query(server, one.table)
    samples = _samples(server, server.few(query, _SAMPLES))
    cursor = one.cursor if one.cursor and _tells_time(samples, one.cursor) else None
    settings: dict[str, Any] = {"query": query, "strategy": "cursor" if cursor else "snapshot"}
    settings |= {"cursor": cursor} if cursor else {}
    settings |= {"key": one.key} if one.key else {}
    page, mapping = _known(one.table) or ("", None)
    notes = [f"this is a system that is known: docs/howto/{page}.md has its query"] if page else []
    return Offer(one.table.name, settings, samples, [*notes, *_notes(one)], mapping)


def _known(table: Table) -> tuple[str, str | None] | None:
    """Return the page of the system that a table is of, and the mapping that fits, if it is known."""
    name, columns = fold(table.parts[-1]) if table.parts else "", {*map(fold, table.columns)}
    for known, column, page, mapping in _KNOWN:
        if known == name and column in columns:
            return page, mapping
    return None


def _query(server: Server, table: Table) -> str:
    """Return a query for a table that the settings will take. Raises Refused."""
    columns = ", ".join(server.quoted(name) for name in table.columns) or "*"
    query = f"SELECT {columns}\nFROM {'.'.join(server.quoted(part) for part in table.parts)}"
    try:
        check(tidied(query), server.backend)
    except BadQuery as error:
        raise Refused(
            f"its name, or a column's, cannot stand in a query: {error}",
            fix="let a view give them other names",
        ) from None
    return query


def _samples(server: Server, query: str) -> list[dict[str, str]]:
    rows = server.ask(query, {}, _SAMPLES)
    try:
        return [
            dict(zip(rows.columns, map(text_of, row), strict=True)) for row in rows.first[:_SAMPLES]
        ]
    finally:
        rows.close()
        server.done()


def _tells_time(samples: Sequence[Mapping[str, str]], column: str) -> bool:
    told = [sample[column] for sample in samples if sample.get(column)]
    return all(moment(text) for text in told)


def _notes(one: Guess) -> list[str]:
    notes = []
    if one.cursor:
        notes.append(f"{one.cursor} seems to say when a row was last written")
    else:
        notes.append("no column says when a row was last written: every row is read and compared")
    if one.key:
        notes.append(f"{one.key} is taken for what names a visit for ever; look whether that is so")
    return notes
