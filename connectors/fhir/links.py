"""Links of virtual visits: whose they are, and when nobody may be given one.

The doctor's link opens the room as its host. It must never reach a patient, so a link that does not
say whose it is goes to the doctor alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from clinicrelay.model import Issue
from connectors.fhir.contacts import label_of
from connectors.fhir.elements import Coding, Extension, VirtualService
from connectors.fhir.resources import Service

_PATIENT = re.compile(r"patient|guest|attendee", re.IGNORECASE)
_DOCTOR = re.compile(
    r"provider|practitioner|physician|doctor|clinician|host|moderator|staff", re.IGNORECASE
)
_ABOUT_A_CALL = re.compile(
    r"virtual|tele-?(?:health|medicine|visit)|video|meeting|conference|join", re.IGNORECASE
)
_DEEPEST = 8

_UNLABELLED = Issue("unlabelled_link", "join_url")
_AMBIGUOUS = Issue("ambiguous_link", "join_url")
_INSECURE = Issue("insecure_link", "join_url")


class Link(NamedTuple):
    """An address, and the words that stand beside it."""

    url: str
    label: str


class Links(NamedTuple):
    """What the patient and the practitioner may open."""

    patient: str | None = None
    practitioner: str | None = None
    issues: tuple[Issue, ...] = ()


NONE = Links()


def shared(links: Iterable[Link], *, trust_unlabelled: bool) -> Links:
    """Return which link belongs to whom. Of two that could be meant, neither is."""
    given = list(dict.fromkeys(links))
    secure = [one for one in given if one.url[:8].lower() == "https://"]
    issues = [_INSECURE] if len(secure) < len(given) else []
    urls: dict[str, list[str]] = {"patient": [], "practitioner": [], "": []}
    for one in secure:
        mine = urls[_owner(one.label)]
        if one.url not in mine:
            mine.append(one.url)
    # The same address under the doctor's name and under none is the doctor's.
    urls[""] = [u for u in urls[""] if u not in urls["practitioner"] and u not in urls["patient"]]
    patient, practitioner, unlabelled = (_only(found, issues) for found in urls.values())
    if unlabelled and not trust_unlabelled and not patient:
        issues.append(_UNLABELLED)
    if unlabelled and trust_unlabelled:
        patient = patient or (None if urls["patient"] else unlabelled)
    if not urls["practitioner"]:
        practitioner = unlabelled
    return Links(patient, practitioner, tuple(dict.fromkeys(issues)))


def _owner(label: str) -> str:
    patient, doctor = _PATIENT.search(label), _DOCTOR.search(label)
    if bool(patient) == bool(doctor):
        return ""
    return "patient" if patient else "practitioner"


def _only(urls: list[str], issues: list[Issue]) -> str | None:
    if len(urls) > 1:
        issues.append(_AMBIGUOUS)
    return urls[0] if len(urls) == 1 else None


def in_services(services: Iterable[Service]) -> Iterator[Link]:
    """Yield the links of Cerner's contained meeting rooms; the type's text says whose they are.

    Their order does not: Cerner's own documentation has it both ways round.
    """
    for service in services:
        label = " ".join(text for one in service.type if (text := label_of(one)))
        points = (*service.telecom, *(p for one in service.contact for p in one.telecom))
        for point in points:
            if point.system == "url" and point.value:
                yield Link(point.value.strip(), label or service.name or "")


def in_virtual_services(services: Iterable[VirtualService]) -> Iterator[Link]:
    """Yield the links of R5's virtualService."""
    for service in services:
        kind = service.channel_type
        label = f"{kind.display or ''} {kind.code or ''}" if kind else ""
        detail, point = service.address_extended_contact_detail, service.address_contact_point
        points = (*(detail.telecom if detail else ()), *((point,) if point else ()))
        of_points = (one.value for one in points if one.system == "url")
        for url in (service.address_url, service.address_string, *of_points):
            if url and "://" in url:
                yield Link(url.strip(), label)


def call_in(services: Iterable[VirtualService]) -> str | None:
    """Return the number to dial that R5's virtualService gives, unless it is the host's."""
    for service in services:
        kind = service.channel_type
        if kind and _DOCTOR.search(f"{kind.display or ''} {kind.code or ''}"):
            continue
        detail, point = service.address_extended_contact_detail, service.address_contact_point
        for one in (*((point,) if point else ()), *(detail.telecom if detail else ())):
            if one.system == "phone" and one.value:
                return str(one.value)
    return None


def in_extensions(extensions: Iterable[Extension]) -> Iterator[Link]:
    """Yield the links of extensions whose address says that they are about a call.

    Vendors and the backport of virtualService to R4 nest them; all addresses on the way and the
    codes beside a link tell whose it is.
    """
    for one in extensions:
        if one.url and _ABOUT_A_CALL.search(_name(one.url)):
            yield from _nested(one, "", _DEEPEST)


def _nested(extension: Extension, above: str, deepest: int) -> Iterator[Link]:
    label = f"{above} {_name(extension.url or '')}"
    for beside in extension.extension:
        coding = beside.value_coding or Coding()
        label += f" {beside.value_code or ''} {coding.display or ''} {coding.code or ''}"
    point = extension.value_contact_point
    of_point = point.value if point and point.system == "url" else None
    given = (extension.value_url, extension.value_uri, extension.value_string, of_point)
    for url in given:
        if url and "://" in url:
            yield Link(url.strip(), label)
    for one in extension.extension if deepest else ():
        yield from _nested(one, label, deepest - 1)


def _name(url: str) -> str:
    """An extension's own name, without whose server it is kept on."""
    return url.rstrip("/").rpartition("/")[2]
