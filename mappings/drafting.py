"""Drafts a mapping for records that nobody described: by the names that clinics' exports use anyway.

What a column is called in nine languages stands in `clinic_csv`; nested records add who it is about
(`client.email`). A draft is a proposal for a person: it is loaded and tried before it is shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from clinicrelay.paths import fold, is_name
from mappings.mapping import load
from mappings.spec import FIELDS, WORDS, names_in

Sample: TypeAlias = Mapping[str, Any]
_Steps: TypeAlias = tuple[str, ...]

# The least that a source of appointments has to say.
WANTED = ("key", "start", "status", "patient.key", "practitioner.key")

_DEEP = 4  # levels of a nested record
# A staff member is no member of a health plan: who is to be visited is looked for first.
_ABOUT = {
    "practitioner": (
        *("practitioner", "provider", "doctor", "physician", "clinician", "staff", "therapist"),
        *("dentist", "hygienist", "employee", "resource"),
    ),
    "patient": ("patient", "client", "subject", "customer", "member", "attendee", "person"),
    "location": ("location", "branch", "facility", "site", "business", "department", "room"),
}
_DRAFTED = (
    *("key", "start", "end", "duration", "status", "timezone", "modality", "service", "notes"),
    *(f"patient.{one}" for one in ("key", "name", "birth_date", "phone", "email", "language")),
    *(f"practitioner.{one}" for one in ("key", "name", "email", "specialty")),
    *(f"location.{one}" for one in ("key", "name", "address")),
)
# `id` and its like name whatever they stand beside.
_KEYS = ("id", "uuid", "guid", "key", "num", "number", "reference", "_id")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./]\d{2,4}")
_CLOCK = re.compile(r"\d{1,2}[:.h]\d\d")
_EPOCH = re.compile(r"\d{9,13}")
_DAY_NAMES = ("date", "day", "datum", "fecha", "data", "jour", "tag")
_CLOCK_NAMES = ("time", "start", "from", "uhrzeit", "zeit", "hora", "heure", "ora")
_OTHER_TIMES = ("birth", "dob", "creat", "updat", "modif", "chang", "stamp")
_HALVES = ("firstname", "lastname")  # a group of words of `patient.name` holds each
# What may stand in two places, and what the first of them is called among those found.
_APART = {"start": "date", "patient.name": "first"}
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*|\[0\]", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z_][\w.\[\]]*")


@dataclass(frozen=True, slots=True)
class Draft:
    """A mapping as text, which place serves which field, and what nobody could guess.

    `unknown` are words of the status that no table knows yet: codes of the source, never people's.
    """

    text: str
    places: Mapping[str, str]
    lacking: Sequence[str] = ()
    unknown: Sequence[str] = ()

    @property
    def score(self) -> int:
        """How much it looks like appointments: what is wanted counts most."""
        return 10 * (len(WANTED) - len(self.lacking)) + len(self.places)


@dataclass(slots=True)
class _Place:
    """A place in the records: its way there, and the texts found in the samples."""

    steps: _Steps
    values: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        if len(self.steps) == 1 and is_name(self.steps[0]):
            return self.steps[0]
        return ".".join(map(_step, self.steps)).replace(".[", "[")

    @property
    def about(self) -> str:
        """Whom or what it describes, by what it stands in; empty for the visit itself."""
        for step in reversed(self.steps[:-1]):
            word = fold(step)
            for whom, words in _ABOUT.items():
                if any(one in word for one in words):
                    return whom
        return ""

    @property
    def last(self) -> str:
        return fold(self.steps[-1])


def draft(samples: Sequence[Sample]) -> Draft:
    """Return a mapping for records like these."""
    places = _places(samples)
    found = _find(places, len(samples))
    statuses = sorted({*found["status"].values}) if "status" in found else []
    table, unknown = _statuses(statuses)
    served = {name: place.path for name, place in found.items() if name in FIELDS}
    lacking = [name for name in WANTED if not _said(name, served)]
    for name, other in _APART.items():
        if name in found and other in found:
            served[name] = f"{found[other].path} + {found[name].path}"
    return Draft("\n".join(_lines(found, table, unknown)) + "\n", served, lacking, unknown)


def _said(name: str, served: Mapping[str, str]) -> bool:
    """Whether a field can be told; a person without an id is known by name and address."""
    whom, _, part = name.rpartition(".")
    others = (f"{whom}.name", f"{whom}.email") if part == "key" and whom else ()
    return any(one in served for one in (name, *others))


def _step(name: str) -> str:
    """Return a name as a JMESPath takes it."""
    return name if _IDENTIFIER.fullmatch(name) else json.dumps(name, ensure_ascii=False)


# --- which place is which field -------------------------------------------------------------------


def _places(samples: Sequence[Sample]) -> list[_Place]:
    found: dict[_Steps, _Place] = {}
    for sample in samples:
        for steps, value in _leaves(sample, ()):
            found.setdefault(steps, _Place(steps)).values.append(value)
    return list(found.values())


def _leaves(value: Any, steps: _Steps) -> Iterator[tuple[_Steps, str]]:
    if isinstance(value, Mapping) and len(steps) < _DEEP:
        for name, inner in value.items():
            if str(name).isprintable():  # what YAML cannot hold, no mapping can name
                yield from _leaves(inner, (*steps, str(name)))
    elif isinstance(value, list) and value and len(steps) < _DEEP:
        yield from _leaves(value[0], (*steps, "[0]"))
    elif steps and isinstance(value, str | int | float) and not isinstance(value, bool):
        yield steps, str(value).strip()
    elif steps and value is None:
        yield steps, ""


def _find(places: Sequence[_Place], samples: int) -> dict[str, _Place]:
    words = _words()
    found: dict[str, _Place] = {}
    found |= _start(places, words)
    for name in _DRAFTED:
        if name in found:
            continue
        taken = {place.steps for place in found.values()}
        left = [place for place in places if place.steps not in taken]
        fits = [place for place in left if _may_be(name, place)]
        best = max(fits, key=lambda place: _rank(name, place, words), default=None)
        if best is not None and _rank(name, best, words) > 0:
            found[name] = best
    found |= _names_apart(places, found.get("patient.name"), words["patient.name"])
    if "key" not in found and (key := _likely_key(places, found, samples)):
        found["key"] = key
    if "status" not in found and (status := _likely_status(places, found)):
        found["status"] = status
    return found


def _words() -> dict[str, list[frozenset[str]]]:
    """Return, for each field, the names it has in exports, folded, in groups: the surest first."""
    mapping = load("clinic_csv", Path())
    return {
        name: [frozenset(fold(word) for word in (one.path, *one.also)) for one in names]
        for name, known in mapping.fields.items()
        if (names := [*names_in(known.origin)])
    }


def _rank(name: str, place: _Place, words: Mapping[str, Sequence[frozenset[str]]]) -> int:
    """Return how well a place's name fits a field; 0 for not at all."""
    whom, _, part = name.rpartition(".")
    about = place.about
    if about and about != whom:
        return 0
    spelled = [fold(place.path), place.last]
    if about:
        spelled += [fold(f"{whom}{place.last}")]
        if part == "key" and place.last in _KEYS:
            return 90
        if part == "name" and place.last in ("name", "fullname", "display", "displayname"):
            return 90
    for order, group in enumerate(words.get(name, ())):
        for sureness, spelling in enumerate(spelled):
            if spelling in group:
                return 100 - 10 * order - sureness
    return 0


