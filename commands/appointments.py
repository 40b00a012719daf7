"""`clinicrelay appointments`: what the store holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands._frame import AsJson, Call, Now, SettingsPath, clinic, headline

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.store.looking import Listed

_HEADINGS = ("appointment", "start", "status", "doctor", "issues")


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("appointments")(appointments)


def appointments(
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
    settings: SettingsPath = None,
    as_json: AsJson = False,
    now: Now = None,
) -> None:
    """List the visits that are kept, cancelled ones too."""
    from sync.store import looking

    call = Call(settings, as_json, now)
    loaded = call.load()
    _check_status(status)
    zone = loaded.settings.clinic.timezone
    first, end = _instant(since, zone, "--from"), _instant(to, zone, "--to", whole_day=True)
    with clinic(call, loaded) as at_work, at_work.store.read() as connection:
        found = looking.appointments(
            connection,
            at_work.store.clinic,
            first=first,
            end=end,
            source=source,
            status=status,
            gone=everything,
        )
        if as_json:
            _print_list(_json(found))
            return
        print(headline(at_work, loaded))
        _print_rows(call, at_work, found)


def _check_status(status: str | None) -> None:
    from clinicrelay.model import Status

    if status is not None and status not in set(Status):
        raise typer.BadParameter(f"one of {', '.join(Status)}", param_hint="--status")


def _instant(
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


def _print_list(items: Iterable[Any]) -> None:
    """Print a JSON list item by item: a million visits need no more memory than one."""
    lead = "[\n"
    for item in items:
        print(lead + json.dumps(item, ensure_ascii=False), end="")
        lead = ",\n"
    print("[]" if lead == "[\n" else "\n]")


def _print_rows(call: Call, at_work: Clinic, found: Iterable[Listed]) -> None:
    from clinicrelay.model import decode
    from commands._table import show
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
        show(call, headings, rows)
    print(f"{len(rows)} {'appointment' if len(rows) == 1 else 'appointments'}.")
