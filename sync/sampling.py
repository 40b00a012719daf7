"""A few records of a source as its mapping understands them, told without saying who anybody is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clinicrelay.errors import BadRecord
from clinicrelay.model import Appointment, Patient
from clinicrelay.times import iso

if TYPE_CHECKING:
    from clinicrelay.contracts import Connector, Page, Record
    from mappings.compile import Mapper
    from sync.clinic import Clinic

_ENOUGH = 5
_LOOKED_AT = 200  # records, until there are enough: breaks and other skipped ones may come first


@dataclass(slots=True)
class Sample:
    """What a first look found. `visits` are masked; `reasons` count what was not understood."""

    looked_at: int = 0
    skipped: int = 0
    visits: list[dict[str, Any]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)


def sample(clinic: Clinic, name: str, connector: Connector, mapper: Mapper) -> Sample:
    """Read and map a few records of a source, keeping nothing. Raises TryLater and Refused."""
    found = Sample()
    pages = connector.pull(None, clinic.window(name))
    try:
        for record in _records(pages):
            _look_at(record, mapper, found)
            if len(found.visits) == _ENOUGH or found.looked_at == _LOOKED_AT:
                break
    finally:
        close = getattr(pages, "close", None)
        if close:
            close()
    return found


def _records(pages: Iterator[Page]) -> Iterator[Record]:
    for page in pages:
        for at in range(len(page.records)):
            yield page.record(at)


def _look_at(record: Record, mapper: Mapper, found: Sample) -> None:
    found.looked_at += 1
    try:
        visit = mapper(record)
    except BadRecord as wrong:
        found.reasons[str(wrong)] += 1
        return
    if visit is None:
        found.skipped += 1
    else:
        found.visits.append(_masked(visit))


def _masked(visit: Appointment) -> dict[str, Any]:
    """Return what shows whether a visit was understood, and nothing that says who comes."""
    return {
        "key": visit.key,
        "start": iso(visit.start) if visit.start else None,
        "end": iso(visit.end) if visit.end else None,
        "status": visit.status.value,
        "kind": visit.kind.value,
        "practitioners": [one.key for one in visit.practitioners],
        "patients": [_masked_patient(one) for one in visit.patients],
        "issues": sorted({issue.code for issue in visit.issues}),
    }


def _masked_patient(patient: Patient) -> dict[str, Any]:
    name, phone, email = patient.name, patient.phone, patient.email
    return {
        "name": f"{name[0]}…" if name else None,
        "phone": f"{phone[:3]}…{phone[-2:]}" if phone else None,
        "email": f"{email[0]}…@…" if email else None,
        "language": patient.language,
    }
