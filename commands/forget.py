"""`clinicrelay forget`: erases a patient, after saying in numbers what that means."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicrelay.counts import counted
from clinicrelay.errors import SettingsError
from commands._call import Call, shared
from commands._ending import DONE, NEEDS_PERSON
from commands._frame import Answer, headline, log_of, only

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.erasure import Erasure, Holdings
    from sync.store.erasing import Person

_MOST = 10


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("forget")(shared(forget))


def forget(
    call: Call,
    patient: Annotated[
        str,
        typer.Argument(
            metavar="PATIENT",
            help="SOURCE/KEY of the patient, their key, phone, e-mail or name; `-` asks for it, so "
            "that it stays out of the shell's history.",
        ),
    ],
    confirm: Annotated[
        str,
        typer.Option("--confirm", metavar="ID", help="The clinic's id, for who cannot be asked."),
    ] = "",
    reason: Annotated[
        str,
        typer.Option("--reason", help="Kept in the audit trail for years: a file number, no name."),
    ] = "",
    ahead: Annotated[
        bool,
        typer.Option("--ahead", help="Visits still to come as well, though the source has them."),
    ] = False,
    keep_exports: Annotated[
        bool,
        typer.Option("--keep-exports", help="Leave their rows in processed/ and quarantine/."),
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what there is; nothing is changed.")
    ] = False,
) -> int:
    """Erase a patient: store, calendars, messages as files, old exports. It cannot be undone.

    A keyed hash stays behind, so that the same records do not come back with the next read. It may be
    killed and typed again.
    """
    wanted = _asked(call) if patient == "-" else patient

    def forgotten(at_work: Clinic) -> Answer:
        from sync import erasure

        who = _whom(at_work, wanted)
        if who is None:
            return _nobody(at_work, wanted, plan=plan)
        there = erasure.holdings(at_work, who)
        if not call.as_json:
            print("\n".join([headline(at_work), *_told(at_work, there, exports=not keep_exports)]))
        if there.ahead and not ahead:
            return Answer(_json(there), _conflict(at_work, there), NEEDS_PERSON, headed=False)
        if plan:
            return Answer(_json(there), ["Nothing was changed."], headed=False)
        if there.known_by(reason):
            raise _refused("reason_names_them", "--reason says who it is", "leave that out of it")
        _confirmed(call, at_work, confirm)
        done = erasure.erase(
            at_work,
            who,
            by=at_work.actor,
            reason=reason,
            exports=not keep_exports,
            ahead=ahead,
        )
        log_of(at_work, call).info("forget", run=at_work.run, clinic=at_work.store.clinic)
        told = {**_json(there), "erased": True, **_rest(done)}
        return Answer(told, _ended(at_work, done), _exit(done), headed=False)

    return only(call, forgotten, writes=not plan)


def _asked(call: Call) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Whom", err=call.as_json))
    return sys.stdin.readline().strip()


def _whom(at_work: Clinic, wanted: str) -> Person | None:
    """Return the one patient that is meant, None for nobody. Raises SettingsError for several."""
    from sync import erasure

    found = erasure.find(at_work, wanted)
    if len(found) > 1:
        some = ", ".join(f"{one.source}/{one.key}" for one in found[:_MOST])
        more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
        raise _refused(
            "several_patients",
            f"{len(found)} patients are meant by this: {some}{more}",
            "name one of them: clinicrelay forget SOURCE/KEY",
        )
    return found[0] if found else None


def _refused(code: str, message: str, fix: str) -> SettingsError:
    from clinicrelay.contracts import Finding

    return SettingsError([Finding("error", code, message, fix)])


def _nobody(at_work: Clinic, wanted: str, *, plan: bool) -> Answer:
    """Say that nobody is known under this, or was erased already, and finish what was begun."""
    from sync import erasure

    mark = erasure.erased_as(at_work, wanted)
    if mark is None:
        told = (
            "No patient is known under this. Who was erased is known by their key only: "
            "clinicrelay forget SOURCE/KEY"
        )
        return Answer({"erased": False}, [told], NEEDS_PERSON)
    done = None if plan else erasure.go_on(at_work)
    lines = [erasure.erased_words(at_work, mark)]
    rest = _rest(done) if done else {}
    return Answer(
        {"erased": True, **rest},
        [*lines, *(_ended(at_work, done) if done else ())],
        _exit(done) if done else DONE,
    )


# --- before ------------------------------------------------------------------------------------------


def _told(at_work: Clinic, there: Holdings, *, exports: bool) -> Iterator[str]:
    counts = there.counts
    yield f"{there.who.source}/{there.who.key}: what there is of this patient"
    yield f"  {counted(counts['visits'], 'visit')} with all their versions"
    if counts["visits_of_others"]:
        yield f"  {counts['visits_of_others']} visits that others have as well: taken out of them"
    yield f"  {counted(counts['messages'], 'message')} that were said, or decided about"
    yield f"  {counted(counts['events'], 'event')} in calendars, to be taken out"
    yield f"  {counted(counts['set_aside'], 'record')} set aside"
    yield f"  {counts['files']} files that name them" + ("" if exports else " (exports are kept)")
    yield from (f"    {path}" for path in there.files[:_MOST])
    if len(there.files) > _MOST:
        yield f"    and {len(there.files) - _MOST} more"


def _conflict(at_work: Clinic, there: Holdings) -> Iterator[str]:
    from datetime import UTC, datetime

    from commands._shown import when

    yield f"{len(there.ahead)} of the visits are still to come:"
    for one in there.ahead[:_MOST]:
        at = datetime.fromtimestamp(one.start_at or 0, UTC)
        yield f"  {there.who.source}/{one.key}  {when(at_work, at)}"
    yield (
        f"Nothing was done. Cancel or delete them in {there.who.source}, clinicrelay sync, and forget "
        "then. Or --ahead: they are erased too, leave the calendars, and nobody is told."
    )


def _confirmed(call: Call, at_work: Clinic, confirm: str) -> None:
    """Have the clinic's id typed. Raises SettingsError."""
    name, typed = at_work.settings.clinic.id, confirm
    if not typed and call.on_terminal and sys.stdin.isatty():
        typed = typer.prompt(f"This cannot be undone. Type {name} to go on", default="-")
    if typed != name:
        raise _refused(
            "not_confirmed",
            "a patient is erased only if the clinic's id is typed",
            f"clinicrelay forget PATIENT --confirm {name}",
        )


