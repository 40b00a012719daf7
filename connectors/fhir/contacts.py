"""How people are called and reached: which of several names, numbers and addresses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from connectors.fhir.elements import Address, Concept, ContactPoint, HumanName, Period, Spoken
from connectors.fhir.resources import Person

PHONES = frozenset({"phone", "sms"})
EMAILS = frozenset({"email"})

_LAST = 9
_USES = {"mobile": 0, "home": 1, "work": 2, "temp": 3}
_AT_WORK = {"work": 0, "mobile": 1, "home": 2, "temp": 3}
_NAMES = {"official": 0, "usual": 1}
_BYGONE = frozenset({"old", "maiden"})
_UNRANKED = 1_000_000


def contact(points: Iterable[ContactPoint], systems: frozenset[str], day: str) -> str | None:
    """Return a patient's number or address that holds on `day` (ISO, or empty)."""
    return _best(points, systems, day, _USES)


def work_contact(points: Iterable[ContactPoint], systems: frozenset[str], day: str) -> str | None:
    """Return the number or address at which somebody is reached at work."""
    return _best(points, systems, day, _AT_WORK)


def _best(
    points: Iterable[ContactPoint], systems: frozenset[str], day: str, uses: dict[str, int]
) -> str | None:
    found: str | None = None
    least = (_UNRANKED + 1, _LAST)
    for point in points:
        if point.system not in systems or point.use == "old" or not point.value:
            continue
        if point.period is not None and not holds(point.period, day):
            continue
        rank = point.rank if point.rank and point.rank > 0 else _UNRANKED
        use = uses.get("mobile" if point.system == "sms" else point.use or "", _LAST - 1)
        if (rank, use) < least:
            found, least = point.value, (rank, use)
    return found


def holds(period: Period | None, day: str) -> bool:
    """Judge by the day of the visit, as coarsely as the period itself is written.

    Not by today: the same record must read the same tomorrow. What ended stays ended where there
    is no day.
    """
    if period is None:
        return True
    start, end = (period.start or "")[:10], (period.end or "")[:10]
    if not day:
        return not end
    return not (end and day[: len(end)] > end) and not (start and day[: len(start)] < start)


def dated(person: Person) -> bool:
    """Whether how to reach somebody depends on the day."""
    telecoms = (person.telecom, *(one.telecom for one in person.contact))
    return any(point.period is not None for points in telecoms for point in points) or any(
        one.period is not None for one in person.contact
    )


def name_of(names: Sequence[HumanName], *, prefixed: bool = False) -> str | None:
    """Return the name to call somebody by: official, usual, any that is not old or maiden, any."""
    if len(names) > 1:
        names = sorted(names, key=_standing)
    return next((text for name in names if (text := _written(name, prefixed))), None)


def _standing(name: HumanName) -> int:
    if name.use in _BYGONE or (name.period and name.period.end):
        return _LAST
    return _NAMES.get(name.use or "", len(_NAMES))


def _written(name: HumanName, prefixed: bool) -> str | None:
    if not (name.family or name.given):
        return name.text
    prefix = name.prefix if prefixed else ()
    return " ".join(part for part in (*prefix, *name.given, name.family) if part)


def language_of(spoken: Sequence[Spoken]) -> str | None:
    """Return the language somebody prefers, or the only one there is."""
    chosen = next((one for one in spoken if one.preferred), None)
    if chosen is None and len(spoken) == 1:
        chosen = spoken[0]
    return code_of(chosen.language) if chosen else None


def code_of(concept: Concept | None) -> str | None:
    """Return a concept's code, else what it is called."""
    if concept is None:
        return None
    return next((one.code for one in concept.coding if one.code), None) or concept.text


def label_of(concept: Concept | None) -> str | None:
    """Return what a concept is called, as people read it, else its code."""
    if concept is None:
        return None
    if concept.concept is not None:
        return label_of(concept.concept)
    if concept.text:
        return concept.text
    text = next((one.display for one in concept.coding if one.display), None)
    name = concept.reference.display if concept.reference else None
    return text or code_of(concept) or name


@lru_cache(maxsize=4096)  # the same few in thousands of visits
def label_of_any(concepts: tuple[Concept, ...]) -> str | None:
    """Return what the first concept that is called anything is called."""
    for one in concepts:
        if text := label_of(one):
            return text
    return None


def codes_in(concepts: Iterable[Concept]) -> set[str]:
    """Return all codes of several concepts."""
    found: set[str] = set()
    for one in concepts:
        if one.concept is not None:
            found |= codes_in((one.concept,))
        for coding in one.coding:
            if coding.code:
                found.add(coding.code)
    return found


def address_of(address: Address | None) -> str | None:
    """Return a postal address on one line."""
    if address is None:
        return None
    town = " ".join(part for part in (address.state, address.postal_code) if part)
    parts = [part for part in (*address.line, address.city, town) if part]
    return ", ".join(parts) or address.text
