"""What is different about a visit: pure, by content, never by a source's version or timestamp."""

from __future__ import annotations

from datetime import timedelta

from clinicrelay.actions import What, facts_of
from clinicrelay.model import Appointment, Patient, Practitioner
from clinicrelay.paths import fold

_A_MOVE = timedelta(minutes=1)


def changes(before: Appointment, after: Appointment, *, was_gone: bool = False) -> list[What]:
    """Return the typed differences between what was kept and what came, gravest first."""
    found: list[What] = []
    if after.status.called_off and not before.status.called_off:
        found.append(What.CANCELLED)
    elif was_gone or (before.status.called_off and not after.status.called_off):
        found.append(What.REINSTATED)
    elif after.status is not before.status:
        found.append(What.STATUS)
    if _moved(before, after):
        found.append(What.RESCHEDULED)
    if _place(before) != _place(after):
        found.append(What.RELOCATED)
    if _keys(before) != _keys(after) or _patients(before) != _patients(after):
        found.append(What.REASSIGNED)
    return found or [What.DETAILS]


def in_doubt(before: Appointment, after: Appointment) -> bool:
    """Whether to remind of a visit as it was kept would be wrong if it were as its source says now.

    It would where the visit is off, or anything that its people are told; and where others are to come,
    are reached elsewhere, or want no messages any more.
    """
    if not after.status.reminds or facts_of(before) != facts_of(after):
        return True
    return _keys(before) != _keys(after) or _reached(before) != _reached(after)


def same_person(before: Patient, after: Patient) -> bool:
    """Whether two keys are of one patient, as after a merge: the same name, and reached alike."""
    if not before.name or not after.name or fold(before.name) != fold(after.name):
        return False
    phone = before.phone is not None and before.phone == after.phone
    return phone or (before.email is not None and before.email == after.email)


def may_be_same_person(before: Patient, after: Patient) -> bool:
    """Whether two keys may be of one patient: something of them is alike, or too little is known."""
    pairs = (
        (fold(before.name or ""), fold(after.name or "")),
        (before.phone, after.phone),
        (before.email, after.email),
    )
    known = [(old, new) for old, new in pairs if old and new]
    return not known or any(old == new for old, new in known)


def same_visit(before: Appointment, after: Appointment) -> bool:
    """Whether a new visit looks like an old one under a new id (cancel + new is a move).

    Same patient, and the same practitioner or service.
    """
    if not {p.key for p in before.patients} & {p.key for p in after.patients}:
        return False
    return _keys(before) == _keys(after) or (
        before.service is not None and before.service == after.service
    )


def _moved(before: Appointment, after: Appointment) -> bool:
    if before.start is None or after.start is None:
        return before.start is not after.start
    return abs(after.start - before.start) >= _A_MOVE or (
        _length(before) != _length(after) and not (before.end_inferred and after.end_inferred)
    )


def _length(visit: Appointment) -> timedelta | None:
    return visit.end - visit.start if visit.start and visit.end else None


def _place(visit: Appointment) -> tuple[str | None, ...]:
    place = visit.location
    return (
        (place.key or place.name) if place else None,
        visit.modality,
    )


def _patients(visit: Appointment) -> set[str]:
    return {p.key for p in visit.patients}


def _reached(visit: Appointment) -> dict[str, tuple[object, ...]]:
    """Return how patients are reached, and all that keeps messages from them."""
    return {
        p.key: (
            p.phone,
            p.email,
            p.preferred_channel,
            p.opted_in,
            p.opted_out,
            p.deceased,
            p.test,
            p.guardian,
        )
        for p in visit.patients
    }


def _keys(visit: Appointment) -> list[str]:
    def rank(who: Practitioner) -> tuple[bool, str]:
        return (not who.primary, who.key)

    return [p.key for p in sorted(visit.practitioners, key=rank)]
