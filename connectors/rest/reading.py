"""One pull: what is asked for, in which parts, how far an earlier run came, and what this one leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from clinicrelay.contracts import Cursor, Kit, Page, Record, Unreadable, Window
from clinicrelay.errors import Refused
from clinicrelay.http import NoToken, Spent
from clinicrelay.reach import Reach
from clinicrelay.times import iso
from connectors.rest.door import Door, Incomplete
from connectors.rest.lookups import Lookups
from connectors.rest.options import List, RestOptions
from connectors.rest.paging import Astray
from connectors.rest.parts import Part, covered, ids_of, parts_of
from connectors.rest.placeholders import Values, moment_of
from connectors.rest.questions import plan_of, question_of, zone_in
from connectors.rest.records import Shaper
from connectors.rest.requests import Request
from connectors.rest.walk import Position, Rows, Walk
from connectors.rest.watermark import Watermark

_RECORDS = 500  # of a page of ours: a server that gives everything at once gives too much for one
_WHY = {
    "watermark": "its requests say since when",
    "window": "its requests name days, and no {watermark}",
    "snapshot": "its requests name neither days nor {watermark}",
}
LISTED = "listed"  # where some keys are that a listing named last: they have to be found by id
_SOME = 3
_STALE = timedelta(days=2)  # a cycle that was begun longer ago is begun anew


class Reading:
    """What one pull knows while it goes on."""

    def __init__(
        self, options: RestOptions, kit: Kit, door: Door, cursor: Cursor | None, window: Window
    ) -> None:
        self._options, self._kit, self._door = options, kit, door
        self._lists = options.lists
        self._plan = plan_of(options)
        known = cursor if cursor and cursor.get("plan") == self._plan else {}
        self._before = moment_of(known.get("watermark"), "UTC")
        self._reconciled = moment_of(known.get("reconciled"), "UTC")
        self._resume = self._still_good(known.get("resume"))
        self.changes = self._only_changes()
        self._window = self._of_cycle(window)
        self._zone = zone_in(options, kit)
        since = self._before - options.overlap if self._before and self.changes else None
        self._values = Values(self._zone, kit.clinic.timezone, watermark=since)
        self._lookups = Lookups(options.lookups, door, kit, self._values)
        self._shaper = Shaper(options, self._lookups)
        told = bool(options.cursor)
        self._mark = Watermark(options.clock, self._zone, told_by_records=told)
        self._mark.take_up(self._resume)
        self._listed: list[str] = []
        self._left_out: list[str] = []  # why parts were not read, once each
        self._refused: Refused | None = None
        self._nameless = False
        self._whole: set[Part] = set()
        self._reach = Reach(kit.memory, question_of(options))
        self._widened = False  # whether nobody could know what the part that is walked holds
        self._done = 0
        self._taken_up = 0  # how many parts earlier runs of this cycle read
        self._layout = ""
        self._at: Position | None = None  # where the part that is being walked goes on

    @property
    def scope(self) -> str:
        """What is read, as people see it: the first list's path without its values."""
        return self._lists[0].request.path

    @property
    def strategy(self) -> str:
        return self._options.reads

    # --- what kind of read -----------------------------------------------------------------------

    def _still_good(self, resume: Any) -> dict[str, Any]:
        began = moment_of(resume.get("since"), "UTC") if isinstance(resume, dict) else None
        if began is None or not timedelta(0) <= self._kit.now - began <= _STALE:
            return {}
        return dict(resume)

    def _only_changes(self) -> bool:
        if self._resume:
            return bool(self._resume.get("changes"))
        if self._options.reads != "watermark" or self._before is None or not self._reconciled:
            return False
        return self._kit.now - self._reconciled < self._options.reconcile_every

    def _of_cycle(self, window: Window) -> Window:
        """A cycle that takes several runs keeps the days that it began with."""
        if not self._resume:
            return Window(window.start.replace(microsecond=0), window.end.replace(microsecond=0))
        start, end = (moment_of(text, "UTC") for text in self._resume["window"])
        return Window(start or window.start, end or window.end)

    # --- pages -----------------------------------------------------------------------------------

    def pages(self) -> Iterator[Page]:
        """Yield the pages of this pull. Raises TryLater and Refused."""
        self._done, self._at = self._resume.get("done", 0), self._resume.get("at")
        self._taken_up = self._done
        parts: list[Part] = []
        try:
            parts = self._parts()
            for part in parts[self._done :]:
                yield from self._part(part)
                self._done, self._at = self._done + 1, None
        except Spent as spent:
            yield Page(
                self.scope,
                cursor=self._cursor(unjudged=bool(self._resume.get("unjudged"))),
                last=True,
                notes=[str(spent)],
                changes=self.changes,
                covers=None if self.changes else covered(parts, self._whole, self._by),
                unfinished=True,
                resumed=bool(self._resume),
            )
            return
        if self._refused is not None and not self._whole:
            raise self._refused
        yield self._ended(parts)

    @property
    def _by(self) -> str:
        return self._options.partition.by if self._options.partition else ""

    def _parts(self) -> list[Part]:
        partition = self._options.partition
        who = ids_of(partition, self._door, self._values) if partition else []
        zone = self._kit.clinic.timezone
        asked = [self._request(one) for one in self._lists]
        parts = parts_of(asked, self._window, self._options.slice, who, zone)
        self._layout = blake2b(repr(parts).encode(), digest_size=8).hexdigest()
        if self._resume.get("layout") not in (None, self._layout):
            self._resume, self._done, self._at, self._taken_up = {}, 0, None, 0
        return parts

    def _part(self, part: Part) -> Iterator[Page]:
        one = self._lists[part.number]
        request = self._request(one)
        self._widened = not self.changes and self._reach.is_new(filter(None, [part.who]))
        values = part.values(self._values)
        try:
            walk = Walk(self._door, one, request, values, name=self._shaper.name, position=self._at)
            for rows in walk.pages():
                yield from self._rows(rows, one, values)
        except Spent:
            raise
        except Refused as refused:
            if isinstance(refused, NoToken) or getattr(refused, "status", 0) == 401:
                raise  # the next part would fare the same, and accounts are locked for less
            self._refused = self._refused or refused
            self._leave_out(str(refused))
        except (Astray, Incomplete) as astray:
            self._leave_out(str(astray))
        else:
            if walk.whole:
                self._whole.add(part)

    def _request(self, one: List) -> Request:
        return one.changes_request if self.changes else one.request

    def _leave_out(self, why: str) -> None:
        if why not in self._left_out:
            self._left_out.append(why)

    def _rows(self, rows: Rows, one: List, values: Values) -> Iterator[Page]:
        self._mark.hear(rows.said)
        self._mark.see(self._shaper.changed(item) for item in rows.items)
        if one is self._lists[0]:
            self._remember_some(rows.items, one)
        place = f"{one.request.path} page {rows.number}"
        starts = range(0, len(rows.items), _RECORDS) or range(1)
        for start in starts:
            items = rows.items[start : start + _RECORDS]
            last = start == starts[-1]
            yield from self._made(items, one, values, place, rows.beyond if last else rows.here)

    def _remember_some(self, items: Sequence[Any], one: List) -> None:
        if self._options.read_by_id is None or len(self._listed) >= _SOME:
            return
        names = (self._shaper.name(item) for item in self._shaper.need(items, one))
        self._listed = [*self._listed, *(name for name in names if name)][:_SOME]
        if self._listed:
            self._kit.memory[LISTED] = list(self._listed)

    def _made(
        self, items: Sequence[Any], one: List, values: Values, place: str, beyond: Position | None
    ) -> Iterator[Page]:
        """Yield one page; where requests run out among what it refers to, as much of it as goes."""
        try:
            self._lookups.prepare(self._shaper.need(items, one))
        except Spent:
            known = self._lookups.answered(items)
            if known:
                self._lookups.meet(known)
                yield self._page(*self._shaper.shape(known, one, values, place))
            raise
        self._at = beyond
        self._lookups.meet(items)
        yield self._page(*self._shaper.shape(items, one, values, place))

    def _page(self, records: Sequence[Record], bad: Sequence[Unreadable]) -> Page:
        self._nameless = self._nameless or any(entry.key is None for entry in bad)
        self._lookups.remember()
        cursor = self._cursor(unjudged=True)
        return Page(
            self.scope,
            records,
            bad,
            cursor=cursor,
            changes=self.changes,
            widened=self._widened,
            widened_from=None if self.changes else self._reach.until,
        )

    def _ended(self, parts: Sequence[Part]) -> Page:
        """Return the last page: only a cycle that left nothing out moves the watermark."""
        whole = not self._left_out and not self._resume.get("left_out")
        watermark, reconciled = self._before, self._reconciled
        if whole:
            watermark = self._mark.after(self._before)
            # What is gone from parts that a killed run read, a whole listing has to tell.
            judged = not (self.changes or self._resume.get("unjudged"))
            reconciled = self._kit.now if judged else reconciled
        if not self.changes:
            self._note_reach(parts)
        return Page(
            self.scope,
            cursor=self._standing(watermark, reconciled),
            last=True,
            complete=whole and not self._nameless,
            notes=[
                *self._notes(),
                *(
                    ["the server tells no time: everything is read each time"]
                    if whole and watermark is None and self.strategy == "watermark"
                    else []
                ),
            ],
            changes=self.changes,
            covers=None if self.changes else covered(parts, self._whole, self._by),
            resumed=bool(self._resume),
        )

    def _note_reach(self, parts: Sequence[Part]) -> None:
        """Note how far a listing came; what an earlier run of it read counts as read."""
        read = [part for at, part in enumerate(parts) if part in self._whole or at < self._taken_up]
        if not read:
            return
        self._reach.ended(
            until=max((part.days.end for part in parts if part.days), default=None),
            read_until=max((part.days.end for part in read if part.days), default=None),
            parts=[part.who for part in parts if part.who is not None],
            read={part.who for part in read if part.who is not None},
        )

    def _notes(self) -> Iterator[str]:
        if self._options.strategy == "auto":
            yield f"read by {self.strategy}: {_WHY[self.strategy]}"
        if not self.changes:  # a few changes may well refer to nobody
            yield from self._lookups.unmet
        yield from self._lookups.notes
        for why in self._left_out:
            yield f"left out: {why}"

    # --- cursors ---------------------------------------------------------------------------------

    def _cursor(self, *, unjudged: bool) -> Cursor:
        """Return where the next run goes on; the watermark stays where it was.

        `unjudged`: nobody will have asked what this run's parts did not name, as it was killed.
        """
        resume = {
            "since": self._resume.get("since") or iso(self._kit.now),
            "changes": self.changes,
            "window": [iso(self._window.start), iso(self._window.end)],
            "layout": self._layout,
            "done": self._done,
            "at": self._at,
            "left_out": bool(self._left_out) or bool(self._resume.get("left_out")),
            "unjudged": unjudged,
            **self._mark.as_json(),
        }
        return self._standing(self._before, self._reconciled) | {"resume": resume}

    def _standing(self, watermark: datetime | None, reconciled: datetime | None) -> Cursor:
        both = {"watermark": watermark, "reconciled": reconciled}
        told = {name: iso(moment) for name, moment in both.items() if moment}
        return {"strategy": self.strategy, "plan": self._plan, **told}
