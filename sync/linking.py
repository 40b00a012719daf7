"""Which practitioner has which calendar, who has none, and the settings that would give them one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clinicrelay.model import Practitioner
from clinicrelay.paths import fold
from clinicrelay.settings.quoting import scalar, slug
from sync.store import calendars, practitioners

if TYPE_CHECKING:
    from clinicrelay.settings.schema import Doctor
    from sync.clinic import Clinic
    from sync.store.practitioners import Seen


@dataclass(frozen=True, slots=True)
class Link:
    """A practitioner's place in one calendar of the settings.

    `blocked` is the reason why the calendar takes nothing, empty where it does or was never tried.
    """

    calendar: str
    address: str
    blocked: str = ""


@dataclass(frozen=True, slots=True)
class Linked:
    """A practitioner of a source, the entry under `doctors` that means them, and their calendars."""

    source: str
    practitioner: Practitioner
    ahead: int
    doctor: str | None
    links: tuple[Link, ...]
    missing: tuple[str, ...]  # calendars of the settings where they have no place


@dataclass(frozen=True, slots=True)
class Doctors:
    """All of them, and entries under `doctors` whose practitioner no source has named so far."""

    linked: tuple[Linked, ...]
    unseen: tuple[Doctor, ...]

    @property
    def unlinked(self) -> tuple[Linked, ...]:
        return tuple(one for one in self.linked if one.missing)


def doctors(clinic: Clinic) -> Doctors:
    """Look at who is visited, and where that shows."""
    with clinic.store.read() as connection:
        found = practitioners.seen(connection, clinic.store.clinic, now=clinic.now)
        kept = calendars.kept(connection, clinic.store.clinic, since=clinic.shown_since)
    blocked = {name: one.mark.reason for name, one in kept.items() if one.mark.state != "ok"}
    linked = tuple(_linked(clinic, one, blocked) for one in found)
    met = {one.doctor for one in linked}
    unseen = tuple(doctor for doctor in clinic.settings.doctors if doctor.id not in met)
    return Doctors(linked, unseen)


def _linked(clinic: Clinic, one: Seen, blocked: dict[str, str]) -> Linked:
    doctor = clinic.doctor(one.source, one.practitioner)
    links = []
    for calendar in clinic.calendars_of(one.source, one.practitioner):
        name, _, address = calendar.partition(":")
        links.append(Link(name, address, blocked.get(calendar, "")))
    there = {link.calendar for link in links}
    missing = tuple(name for name in clinic.settings.calendars if name not in there)
    who = one.practitioner
    return Linked(one.source, who, one.ahead, doctor.id if doctor else None, tuple(links), missing)


def owners(clinic: Clinic, calendar: str) -> dict[str, tuple[str, ...]]:
    """Return whose each address in a calendar of the settings is: doctors' ids, else `SOURCE/KEY`."""
    found = doctors(clinic)
    known = [
        (one.doctor or f"{one.source}/{one.practitioner.key}", one.links) for one in found.linked
    ]
    known += [(doctor.id, _links_of(clinic, doctor)) for doctor in found.unseen]
    whose: dict[str, dict[str, None]] = {}
    for who, links in known:
        for link in links:
            if link.calendar == calendar:
                whose.setdefault(link.address, {})[who] = None
    return {address: tuple(people) for address, people in whose.items()}


def _links_of(clinic: Clinic, doctor: Doctor) -> tuple[Link, ...]:
    """Return the calendars of an entry under `doctors`, whether or not a source has named them."""
    match = doctor.match if isinstance(doctor.match, dict) else {"": doctor.match}
    source, key = next(iter(match.items()), ("", ""))
    places = (one.partition(":") for one in clinic.calendars_of(source, Practitioner(key=key)))
    return tuple(Link(name, address) for name, _, address in places)


# --- the lines to paste --------------------------------------------------------------------------


def lines_to_paste(found: Doctors, taken: Sequence[str], *, named: bool) -> Iterator[str]:
    """Yield the `doctors:` section for those who have no calendar and no entry yet.

    The address is left open: what is pasted without it changes nothing, and is told of again.
    `named` False: no line holds anything but keys, for places where names do not belong.
    """
    people = list(_people([one for one in found.unlinked if one.doctor is None]))
    ids = set(taken)
    if people:
        yield "doctors:"
    for person in people:
        name = _free(_id_for(person, named=named), ids)
        ids.add(name)
        match = ", ".join(f"{scalar(p.source)}: {scalar(p.practitioner.key)}" for p in person)
        open_ = ", ".join(
            f"{scalar(c)}: " for c in dict.fromkeys(c for p in person for c in p.missing)
        )
        yield f"  - {{id: {name}, match: {{{match}}}, calendar: {{{open_}}}}}{_note(person, named)}"


def _people(unlinked: Sequence[Linked]) -> Iterator[list[Linked]]:
    """Bring together who is likely one person: the same e-mail or name, each in another source."""
    known: dict[str, list[Linked]] = {}
    people: list[list[Linked]] = []
    for one in unlinked:
        sign = (one.practitioner.email or "").lower() or fold(one.practitioner.name or "")
        person = known.get(sign) if sign else None
        if person is None or any(other.source == one.source for other in person):
            person = []
            people.append(person)
            known[sign] = person
        person.append(one)
    yield from people


def _id_for(person: Sequence[Linked], *, named: bool) -> str:
    """Propose the family name in small letters, else the key in such letters."""
    first = person[0].practitioner
    family, comma, _ = (first.name or "").partition(",")
    words = family.split()
    name = (slug(family) if comma else slug(words[-1])) if words and named else ""
    return name or slug(first.key) or "doctor"


def _free(name: str, taken: set[str]) -> str:
    """Return the name, with a number behind it where it is taken."""
    numbers = (f"{name}_{number}" for number in range(2, len(taken) + 3))
    return next(free for free in (name, *numbers) if free not in taken)


def _note(person: Sequence[Linked], named: bool) -> str:
    ahead = sum(one.ahead for one in person)
    name = " ".join((person[0].practitioner.name or "").split()) if named else ""
    printable = "".join(c for c in name if c.isprintable())
    visits = f"{ahead} {'visit' if ahead == 1 else 'visits'} ahead"
    return f"  # {printable}, {visits}" if printable else f"  # {visits}"
