"""Doctors' calendars as iCalendar files in a folder: one file a doctor, nothing leaves the machine.

The file is its own state: every event has a UID made from the visit, so writing again changes
nothing, and a file that was lost is simply written anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from clinicrelay import (
    Calendar,
    EventResult,
    EventWrite,
    Finding,
    Hand,
    Known,
    Look,
    Memo,
    Outcome,
    Practitioner,
    Sighting,
    files,
    ical,
)

_FIX = "Make the folder writable for the user that runs clinicrelay, or name another one."

# Windows refuses these whatever follows the first dot; folders are often shared with it.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)\.")
_SAFE = re.compile(r"[a-z0-9][a-z0-9._@-]{0,79}")
_LOOKS_HASHED = re.compile(r"-[0-9a-f]{8}$")


class Options(BaseModel):
    """What settings may say of `type: ics`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path = Field(
        default=Path("calendars"),
        description="Where the files go, one a doctor; relative to the data folder.",
    )


class Ics(Calendar):
    """Writes `FOLDER/DOCTOR.ics`; calendar programs open or subscribe to it."""

    Options = Options
    outside = False
    connects = False

    @classmethod
    def address_of(cls, practitioner: Practitioner) -> str | None:
        """Return the practitioner's key: a file needs no address."""
        return practitioner.key

    @cached_property
    def folder(self) -> Path:
        """Where the files are."""
        folder: Path = self.kit.folder / self.options.folder
        return folder

    def file_of(self, calendar: str) -> Path:
        """Return the file of one calendar; no two calendars share one, on any file system."""
        return self.folder / f"{file_name(calendar)}.ics"

    def apply(self, calendar: str, writes: Sequence[EventWrite]) -> Iterator[EventResult]:
        """Write the file once for all writes, and not at all when nothing in it would change."""
        results = [self._result(write) for write in writes]
        try:
            self._write(calendar, [w for w, r in zip(writes, results, strict=True) if _accepted(r)])
        except OSError as error:
            yield from (self._not_writable(w, error) for w in writes)
        else:
            yield from results

    def shows(self, calendar: str, ref: str, memo: Memo) -> bool:
        return ical.uid_value(self._uid(ref)) in (self._there(calendar) or {})

    def lost(self, calendar: str) -> bool:
        """Whether the file is gone, or holds something that we did not write."""
        path = self.file_of(calendar)
        try:
            status = path.stat()
            return not _is_ours(str(path), status.st_ino, status.st_mtime_ns, status.st_size)
        except OSError:
            return True

    def seen(self, calendar: str, cursor: object, known: Known) -> Look:
        """Return which events the file lacks, and which it has that the calendar is not to show."""
        there = dict(self._there(calendar) or {})
        missing = [
            Sighting(ref, memo, Hand.MISSING)
            for ref, memo in known().items()
            if there.pop(ical.uid_value(self._uid(ref)), None) is None and memo
        ]
        tail, plain = self._uid(""), ((uid.replace("\r\n ", ""), uid) for uid in there)
        left = [
            Sighting(name.removesuffix(tail), {"uid": name}, Hand.ORPHANED, *_times(there[uid]))
            for name, uid in plain
            if name.endswith(tail)
        ]
        return Look([*missing, *left])

    def check(self) -> Iterator[Finding]:
        reason = files.why_not_writable(self.folder)
        if reason:
            yield Finding("error", "folder_not_writable", f"Calendar files: {reason}.", _FIX)

    def _there(self, calendar: str) -> dict[str, str] | None:
        """Return the events of a file by their UIDs; None where it is gone, or none of ours."""
        try:
            return _events(self.file_of(calendar).read_bytes())
        except OSError:
            return None

    def _uid(self, ref: str) -> str:
        return f"{ref}@{self.kit.clinic.id}.clinicrelay"

    def _result(self, write: EventWrite) -> EventResult:
        if write.put and write.start is None:
            return EventResult(
                write.ref, Outcome.REJECTED, write.memo, "no_start", "an event needs a start"
            )
        return EventResult(write.ref, Outcome.ACCEPTED, {"uid": self._uid(write.ref)})

    def _not_writable(self, write: EventWrite, error: OSError) -> EventResult:
        return EventResult(
            write.ref,
            Outcome.NOT_SENT,
            write.memo,
            "folder_not_writable",
            f"{self.folder}: {error.strerror or type(error).__name__}",
            _FIX,
            blocks=True,
        )

    def _write(self, calendar: str, writes: Sequence[EventWrite]) -> None:
        path = self.file_of(calendar)
        before = path.read_bytes() if path.exists() else b""
        events = _events(before)
        if events is None and before:
            _set_aside(path)
        after = self._content(calendar, events or {}, writes)
        if after != before and (before or any(w.put for w in writes)):
            # A folder that was opened for others, such as a web server, holds files for them.
            files.replace(path, after, mode=files.as_open_as(self.folder))

    def _content(
        self, calendar: str, events: dict[str, str], writes: Sequence[EventWrite]
    ) -> bytes:
        for write in writes:
            uid = self._uid(write.ref)
            if write.put:
                events[ical.uid_value(uid)] = ical.vevent(write, uid)
            else:
                events.pop(ical.uid_value(uid), None)
        ordered = sorted(events.values(), key=_place)  # in whatever order they came
        return ical.calendar(calendar, self.kit.clinic.timezone, ordered).encode()


