"""`clinicrelay pause`: stops what reaches people, at once and whatever state the settings are in."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicrelay.errors import SettingsError
from commands._call import Call, shared
from commands._ending import DONE, gravest, guarded
from commands._frame import name_of, print_json
from commands._who import actor

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from clinicrelay.settings import Broken, Loaded
    from sync.store import Store

Scope = Annotated[
    str | None,
    typer.Argument(
        metavar="[SCOPE]",
        help="patients, doctors, calendars, or a notifier's or calendar's name. Absent: everything.",
    ),
]


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("pause")(shared(pause))


def pause(
    call: Call,
    scope: Scope = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever reads status.")] = "",
    until: Annotated[
        str | None,
        typer.Option(
            "--until", help="When it ends by itself: 2h, 1d, an instant, or a date: with that day."
        ),
    ] = None,
) -> int:
    """Stop messages and calendar writes from this moment on; sources are read as before.

    Checked before each single send. Works when settings.yaml is broken, as long as it still names
    the clinic and where the store is.
    """

    def paused(loaded: Loaded | Broken) -> dict[str, Any]:
        from clinicrelay.log import masked
        from sync.store import audit, standings
        from sync.store.audit import Deed

        known(loaded, scope)
        ends = _end(call, loaded, until)
        with store_of(loaded) as store, store.write() as connection:
            refuse_other_clock(call, connection, store.clinic)
            standings.pause(
                connection,
                store.clinic,
                scope or "",
                reason=reason,
                until=ends,
                since=datetime.now(UTC),
                who=actor(),
            )
            details = {"until": ends.isoformat()} if ends else {}
            deed = Deed(actor(), "pause", f"part/{scope or 'everything'}", masked(reason), details)
            audit.note(connection, store.clinic, deed)
        until_when = f" until {_written(ends, loaded)}" if ends else ""
        what = scope or "everything"
        line = f"PAUSED: {what}{until_when}. What falls due waits. To go on: clinicrelay resume"
        return {"paused": what, "until": ends.isoformat() if ends else None, "line": line}

    return of_each(call, paused)


def _end(call: Call, loaded: Loaded | Broken, until: str | None) -> datetime | None:
    """Return when a pause ends. Raises typer.BadParameter for no moment, and for one not ahead."""
    if until is None:
        return None
    zone = _zone(loaded)
    now = call.moment(zone)
    try:
        ends = _moment(until, now, zone)
    except ValueError as error:
        message = "write a stretch such as 2h or 1d, or a date or instant"
        raise typer.BadParameter(message, param_hint="--until") from error
    if ends <= now:
        message = (
            f"{_written(ends, loaded)} is not ahead, so nothing would be paused; write a later "
            "moment, a stretch such as 2h, or leave out --until to pause without an end"
        )
        raise typer.BadParameter(message, param_hint="--until")
    return ends


def _moment(until: str, now: datetime, zone: str) -> datetime:
    """Read a stretch, an instant, or a date, which means its end. Raises ValueError."""
    from clinicrelay.times import first_instant, parse_instant, parse_span

    try:
        return now + parse_span(until).length
    except ValueError:
        pass
    try:
        return first_instant(date.fromisoformat(until) + timedelta(days=1), zone)
    except (ValueError, OverflowError):
        return parse_instant(until, zone)


def _zone(loaded: Loaded | Broken) -> str:
    from clinicrelay.settings import Loaded

    return loaded.settings.clinic.timezone if isinstance(loaded, Loaded) else "UTC"


def _written(instant: datetime, loaded: Loaded | Broken) -> str:
    from clinicrelay.times import local

    zone = _zone(loaded)
    return f"{local(instant, zone):%Y-%m-%d %H:%M} {zone}"


# --- what pause and resume share -----------------------------------------------------------------


def of_each(call: Call, work: Any) -> int:
    """Do something to the store of every clinic that is meant, broken settings or not."""
    told: dict[str, Any] = {}
    codes = []
    for one in call.clinics():

        def done(one: Loaded | Broken = one) -> int:
            found = work(one)
            line = found.pop("line")
            told[name_of(one)] = found
            if not call.as_json:
                print(f"{name_of(one)}: {line}")
            return DONE

        name = name_of(one)
        codes.append(guarded(done, lambda ending, name=name: told.update({name: ending})))  # type: ignore[misc]
    if call.as_json:
        print_json(told if len(told) != 1 else next(iter(told.values())))
    return gravest(codes)


def known(loaded: Loaded | Broken, scope: str | None, paused: Collection[str] = ()) -> None:
    """Raises typer.BadParameter for a scope that means nothing here; broken settings know none.

    What is `paused` means something, also once it has gone from the settings.
    """
    from clinicrelay.settings import Loaded
    from sync.standing import PARTS

    if scope is None or scope in {*PARTS, *paused} or not isinstance(loaded, Loaded):
        return
    names = [*loaded.settings.notifiers, *loaded.settings.calendars]
    if scope not in names:
        there = ", ".join([*sorted(PARTS), *names])
        raise typer.BadParameter(f"there is no {scope!r}; there are: {there}", param_hint="SCOPE")


def refuse_other_clock(call: Call, connection: Connection, clinic: str) -> None:
    """Raises SettingsError where `--now` is given and the clinic is live."""
    from sync.outward import OTHER_CLOCK
    from sync.store import standings

    if call.now is not None and standings.live(connection, clinic):
        raise SettingsError([OTHER_CLOCK])


@contextmanager
def store_of(loaded: Loaded | Broken) -> Iterator[Store]:
    """Open a clinic's store, salvaging where it is from settings that are broken.

    Raises SettingsError where too little is left of them.
    """
    from sync.store import dialects, exists, open_store

    clinic, url = _place(loaded)
    if not exists(url):
        place = dialects.file_of(url) or "the database of `store:`"
        message = f"there is no store at {place}, so nothing was paused"
        fix = (
            "before the first run there is nothing to pause; else correct `data:` or `store:`, and stop "
            "a service that still runs with the settings before: it goes on sending"
        )
        raise SettingsError([_finding(loaded, message, fix)])
    store = open_store(url, clinic, now=datetime.now(UTC))
    try:
        yield store
    finally:
        store.close()


def url_of(loaded: Loaded | Broken) -> str:
    """Return where a clinic's store is, salvaged if need be. Raises SettingsError."""
    return _place(loaded)[1]


def _place(loaded: Loaded | Broken) -> tuple[str, str]:
    from clinicrelay.settings import Loaded
    from clinicrelay.settings.salvage import salvage

    if isinstance(loaded, Loaded):
        return loaded.settings.clinic.id, loaded.settings.store_url
    found = salvage(loaded.file)
    if found is None:
        message = "the file is too broken to say which clinic and which store it means"
        fix = "mend `clinic: {id: …}` and `store:` or `data:` in it (clinicrelay check)"
        raise SettingsError([_finding(loaded, message, fix)])
    return found


def _finding(loaded: Loaded | Broken, message: str, fix: str) -> Any:
    from clinicrelay.contracts import Finding

    return Finding("error", "no_store", message, fix, file=str(loaded.file))
