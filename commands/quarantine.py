"""`clinicrelay quarantine`: what was set aside, and what a person does about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicrelay.errors import SettingsError
from commands._call import Call, shared
from commands._frame import Answer, each, only
from commands._table import Table

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.report import RunReport
    from sync.store.audit import Deed

Number = Annotated[str, typer.Argument(metavar="ID", help="The number in the list.")]
_BEFORE = timedelta(hours=1)  # a file is put away after it was read
_QUOTED = re.compile('".*"', re.DOTALL)
_HEADINGS = ("id", "kind", "place", "what", "seen", "detail")


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    group = typer.Typer(
        help="What was set aside: list, show, retry or discard it.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for name, command in (
        ("list", list_), ("show", show), ("retry", retry), ("discard", discard)
    ):  # fmt: skip
        group.command(name)(shared(command))
    program.add_typer(group, name="quarantine")


def list_(call: Call) -> int:
    """List what was set aside: where it stands, and why."""
    return each(call, lambda at_work: _list(at_work, open_=call.on_terminal))


def _list(at_work: Clinic, *, open_: bool) -> Answer:
    from sync.store import quarantine

    with at_work.store.read() as connection:
        things = quarantine.listed(connection, at_work.store.clinic)
    if not open_:
        things = [_masked(thing) for thing in things]
    lines: list[str | Table] = ["Nothing is set aside."]
    if things:
        table = Table(_HEADINGS, [_row(thing) for thing in things])
        lines = [table, "See: clinicrelay quarantine show ID"]
    return Answer([_json(thing) for thing in things], lines, new=bool(things))


def show(
    call: Call,
    number: Number,
    raw: Annotated[
        bool, typer.Option("--raw", help="Print the text as it came, also into a pipe.")
    ] = False,
) -> int:
    """Show one thing set aside, with its text on a terminal: it holds a patient's data."""

    def shown(at_work: Clinic) -> Answer:
        thing = _find(at_work, number)
        if raw or call.on_terminal:
            return Answer({**_json(thing), "raw": thing["raw"]}, _told(thing, thing["raw"]))
        hidden = f"text   {len(thing['raw'])} characters, not shown in a pipe (--raw shows them)"
        return Answer({**_json(_masked(thing)), "raw": None}, _told(_masked(thing), hidden))

    return only(call, shown)


def _told(thing: dict[str, Any], text: str) -> Iterator[str]:
    from sync.reasons import reason

    why = reason(thing["reason"])
    yield "  ".join(_row(thing))
    yield f"why    {why.says}"
    yield f"to do  {why.to_do}"
    yield text


