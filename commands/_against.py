"""`clinicrelay plan --against running`: what an edit of the settings would change, before it is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from commands._call import Call
from commands._ending import DONE, HELD, NEEDS_PERSON
from commands._frame import Answer, Told, clinic, headline, loop, name_of, tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from clinicrelay.settings import Loaded
    from sync.clinic import Clinic
    from sync.comparing import Difference, Edit, Item
    from sync.store.running import Running

_SHOWN = 40  # of a long list; --json has all
_UNKNOWN = (
    "Nothing to compare with: no run has kept the settings that it decided by. "
    "`clinicrelay sync` keeps them."
)
_UNREADABLE = (
    "Nothing to compare with: the settings that ran were kept by another version of clinicrelay. "
    "`clinicrelay sync` keeps them anew."
)


def against_running(call: Call, end: Callable[[datetime, str], datetime]) -> int:
    """Compare the settings with those that run, clinic by clinic; `end` says how far ahead."""

    def done(loaded: Loaded, told: Told) -> int:
        answer, first = _compared(call, loaded, end)
        tell(call, answer, told, name=name_of(loaded), first=first)
        return answer.exit

    return loop(call, done)


def _compared(
    call: Call, loaded: Loaded, end: Callable[[datetime, str], datetime]
) -> tuple[Answer, str]:
    from sync import comparing
    from sync.running import fingerprint, settings_of

    with clinic(call, loaded, scratch=True) as new:
        first, now = headline(new), new.now
        until = end(now, new.zone)
        running = comparing.runs(new)
        if running is None:
            return _nothing(_UNKNOWN), first
        if running.fingerprint == fingerprint(new):
            return _alike(new, running), first
        before = settings_of(new, running)
        if before is None:
            return _nothing(_UNREADABLE), first
        edits = comparing.edits(new, running)
        after = comparing.outcome(new, until=until)
    with clinic(call, replace(loaded, settings=before), scratch=True) as old:
        old.now = now
        ran = comparing.outcome(old, until=until)
    found = comparing.difference(ran, after)
    held = comparing.newly_held(ran, after)
    json = _json(running, until, edits, found, held)
    with clinic(call, loaded, scratch=True) as new:
        lines = list(_lines(new, running, until, edits, found, held))
    return Answer(json, lines, HELD if held else DONE, new=not found.empty), first


def _nothing(why: str) -> Answer:
    told: dict[str, Any] = {"since": None, "same": None, "until": None, "settings": [], "held": []}
    return Answer({**told, **_LISTS, "note": why}, [why], NEEDS_PERSON)


_LISTS: dict[str, list[Any]] = {"added": [], "removed": [], "changed": []}


def _alike(at_work: Clinic, running: Running) -> Answer:
    from clinicrelay.times import iso
    from commands._shown import when

    since, same = when(at_work, running.since), _same_file(at_work)
    why = f"The settings are those that run since {since}: nothing would change."
    if not same:
        why = (
            f"What is decided by is the same since {since}. The file was edited since the last run, in "
            "what is not compared here: how sources are read, texts, plugins' own keys. "
            "`clinicrelay plan` shows what the next sync would do."
        )
    told: dict[str, Any] = {"since": iso(running.since), "same": same, "until": None}
    told |= {"settings": [], "held": []}
    return Answer({**told, **_LISTS, "note": why}, [why], DONE, new=False)


def _same_file(at_work: Clinic) -> bool:
    """Whether the settings file, byte by byte, is the one that the last run read."""
    from sync.steps import heeded

    before, now = heeded(at_work)
    return before == now


def _json(
    running: Running,
    until: datetime,
    edits: Sequence[Edit],
    found: Difference,
    held: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    from clinicrelay.times import iso

    return {
        "since": iso(running.since),
        "same": False,
        "until": iso(until),
        "settings": [one.json() for one in edits],
        "held": list(held),
        "added": list(found.added),
        "removed": list(found.removed),
        "changed": list(found.changed),
        "note": _summary(found),
    }


# --- for people ----------------------------------------------------------------------------------


def _lines(
    at_work: Clinic,
    running: Running,
    until: datetime,
    edits: Sequence[Edit],
    found: Difference,
    held: Sequence[dict[str, Any]],
) -> Iterator[str]:
    from commands._shown import when
    from commands.plan import would_be_held
    from sync.comparing import by_doctor, counted

    yield f"Against what runs since {when(at_work, running.since)}, until {when(at_work, until)}:"
    yield from (f"  {_edit(one)}" for one in edits)
    yield from map(would_be_held, held)
    yield _summary(found)
    for sign, some in (("+", found.added), ("-", found.removed), ("~", found.changed)):
        yield from (f"  {sign}{number} {what}" for what, number in sorted(counted(some).items()))
    doctors = [f"{who} +{more} -{less}" for who, more, less in by_doctor(found)]
    if doctors:
        yield f"  by doctor: {', '.join(doctors)}"
    for sign, some in (("+", found.added), ("-", found.removed), ("~", found.changed)):
        yield from (f"{sign} {_item(at_work, one)}" for one in some[:_SHOWN])
        if len(some) > _SHOWN:
            yield f"{sign} … and {len(some) - _SHOWN} more (--json lists all)"
    yield "Nothing was written, and no source was asked. `clinicrelay sync` uses the new settings."


def _edit(one: Edit) -> str:
    if one.before is None and one.after is None:
        return f"{one.path}  edited"
    return f"{one.path}  {_short(one.before)} → {_short(one.after)}"


def _short(value: Any) -> str:
    from clinicrelay.settings.mistakes import as_yaml

    return "nothing" if value is None else as_yaml(value)


def _summary(found: Difference) -> str:
    parts = [
        f"{sign}{number} {thing}{'' if number == 1 else 's'}"
        for thing in ("message", "event")
        for sign, some in (("+", found.added), ("-", found.removed), ("~", found.changed))
        if (number := sum(one["thing"] == thing for one in some))
    ]
    return "   ".join(parts) or "Nothing that happens until then would be any different."


def _item(at_work: Clinic, one: Item) -> str:
    from commands._shown import when

    at = one.get("at") or one.get("start")
    moment = when(at_work, datetime.fromisoformat(at)) if at else "no time"
    about = "  ".join(filter(None, (one["appointment"] or "the day", one["doctor"])))
    if one["thing"] == "event":
        return f"{moment}  event in {one['calendar'].partition(':')[0]}  {about}"
    what = f"{one['kind']} {one['step'] or ''}".rstrip()
    return f"{moment}  {what} to {one['to']} by {one['channel']}  {about}"