@lru_cache(maxsize=50_000)
def file_name(calendar: str) -> str:
    """Return a name that every operating system takes, without its ending.

    Where that loses something of the calendar's own name, a short hash of it is added.
    """
    if _SAFE.fullmatch(calendar) and not _DEVICES.match(calendar + "."):
        # A name that looks like one of ours with a hash could meet it.
        return calendar if not _LOOKS_HASHED.search(calendar) else _hashed(calendar)
    return _hashed(calendar)


def _hashed(calendar: str) -> str:
    readable = re.sub(r"[^a-z0-9]+", "-", calendar.casefold()).strip("-")[:60].strip("-")
    digest = sha256(calendar.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{readable or 'calendar'}-{digest}"


@lru_cache(maxsize=50_000)
def _is_ours(path: str, inode: int, changed: int, size: int) -> bool:
    """Whether a file is one of ours: read once for as long as nobody writes it. Raises OSError."""
    return _events(Path(path).read_bytes()) is not None


def _accepted(result: EventResult) -> bool:
    return result.outcome is Outcome.ACCEPTED


def _events(content: bytes) -> dict[str, str] | None:
    """Return the VEVENT texts of one of our files by their UIDs; None where it is none of ours.

    Texts are folded and escaped, so no line inside one can look like the end of an event.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    if not text.startswith(ical.OPENING) or not text.endswith(ical.CLOSING):
        return None
    start = text.find(ical.EVENT_OPENING)
    if start < 0:
        return {}
    blocks = text[start : -len(ical.CLOSING)].split(ical.EVENT_CLOSING)
    if blocks.pop() or not all(b.startswith(ical.EVENT_OPENING) for b in blocks):
        return None
    skip = len(ical.EVENT_OPENING)
    return {b[skip : b.find("\r\nDTSTAMP:", skip)]: b + ical.EVENT_CLOSING for b in blocks}


def _times(event: str) -> tuple[datetime | None, datetime | None]:
    """Return when an event of ours begins and ends."""
    begin, end = (
        datetime.fromisoformat(found[1])
        if (found := re.search(rf"\r\n{name}:(\w+)", event))
        else None
        for name in ("DTSTART", "DTEND")
    )
    return begin, end


def _place(event: str) -> tuple[str, str]:
    """Return where an event stands in its file: by its start, then by all it says."""
    _, _, rest = event.partition("\r\nDTSTART:")
    return rest[:16], event


def _set_aside(path: Path) -> None:
    """Keep what somebody else put under our name: overwriting it could lose a person's work."""
    path.replace(path.with_name(f"{path.name}.not-ours"))