def retry(
    call: Call,
    number: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The number in the list.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> int:
    """Map what was set aside once more: files from processed/ at once, other sources at the next sync.

    Of each visit the last that was said of it counts. An event is written once more by the next sync.
    """
    if (number is None) is not everything:
        raise typer.BadParameter("name one ID, or say --all", param_hint="ID")

    def retried(at_work: Clinic) -> Answer:
        from commands._frame import log_of
        from commands._shown import run_lines
        from commands.sync import write_log

        things = _things(at_work, number)
        records = [thing for thing in things if thing["kind"] == "record"]
        sources = sorted({thing["source"] for thing in records})
        events = [thing for thing in things if thing["kind"] == "event"]
        _try_events(at_work, events)
        for source in sources:
            _read_afresh(at_work, source)
        report = _mapped_again(at_work, records)
        left = {thing["source"] for thing in _things(at_work, None) if thing["kind"] == "record"}
        waiting = [source for source in sources if source in left]
        told = {"sources": sources, "still": waiting}
        if report is None:
            return Answer(told, _retried(waiting, len(events), sources))
        write_log(log_of(at_work, call), at_work, report)
        lines = [*run_lines(at_work, report), *_retried(waiting, len(events), sources)]
        return Answer({**told, "run": report.json()}, lines, report.exit)

    return only(call, retried, writes=True)


def discard(call: Call, number: Number) -> int:
    """Drop one thing set aside; it comes back if the source says it again."""

    def discarded(at_work: Clinic) -> Answer:
        from sync.store import audit, quarantine

        thing = _find(at_work, number)
        with at_work.store.write() as connection:
            quarantine.discard(connection, at_work.store.clinic, thing["id"])
            audit.note(connection, at_work.store.clinic, _deed(at_work, "discard", thing))
        told = f"{thing['id']} discarded; it comes back if {thing['source']} says it again."
        return Answer({**_json(_masked(thing)), "state": "discarded"}, [told])

    return only(call, discarded, writes=True)


def _find(at_work: Clinic, number: str) -> dict[str, Any]:
    """Return one thing set aside. Raises SettingsError, naming some that there are."""
    from clinicrelay.contracts import Finding
    from sync.store import quarantine

    with at_work.store.read() as connection:
        store = at_work.store.clinic
        found = quarantine.one(connection, store, int(number)) if number.isdecimal() else None
        if found is not None:
            return found
        there = [str(thing["id"]) for thing in quarantine.listed(connection, store)]
    some = ", ".join(there[:10]) + (" …" if len(there) > 10 else "")
    known = f"there are: {some}" if there else "nothing is set aside"
    message, fix = f"there is no {number!r}", f"{known}: clinicrelay quarantine list"
    raise SettingsError([Finding("error", "no_such_record", message, fix)])


def _things(at_work: Clinic, number: str | None) -> list[dict[str, Any]]:
    from sync.store import quarantine

    if number is not None:
        return [_find(at_work, number)]
    with at_work.store.read() as connection:
        return quarantine.listed(connection, at_work.store.clinic)


def _read_afresh(at_work: Clinic, source: str) -> None:
    """Forget where the source was left off: its next read trusts nothing and maps everything."""
    from sync.store import audit, progress

    with at_work.store.write() as connection:
        store = at_work.store.clinic
        progress.note(connection, store, source, cursor=None, fingerprint=None)
        deed = audit.Deed(at_work.actor, "quarantine.retry", f"source/{source}")
        audit.note(connection, store, deed)


def _deed(at_work: Clinic, word: str, thing: dict[str, Any]) -> Deed:
    from sync.store.audit import Deed

    told = {"kind": thing["kind"], "source": thing["source"], "reason": thing["reason"]}
    return Deed(at_work.actor, f"quarantine.{word}", f"quarantine/{thing['id']}", details=told)


def _mapped_again(at_work: Clinic, records: Sequence[dict[str, Any]]) -> RunReport | None:
    """Map again what files of these records' sources said since the first of them was set aside."""
    from sync.runners import once

    known = at_work.settings.sources
    brought = {
        thing["source"]
        for thing in records
        if thing["source"] in known and at_work.connector(thing["source"]).brought
    }
    if not brought:
        return None
    first = min(thing["first_seen_at"] for thing in records if thing["source"] in brought)
    # Files carry the real time, whatever clock was set by hand.
    since = min(datetime.fromtimestamp(first, UTC), datetime.now(UTC)) - _BEFORE
    return once.replay(at_work, sorted(brought), since)


def _try_events(at_work: Clinic, things: Sequence[dict[str, Any]]) -> None:
    """Forget that calendars refused these events: the next sync writes each once more."""
    from sync.store import audit, events, quarantine

    for thing in things:
        with at_work.store.write() as connection:
            store = at_work.store.clinic
            events.try_refused(connection, store, thing["source"], thing["place"])
            quarantine.discard(connection, store, thing["id"])
            audit.note(connection, store, _deed(at_work, "retry", thing))


def _retried(waiting: Sequence[str], events: int, sources: Sequence[str]) -> Iterator[str]:
    if events:
        yield f"The next sync writes {events} {'event' if events == 1 else 'events'} once more."
    if waiting:
        names = ", ".join(waiting)
        yield (
            f"The next read of {names} looks at every record again with the mapping as it is then; "
            "nothing is sent twice.\nclinicrelay sync"
        )
    if not sources and not events:
        yield "Nothing is set aside."


# --- telling -------------------------------------------------------------------------------------


def _json(thing: dict[str, Any]) -> dict[str, Any]:
    from clinicrelay.times import iso

    first, last = (
        iso(datetime.fromtimestamp(thing[name], UTC)) for name in ("first_seen_at", "last_seen_at")
    )
    return {
        "id": thing["id"],
        "kind": thing["kind"],
        "source": thing["source"],
        "key": thing["source_key"],
        "place": thing["place"],
        "line": thing["line_no"],
        "column": thing["column_no"],
        "field": thing["field"],
        "reason": thing["reason"],
        "detail": thing["detail"],
        "first_seen": first,
        "last_seen": last,
        "count": thing["times"],
    }


def _masked(thing: dict[str, Any]) -> dict[str, Any]:
    """Return a thing without the word that a status table does not know.

    Where an export's columns are shifted it is a name, which no pipe gets.
    """
    return {**thing, "detail": _QUOTED.sub('"…" (shown on a terminal)', thing["detail"])}


def _row(thing: dict[str, Any]) -> list[str]:
    field = f" ({thing['field']})" if thing["field"] else ""
    return [
        str(thing["id"]),
        thing["kind"],
        f"{thing['source']} {thing['place']}",
        f"{thing['reason']}{field}",
        f"{thing['times']}x",
        thing["detail"],
    ]
