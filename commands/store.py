"""`clinicrelay store`: upgrade, back up, restore and look over what clinicrelay keeps."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clinicrelay.errors import ClinicrelayError
from commands._call import Call, shared
from commands._ending import DONE, NEEDS_PERSON, SETTINGS, finding_json, finding_text, say
from commands._frame import one_of, placed_in, print_json
from commands._who import actor

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clinicrelay.contracts import Finding
    from clinicrelay.settings import Loaded
    from sync.store.upgrade import Outlook

File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.", show_default=False)]


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    group = typer.Typer(
        help="Upgrade, back up, restore or look over what clinicrelay keeps.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for name, command in (
        ("upgrade", upgrade), ("backup", backup), ("restore", restore), ("check", check)
    ):  # fmt: skip
        group.command(name)(shared(command))
    program.add_typer(group, name="store")


def upgrade(
    call: Call,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what would be done, and what changes by it.")
    ] = False,
    no_backup: Annotated[
        bool, typer.Option("--no-backup", help="Keep no copy of the store as it was.")
    ] = False,
) -> int:
    """Bring the store to what this version of clinicrelay works with; a backup is made first."""
    from sync.store import upgrade as upgrades

    loaded = one_of(call)
    if not _is_there(loaded):  # who rolls out types this before each version, the first too
        return _foretold(call, upgrades.nothing(), None)
    with _database(loaded) as (engine, data):
        folder = None if no_backup else upgrades.beside(engine) or data / "backups"
        found = upgrades.outlook(engine)
        if plan or not found.steps:
            return _foretold(call, found, folder)
        with _progress(call, "copying") as told:
            done = upgrades.upgrade(engine, folder=folder, now=_now(), told=told, who=actor())
    if call.as_json:
        print_json(
            {
                "before": found.version,
                "after": found.head,
                "steps": [step._asdict() for step in found.steps],
                "backup": str(done.copy) if done and done.copy else None,
            }
        )
        return DONE
    print(done.sentence if done else "Another program has upgraded the store just now.")
    print("\n".join(f"  {step.says}" for step in found.steps if step.says))
    return DONE


def _foretold(call: Call, found: Outlook, folder: Path | None) -> int:
    if call.as_json:
        print_json(_outlook_json(found, folder))
    else:
        print("\n".join(_outlook_lines(found, folder)))
    return DONE


def _outlook_lines(found: Outlook, folder: Path | None) -> Iterator[str]:
    if found.version is None:
        yield "Nothing to do: there is no store yet; the first clinicrelay sync makes it."
        return
    if not found.steps:
        yield f"Nothing to do: the store has schema {found.head} already."
        return
    yield f"The store has schema {found.version}, with {found.rows:,} rows. It would go to {found.head}:"
    for step in found.steps:
        yield f"  {step.version}  {step.title}"
        if step.says:
            yield f"        {step.says}"
    yield f"Before that, a backup into {folder}." if folder else "No backup would be made."
    yield "To do it: clinicrelay store upgrade"


def _outlook_json(found: Outlook, folder: Path | None) -> dict[str, object]:
    return {
        "before": found.version,
        "after": found.head,
        "rows": found.rows,
        "steps": [step._asdict() for step in found.steps],
        "backup": str(folder) if folder and found.steps else None,
    }


def backup(call: Call, file: File) -> int:
    """Copy the whole store, as it is at this moment, into one new file; runs may go on meanwhile."""
    from sync.store import backup as backups

    with _database(one_of(call)) as (engine, _), _progress(call, "copying") as told:
        made = backups.backup(engine, file.absolute(), now=_now(), told=told)
        try:
            backups.note_made(engine, made.clinics, now=_now(), who=actor())
        except ClinicrelayError as error:
            say(f"The store cannot note that there is a backup now: {error}.")
    size = file.stat().st_size
    tables = {name: table.rows for name, table in made.tables.items()}
    if call.as_json:
        print_json(
            {
                "file": str(file.absolute()),
                "bytes": size,
                "schema": made.schema,
                "clinics": made.clinics,
                "rows": tables,
            }
        )
        return DONE
    if call.quiet:
        return DONE
    print(
        f"{file}: {made.rows:,} rows of {', '.join(made.clinics)}, {size / 1024:,.0f} kB, read again "
        "and found whole. It holds patients' data: keep it as safe as the store."
    )
    return DONE


def restore(
    call: Call,
    file: File,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace what the store holds.")
    ] = False,
    moved: Annotated[
        bool,
        typer.Option(
            "--moved",
            help="The store only moves: nothing ran since the backup, so nothing was sent.",
        ),
    ] = False,
    confirm: Annotated[
        str, typer.Option("--confirm", help="The clinic's id, for who cannot be asked.")
    ] = "",
) -> int:
    """Fill the store from a backup, of whichever database. Nothing leaves until you say so."""
    from sync.store import restore as restores

    loaded = one_of(call)
    with _database(loaded, new=True) as (engine, _):
        clinic = loaded.settings.clinic.id
        if replace:
            _confirmed(call, clinic, confirm)
        with _progress(call, "restoring") as told:
            done = restores.restore(
                engine,
                file,
                clinic=clinic,
                replace=replace,
                moved=moved,
                now=_now(),
                told=told,
                who=actor(),
            )
    if call.as_json:
        damaged = str(done.damaged) if done.damaged else None
        print_json(
            {
                "schema": done.schema,
                "clinics": done.clinics,
                "rows": dict(done.tables),
                "damaged": damaged,
            }
        )
        return DONE
    print(f"Restored {sum(done.tables.values()):,} rows of {', '.join(done.clinics)} from {file}.")
    if done.damaged is not None:
        print(f"The damaged store lies in {done.damaged} now.")
    print("What was live is paused until you say so: clinicrelay resume (clinicrelay status)")
    if not moved:
        print(
            "What may have been sent since the backup is not sent again unless its provider proves "
            "that it never had it: clinicrelay resume --plan"
        )
    return DONE


def _confirmed(call: Call, clinic: str, confirm: str) -> None:
    """Have the clinic's id typed, by `--confirm` or on a terminal. Raises SettingsError."""
    from sync.store.troubles import refused

    typed = confirm
    if not typed and call.on_terminal and sys.stdin.isatty():
        typed = typer.prompt(f"All that the store holds is replaced. Type {clinic} to go on")
    if typed != clinic:
        raise refused(
            "not_confirmed",
            "what the store holds is replaced only if the clinic's id is typed",
            f"clinicrelay store restore FILE --replace --confirm {clinic}",
            path="",
        )


