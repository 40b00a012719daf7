"""`clinicrelay appointments`: what the store holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands._call import Call, shared
from commands._frame import Answer, each
from commands._table import Table

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.store.looking import Listed

_HEADINGS = ("appointment", "start", "status", "doctor", "issues")


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("appointments")(shared(appointments))


def appointments(
    call: Call,
    since: Annotated[
        str | None, typer.Option("--from", help="Only from this date or instant on.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="Only until this date (inclusive) or instant.")
    ] = None,
    source: Annotated[str | None, typer.Option("--source", help="Only of this source.")] = None,
    status: Annotated[str | None, typer.Option("--status", help="Only in this status.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that vanished from their source.")
    ] = False,
    uncovered: Annotated[
        bool,
        typer.Option(
            "--uncovered", help="Only those of tomorrow of which nobody is told, for no reason."
        ),
    ] = False,
) -> int:
    """List the visits that are kept, cancelled ones too."""
    _check_status(status)

    def listed(at_work: Clinic) -> Answer:
        _check_source(at_work, source)
        first, end = between(since, to, at_work.zone)
        if uncovered:
            first, end = _tomorrow(at_work, first, end)
        found = _found(at_work, first, end, source=source, status=status, gone=everything)
        found = _uncovered(at_work, found) if uncovered else found
        return Answer(_json(found), _lines(call, at_work, found))

    return each(call, listed)


def _found(
    at_work: Clinic, first: datetime | None, end: datetime | None, **wanted: Any
) -> Iterator[Listed]:
    from sync.store import looking

    with at_work.store.read() as connection:
        yield from looking.appointments(
            connection, at_work.store.clinic, first=first, end=end, **wanted
        )


def _tomorrow(
    at_work: Clinic, first: datetime | None, end: datetime | None
) -> tuple[datetime, datetime]:
    from sync.coverage import next_day

    begins, ends = next_day(at_work)
    return max(first or begins, begins), min(end or ends, ends)


def _uncovered(at_work: Clinic, found: Iterable[Listed]) -> Iterator[Listed]:
    from clinicrelay.model import decode
    from sync.coverage import tomorrow

    with at_work.store.read() as connection:
        names = tomorrow(at_work, connection, at_most=None).open.keys()
    return (one for one in found if f"{one.source}/{decode(one.content).key}" in names)


def _check_source(at_work: Clinic, source: str | None) -> None:
    from sync.store import looking

    if source is None or source in at_work.settings.sources:
        return
    with at_work.store.read() as connection:
        kept = looking.sources(connection, at_work.store.clinic)
    if source not in kept:
        there = ", ".join(sorted({*kept, *at_work.settings.sources}))
        raise typer.BadParameter(f"there are: {there}", param_hint="--source")


def _check_status(status: str | None) -> None:
    from clinicrelay.model import Status

    if status is not None and status not in set(Status):
        raise typer.BadParameter(f"one of {', '.join(Status)}", param_hint="--status")


def between(
    since: str | None, to: str | None, zone: str, *, option: str = "--from"
) -> tuple[datetime | None, datetime | None]:
    """Read from when and until when to list. Raises typer.BadParameter, also where that is nothing."""
    first, end = instant_of(since, zone, option), instant_of(to, zone, "--to", whole_day=True)
    if first and end and end <= first:
        raise typer.BadParameter(f"it lies before {option}", param_hint="--to")
    return first, end


def instant_of(
    text: str | None, zone: str, option: str, *, whole_day: bool = False
) -> datetime | None:
    """Read a date or instant; `whole_day`: a bare date means the end of that day."""
    from clinicrelay.times import first_instant, parse_instant

    if text is None:
        return None
    try:
        if len(text) == len("2026-12-01"):
            day = date.fromisoformat(text) + timedelta(days=1 if whole_day else 0)
            return first_instant(day, zone)
        return parse_instant(text, zone)
    except ValueError as error:
        raise typer.BadParameter(
            "write a date or an instant, such as 2026-12-01 or 2026-12-01T07:00:00Z",
            param_hint=option,
        ) from error


def _json(found: Iterable[Listed]) -> Iterator[dict[str, Any]]:
    from clinicrelay.model import decode
    from commands._visits import visit_json

    for one in found:
        visit = decode(one.content)
        yield visit_json(visit, version=one.version, gone=one.gone_at is not None)


def _lines(call: Call, at_work: Clinic, found: Iterable[Listed]) -> Iterator[str | Table]:
    from clinicrelay.model import decode
    from commands._visits import row_of

    rows = []
    for one in found:
        visit = decode(one.content)
        row = row_of(visit, at_work.zone, gone=one.gone_at is not None)
        if call.on_terminal:  # a person in front of the clinic's own screen
            row.insert(1, ", ".join(who.name or who.key for who in visit.patients))
        rows.append(row)
    headings = list(_HEADINGS)
    if call.on_terminal:
        headings.insert(1, "patient")
    if rows:
        yield Table(headings, rows)
    yield f"{len(rows)} {'appointment' if len(rows) == 1 else 'appointments'}."
