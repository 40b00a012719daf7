"""Knows what a source says again of somebody who was erased, by nothing but keyed hashes.

Their old visits stay away for ever, and so does whatever began before they were erased under whichever
number. A visit to come that nobody knew of is another beginning: they have booked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sync.store import erased

if TYPE_CHECKING:
    from clinicrelay.ids import Opaque
    from clinicrelay.model import Appointment, Patient
    from sync.store import Store
    from sync.store.erased import Mark


def of_patient(opaque: Opaque, source: str, key: str) -> str:
    """Return the mark of a patient."""
    return opaque("erased", "patient", source, key)


def of_visit(opaque: Opaque, source: str, key: str) -> str:
    """Return the mark of a visit that was an erased patient's."""
    return opaque("erased", "visit", source, key)


def of_member(opaque: Opaque, source: str, key: str, patient: str) -> str:
    """Return the mark of an erased patient in a visit that is others' as well."""
    return opaque("erased", "member", source, key, patient)


def of_record(opaque: Opaque, source: str, key: str | None, fingerprint: str) -> str:
    """Return the mark of a record that was set aside: by its key where it had one, else as it stood."""
    return opaque("erased", "record", source, key if key is not None else f"/{fingerprint}")


class Gone:
    """Who was erased, for one read of a source; looked up when the first record is mapped."""

    def __init__(self, store: Store, opaque: Opaque, source: str) -> None:
        self._store, self._opaque, self._source = store, opaque, source

    @cached_property
    def _marks(self) -> Mapping[str, Mark]:
        with self._store.read() as connection:
            return erased.known(connection, self._store.clinic)

    def left_of(self, visit: Appointment) -> Appointment | None:
        """Return a visit without whoever was erased; None where nobody of it is left."""
        if not self._marks:
            return visit
        if of_visit(self._opaque, self._source, visit.key) in self._marks:
            return None
        left = tuple(one for one in visit.patients if not self._is_gone(one, visit))
        if len(left) == len(visit.patients):
            return visit
        return replace(visit, patients=left) if left else None

    def _is_gone(self, patient: Patient, visit: Appointment) -> bool:
        if of_member(self._opaque, self._source, visit.key, patient.key) in self._marks:
            return True
        mark = self._marks.get(of_patient(self._opaque, self._source, patient.key))
        return mark is not None and (visit.start is None or visit.start <= mark.erased_at)

    def has_record(self, key: str | None, fingerprint: str) -> bool:
        """Whether a record that would be set aside is of a visit, or is one, that was erased."""
        if not self._marks:
            return False
        if key is not None and of_visit(self._opaque, self._source, key) in self._marks:
            return True
        return of_record(self._opaque, self._source, key, fingerprint) in self._marks
