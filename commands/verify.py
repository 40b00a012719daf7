"""`clinicrelay verify`: compare calendars with the store, and the ledger with what was owed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicrelay.counts import counted
from clinicrelay.times import iso
from commands._call import Call, shared
from commands._ending import DONE, NEEDS_PERSON
from commands._frame import Answer, each

if TYPE_CHECKING:
    from sync.accounting import Accounts
    from sync.clinic import Clinic
    from sync.verifying import Compared

_FINE = ("", "rehearsal")  # a calendar that nothing was written to yet cannot differ


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    group = typer.Typer(
        help="Compare what is there with what should be.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("calendars")(shared(calendars))
    group.command("messages")(shared(messages))
    program.add_typer(group, name="verify")


def calendars(
    call: Call,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what differs, as `if_doctor` allows.")
    ] = False,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="Events of another installation are ours: take them over."),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Remove the coming events of another installation.")
    ] = False,
    beside: Annotated[
        bool, typer.Option("--beside", help="Another installation's events are another clinic's.")
    ] = False,
    leave: Annotated[
        str,
        typer.Option(
            "--leave",
            metavar="NAME:ADDRESS",
            help="A calendar that nobody is linked to is closed: leave what was to go from there.",
        ),
    ] = "",
) -> int:
    """Find what is missing, moved, edited, orphaned or duplicated. Exits 3 on differences."""
    if leave:
        if repair or adopt or replace or beside:
            raise typer.BadParameter("it goes with none of the others", param_hint="--leave")
        return each(call, lambda at_work: _leave(at_work, leave), writes=True)
    asked = {"repair": repair, "adopt": adopt, "replace": replace, "beside": beside}
    chosen = [name for name, is_set in asked.items() if is_set]
    if len(chosen) > 1:
        raise typer.BadParameter("these exclude each other", param_hint=f"--{chosen[1]}")
    return each(call, lambda at_work: _verify(at_work, "".join(chosen)), writes=bool(chosen))


def _verify(at_work: Clinic, asked: str) -> Answer:
    from sync import verifying
    from sync.store import audit

    if asked:
        with at_work.store.write() as connection:
            deed = audit.Deed(at_work.actor, f"verify.{asked}", "calendars")
            audit.note(connection, at_work.store.clinic, deed)
    if asked in ("", "repair"):
        found = verifying.verify(at_work, repair=asked == "repair")
    else:
        found = verifying.settle_strangers(at_work, asked)
    left = any(one.left or one.reason not in _FINE for one in found)
    json = {"calendars": [_json(one) for one in found], "mended": sum(o.mended for o in found)}
    return Answer(json, [*_lines(at_work, found, asked)], NEEDS_PERSON if left else DONE, new=left)


def _leave(at_work: Clinic, calendar: str) -> Answer:
    from clinicrelay.contracts import Finding
    from clinicrelay.errors import SettingsError
    from sync import verifying
    from sync.store import audit

    left = verifying.leave(at_work, calendar)
    if left is None:
        message = f"{calendar}: no calendar that takes nothing and that nobody is linked to"
        fix = "clinicrelay status says which there are"
        raise SettingsError([Finding("error", "not_leaving", message, fix, path="--leave")])
    with at_work.store.write() as connection:
        deed = audit.Deed(at_work.actor, "verify.leave", calendar)
        audit.note(connection, at_work.store.clinic, deed)
    text = f"{counted(left, 'event')} left in {calendar}: nothing is written there any more."
    return Answer({"calendar": calendar, "left": left}, [text])


def _json(one: Compared) -> dict[str, Any]:
    return {
        "calendar": one.calendar,
        "reason": one.reason or None,
        "fix": one.fix or None,
        "mended": one.mended,
        "differences": [
            {
                "what": difference.what,
                "appointment": difference.visit or None,
                "start": iso(difference.start) if difference.start else None,
                "event": difference.event or None,
            }
            for difference in one.differences
        ],
    }


def _lines(at_work: Clinic, found: Sequence[Compared], asked: str) -> Iterator[str]:
    from commands._shown import when

    for one in found:
        if one.reason:
            yield f"{one.calendar}  {one.reason}  {one.fix}"
        for difference in one.differences:
            about = difference.visit or f"event {difference.event}"
            at = f"  {when(at_work, difference.start)}" if difference.start else ""
            yield f"{one.calendar}  {difference.what:<10} {about}{at}"
    differences, mended = (sum(map(count, found)) for count in (_number, lambda one: one.mended))
    if not differences:
        yield "Every calendar that could be looked at shows what it should."
    elif not asked:
        yield f"{differences} differ. Mend them: clinicrelay verify calendars --repair"
    else:
        yield f"{mended} of {differences} mended."


def _number(one: Compared) -> int:
    return len(one.differences)


# --- messages ------------------------------------------------------------------------------------


def messages(call: Call) -> int:
    """Prove of each reminder whose time has come that it was sent, or why not. Exits 3 where not."""
    return each(call, _accounted)


def _accounted(at_work: Clinic) -> Answer:
    from sync.accounting import check

    found = check(at_work)
    code = NEEDS_PERSON if found.wrong else DONE
    return Answer(_accounts(found), _told(at_work, found), code, new=bool(found.wrong))


def _accounts(found: Accounts) -> dict[str, Any]:
    return {
        "visits": found.visits,
        "steps": found.steps,
        "became": dict(sorted(found.became.items())),
        "by_rule": dict(sorted(found.by_rule.items())),
        "not_looked_at": found.not_looked_at,
        "wrong": [
            {
                "what": one.what,
                "appointment": one.visit,
                "to": one.to,
                "step": one.step,
                "at": iso(one.at),
            }
            for one in found.wrong
        ],
        "more": found.more,
    }


def _told(at_work: Clinic, found: Accounts) -> Iterator[str]:
    from commands._shown import when
    from sync.accounting import RULES, WORDS

    steps, visits = (
        f"{number} {word}{'' if number == 1 else 's'}"
        for number, word in ((found.steps, "step"), (found.visits, "visit"))
    )
    had = "its" if found.steps == 1 else "their"
    yield f"{steps} of {visits} had {had} time: {_counted(found.became)}"
    for rule, number in sorted(found.by_rule.items()):
        yield f"  {number} without a line: {RULES[rule]}"
    if found.not_looked_at:
        yield f"  {found.not_looked_at} more are decided about by the next run"
    for one in found.wrong:
        at = when(at_work, one.at)
        yield f"{one.visit}  {one.step} to {one.to}  {at}  {one.what}: {WORDS[one.what]}"
    if found.more:
        yield f"  … and {found.more} more"
    if found.wrong:
        yield "Each of them is a mistake of ours, or of whoever wrote into the store: please report it."
    else:
        yield "Each of them was sent once, or says why not."


def _counted(became: Mapping[str, int]) -> str:
    return ", ".join(f"{state} {number}" for state, number in sorted(became.items())) or "none"
