"""An appointment of any FHIR version as one flat record with always the same keys.

What a mapping gets is documented in `docs/reference/fhir-record.md`. Nothing here raises for a value
that is odd: what cannot be understood is left out, and an issue says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Raw

from clinicrelay.contracts import Record
from clinicrelay.errors import BadRecord
from clinicrelay.model import Issue
from clinicrelay.paths import fold
from connectors.fhir import links
from connectors.fhir.cast import Cast
from connectors.fhir.contacts import codes_in, label_of, label_of_any
from connectors.fhir.elements import Concept, Identifier
from connectors.fhir.found import Found
from connectors.fhir.people import NOWHERE, Entry, Place, is_zone, zone_in
from connectors.fhir.resources import Appointment, decode
from connectors.fhir.seen import moment_of

# Raise it whenever the same resources are read differently: every visit is then read again.
READING = 4

_VISIT_NUMBERS = frozenset({"VN", "CSN"})
_VIRTUAL = frozenset({"VR", "448337001"})  # v3 ActCode; SNOMED CT: telemedicine consultation
_BY_PHONE = frozenset({"185317003", "386472008", "phone", "tel"})  # SNOMED CT; channel types
_USUAL_KIND = frozenset({"ROUTINE"})  # v2 table 0276: what stands there when nobody chose

_OVER = frozenset({"cancelled", "noshow", "entered-in-error"})

_DAY = timedelta(days=1)

_NO_STATUS = Issue("unknown_status", "status")
_UNKNOWN_ZONE = Issue("unknown_timezone", "timezone")


class Reader:
    """Makes records of the appointments of one source.

    `statuses` translates FHIR's codes before a mapping sees them, as where `proposed` means booked,
    and the words that a server has for a status in its own `status_extension`.
    `by_display` says which practitioner (a key) a mere name stands for.
    """

    def __init__(
        self,
        found: Found,
        *,
        version: str | None,
        trust_unlabelled_link: bool,
        statuses: Mapping[str, str],
        by_display: Mapping[str, str],
        status_extension: str | None = None,
    ) -> None:
        self._found = found
        self._trust = trust_unlabelled_link
        self._statuses = statuses
        self._own_words = {fold(word): status for word, status in statuses.items()}
        self._status_extension = status_extension
        self._by_display = {fold(name): key for name, key in by_display.items()}
        options = [trust_unlabelled_link, dict(statuses), dict(by_display), status_extension]
        how = [READING, version, *options]
        self._how = blake2b(
            msgspec.json.encode(how, order="deterministic"), digest_size=16
        ).digest()

    def digest(self, raw: Raw | bytes) -> bytes:
        """Return 16 bytes over an appointment, all it refers to, and how it is read."""
        made = blake2b(raw, digest_size=16)
        made.update(self._how + self._found.digests(raw))
        return made.digest()

    def record(self, raw: Raw | bytes, *, place: str, digest: bytes) -> Record:
        """Return the record of an appointment. Raises BadRecord for what can be no visit at all."""
        visit = _appointment(raw)
        try:
            cast = Cast(visit, self._found, self._by_display)
            data = self._flat(visit, cast)
        except (ValueError, RecursionError):
            detail = "something that it refers to is nested too deeply"
            raise BadRecord("bad_shape", detail=detail, key=visit.id) from None
        return Record(
            data=data,
            digest=digest,
            place=place,
            raw=str(raw, "utf-8", "replace"),
            key=visit.id,
            issues=tuple(dict.fromkeys(cast.issues)) if cast.issues else (),
            created=_created(visit.created) if visit.created else None,
        )

    def _flat(self, visit: Appointment, cast: Cast) -> dict[str, Any]:
        issues = cast.issues
        joined = links.NONE
        if visit.virtual_service or visit.extension or cast.services:
            joined = _links(visit, cast, trust_unlabelled=self._trust)
            issues += joined.issues
        where = cast.place or NOWHERE
        status = self._status(visit)
        if not status:
            issues.append(_NO_STATUS)
        return {
            "key": visit.id,
            "status": status,
            "cancel_reason": label_of(visit.cancelation_reason or visit.cancellation_reason),
            "start": visit.start or None,
            "end": visit.end or None,
            "minutes": visit.minutes_duration,
            "kind": None if cast.expects_patient else "block",
            "modality": _modality(visit, joined, cast),
            "join_url": joined.patient,
            "join_url_practitioner": joined.practitioner,
            "call_in": links.call_in(visit.virtual_service) if visit.virtual_service else None,
            "service": _service(visit) or cast.service,
            "specialty": label_of_any(visit.specialty) if visit.specialty else None,
            "reason": _reason(visit),
            "notes": visit.comment or (_notes(visit) if visit.note else None),
            "visit_number": _visit_number(visit.identifier) if visit.identifier else None,
            "location_key": where.key,
            "location_name": where.name,
            "location_address": where.address,
            "timezone": _zone(visit, where, issues),
            "patients": _in_order(cast.patients),
            "practitioners": _in_order(cast.practitioners),
        }

    def _status(self, visit: Appointment) -> str | None:
        """Return FHIR's word; the server's own says more, but never calls off what was cancelled."""
        status = visit.status or None
        if self._status_extension and status not in _OVER:
            for word in _own_words(visit, self._status_extension):
                if own := self._own_words.get(fold(word)):
                    return own
        return self._statuses.get(status, status) if status else None


def _appointment(raw: Raw | bytes) -> Appointment:
    try:
        visit = decode(raw, Appointment)
    except ValueError:
        detail = "an Appointment is a JSON object; this is none"
        raise BadRecord("bad_shape", detail=detail) from None
    if not visit.id:
        detail = "an Appointment without an id cannot be known again"
        raise BadRecord("missing", field="key", detail=detail)
    return visit


def _own_words(visit: Appointment, url: str) -> Iterator[str]:
    """Yield what an extension of the appointment, or of its status, says: its texts and codes."""
    beside = visit.status_more.extension if visit.status_more else ()
    for one in (*beside, *visit.extension):
        if one.url == url:
            concept = one.value_codeable_concept or Concept()
            codings = (*concept.coding, *([one.value_coding] if one.value_coding else ()))
            words = [one.value_string, one.value_code, concept.text]
            words += [word for coding in codings for word in (coding.display, coding.code)]
            yield from (word for word in words if word)


def _created(text: str) -> datetime | None:
    """Return when an appointment was entered; of a day alone, its end."""
    made = moment_of(text)
    return made + _DAY if made and "T" not in text else made


def _in_order(people: list[Entry]) -> list[Entry]:
    """Sort by key: a server may tell participants in another order each time."""
    if len(people) < 2:
        return people
    return sorted(people, key=lambda one: (one["key"] or "~", one["name"] or ""))


def _service(visit: Appointment) -> str | None:
    text = label_of_any(visit.service_type)
    kind = visit.appointment_type
    if text or kind is None or not _USUAL_KIND.isdisjoint(codes_in((kind,))):
        return text
    return label_of(kind)


def _reason(visit: Appointment) -> str | None:
    named = label_of_any(visit.reason_code or visit.reason)
    referred = (*visit.reason_reference, *visit.indication)
    return named or next((one.display for one in referred if one.display), None)


def _notes(visit: Appointment) -> str | None:
    return "\n".join(one.text for one in visit.note if one.text) or None


def _visit_number(identifiers: Sequence[Identifier]) -> str | None:
    """Only what is called a visit number: joining two sources by any other id would mix visits."""
    for one in identifiers:
        if one.type and one.value:
            kind = codes_in((one.type,)) | {(one.type.text or "").upper()}
            if not kind.isdisjoint(_VISIT_NUMBERS):
                return one.value
    return None


def _zone(visit: Appointment, where: Place, issues: list[Issue]) -> str | None:
    zone = where.zone
    if visit.extension or visit.start_more:
        beside_start = visit.start_more.extension if visit.start_more else ()
        zone = zone_in(beside_start) or zone_in(visit.extension) or zone
    if zone is None or is_zone(zone):
        return zone
    issues.append(_UNKNOWN_ZONE)
    return None


def _links(visit: Appointment, cast: Cast, *, trust_unlabelled: bool) -> links.Links:
    given = [
        *links.in_virtual_services(visit.virtual_service),
        *links.in_services(cast.services),
        *links.in_extensions(visit.extension),
    ]
    return links.shared(given, trust_unlabelled=trust_unlabelled) if given else links.NONE


def _modality(visit: Appointment, joined: links.Links, cast: Cast) -> str | None:
    """Say only what a code or a link says; names of services are for the mapping to judge."""
    if joined.patient or joined.practitioner or joined.issues:
        return "video"
    if visit.virtual_service:
        channels = [one.channel_type.code for one in visit.virtual_service if one.channel_type]
        dialled = not channels and links.call_in(visit.virtual_service)
        return "phone" if dialled or any(code in _BY_PHONE for code in channels) else "video"
    kinds = visit.service_type
    if visit.appointment_type or visit.class_:
        kinds = (*kinds, *visit.class_, visit.appointment_type or Concept())
    return _coded_modality(kinds)


@lru_cache(maxsize=4096)
def _coded_modality(kinds: tuple[Concept, ...]) -> str | None:
    codes = codes_in(kinds)
    if not codes.isdisjoint(_VIRTUAL):
        return "video"
    return None if codes.isdisjoint(_BY_PHONE) else "phone"
