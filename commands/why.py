"""`clinicrelay why`: the life of a visit, every decision with its reason, and a short answer."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicrelay.times import for_people
from commands._call import Call, shared
from commands._ending import NEEDS_PERSON
from commands._frame import Answer, each

if TYPE_CHECKING:
    from sync.because import Because
    from sync.chronicle import Line
    from sync.clinic import Clinic
    from sync.explain import Story
    from sync.notices import Notice

_MOST = 20  # visits of one patient that are told; the nearest ones
_WIDTH = 100


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("why")(shared(why))


def why(
    call: Call,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="REF",
            help="SOURCE/KEY, a key, a patient's key, phone, e-mail or name, doctor/KEY, a message's "
            "or event's id (an alert's or a list's, too), also what the provider calls a message; `-` "
            "asks for it, so that it stays out of the shell's history.",
        ),
    ],
) -> int:
    """Tell the life of an appointment: what happened, what was said, what comes next, and why."""
    wanted = _asked(call) if reference == "-" else reference
    # Of several clinics, one that knows it is enough.
    return each(call, lambda at_work: _why(at_work, wanted), verdict=min)


def _why(at_work: Clinic, wanted: str) -> Answer:
    from sync.explain import nearest, stories
    from sync.notices import notice, of_doctor
    from sync.searching import search

    found = search(at_work, wanted)
    if not found and (known := notice(at_work, wanted) or of_doctor(at_work, wanted)):
        return _noticed(at_work, known)
    told = stories(at_work, nearest(at_work, found, _MOST))
    if not told:
        return _unknown(at_work, wanted)
    return Answer(_json(told), _lines(at_work, told, len(found)))


def _unknown(at_work: Clinic, wanted: str) -> Answer:
    """Tell what is known where there is no such visit."""
    from sync.unknown import unknown

    found = unknown(at_work, wanted)
    told = _nobody(found.answer, found.because, found.history)
    lines = [*_history(at_work, found.history), *_short_answer(found.answer)]
    return Answer(told, lines, NEEDS_PERSON)


def _noticed(at_work: Clinic, known: Notice) -> Answer:
    """Tell of messages that are no patient's."""
    from sync.explain_json import message_json

    told = {
        **_nobody(known.answer, known.because, known.history),
        "messages": [message_json(one) for one in known.messages],
    }
    return Answer(told, [*_history(at_work, known.history), *_short_answer(known.answer)])


def _asked(call: Call) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Who or what", err=call.as_json))
    return sys.stdin.readline().strip()


# --- as JSON -------------------------------------------------------------------------------------


def _json(told: Sequence[Story]) -> dict[str, Any]:
    """Return the promised JSON: the nearest visit; all of them under `appointments` where several."""
    first = _story_json(told[0])
    return first if len(told) == 1 else {**first, "appointments": [_story_json(s) for s in told]}


def _nobody(answer: str, why: Because | None, history: Sequence[Line]) -> dict[str, Any]:
    """Return the promised JSON where it is about no visit."""
    from sync.explain_json import because_json, line_json

    return {
        "appointment": None,
        "history": [line_json(line) for line in history],
        "events": [],
        "messages": [],
        "next": None,
        **because_json(why),
        "answer": answer,
    }


def _story_json(story: Story) -> dict[str, Any]:
    from commands._visits import visit_json
    from sync.explain_json import (
        because_json,
        event_json,
        line_json,
        message_json,
        next_json,
        unlinked_json,
    )

    gone = story.woken.gone_at is not None
    return {
        "appointment": visit_json(story.visit, version=story.woken.version, gone=gone),
        "history": [line_json(line) for line in story.history],
        "events": [
            *(event_json(event) for event in story.events),
            *(unlinked_json(one) for one in story.unlinked),
        ],
        "messages": [message_json(message) for message in story.messages],
        "next": next_json(story.next, story.woken.source),
        **because_json(story.because),
        "answer": story.answer,
    }


# --- for people ----------------------------------------------------------------------------------


def _lines(at_work: Clinic, told: Sequence[Story], found: int) -> Iterator[str]:
    yield _summary(at_work, told, found)
    yield from _history(at_work, told[0].history)
    yield from _coming(at_work, told[0])
    yield from _short_answer(told[0].answer)
    if len(told) > 1:
        yield "Also:"
        yield from (f"  {_visit(at_work, story)}" for story in told[1:])
        if found > len(told):
            yield f"  … and {found - len(told)} more"


def _short_answer(answer: str) -> list[str]:
    head = "Short answer: "
    return textwrap.wrap(head + answer, _WIDTH, subsequent_indent=" " * len(head))


def _summary(at_work: Clinic, told: Sequence[Story], found: int) -> str:
    people = {who.key for story in told for who in story.visit.patients}
    ahead = sum(story.ahead(at_work.now) for story in told)
    counted = f"{ahead} {'visit' if ahead == 1 else 'visits'} ahead"
    counted += f" of {found}" if found > ahead else ""
    patients = f"{len(people)} {'patient' if len(people) == 1 else 'patients'}"
    return f"{patients}, {counted}: {_visit(at_work, told[0])}"


def _visit(at_work: Clinic, story: Story) -> str:
    visit = story.visit
    parts = [
        story.name,
        at_work.when(visit.start) if visit.start else "no time",
        visit.primary.key if visit.primary else "no practitioner",
        "gone" if story.woken.gone_at is not None else visit.status.value,
        f"version {story.woken.version}",
    ]
    return " · ".join(parts)


def _history(at_work: Clinic, history: Sequence[Line]) -> Iterator[str]:
    from commands._table import plain

    rows = [[_moment(at_work, line), line.what, _because(line), line.setting] for line in history]
    yield from (f" {line}" for line in plain(rows))


def _because(line: Line) -> str:
    return " · ".join(part for part in (line.reason, line.detail) if part)


def _coming(at_work: Clinic, story: Story) -> Iterator[str]:
    from sync.gate import OPEN_ENDED

    coming = story.next
    if coming is None:
        return
    way = f", {coming.channel}" if coming.channel else ""
    fate = "waits" if coming.reason in OPEN_ENDED else "will be skipped"
    skip = f": {fate}, {coming.reason}" if coming.reason else ""
    skip = ": waits, paused" if coming.pause else skip
    skip = f": waits, {coming.stuck.reason}" if coming.stuck else skip
    overdue = coming.at <= at_work.now and not skip
    at = "with the next run" if overdue else at_work.when(coming.at)
    yield f" next: reminder {coming.step}  {at}{way}{skip}"


def _moment(at_work: Clinic, line: Line) -> str:
    return for_people(line.at, at_work.zone, now=at_work.now, day="%d %b")