def check(call: Call) -> int:
    """Look the whole store over for damage, and for what will soon be in its way."""
    from sync.store import integrity, troubles

    with _database(one_of(call)) as (engine, _), _progress(call, "looking at") as told:
        found = list(integrity.check(engine, told=lambda at: told(at, 0)))
    if call.as_json:
        print_json({"ok": not found, "findings": [finding_json(one) for one in found]})
    else:
        print("\n".join([*map(finding_text, found), _found(found)]))
    damaged = any(one.code == troubles.DAMAGED.code for one in found)
    return SETTINGS if damaged else NEEDS_PERSON if found else DONE


def _found(found: list[Finding]) -> str:
    if not found:
        return "The store is whole."
    return f"{len(found)} {'thing' if len(found) == 1 else 'things'} to see to."


# --- shared --------------------------------------------------------------------------------------


@contextmanager
def _database(loaded: Loaded, *, new: bool = False) -> Iterator[tuple[Engine, Path]]:
    """Give the store's database as it is, and the data folder; `new`: it need not be there yet."""
    from sync import store as stores

    settings = loaded.settings
    with placed_in(loaded):
        if not new:
            stores.refuse_absent(settings.store_url)
        with stores.opened(settings.store_url) as engine:
            yield engine, settings.data


def _is_there(loaded: Loaded) -> bool:
    from sync import store as stores

    with placed_in(loaded):
        return stores.exists(loaded.settings.store_url)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@contextmanager
def _progress(call: Call, doing: str) -> Iterator[Callable[[str, int], None]]:
    """Show on a terminal how far long work is; nothing elsewhere."""
    if not call.on_terminal:
        yield lambda _what, _rows: None
        return
    from rich.console import Console

    with Console(file=sys.stderr).status(f"{doing} …") as status:
        yield lambda what, rows: status.update(f"{doing} {what}{f' {rows:,}' if rows else ''} …")
