"""Puts the values of one record together to a visit, by the rules that hold for every source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, TypeAlias

from clinicrelay.dates import AmbiguousDate
from clinicrelay.errors import BadRecord
from clinicrelay.model import (
    Appointment,
    Issue,
    Kind,
    Modality,
    Patient,
    Place,
    Practitioner,
    Status,
)
from clinicrelay.times import zone_of
from mappings.columns import Part, remembered
from mappings.fields import (
    Get,
    Read,
    Resolve,
    ResolveLists,
    Source,
    compile_field,
    compile_parts,
    compile_table,
    compile_text,
    transformed,
)
from mappings.moments import Start, Zoned, read_end, read_start
from mappings.people import (
    Readers,
    derived_visit_key,
    patient_part,
    place_part,
    practitioner_part,
)
from mappings.several import Several, several_patients, several_practitioners
from mappings.spec import FLAGS, Context, Field, Name, names_in
from mappings.transforms import clean, read_minutes

Make: TypeAlias = Callable[[Source, Source, str | None], Appointment]
When: TypeAlias = tuple[datetime | None, datetime | None, bool, str]
Care: TypeAlias = tuple[
    Status, str | None, Practitioner | None, Kind | None, Modality | None, Place | None
]
ZoneOf: TypeAlias = Callable[[Source], str]

_NO_START = Issue("no_start", "start")
_END_INFERRED = Issue("end_inferred", "end")

# Notes would belong to them, but are the one text that may be long and of many lines.
_FRESH = frozenset({"key", "patient", "service", "join_url", "join_url_practitioner", "call_in"})

# Which of two claims about a visit wins, from a flag or a word alike (7.2).
_RANK = {
    status: rank
    for rank, status in enumerate(
        (
            Status.ENTERED_IN_ERROR,
            Status.CANCELLED,
            Status.NO_SHOW,
            Status.FULFILLED,
            Status.IN_PROGRESS,
            Status.CHECKED_IN,
            Status.ARRIVED,
        )
    )
}
_LAST = len(_RANK)
_STATUSES = {status.value: status for status in Status}
_KINDS = {kind.value: kind for kind in Kind}
_MODALITIES = {modality.value: modality for modality in Modality}


@dataclass(frozen=True, slots=True)
class Lists:
    """Which people a record lists: `each` of a mapping, and what counts as nothing in an entry."""

    each: Mapping[str, Name]
    nulls: frozenset[str]

    def of(
        self, owner: str, fields: Mapping[str, Field], resolve: ResolveLists, context: Context
    ) -> Several[Any] | None:
        """Return what reads all patients or practitioners, None where they are not listed."""
        name = self.each.get(owner)
        if name is None:
            return None
        several = several_patients if owner == "patient" else several_practitioners
        return several(fields, resolve.untouched(name), self.nulls, context)


def compile_visit(
    fields: Mapping[str, Field],
    resolve: ResolveLists,
    fresh: Resolve,
    context: Context,
    lists: Lists,
) -> Make:
    """Return what makes a visit of a record whose places are found by `resolve`.

    `fresh` finds those of the fields that are another in every record: a table's row may hold them
    in another form, which is the second thing that a visit is made of.
    """
    patients_of: Several[Patient] | None = lists.of("patient", fields, resolve, context)
    doctors_of: Several[Practitioner] | None = lists.of("practitioner", fields, resolve, context)
    fields = {n: f for n, f in fields.items() if n.partition(".")[0] not in lists.each}
    readers = _readers(fields, resolve, fresh, context)
    when_of = remembered(
        _when_part(fields, readers, resolve, context),
        fields,
        "timezone start end duration",
        resolve,
    )
    care_of = remembered(
        _care_part(fields, readers, resolve),
        fields,
        "status practitioner kind modality location",
        resolve,
    )
    patient_of, key_of = patient_part(readers), key_part(readers)
    link_of, link_for_doctor_of, number_of, service_of, notes_of = (
        readers.get(name)
        for name in ("join_url", "join_url_practitioner", "call_in", "service", "notes")
    )
    name = context.source

    def make(source: Source, texts: Source, given: str | None) -> Appointment:
        issues: list[Issue] = []
        key = key_of(texts, given)
        start, end, inferred, zone = when_of(source, issues)
        status, raw, doctor, kind, modality, place = care_of(source, issues)
        if patients_of is None:
            patient = patient_of(texts, issues)
            patients: tuple[Patient, ...] = (patient,) if patient else ()
        else:
            patients = patients_of(source, issues)
            patient = patients[0] if patients else None
        if doctors_of is None:
            doctors: tuple[Practitioner, ...] = (doctor,) if doctor else ()
        else:
            doctors = doctors_of(source, issues)
            doctor = doctors[0] if doctors else None
        number = number_of(texts, issues) if number_of else None
        link = link_of(texts, issues) if link_of else None
        key = key or derived_visit_key(patient, doctor, start)
        # By position: so many keywords take four times as long.
        return Appointment(
            name,
            key,
            status,
            zone,
            start,
            end,
            inferred,
            kind or (Kind.VISIT if patient else Kind.BLOCK),
            modality or (Modality.VIDEO if link else Modality.IN_PERSON),
            link,
            link_for_doctor_of(texts, issues) if link_for_doctor_of else None,
            patients,
            doctors,
            place,
            service_of(texts, issues) if service_of else None,
            notes_of(source, issues) if notes_of else None,
            raw,
            tuple(issues),
            number,
        )

    return make


def fresh_names(fields: Mapping[str, Field]) -> list[Name]:
    """Return the places of the fields that are another in every record."""
    return [place for name in fields if _is_fresh(name) for place in names_in(fields[name].origin)]


def _is_fresh(field: str) -> bool:
    return field.partition(".")[0] in _FRESH


def _readers(
    fields: Mapping[str, Field], resolve: Resolve, fresh: Resolve, context: Context
) -> Readers:
    found = (
        # The default length is left to `_length_part`: it must not argue with an end that is given.
        (
            name,
            compile_field(
                replace(field, default=None) if name == "duration" else field,
                fresh if _is_fresh(name) else resolve,
                context,
            ),
        )
        for name, field in fields.items()
        if field.type != "datetime" and name != "status"
    )
    return {name: reader for name, reader in found if reader}


def key_part(readers: Readers) -> Callable[[Source, str | None], str | None]:
    """Return what reads a record's own key: the connector's where it knows one, else the field."""
    reader = readers.get("key")

    def read(source: Source, given: str | None) -> str | None:
        if given is not None:
            return clean(given)
        return reader(source, []) if reader else None

    return read


def _care_part(fields: Mapping[str, Field], readers: Readers, resolve: Resolve) -> Part:
    """Return what reads how a visit stands, its kind and modality, with whom and where it is."""
    status_of = _status_part(fields, readers, resolve)
    doctor_of, place_of = practitioner_part(readers), place_part(readers)
    kind_of, modality_of = readers.get("kind"), readers.get("modality")

    def read(source: Source, issues: list[Issue]) -> Care:
        status, raw = status_of(source, issues)
        doctor = doctor_of(source, issues)
        kind = kind_of(source, issues) if kind_of else None
        modality = modality_of(source, issues) if modality_of else None
        return (
            status,
            raw,
            doctor,
            _KINDS[kind] if kind else None,
            _MODALITIES[modality] if modality else None,
            place_of(source, issues),
        )

    return read


def _zone_part(readers: Readers, context: Context) -> ZoneOf:
    """A record's own zone wins over the clinic's; one that nobody knows could be any hour."""
    reader, clinic = readers.get("timezone"), context.timezone
    if reader is None:
        return lambda source: clinic

    def read(source: Source) -> str:
        named = reader(source, [])
        return _known_zone(named) if named else clinic

    return read


@lru_cache(maxsize=512)
def _known_zone(name: str) -> str:
    try:
        zone_of(name)
    except ValueError:
        detail = "write an IANA name such as Europe/Berlin"
        raise BadRecord("unknown_timezone", field="timezone", detail=detail) from None
    return name


# --- status ------------------------------------------------------------------------------------


def _status_part(
    fields: Mapping[str, Field], readers: Readers, resolve: Resolve
) -> Callable[[Source, list[Issue]], tuple[Status, str | None]]:
    word_of = _word_part(fields.get("status"), resolve)
    flags = [
        (status, readers[f"status.{flag}"])
        for flag, status in FLAGS.items()
        if f"status.{flag}" in readers
    ]
    if not flags:
        return word_of

    def read(source: Source, issues: list[Issue]) -> tuple[Status, str | None]:
        status, raw = word_of(source, issues)
        for flagged, flag in flags:
            if flag(source, issues):
                status = _stronger(status, flagged)
        return status, raw

    return read


def _word_part(
    field: Field | None, resolve: Resolve
) -> Callable[[Source, list[Issue]], tuple[Status, str | None]]:
    """Return what reads the status word, as ours and as it was sent."""
    text = compile_text(field.origin, resolve) if field else None
    blank = Status(field.default) if field and field.default else Status.BOOKED
    if field is None or (text is None and not field.required):
        return lambda source, issues: (blank, None)
    text = transformed(text, field) if text else lambda source: None
    translate = compile_table(field)

    def read(source: Source, issues: list[Issue]) -> tuple[Status, str | None]:
        raw = text(source)
        if raw is None:
            if field.required:
                raise BadRecord("missing", field="status", detail="it must not be empty")
            return blank, None
        word = translate(raw, issues)
        return (_STATUSES[word] if word else blank), raw[:64]

    return read


def _stronger(status: Status, flagged: Status) -> Status:
    """`confirmed` lifts what was only asked for; it stays set after a cancellation and says nothing."""
    if flagged is Status.BOOKED:
        return flagged if status in (Status.PENDING, Status.PROPOSED) else status
    return flagged if _RANK[flagged] < _RANK.get(status, _LAST) else status


# --- time --------------------------------------------------------------------------------------


def _when_part(
    fields: Mapping[str, Field],
    readers: Readers,
    resolve: Resolve,
    context: Context,
) -> Callable[[Source, list[Issue]], When]:
    starts, ends = (_parts(fields.get(name), resolve) for name in ("start", "end"))
    start_zone, end_zone = (_zone_choice(fields.get(name)) for name in ("start", "end"))
    required = "start" in fields and fields["start"].required
    length_of = _length_part(fields.get("duration"), readers.get("duration"), context)

    zone_of_row = _zone_part(readers, context)

    def read(source: Source, issues: list[Issue]) -> When:
        zone = zone_of_row(source)
        start = _start(starts(source), start_zone(zone), required=required)
        if start is None:
            issues.append(_NO_START)
            return None, None, False, zone
        issues += start.issues
        end = None
        if parts := ends(source):
            end, end_issues = read_end(parts, start, end_zone(zone))
            issues += end_issues
        length, given = length_of(source, issues)
        if end is None:
            issues.append(_END_INFERRED)
            return start.instant, start.instant + length, True, zone
        if given and end - start.instant != length:
            issues.append(Issue("duration_differs", "duration"))
        return start.instant, end, False, zone

    return read


def _parts(field: Field | None, resolve: Resolve) -> Get:
    parts = compile_parts(field, resolve) if field else None
    return parts or (lambda source: ())


def _zone_choice(field: Field | None) -> Callable[[str], Zoned]:
    """Return how naive readings are taken, given the zone of the clinic or the record."""
    stated = field.zone if field else None
    formats, more = (field.formats, field.add_minutes) if field else ((), 0)
    if stated not in (None, "clinic"):
        fixed = Zoned("UTC" if stated == "utc" else str(stated), True, formats, more)
        return lambda zone: fixed
    # One object a zone: the caches of `moments` then find it by identity.
    return lru_cache(maxsize=64)(lambda zone: Zoned(zone, stated is not None, formats, more))


def _start(parts: tuple[str, ...], how: Zoned, *, required: bool) -> Start | None:
    try:
        start = read_start(parts, how) if parts else None
    except AmbiguousDate:
        detail = "day and month could be either way round; set `dates: dmy` or `dates: mdy`"
        raise BadRecord("ambiguous_date", field="start", detail=f"{detail} on the source") from None
    except ValueError as wrong:
        raise BadRecord("bad_time", field="start", detail=str(wrong)) from None
    if start is None and required:
        raise BadRecord("missing", field="start", detail="it must not be empty")
    return start


def _length_part(
    field: Field | None, reader: Read | None, context: Context
) -> Callable[[Source, list[Issue]], tuple[timedelta, bool]]:
    """Return what reads a visit's length, and whether the record itself gave it."""
    usual = timedelta(minutes=context.default_minutes)
    if field and field.default:
        usual = read_minutes(field.default, field.unit)
    if reader is None:
        return lambda source, issues: (usual, False)

    def read(source: Source, issues: list[Issue]) -> tuple[timedelta, bool]:
        found = reader(source, issues)
        return (usual, False) if found is None else (found, True)

    return read
