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
    *("beginn", "datum", "termindatum", "fecha", "fechacita", "fechahora", "dataora", "dateheure"),
)
_WRITTEN = (
    *("updatedat", "datemodified", "modifiedat", "lastmodified", "updated", "changedat"),
    *("datetstamp", "lastupdated", "modified", "datechanged", "lastupdate", "updatedon"),
    *("modifiedon", "changed"),
)
# What is in the name of such a column elsewhere: `geaendert_am`, `fecha_modificacion`.
_WRITTEN_WITHIN = (
    *("updat", "modif", "chang", "geandert", "geaendert", "anderung", "aenderung", "actualiz"),
    *("atualiz", "aktualis", "aktualiz", "misajour", "wijzig", "zmian", "zmieni", "modyf"),
    *("aggiorn", "altera", "guncel", "degist"),
)
# What a number is called that stands beside the name of a table: `termin_nr`, `id_cita`.
_NUMBERS = ("id", "nr", "no", "num", "number", "nummer", "numero", "key", "uuid")
_STATUS = (
    *("status", "state", "apptstatus", "aptstatus", "pcapptstatus", "estado", "statut"),
    *("statusid", "statuscode", "stato"),
)
_PEOPLE = (
    *("patientid", "patnum", "patient", "patientname", "pid", "pcpid", "clientid"),
    *("patientnr", "patnr", "patientenid", "pacienteid", "idpaciente", "idpatient", "idpaziente"),
)
# Systems that have a page of their own: a table, folded, a column that it has, the page and the mapping
# that understands the table as it is.
_KNOWN = (
    ("openemrpostcalendarevents", "pceid", "connect-openemr-sql", "openemr_sql"),
    ("patientappointment", "startdatetime", "connect-bahmni-sql", None),
    ("appointment", "aptnum", "connect-opendental-sql", None),
)


class Guess(NamedTuple):
    """A table, how much it looks like appointments, and which columns are what.

    `cursors` may all say when a row was last written, the likeliest first.
    """

    table: Table
    score: int
    key: str | None
    start: str | None
    cursors: Sequence[str]


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
    if not options.cursor and not by_days and (cursor := _cursor(one, samples)):
        settings["cursor"] = cursor
    notes = [] if samples else ["it gives no rows now: a draft needs some"]
    return Offer("the query in the settings", settings, samples, notes)


def guess(table: Table) -> Guess:
    """Judge a table by its name and those of its columns."""
    columns = table.columns
    folded = {fold(name): name for name in columns}
    start = _first(folded, _STARTS)
    name = fold(table.parts[-1]) if table.parts else ""
    key = _first(folded, _KEYS) or _numbered(folded, name)
    score = 4 * (name in _TABLES) + 2 * any(word in name for word in _TABLES if len(word) > 3)
    score += 2 * bool(start) + 2 * bool(_first(folded, _PEOPLE)) + bool(_first(folded, _STATUS))
    if _known(table):
        score += 10
    told = score if (start or name in _TABLES or score > 9) else 0
    return Guess(table, told, key or (columns[0] if start else None), start, _written(folded))


def _first(folded: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((folded[name] for name in names if name in folded), None)


def _numbered(folded: Mapping[str, str], table: str) -> str | None:
    """Return the column that numbers the rows of a table, by the table's name in its own."""
    for name, column in folded.items():
        for word in _NUMBERS:
            rests = {name.removesuffix(word), name.removeprefix(word)} - {name}
            if any(len(rest) > 3 and (rest in _TABLES or table.startswith(rest)) for rest in rests):
                return column
    return None


def _written(folded: Mapping[str, str]) -> Sequence[str]:
    within = (name for name in folded if any(word in name for word in _WRITTEN_WITHIN))
    names = dict.fromkeys((*(name for name in _WRITTEN if name in folded), *within))
    return [folded[name] for name in names]


def _cursor(one: Guess, samples: Sequence[Mapping[str, str]]) -> str | None:
    return next((column for column in one.cursors if _tells_time(samples, column)), None)


def _offer(server: Server, one: Guess) -> Offer:
    query = _query(server, one.table)
    samples = _samples(server, server.few(query, _SAMPLES))
    cursor = _cursor(one, samples)
    settings: dict[str, Any] = {"query": query, "strategy": "cursor" if cursor else "snapshot"}
    settings |= {"cursor": cursor} if cursor else {}
    settings |= {"key": one.key} if one.key else {}
    page, mapping = _known(one.table) or ("", None)
    notes = [f"this is a system that is known: docs/howto/{page}.md has its query"] if page else []
    return Offer(one.table.name, settings, samples, [*notes, *_notes(one.key, cursor)], mapping)


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
    """Whether a column holds times; of an empty one only a plain name (no `changed_by`) says so."""
    told = [sample[column] for sample in samples if sample.get(column)]
    return all(moment(text) for text in told) and bool(told or fold(column) in _WRITTEN)


def _notes(key: str | None, cursor: str | None) -> list[str]:
    notes = []
    if cursor:
        notes.append(f"{cursor} seems to say when a row was last written")
    else:
        notes.append("no column says when a row was last written: every row is read and compared")
    if key:
        notes.append(f"{key} is taken for what names a visit for ever; look whether that is so")
    return notes
