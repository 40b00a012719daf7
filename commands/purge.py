"""`clinicrelay purge`: deletes what is older than `retention` in the settings says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from clinicrelay.errors import StoreBusy
from commands._call import Call, shared
from commands._ending import DONE, NEEDS_PERSON
from commands._frame import Answer, each, log_of

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.purging import Purged

_WORDS = {
    "visits": ("visit", "visits with all that was said about them", "appointments"),
    "texts": ("text of a message", "texts of messages", "bodies"),
    "messages": ("list or alert", "lists and alerts", "appointments"),
    "set_aside": ("text of a record set aside", "texts of records set aside", "quarantine"),
    "quarantine": ("entry of the quarantine", "entries of the quarantine", "appointments"),
    "runs": ("record of a run", "records of runs", "runs"),
    "alerts": ("alert that is over", "alerts that are over", "runs"),
    "exports": ("file of an inbox", "files of inboxes", "exports"),
    "written_out": ("message written out as a file", "messages written out as files", "bodies"),
    "audit": ("entry of the audit trail", "entries of the audit trail", "audit"),
    "erased": ("person", "persons whose erasure had not ended", ""),
}


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("purge")(shared(purge))


def purge(
    call: Call,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say how much would be deleted; nothing is changed.")
    ] = False,
) -> int:
    """Delete what is older than `retention` says. `sync` does it by itself once a day.

    It may be killed and typed again. Others may be at work meanwhile: what they are at stays.
    """
    work = _plan if plan else lambda at_work: _purge(call, at_work)
    return each(call, work, writes=not plan)


def _plan(at_work: Clinic) -> Answer:
    from sync import purging

    found = purging.outlook(at_work)
    lines = [*_numbers(at_work, found)]
    told = ["Would be deleted:", *lines, "To do it: clinicrelay purge"] if lines else [_NOTHING]
    return Answer({"would_delete": found}, told, new=bool(lines))


_NOTHING = "Nothing is old enough to be deleted."


def _purge(call: Call, at_work: Clinic) -> Answer:
    from sync import purging

    done = purging.purge(at_work, who=at_work.actor)
    if done is None:
        raise StoreBusy("another run is deleting what is old")
    log_of(at_work, call).info("purge", run=at_work.run, clinic=at_work.store.clinic)
    return Answer(_json(done), [*_lines(at_work, done)], _exit(done), new=bool(done.counts))


def _json(done: Purged) -> dict[str, object]:
    return {"deleted": dict(done.counts), "left": done.left, "troubles": done.troubles}


def _lines(at_work: Clinic, done: Purged) -> Iterator[str]:
    lines = [*_numbers(at_work, done.counts)]
    yield from (["Deleted:", *lines] if lines else [_NOTHING])
    if done.left:
        yield "Something was at work and stays for the next time."
    yield from (f"Could not be deleted: {trouble}" for trouble in done.troubles)


def _numbers(at_work: Clinic, counts: Mapping[str, int]) -> Iterator[str]:
    for kind, (one, several, span) in _WORDS.items():
        if number := counts.get(kind, 0):
            kept = getattr(at_work.settings.retention, span).text if span else ""
            why = f"   (retention.{span}: {kept})" if span else ""
            yield f"  {number:,} {one if number == 1 else several}{why}"


def _exit(done: Purged) -> int:
    return NEEDS_PERSON if done.troubles else DONE
