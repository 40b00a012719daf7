"""What can be done in each doctor's calendar, as `check --connect` finds it out and shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from commands._call import Call
from commands._table import Table, show

if TYPE_CHECKING:
    from clinicrelay.contracts import Calendar, Finding, Reach
    from clinicrelay.settings.schema import Doctor
    from sync.clinic import Clinic

_NAMED = 5  # doctors in a sentence; all of them stand in the rows
_HEADINGS = ("doctor", "calendar", "role", "zone", "own alarms", "Meet", "")


class Reached(NamedTuple):
    """A doctor, or `SOURCE/KEY`, and what can be done in their calendar."""

    doctor: str
    reach: Reach


def ask(at_work: Clinic, name: str, calendar: Calendar) -> list[Reached]:
    """Ask a calendar plugin about everybody who has a calendar there."""
    from sync import linking

    owners = linking.owners(at_work, name)
    found = calendar.reach([*owners])
    return [Reached(doctor, reach) for reach in found for doctor in owners[reach.calendar]]


# --- what is wrong -------------------------------------------------------------------------------


def wrong(at_work: Clinic, name: str, reached: Sequence[Reached]) -> Iterator[tuple[str, Finding]]:
    """Yield why calendars cannot be written, each cause once, with its place in the settings."""
    causes: dict[Finding, list[Reached]] = {}
    for one in reached:
        if one.reach.wrong is not None:
            causes.setdefault(one.reach.wrong, []).append(one)
    for cause, those in causes.items():
        told = replace(cause, message=f"{_people(those)}: {cause.message}")
        addresses = {one.reach.calendar for one in those}
        alone = len(addresses) == 1 and _written(at_work, name, those[0])
        yield alone or f"calendars.{name}", told


def _people(those: Sequence[Reached]) -> str:
    named = ", ".join(one.doctor for one in those[:_NAMED])
    if len(those) == 1:
        return named
    more = f" and {len(those) - _NAMED} more" if len(those) > _NAMED else ""
    calendars = len({one.reach.calendar for one in those})
    return f"{named}{more} ({calendars} {'calendar' if calendars == 1 else 'calendars'})"


def _written(at_work: Clinic, name: str, one: Reached) -> str:
    """Return where the settings say that a doctor has this calendar; empty where they do not."""
    for number, doctor in enumerate(at_work.settings.doctors):
        if doctor.id == one.doctor:
            key = _key(doctor, name, one.reach.calendar)
            return f"doctors[{number}].{key}" if key else ""
    return ""


def _key(doctor: Doctor, name: str, address: str) -> str:
    if isinstance(doctor.calendar, dict) and doctor.calendar.get(name) == address:
        return f"calendar.{name}"
    if doctor.calendar == address:
        return "calendar"
    return "email" if doctor.email == address else ""


# --- for people and programs ---------------------------------------------------------------------


def show_reached(call: Call, name: str, reached: Sequence[Reached]) -> None:
    """Print a row for each doctor; addresses only on the clinic's own screen."""
    if not reached:
        print(f"{name}: no doctor has a calendar there. See: clinicrelay doctors")
        return
    able = sum(one.reach.wrong is None for one in reached)
    print(f"{name}: {able} of {len(reached)} doctors' calendars can be written")
    drawn = _drawn if call.on_terminal else _plain
    show(call, Table(_HEADINGS, [tuple(drawn(one)) for one in reached]))


def _drawn(one: Reached) -> Iterator[str]:
    reach = one.reach
    yield from (one.doctor, reach.calendar, reach.role or "-", reach.zone or "-")
    yield from ("yes" if reach.own_reminders else "no", "yes" if reach.meetings else "no")
    yield _refused(reach)


def _plain(one: Reached) -> Iterator[str]:
    reach = one.reach
    yield from (f"  {one.doctor}", reach.role or "-", reach.zone or "-")
    yield f"own alarms: {'yes' if reach.own_reminders else 'no'}"
    yield f"Meet: {'yes' if reach.meetings else 'no'}"
    yield _refused(reach)


def _refused(reach: Reach) -> str:
    return f"cannot be written ({reach.wrong.code})" if reach.wrong else ""


def as_json(reached: Sequence[Reached]) -> list[dict[str, Any]]:
    """Return the same for a program; `reason` is null where the calendar can be written."""
    return [
        {
            "calendar": one.reach.calendar,
            "doctor": one.doctor,
            "role": one.reach.role or None,
            "zone": one.reach.zone or None,
            "own_reminders": one.reach.own_reminders,
            "meetings": one.reach.meetings,
            "reason": one.reach.wrong.code if one.reach.wrong else None,
        }
        for one in reached
    ]
