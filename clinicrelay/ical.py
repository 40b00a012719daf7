"""iCalendar text (RFC 5545): events of a doctor's file, and the invitations patients get by e-mail.

Spliced by hand: a doctor's file may hold 20,000 events, which the `icalendar` library needs two
seconds to write and this module a tenth of one. The tests read everything back with that library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache

from clinicrelay.contracts import EventWrite

PRODUCT = "-//clinicrelay//appointments//EN"
OPENING = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:{PRODUCT}\r\n"
CLOSING = "END:VCALENDAR\r\n"
EVENT_OPENING = "BEGIN:VEVENT\r\nUID:"
EVENT_CLOSING = "END:VEVENT\r\n"

# RFC 5545 section 3.3.11 escapes these in TEXT and allows no control character but the tab;
# lone surrogates cannot be written as UTF-8, and U+2028 and its like end a line for some readers.
_ESCAPES = re.compile(r"\r\n?|[\\;,\n\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
_ESCAPED = {"\\": "\\\\", ";": "\\;", ",": "\\,"}
_LINE_ENDS = "\r\n\n\x0b\x0c\x85\u2028\u2029"
_UNSAFE_IN_VALUE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
_UNSAFE_IN_ADDRESS = re.compile(r"[\s\x00-\x1f\x7f,;:\"<>\ud800-\udfff]")


def vevent(write: EventWrite, uid: str) -> str:
    """Return the VEVENT of a write that puts; the same write always gives the same text.

    Its times are UTC, so no VTIMEZONE is needed. An end that is missing or not after the start is
    left out, which means an event without length (RFC 5545 section 3.6.1). Raises ValueError
    without a start.
    """
    if write.start is None:
        raise ValueError("an event needs a start")
    stamp = _utc(write.written_at or write.start)
    end = f"DTEND:{_utc(write.end)}\r\n" if write.end and write.end > write.start else ""
    return (
        f"{EVENT_OPENING}{uid_value(uid)}\r\n"
        f"DTSTAMP:{stamp}\r\nLAST-MODIFIED:{stamp}\r\nSEQUENCE:{write.sequence}\r\n"
        f"DTSTART:{_utc(write.start)}\r\n{end}"
        f"{_text_line('SUMMARY', write.title)}"
        f"{_text_line('DESCRIPTION', write.description)}"
        f"{_text_line('LOCATION', write.location)}"
        f"STATUS:{'TENTATIVE' if write.tentative else 'CONFIRMED'}\r\n"
        f"CLASS:PRIVATE\r\nTRANSP:OPAQUE\r\n{EVENT_CLOSING}"
    )


def uid_value(uid: str) -> str:
    """Return a UID as it stands after `UID:` in the file, folded where it is long."""
    return _fold("UID:" + _escape(uid))[4:]


def calendar(name: str, timezone: str, events: Iterable[str]) -> str:
    """Return a whole file of VEVENT texts under a name that calendar programs show."""
    return f"{head(name, timezone)}{''.join(events)}{CLOSING}"


def head(name: str, timezone: str) -> str:
    """Return what stands before the events of a file."""
    return (
        f"{OPENING}CALSCALE:GREGORIAN\r\nMETHOD:PUBLISH\r\n"
        f"{_text_line('X-WR-CALNAME', name)}{_text_line('X-WR-TIMEZONE', timezone)}"
    )


class Method(StrEnum):
    """What an invitation does in the recipient's calendar (RFC 5546)."""

    REQUEST = "REQUEST"
    CANCEL = "CANCEL"


@dataclass(frozen=True, slots=True)
class Person:
    """Someone in an invitation."""

    email: str
    name: str = ""


def invite(
    event: EventWrite,
    uid: str,
    *,
    organizer: Person,
    attendee: Person,
    method: Method = Method.REQUEST,
    url: str = "",
) -> str:
    """Return the invitation to one visit, or with CANCEL its withdrawal.

    `uid` is the visit's for ever and `event.sequence` only grows, else calendar programs add a
    second event or ignore the change. No alarm, as we remind; no answer is asked for, as nobody
    would hear it. `url` is where to join it. Raises ValueError without a start, or for an address that
    is none.
    """
    cancelled = method is Method.CANCEL
    people = (
        f"{_person_line('ORGANIZER', organizer)}"
        f"{_person_line('ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=FALSE', attendee)}"
    )
    body = vevent(event, uid)
    if cancelled:
        body = re.sub(r"\r\nSTATUS:\w+\r\n", "\r\nSTATUS:CANCELLED\r\n", body)
    # A URI is no text (RFC 5545 section 3.3.13): nothing in it is escaped, so nothing may end it.
    link = f"{_fold(f'URL:{url}')}\r\n" if url.isprintable() and url else ""
    body = f"{body.removesuffix(EVENT_CLOSING)}{link}{people}{EVENT_CLOSING}"
    return f"{OPENING}CALSCALE:GREGORIAN\r\nMETHOD:{method}\r\n{body}{CLOSING}"


def _person_line(name: str, person: Person) -> str:
    if "@" not in person.email or _UNSAFE_IN_ADDRESS.search(person.email):
        raise ValueError("an invitation needs plain e-mail addresses")
    # A quoted parameter cannot hold a quote at all (RFC 5545 section 3.2).
    shown = _UNSAFE_IN_VALUE.sub(" ", person.name).replace('"', "'")
    cn = f';CN="{shown}"' if shown else ""
    return f"{_fold(f'{name}{cn}:mailto:{person.email}')}\r\n"


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


@lru_cache(maxsize=4096)  # a clinic has few titles, one description, and a handful of places
def _text_line(name: str, text: str) -> str:
    return f"{_fold(f'{name}:{_escape(text)}')}\r\n" if text else ""


def _escape(text: str) -> str:
    return _ESCAPES.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    found = match.group()
    if found in _LINE_ENDS:
        return "\\n"
    return _ESCAPED.get(found, "\ufffd" if "\ud800" <= found <= "\udfff" else "")


def _fold(line: str) -> str:
    """Break a line after 75 octets, never inside a character (RFC 5545 section 3.1)."""
    if len(line) <= 75 and line.isascii():
        return line
    octets = line.encode()
    pieces, start, room = [], 0, 75
    while len(octets) - start > room:
        end = start + room
        while octets[end] & 0xC0 == 0x80:  # in the middle of a character
            end -= 1
        pieces.append(octets[start:end].decode())
        start, room = end, 74  # a continuation begins with a space that counts
    return "\r\n ".join((*pieces, octets[start:].decode()))