def _json(there: Holdings) -> dict[str, Any]:
    return {
        "patient": f"{there.who.source}/{there.who.key}",
        **there.counts,
        "ahead": [f"{there.who.source}/{one.key}" for one in there.ahead],
        "erased": False,
    }


# --- afterwards --------------------------------------------------------------------------------------


def _rest(done: Erasure) -> dict[str, Any]:
    return {
        "events_left": done.events_left,
        "written_anew": done.written_anew,
        "troubles": done.troubles,
    }


def _exit(done: Erasure) -> int:
    return DONE if done.done else NEEDS_PERSON


def _ended(at_work: Clinic, done: Erasure) -> Iterator[str]:
    yield "Erased. The same records will not come back, and nothing is sent to them any more."
    if done.events_left:
        yield f"{len(done.events_left)} events are still in calendars; each sync tries to take them out:"
        yield from (f"  {one}" for one in done.events_left)
    if not done.written_anew:
        yield (
            "The file of the store could not be written anew, as somebody is at work on it or the disk "
            "is full: what was deleted may still be read from it. clinicrelay purge tries again."
        )
    yield from (f"Not cleaned: {one}" for one in done.troubles)
    if backups := [*(at_work.settings.data / "backups").glob("*")]:
        yield (
            f"{len(backups)} backups are in {at_work.settings.data / 'backups'}, and hold this patient "
            "as long as they lie there, as do those made elsewhere: let them go."
        )
    else:
        yield "Backups that were made before hold this patient still: let them go."
