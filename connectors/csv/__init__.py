"""CSV drops: files that a clinic's system puts into a folder, each read once and whole.

A file is claimed by a rename, read without being changed, and moved on only after its rows are kept;
so a crash anywhere leaves it where the next run finds it and finishes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from msgspec.structs import replace
from pydantic import BaseModel

from clinicrelay.contracts import (
    Connector,
    Cursor,
    Finding,
    Kit,
    Leftover,
    Page,
    Unreadable,
    Window,
)
from clinicrelay.errors import Refused
from connectors.csv import leftovers
from connectors.csv.folders import folder_findings, left_lying, vanished
from connectors.csv.giving_back import encodings, give_back
from connectors.csv.inbox import Drop, Inbox, Look, drop_of, manifest_fits
from connectors.csv.options import Options
from connectors.csv.pages import (
    End,
    corrected,
    counted,
    end_of,
    ended,
    identity,
    is_older,
    is_outdated,
    paged,
    set_aside,
    standing,
    unproven,
    without_its_end,
)
from connectors.csv.reading import Form, form_of, plan_of
from connectors.csv.rejects import is_named
from connectors.csv.text import Survey, survey, trait_of

CsvOptions: TypeAlias = Options

_REMEMBERED = 50  # delta and append files whose bytes are known again
_LOOKED_AT = 5  # waiting files that `check` looks into
_LONGEST_WAIT = 2  # times the settle time: a file that still grows then is left to the next run


class Csv(Connector):
    """Reads a folder of CSV files."""

    Options: ClassVar[type[BaseModel]] = CsvOptions
    mapping: ClassVar[str | None] = "clinic_csv"
    brought: ClassVar[bool] = True

    # The real clock, as files carry real times; tests put their own in.
    clock: Callable[[], float] = staticmethod(time.time)
    sleep: Callable[[float], None] = staticmethod(time.sleep)

    options: CsvOptions

    def __init__(self, options: Any, kit: Kit) -> None:
        super().__init__(options, kit)
        folder = kit.folder / (options.inbox or Path("drops") / kit.name)
        self.inbox = Inbox(folder, options, self._now)
        self._claimed = False
        self._doubted = False
        self._nothing_new = False  # first what was read before, and what is new in the next run

    @property
    def lists_everything(self) -> bool:
        return self.options.contents == "snapshot"

    @property
    def gone_after(self) -> int:
        return self.options.gone_after

    def waiting(self) -> bool:
        """Whether a file waits. Raises Refused where the inbox has vanished."""
        inbox = self.inbox
        for finding in vanished(inbox, self._shown_folder(), self.kit):
            raise Refused(finding.message, fix=finding.fix)
        young = self.kit.wait and inbox.looks()  # somebody is watching: those will be waited for
        return bool(inbox.waiting_inside() or inbox.ready() or young)

    @property
    def duplicates(self) -> str:
        return self.options.duplicates

    def take_back(self, since: datetime, cursor: Cursor | None) -> int | None:
        """Move what was processed since a moment back, unless the store knows of it. Raises Refused."""
        with self.inbox.refusing():
            put_away = self.inbox.put_away(since)
            if put_away is None:
                return None
            known = cursor or {}
            unknown = [path for path in put_away if not is_older(drop_of(path), known)]
            self.inbox.take_back(unknown)
            found = len(self.inbox.waiting_inside())
        self._nothing_new = found > 0
        return found

    def put_away(self, since: datetime) -> Iterator[Page] | None:
        """Yield what files said that were processed since a moment, the oldest first. Raises Refused."""
        return self._put_away(since)

    def _put_away(self, since: datetime) -> Iterator[Page]:
        for path in self.inbox.put_away(since) or ():
            with suppress(FileNotFoundError):
                drop = drop_of(path)
                form = self._form(drop, survey(path, *encodings(drop.name, self.options)))
                if isinstance(form, Form):
                    yield from paged(form, {})

    def claim(self) -> None:
        """Move what is ready into processing. Raises Refused."""
        self.inbox.claim([] if self._nothing_new else self._ready())
        self._claimed = True

    def pull(self, cursor: Cursor | None, window: Window) -> Iterator[Page]:
        """Yield the files one by one, oldest first; without `claim` they are read where they lie.

        Raises Refused when a person has to say how dates are written, or files cannot be reached.
        """
        known = cursor or {}
        note = self.inbox.strangers().note
        for drop in self._drops():
            try:
                for page in self._pages(drop, known):
                    yield replace(page, notes=[note, *page.notes]) if note else page
                    note = ""
                    known = unproven(page.cursor) if self._doubted else page.cursor
            except FileNotFoundError:
                continue  # taken by another run between our look and our reading
            except OSError as error:
                raise Refused(
                    f"{drop.name} in {self._shown_folder()} cannot be read: {error.strerror}",
                    fix="let the user that runs clinicrelay read it",
                ) from error

    def doubted(self, cursor: Cursor | None) -> Cursor | None:
        """Let no file count as read before, in this run and the next: see `_without_reading`."""
        self._doubted = True
        return unproven(cursor) if cursor else cursor

    def rejected(self, cursor: Cursor, set_aside: Iterable[Unreadable]) -> None:
        """Write the rows of the file that could not be used beside where it will lie."""
        if end := self._end(cursor):
            give_back(self.inbox, self.options, self.kit, end, [*set_aside])

    def kept(self, cursor: Cursor) -> None:
        """Move the file that this cursor ended with to where it belongs."""
        if end := self._end(cursor):
            self.inbox.archive(end.name, end.sha256, end.place)

    def _end(self, cursor: Cursor) -> End | None:
        return end_of(cursor, month=f"{self.kit.now:%Y-%m}")

    def left(self) -> Iterator[Leftover]:
        return leftovers.leftovers(self.inbox.folder)

    def holds(self, path: Path, mentions: Callable[[str], bool]) -> bool:
        return leftovers.holds(path, self.options, mentions)

    def cut(self, path: Path, mentions: Callable[[str], bool]) -> None:
        leftovers.cut(path, self.options, mentions)

    def nothing_to_read(self) -> str | None:
        looks = self.inbox.looks()
        waiting = [look.why for look in looks if look.why]
        if waiting:
            return "; ".join(waiting[:3])
        if looks:
            return None
        pattern, folder = self.options.pattern, self._shown_folder()
        strangers = self.inbox.strangers()
        if strangers.odd:
            return f"no file in {folder}: {strangers.note}"
        if strangers.others:
            files = "1 file" if strangers.others == 1 else f"{strangers.others} files"
            return f"{files} in {folder}, but none is a {pattern}: set pattern, or drop one there"
        return f"no file in {folder}: drop a {pattern} export there"

    def check(self) -> Iterator[Finding]:
        blocked = [*vanished(self.inbox, self._shown_folder(), self.kit)] or [
            *folder_findings(self.inbox)
        ]
        yield from blocked or left_lying(self.inbox)
        for drop in [] if blocked else self._waiting()[:_LOOKED_AT]:
            yield from self._findings_of(drop)

    def _findings_of(self, drop: Drop) -> Iterator[Finding]:
        """Yield why a waiting file will go to quarantine."""
        with suppress(OSError):  # taken away, or not to be read: the next run says so
            seen = survey(drop.path, *encodings(drop.name, self.options))
            plan = plan_of(drop, seen, self.options, self.kit.columns)
            if isinstance(plan, Unreadable):
                yield Finding("warning", plan.reason, f"{drop.name}: {plan.detail}")

    def _now(self) -> float:
        return self.clock()

    # --- which files ---------------------------------------------------------------------------

    def _drops(self) -> list[Drop]:
        return self.inbox.waiting_inside() if self._claimed else self._waiting()

    def _waiting(self) -> list[Drop]:
        drops = [*self.inbox.waiting_inside(), *self._ready()]
        return sorted(drops, key=lambda drop: (drop.stamp, drop.modified, drop.name))

    def _ready(self) -> list[Drop]:
        """Return what may be taken; where a person watches, wait for a file that is just young."""
        waited = 0.0
        while not (drops := self.inbox.ready()) and self.kit.wait:
            young = [look for look in self.inbox.looks() if look.seconds]
            if not young or self.inbox.waiting_inside() or not self._may_wait(waited):
                return []
            waited += self._wait_for(min(young, key=lambda look: look.seconds or 0))
        return drops

    def _may_wait(self, waited: float) -> bool:
        settle = self.options.ready.settle
        return settle is not None and waited < _LONGEST_WAIT * settle.total_seconds()

    def _wait_for(self, look: Look) -> float:
        seconds = min(1.0, look.seconds or 0)
        self.kit.tell(f"{look.why}: {look.seconds:.0f} s to go")
        self.sleep(seconds)
        return seconds

    def _shown_folder(self) -> str:
        folder, base = self.inbox.folder, self.kit.folder
        return str(folder.relative_to(base) if folder.is_relative_to(base) else folder)

    # --- one file ------------------------------------------------------------------------------

    def _pages(self, drop: Drop, known: Cursor) -> Iterator[Page]:
        known = standing(known)
        before = trait_of(drop.path)
        seen = survey(drop.path, *encodings(drop.name, self.options))
        manifest = self.inbox.manifest_of(drop.path)
        # What a person mended is read, whatever was read before.
        mended = is_named(drop.name)
        if not mended and (page := self._without_reading(drop, seen, known, manifest)):
            yield page
            return
        form = self._form(drop, seen)
        if isinstance(form, Unreadable):
            yield set_aside(drop, seen, known, unreadable=[form])
            return
        if form.remarks and self.lists_everything and is_outdated(drop, known):
            note = f"{drop.name} is of an older export than {known['name']}: not applied"
            yield set_aside(drop, seen, known, notes=[note])
            return
        # A run that is cut off, or a file that still grows, may leave some of its rows in the store.
        pages = paged(form, unproven(known))
        last = next(pages)
        count, whole = 0, True
        for page in pages:
            count, whole = counted(last, count, whole)
            yield last
            last = page
        if not seen.ended and known.get("ended") and not form.remarks:
            last = without_its_end(last)
        count, whole = counted(last, count, whole)
        untouched = trait_of(drop.path) == before
        yield self._last(form, last, known, manifest, count, whole, untouched)

    def _form(self, drop: Drop, seen: Survey) -> Form | Unreadable:
        try:
            return form_of(
                drop,
                seen,
                self.options,
                self.kit.columns,
                source=self.kit.name,
                usual=self.kit.memory.get("dates"),
            )
        except Refused:
            if self._claimed:
                self.inbox.give_back(drop)
            raise

    def _without_reading(
        self, drop: Drop, seen: Survey, known: Cursor, manifest: dict[str, Any] | None
    ) -> Page | None:
        """Return the one page of a file whose rows need not, or must not, be read."""
        if manifest is not None and not manifest_fits(manifest, seen.sha256):
            detail = "the manifest beside the file is of another file; both have to be sent again"
            bad = Unreadable(drop.name, "manifest_mismatch", "(the whole file)", detail)
            return set_aside(drop, seen, known, unreadable=[bad])
        if not self.lists_everything:
            if known and seen.sha256 in self.kit.memory.get("taken", []):
                return self._same(drop, seen, known, complete=False)
            return self._late(drop, seen, known)
        if known.get("sha256") == seen.sha256 and known.get("context") == self._context():
            return self._same(drop, seen, known, complete=True) if known.get("complete") else None
        if is_older(drop, known):
            note = f"{drop.name} is older than {known['name']}, which was read already: not applied"
            return set_aside(drop, seen, known, notes=[note])
        return None

    def _late(self, drop: Drop, seen: Survey, known: Cursor) -> Page | None:
        """Changes that come after newer ones would put back what those said."""
        if self.options.contents != "delta" or not is_older(drop, known):
            return None
        detail = (
            f"{known['name']}, which is newer, was read already: what this file says of a visit may "
            "be long changed. Export its visits again"
        )
        bad = Unreadable(drop.name, "older_file", "(the whole file)", detail)
        return set_aside(drop, seen, known, unreadable=[bad])

    def _same(self, drop: Drop, seen: Survey, known: Cursor, *, complete: bool) -> Page:
        note = f"{drop.name} holds the same bytes as a file that was read before"
        cursor = {**known, **identity(drop, seen)}
        return Page(
            drop.name, cursor=cursor, last=True, complete=complete, same=complete, notes=[note]
        )

    def _last(
        self,
        form: Form,
        page: Page,
        known: Cursor,
        manifest: dict[str, Any] | None,
        count: int,
        whole: bool,
        untouched: bool,
    ) -> Page:
        """Return the last page as it is to be kept: how the read ended, and what it proves."""
        drop, notes = form.drop, [f"{form.drop.name}: {note}" for note in form.notes]
        if not untouched:
            # A stalled transfer went on after we took the file: the next run reads it whole.
            notes.append(f"{drop.name} was still being written; it is read again in the next run")
            return ended(page, unproven(known), notes)
        if form.remarks:
            notes.append(f"{drop.name} is a reject file that came back: only its rows were read")
            return ended(page, corrected(drop, form.survey, known, count), notes)
        if not form.survey.ended:
            notes.append(f"{drop.name} has no line end after its last row; it may be cut off")
        said = (manifest or {}).get("rows")
        if said is not None and said != count:
            notes.append(f"{drop.name} has {count} rows, its manifest says {said}")
            whole = False
        complete = self.lists_everything and whole
        cursor = identity(drop, form.survey) | {
            "count": count,
            "complete": complete,
            "context": self._context(),
        }
        self._remember(form)
        return ended(page, cursor, notes, complete=complete)

    def _remember(self, form: Form) -> None:
        memory = self.kit.memory
        if not self._claimed:
            return
        memory["inbox"] = self._shown_folder()
        if form.order and self.options.dates == "auto":
            memory["dates"] = form.order  # the few rows of a reject file may not tell it
        if not self.lists_everything:
            memory["taken"] = [*memory.get("taken", []), form.survey.sha256][-_REMEMBERED:]

    def _context(self) -> str:
        """Return what of the settings decides how bytes are read: other settings, another reading.

        The mapping is not part of it: under another one there is no cursor to compare with.
        """
        said = self.options.model_dump_json(
            include={"contents", "encoding", "fallback_encoding", "delimiter", "dates"}
        )
        return hashlib.sha256(said.encode()).hexdigest()[:16]
