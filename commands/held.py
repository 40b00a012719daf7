"""`clinicrelay held`: what the guards stopped, and a person's decision about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicrelay.errors import SettingsError, StoreBusy
from commands._call import Call, shared
from commands._frame import Answer, each, only

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.store.incoming import Waiting
    from sync.store.unlinked import Leaving

Id = Annotated[str, typer.Argument(metavar="ID", help="The hold's id, such as h12.")]


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    group = typer.Typer(
        help="What the guards stopped: list, show, release or reject it.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for name, command in (
        ("list", list_), ("show", show), ("release", release), ("reject", reject)
    ):  # fmt: skip
        group.command(name)(shared(command))
    program.add_typer(group, name="held")


def list_(call: Call) -> int:
    """List what is held."""
    return each(call, _list)


def _list(at_work: Clinic) -> Answer:
    from sync.report import hold_json
    from sync.store import incoming

    with at_work.store.read() as connection:
        holds = incoming.open_holds(connection, at_work.store.clinic)
    lines = [
        f"h{hold['id']}  {_source(hold)}  {hold['guard']}  "
        f"since {_when(at_work, hold['since'])}: {hold['summary']}"
        for hold in holds
    ]
    end = "See: clinicrelay held show ID" if holds else "Nothing is held."
    return Answer([hold_json(hold) for hold in holds], [*lines, end], new=bool(holds))


def show(call: Call, hold_id: Id) -> int:
    """Show what a hold keeps back: each visit with what would change, and how many a day."""
    return only(call, lambda at_work: _show(at_work, _find(at_work, hold_id)))


def _show(at_work: Clinic, hold: dict[str, Any]) -> Answer:
    from sync.report import hold_json

    waiting, messages = _contents(at_work, hold)
    leaving = _leaving(at_work, hold)
    lines = [
        *_summary(at_work, hold),
        *_days(at_work, waiting or leaving),
        *_visits(at_work, hold, waiting),
        *_events(at_work, leaving),
        *(_message(at_work, message) for message in messages),
        f"clinicrelay held release h{hold['id']}   applies it on the spot",
        f"clinicrelay held reject h{hold['id']}    refuses it",
    ]
    visits = [_visit_json(w, hold) for w in waiting] or [_event_json(one) for one in leaving]
    return Answer({**hold_json(hold), "visits": visits}, lines)


def release(
    call: Call,
    hold_id: Id,
    without_messages: Annotated[
        bool, typer.Option("--without-messages", help="Apply it, but tell nobody.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> int:
    """Apply what is held, on the spot; on a terminal it asks first."""

    def released(at_work: Clinic) -> Answer:
        from sync import release as holds

        hold = _find(at_work, hold_id)
        if call.on_terminal and not yes:
            _ask(at_work, hold, without_messages=without_messages)
        if not holds.release(at_work, hold, silently=without_messages):
            raise StoreBusy(f"another run is working on {_source(hold)}")
        return _deliver(call, at_work)

    return only(call, released, writes=True)


def reject(call: Call, hold_id: Id) -> int:
    """Refuse what is held, for as long as the source says the same; nobody is told of it."""

    def rejected(at_work: Clinic) -> Answer:
        from sync import release as holds
        from sync.report import hold_json

        hold = _find(at_work, hold_id)
        if not holds.reject(at_work, hold):
            raise StoreBusy(f"another run is working on {_source(hold)}")
        told = f"h{hold['id']} rejected: what was known before stays."
        return Answer({**hold_json(hold), "state": "rejected"}, [told])

    return only(call, rejected, writes=True)


def _find(at_work: Clinic, hold_id: str) -> dict[str, Any]:
    """Return an open hold by its id. Raises SettingsError, naming those there are."""
    from clinicrelay.contracts import Finding
    from sync.store import incoming, looking

    digits = hold_id.strip().lower().removeprefix("h")
    with at_work.store.read() as connection:
        store = at_work.store.clinic
        found = looking.hold_of(connection, store, int(digits)) if digits.isdecimal() else None
        if found is not None:
            return found
        there = [f"h{hold['id']}" for hold in incoming.open_holds(connection, store)]
    known = f"open are: {', '.join(there)}" if there else "nothing is held"
    message = f"there is no open hold {hold_id!r}"
    raise SettingsError(
        [Finding("error", "no_such_hold", message, f"{known}: clinicrelay held list")]
    )


def _ask(at_work: Clinic, hold: dict[str, Any], *, without_messages: bool) -> None:
    waiting, messages = _contents(at_work, hold)
    leaving = _leaving(at_work, hold)
    print("\n".join([*_summary(at_work, hold), *_days(at_work, waiting or leaving)]))
    number = len(messages) or len(waiting) or len(leaving)
    kind = "messages" if messages else "changes" if waiting else "removals of events"
    nobody = without_messages or bool(leaving)
    told = "nobody is told" if nobody else "people are told as settings say"
    if not typer.confirm(f"Apply {number} {kind} now ({told})?"):
        raise typer.Exit(0)


def _deliver(call: Call, at_work: Clinic) -> Answer:
    from commands.sync import reported
    from sync.runners import once

    return reported(call, at_work, once.deliver(at_work, "held"))


# --- what a hold keeps back ----------------------------------------------------------------------


def _contents(at_work: Clinic, hold: dict[str, Any]) -> tuple[list[Waiting], list[dict[str, Any]]]:
    from sync.store import incoming, looking

    with at_work.store.read() as connection:
        store = at_work.store.clinic
        waiting = list(incoming.of_hold(connection, store, hold["id"]))
        return waiting, looking.messages_held(connection, store, hold["id"])


def _leaving(at_work: Clinic, hold: dict[str, Any]) -> list[Leaving]:
    from sync.guard import UNLINKED
    from sync.store import unlinked

    if hold["guard"] != UNLINKED:
        return []
    with at_work.store.read() as connection:
        return unlinked.leaving(connection, at_work.store.clinic, hold["source"])


def _summary(at_work: Clinic, hold: dict[str, Any]) -> Iterator[str]:
    yield f"h{hold['id']}  {_source(hold)}  held since {_when(at_work, hold['since'])}"
    yield f"{hold['summary'][:1].upper()}{hold['summary'][1:]}."


def _days(at_work: Clinic, waiting: Sequence[Waiting | Leaving]) -> Iterator[str]:
    from clinicrelay.times import day_of

    days = Counter(
        day_of(_instant(w.start_at), at_work.zone) for w in waiting if w.start_at is not None
    )
    for day, number in sorted(days.items()):
        yield f"  {day:%a} {day.day} {day:%b %Y}   {number}"


def _visits(at_work: Clinic, hold: dict[str, Any], waiting: list[Waiting]) -> Iterator[str]:
    for one in waiting:
        start = _when(at_work, one.start_at) if one.start_at is not None else "no time"
        moved = f" → {_when(at_work, one.new_start_at)}" if one.delta and one.new_start_at else ""
        yield f"  {hold['source']}/{one.key}  {one.what.replace(',', ', ')}  {start}{moved}"


def _events(at_work: Clinic, leaving: list[Leaving]) -> Iterator[str]:
    for one in leaving:
        yield f"  {one.calendar}  {one.source}/{one.key}  {_when(at_work, one.start_at)}"


def _message(at_work: Clinic, message: dict[str, Any]) -> str:
    about = f"{message['source']}/{message['source_key']}" if message["source"] else "digest"
    said = f"{message['kind']} {message['step']}".rstrip()
    return f"  {about}  {said}  due {_when(at_work, message['due_at'])}"


def _visit_json(one: Waiting, hold: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": hold["source"],
        "key": one.key,
        "what": one.what.split(","),
        "before": {"start": _iso(one.start_at)},
        "after": {"start": _iso(one.new_start_at)},
    }


def _event_json(one: Leaving) -> dict[str, Any]:
    return {
        "source": one.source,
        "key": one.key,
        "what": ["unlinked"],
        "calendar": one.calendar,
        "before": {"start": _iso(one.start_at)},
        "after": {"start": _iso(one.start_at)},
    }


def _source(hold: dict[str, Any]) -> str:
    return hold["source"] or "messages"


def _when(at_work: Clinic, seconds: int) -> str:
    from commands._shown import when

    return when(at_work, _instant(seconds))


def _iso(seconds: int | None) -> str | None:
    from clinicrelay.times import iso

    return iso(_instant(seconds)) if seconds is not None else None


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
