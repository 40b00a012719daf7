"""`clinicrelay doctors`: who is visited, in which calendar that shows, and the lines to link them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from commands._call import Call, shared
from commands._frame import Answer, each
from commands._table import Table

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.linking import Doctors, Link, Linked


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("doctors")(shared(doctors))


def doctors(call: Call) -> int:
    """List the practitioners of the sources with their calendars, and the YAML to link the rest."""
    return each(call, lambda at_work: _doctors(call, at_work))


def _doctors(call: Call, at_work: Clinic) -> Answer:
    from sync import linking

    found = linking.doctors(at_work)
    taken = [doctor.id for doctor in at_work.settings.doctors]
    paste = list(linking.lines_to_paste(found, taken, named=call.on_terminal or call.as_json))
    lines = _lines(call, at_work, found, paste)
    return Answer(_json(at_work, found, paste), lines, new=bool(found.unlinked or found.unseen))


def _json(at_work: Clinic, found: Doctors, paste: list[str]) -> dict[str, Any]:
    return {
        "practitioners": [_linked_json(at_work, one) for one in found.linked],
        "unseen": [{"id": doctor.id, "match": doctor.match} for doctor in found.unseen],
        "paste": "\n".join(paste) or None,
    }


def _linked_json(at_work: Clinic, one: Linked) -> dict[str, Any]:
    links: dict[str, Any] = dict.fromkeys(at_work.settings.calendars)
    for link in one.links:
        state = "blocked" if link.blocked else "linked"
        links[link.calendar] = {"address": link.address, "state": state, "reason": link.blocked}
    return {
        "source": one.source,
        "key": one.practitioner.key,
        "name": one.practitioner.name,
        "email": one.practitioner.email,
        "visits_ahead": one.ahead,
        "doctor": one.doctor,
        "calendars": links,
    }


# --- for people ----------------------------------------------------------------------------------


def _lines(call: Call, at_work: Clinic, found: Doctors, paste: list[str]) -> Iterator[str | Table]:
    calendars = list(at_work.settings.calendars)
    if found.linked:
        yield _table(call, calendars, found)
    yield _summary(calendars, found)
    for doctor in found.unseen:
        yield f"doctors: {doctor.id} matches nobody that a source has named so far."
    for one in found.unlinked:
        if one.doctor is not None:
            missing = " and ".join(one.missing)
            yield f"doctors: {one.doctor} has no calendar in {missing}: add it to that entry."
    if paste:
        yield "To link the others, add this to the settings and fill in their calendars' addresses:"
        yield ""
        yield from paste


def _table(call: Call, calendars: list[str], found: Doctors) -> Table:
    """Names and addresses are for a person in front of the clinic's own screen."""
    headings = ["practitioner", "doctor", "ahead", *calendars]
    rows = [
        [
            f"{one.source}/{one.practitioner.key}",
            one.doctor or "-",
            str(one.ahead),
            *(_place(call, one, calendar) for calendar in calendars),
        ]
        for one in found.linked
    ]
    if call.on_terminal:
        headings.insert(1, "name")
        for row, one in zip(rows, found.linked, strict=True):
            row.insert(1, one.practitioner.name or "-")
    return Table(headings, rows)


def _place(call: Call, one: Linked, calendar: str) -> str:
    link = next((link for link in one.links if link.calendar == calendar), None)
    if link is None:
        return "not linked" if call.on_terminal else f"{calendar}: not linked"
    return _shown(call, link)


def _shown(call: Call, link: Link) -> str:
    blocked = f"blocked ({link.blocked})" if link.blocked else ""
    if call.on_terminal:
        return f"{link.address} {blocked}".rstrip()
    return f"{link.calendar}: {blocked or 'linked'}"


def _summary(calendars: list[str], found: Doctors) -> str:
    number = len(found.linked)
    people = f"{number} {'practitioner' if number == 1 else 'practitioners'}"
    if not number:
        return "No source has named a practitioner so far: clinicrelay sync reads them."
    if not calendars:
        return f"{people}. No calendar is named in the settings, so there is nothing to link."
    without = len(found.unlinked)
    return f"{people}, {without} without a calendar." if without else f"{people}, all linked."