def _may_be(name: str, place: _Place) -> bool:
    """Whether the texts of a place could be such a field at all."""
    values = [value for value in place.values if value]
    if name == "end":
        return all(_is_whole(value) or _is_clock(value) for value in values)
    if name.endswith("email"):
        return all("@" in value for value in values)
    if name == "duration":
        return all(any(sign.isdigit() for sign in value) for value in values)
    return True


def _start(
    places: Sequence[_Place], words: Mapping[str, Sequence[frozenset[str]]]
) -> dict[str, _Place]:
    """Return where the start stands: in one place, or day and time of day apart (`date`, `start`)."""
    here = [place for place in places if not place.about and any(place.values)]
    whole = [place for place in here if _all(place, _is_whole)]
    days = [place for place in here if _all(place, lambda v: bool(_MOMENT.search(v)))]
    clocks = [place for place in here if _all(place, _is_clock)]
    if start := _best(whole, words, (*_CLOCK_NAMES, *_DAY_NAMES)):
        return {"start": start}
    day, clock = _best(days, words, _DAY_NAMES), _best(clocks, words, _CLOCK_NAMES)
    if day and clock:
        return {"date": day, "start": clock}
    return {"start": day} if day else {}


def _all(place: _Place, fits: Callable[[str], bool]) -> bool:
    return all(fits(value) for value in place.values if value)


def _is_clock(value: str) -> bool:
    return bool(_CLOCK.match(value)) and not _MOMENT.search(value)


def _is_whole(value: str) -> bool:
    found = _MOMENT.search(value)
    return bool(_EPOCH.fullmatch(value) or (found and _CLOCK.search(value, found.end())))


