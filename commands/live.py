"""`clinicrelay live`: ends rehearsal, part by part, when a person has seen what that means."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicrelay.counts import counted
from commands._call import Call, shared
from commands._ending import DONE, NEEDS_PERSON, say
from commands._frame import Answer, headline, log_of, only
from commands._who import actor

if TYPE_CHECKING:
    from sync.checklist import Point
    from sync.clinic import Clinic
    from sync.live import Outlook

Confirm = Annotated[
    str | None,
    typer.Option("--confirm", metavar="ID", help="The clinic's id: you have read all this."),
]


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    group = typer.Typer(
        help="End rehearsal, part by part: calendars, doctors, patients.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for command in (calendars, doctors, patients, here):
        group.command(command.__name__)(shared(command))
    program.add_typer(group, name="live")


def calendars(call: Call, confirm: Confirm = None) -> int:
    """Let events be written to the doctors' real calendars."""
    return _begin(call, "calendars", "", confirm)


def doctors(call: Call, confirm: Confirm = None) -> int:
    """Let messages reach the doctors."""
    return _begin(call, "doctors", "", confirm)


def patients(
    call: Call,
    doctor: Annotated[
        str, typer.Option("--doctor", metavar="ID", help="Only patients of this doctor.")
    ] = "",
    confirm: Confirm = None,
) -> int:
    """Let messages reach the patients. Whatever fell due before this moment is never sent."""
    return _begin(call, "patients", doctor, confirm)


def here(call: Call, confirm: Confirm = None) -> int:
    """Say that a live store was moved to this place for good; the old one must be gone."""
    _refuse_other_clock(call)

    def moved(at_work: Clinic) -> Answer:
        from sync.store import audit, standings

        elsewhere = at_work.standing().elsewhere
        if elsewhere is None:
            return Answer({"moved": False}, ["This is where the clinic is live. Nothing was done."])
        print(headline(at_work), file=sys.stderr if call.as_json else sys.stdout)
        say(f"It went live on {elsewhere}. Is that one switched off for good?")
        if not _confirmed(call, at_work, confirm, "live here"):
            return Answer({"moved": False}, ["Nothing was done."], NEEDS_PERSON, headed=False)
        with at_work.store.write() as connection:
            standings.move_here(connection, at_work.store.clinic, at_work.place)
            audit.note(connection, at_work.store.clinic, audit.Deed(actor(), "live.here"))
        return Answer({"moved": True}, ["From now on the clinic is live here."])

    return only(call, moved)


def _begin(call: Call, part: str, doctor: str, confirm: str | None) -> int:
    _refuse_other_clock(call)
    return only(call, lambda at_work: _live(call, at_work, part, doctor, confirm), writes=True)


def _refuse_other_clock(call: Call) -> None:
    if call.now is not None:
        raise typer.BadParameter("going live happens now, on the real clock", param_hint="--now")


def _check_doctor(at_work: Clinic, doctor: str) -> None:
    """Raises typer.BadParameter for a doctor whom neither settings nor any visit ahead know."""
    from sync import live

    known = [one.id for one in at_work.settings.doctors]
    if doctor and doctor not in known and not live.visits_of(at_work, doctor):
        there = f"; the doctors in settings are: {', '.join(known)}" if known else ""
        message = f"no visit ahead is with {doctor!r}{there} (see: clinicrelay doctors)"
        raise typer.BadParameter(message, param_hint="--doctor")


def _live(call: Call, at_work: Clinic, part: str, doctor: str, confirm: str | None) -> Answer:
    from sync import live
    from sync.checklist import checklist

    _check_doctor(at_work, doctor)
    since = at_work.standing().since(part, (doctor,) if doctor else ())
    if since is not None:
        when = _when(at_work, since)
        return Answer(_json(part, True), [f"The {part} are live already, since {when}."])
    points = checklist(at_work, part)
    blocked = any(point.blocks and not point.ok for point in points)
    outlook = None if blocked else live.outlook(at_work, part, doctor)
    if not call.as_json:
        print("\n".join([headline(at_work), *_seen(at_work, part, doctor, points, outlook)]))
    what = f"live {part}" + (f" --doctor {doctor}" if doctor else "")
    if blocked or not _confirmed(call, at_work, confirm, what):
        told = "Nothing was done: mend what is marked NO first." if blocked else "Nothing was done."
        return Answer(_json(part, False, points, outlook), [told], NEEDS_PERSON, headed=False)
    live.go(at_work, part, doctor, who=actor())
    log_of(at_work, call).info("live", run=at_work.run, clinic=at_work.store.clinic, command=what)
    return Answer(_json(part, True, points, outlook), [*_done(part)], DONE)


def _confirmed(call: Call, at_work: Clinic, confirm: str | None, what: str) -> bool:
    """Ask for the clinic's id, the one thing nobody types by mistake."""
    name = at_work.settings.clinic.id
    if confirm is None and call.on_terminal and sys.stdin.isatty():
        confirm = str(typer.prompt(f"Type the clinic's id ({name}) to go on", default="-"))
    if confirm is None:
        say(f"To do it: clinicrelay {what} --confirm {name}")
        return False
    if confirm != name:
        say("That is not the clinic's id.")
    return confirm == name


# --- telling -------------------------------------------------------------------------------------


def _seen(
    at_work: Clinic, part: str, doctor: str, points: list[Point], outlook: Outlook | None
) -> Iterator[str]:
    whose = f" of {doctor}" if doctor else ""
    yield f"Before the {part}{whose} go live"
    width = max(len(point.what) for point in points)
    for point in points:
        mark = "ok  " if point.ok else "NO  " if point.blocks else "open"
        yield f"  {mark}  {point.what:<{width}}   {point.to_do}".rstrip()
    if outlook is not None:
        yield "What would leave in the next 7 days"
        yield from (f"  {line}" for line in _numbers(at_work, part, outlook))


def _numbers(at_work: Clinic, part: str, outlook: Outlook) -> Iterator[str]:
    if part == "calendars":
        yield f"{counted(outlook.events, 'event')} to write or remove in real calendars at the next sync"
        return
    number = sum(outlook.messages.values())
    kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(outlook.messages.items()))
    yield f"{counted(number, 'message')} to {outlook.people} {part}" + (
        f": {kinds}" if kinds else ""
    )
    if outlook.first is not None:
        yield f"the first {_when(at_work, outlook.first)}"
    if outlook.sms:
        yield f"{outlook.sms} SMS are paid for"
    yield "nothing that fell due before this moment: what is true now counts as told"


def _done(part: str) -> Iterator[str]:
    if part == "calendars":
        yield "From now on events are written to real calendars, beginning with the next sync."
    else:
        yield f"From now on messages reach the {part}. Nothing that fell due before will be sent."
    yield f"clinicrelay pause {part}   stops it at once"


def _json(
    part: str, live: bool, points: list[Point] | None = None, outlook: Outlook | None = None
) -> dict[str, Any]:
    from clinicrelay.times import iso

    told: dict[str, Any] = {"part": part, "live": live}
    if points is not None:
        told["checklist"] = [point._asdict() for point in points]
    if outlook is not None:
        told["outlook"] = {
            "messages": dict(outlook.messages),
            "people": outlook.people,
            "sms": outlook.sms,
            "first": iso(outlook.first) if outlook.first else None,
            "events": outlook.events,
        }
    return told


def _when(at_work: Clinic, instant: object) -> str:
    from commands._shown import when

    return when(at_work, instant)