def _best(
    places: Sequence[_Place],
    words: Mapping[str, Sequence[frozenset[str]]],
    hints: Sequence[str],
) -> _Place | None:
    """Return the place that is named most like a start; one named like another time is none."""

    def rank(place: _Place) -> int:
        if known := _rank("start", place, words):
            return known
        if _rank("end", place, words) or any(other in place.last for other in _OTHER_TIMES):
            return 0
        return any(hint in place.last for hint in hints)

    best = max(places, key=rank, default=None)
    return best if best is not None and rank(best) else None


def _names_apart(
    places: Sequence[_Place], whole: _Place | None, groups: Sequence[frozenset[str]]
) -> dict[str, _Place]:
    """Return where a patient's first and last name stand (`first`, `patient.name`), if apart."""
    halves = [next(group for group in groups if half in group) for half in _HALVES]
    if whole is not None and not any(_is_patients(whole, half) for half in halves):
        return {}
    first, last = (next((p for p in places if _is_patients(p, half)), None) for half in halves)
    return {"first": first, "patient.name": last} if first and last else {}


def _is_patients(place: _Place, words: frozenset[str]) -> bool:
    whose = ("", "pat", *_ABOUT["patient"])
    return place.about in ("", "patient") and any(
        place.last.removeprefix(whom) in words for whom in whose
    )


def _likely_key(
    places: Sequence[_Place], found: Mapping[str, _Place], samples: int
) -> _Place | None:
    """Return an id of the record itself: at its top, named like one, another in every sample."""
    taken = {place.steps for place in found.values()}
    for place in places:
        own = len(place.steps) == 1 and place.last.endswith(tuple(fold(key) for key in _KEYS))
        each = len({*place.values}) == len(place.values) == samples and all(place.values)
        if place.steps not in taken and own and each:
            return place
    return None


def _likely_status(places: Sequence[_Place], found: Mapping[str, _Place]) -> _Place | None:
    """Return a place of the visit itself whose name speaks of a status, such as `status_code`.

    To overlook it would book every cancelled visit; to take too much only sets records aside.
    """
    taken = {place.steps for place in found.values()}
    named = (p for p in places if not p.about and p.steps not in taken and any(p.values))
    return next((place for place in named if "status" in place.last), None)


# --- the text ------------------------------------------------------------------------------------


def _statuses(seen: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Return what status words mean in exports, and which of them no export has used yet."""
    known = load("clinic_csv", Path()).fields["status"]
    table, unknown = {}, []
    for word in filter(str.isprintable, filter(None, seen)):
        meaning = None
        for ours in (known.table or {}).items():
            if fold(ours[0]) == fold(word) and fold(word):
                meaning = ours[1]
        if meaning is None:
            unknown.append(word[:30])
        elif word not in WORDS["status"]:
            table[word] = meaning
    return table, unknown


def _lines(
    found: Mapping[str, _Place], table: Mapping[str, str], unknown: Sequence[str]
) -> Iterator[str]:
    yield "# A draft: read it, correct it, and try it with `clinicrelay map`."
    yield "version: 1"
    yield ""
    yield "fields:"
    for name in _DRAFTED:
        if name in found and name != "status":
            yield f"  {name}: {_field(name, found)}"
        elif name == "status":
            yield from _status_lines(found.get("status"), table, unknown)


def _field(name: str, found: Mapping[str, _Place]) -> str:
    place = found[name]
    more = {
        "key": ", required: true",
        "start": ", type: datetime, zone: clinic, required: true",
        "end": ", type: datetime, zone: clinic",
        "duration": f", type: minutes{_unit(place)}",
        "modality": ", unknown: default",
    }.get(name, "")
    if (other := found.get(_APART.get(name, ""))) is not None:
        return f"{{join: [{_text(other.path)}, {_text(place.path)}]{more}}}"
    return f"{{path: {_text(place.path)}{more}}}"


def _unit(place: _Place) -> str:
    """Nobody's visits all last hours: so large numbers are seconds."""
    numbers = [int(value) for value in place.values if value.isdecimal() and int(value)]
    return ", unit: seconds" if numbers and min(numbers) >= 300 else ""


def _status_lines(
    place: _Place | None, table: Mapping[str, str], unknown: Sequence[str]
) -> Iterator[str]:
    if place is None:
        yield "  # No place is known that says how a visit stands: every one would count as booked."
        yield "  status: {literal: booked}"
        return
    yield "  status:"
    yield f"    path: {_text(place.path)}"
    yield "    unknown: set_aside"
    if table:
        yield "    table:"
        for word, meaning in table.items():
            yield f"      {_text(word)}: {meaning}"
    for word in unknown:
        yield f"    # not known: {_text(word)}"


def _text(value: str) -> str:
    plain = _PLAIN.fullmatch(value) and value.casefold() not in ("yes", "no", "on", "off", "true")
    return value if plain and "[" not in value else json.dumps(value, ensure_ascii=False)
