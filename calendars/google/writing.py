"""One event on its way to be as it should be: which call comes next, and what its answer means.

The outcome table of the calendar: an id that is taken is looked at and adopted, a tombstone raised or
left behind for a new generation of the id, and what somebody else changed meanwhile is told before it
is written over.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from calendars.google.answers import Answer, Kind
from calendars.google.event import (
    OUR_MEETING,
    Body,
    Identity,
    block,
    body,
    is_deleted,
    marks,
    memo_of,
    merged,
    span,
)
from clinicrelay import EventResult, EventWrite, Hand, Memo, Outcome

if TYPE_CHECKING:
    from calendars.google.options import Options
    from calendars.google.wire import Call

FULL = (
    "id,etag,status,summary,description,location,start,end,visibility,transparency,"
    "conferenceData(conferenceId,createRequest(requestId,status/statusCode)),extendedProperties/private"
)
_MOST_CALLS = 12  # for one event: somebody writes to it as often as we do
_QUIET = {"sendUpdates": "none"}


class Step(Enum):
    """What is asked about an event."""

    INSERT = auto()
    PATCH = auto()
    RAISE = auto()  # a tombstone is to live again
    GET = auto()
    DELETE = auto()


class InDoubt(Exception):
    """The answer may be about the event or about the calendar: look at the calendar."""


_DOUBT = EventResult("", Outcome.UNKNOWN)


class Task:
    """One write. `call` is what to ask next, `hear` takes the answer and returns the result, once."""

    def __init__(
        self, write: EventWrite, calendar: str, identity: Identity, options: Options
    ) -> None:
        self.write = write
        self.memo: Memo = dict(write.memo)
        self._heard = 0
        self.failed = 0  # answers in a row that proved nothing
        self._calendar, self._identity, self._options = calendar, identity, options
        self._description: str | None = None
        self._zoneless = False
        self._step = self._first_step()

    @property
    def event_id(self) -> str:
        return str(self.memo.get("id") or self._given_id)

    @cached_property
    def _given_id(self) -> str:
        """The id that an event without one gets; its generation is another task's."""
        return self._identity.event_id(self.write.ref, self.generation)

    @property
    def generation(self) -> int:
        return int(self.memo.get("gen", 0))

    @property
    def call(self) -> Call:
        """The call to make next."""
        return partial(_ASK[self._step], self)

    def nothing_to_do(self) -> EventResult | None:
        """Return the result where the calendar is known to show just this already."""
        known = self.write.put and self.memo.get("print")
        if self.write.in_doubt or self.memo.get("adopted"):
            return None  # an adopted one says yet that it is another installation's
        same = known and known == self._wanted_print() and self._meeting_fits
        if same and not self.memo.get("deleted"):
            return self._accepted(self.memo)
        return None

    def hear(self, answer: Answer, *, calendar_is_there: bool = False) -> EventResult | None:
        """Take the answer to `call`; None says that another call comes first.

        Raises InDoubt where it may mean that the calendar cannot be seen or written, unless it is
        known to be there.
        """
        self._heard += 1
        if self._heard > _MOST_CALLS:
            return EventResult(self.write.ref, Outcome.NOT_SENT, self.memo, "edited_meanwhile")
        if answer.kind is Kind.BAD:
            return self._bad(answer)
        heard = _HEAR[self._step](self, answer)
        if heard is not _DOUBT:
            return heard
        if not calendar_is_there:
            raise InDoubt
        if not self.write.put and answer.kind is Kind.ABSENT:
            return self._accepted(self._gone(self.memo))
        return self._rejected(answer)

    # --- what is asked -------------------------------------------------------------------------

    def _first_step(self) -> Step:
        if not self.write.put:
            # Whether an insertion came through whose answer was lost, nobody knows yet.
            return Step.DELETE if self.memo.get("etag") else Step.GET
        if not self.memo.get("id"):
            return Step.INSERT
        if self.memo.get("deleted"):
            return Step.RAISE
        # A removal tells no etag; and what the doctor wrote into the description stays in it.
        unsure = self.write.in_doubt or self.memo.get("gone") or self.memo.get("notes")
        return Step.GET if unsure else Step.PATCH

    def _insert(self, events: Any) -> Any:
        made = {**self._body(), "id": self.event_id}
        for name in ("start", "end"):
            made[name] = {key: value for key, value in made[name].items() if value is not None}
        if self._options.mode != "shared" and self._options.reminders is not None:
            made["reminders"] = {"useDefault": False, "overrides": self._alarms()}
        return events.insert(
            calendarId=self._calendar, body=made, fields=FULL, **_QUIET, **self._meeting(made)
        )

    def _patch(self, events: Any) -> Any:
        made = self._body()
        if self.write.keep_time:
            del made["start"], made["end"]
        return self._matching(self._patch_call(events, made))

    def _raise(self, events: Any) -> Any:
        """Make a tombstone live again."""
        return self._matching(self._patch_call(events, self._body()))

    def _patch_call(self, events: Any, made: Body) -> Any:
        return events.patch(
            calendarId=self._calendar,
            eventId=self.event_id,
            body=made,
            fields=FULL,
            **_QUIET,
            **self._meeting(made),
        )

    def _get(self, events: Any) -> Any:
        return events.get(calendarId=self._calendar, eventId=self.event_id, fields=FULL)

    def _delete(self, events: Any) -> Any:
        call = events.delete(calendarId=self._calendar, eventId=self.event_id, **_QUIET)
        return self._matching(call)

    def _matching(self, request: Any) -> Any:
        if etag := self.memo.get("etag"):
            request.headers["If-Match"] = etag
        return request

    def _body(self) -> Body:
        made = body(self.write, self._identity, self.generation)
        if self._description is not None:
            made["description"] = merged(self._description, block(self.write.description))
        if self._zoneless:
            for name in ("start", "end"):
                made[name].pop("timeZone")
        return made

    def _meeting(self, made: Body) -> dict[str, int]:
        """Ask for a meeting where one is wanted, and let go of one that no longer is."""
        if self._meeting_fits:
            return {}
        wish = {"requestId": self._identity.meeting(self.write.ref, self.write.sequence)}
        kind = {"conferenceSolutionKey": {"type": "hangoutsMeet"}}
        made["conferenceData"] = {"createRequest": {**wish, **kind}} if self.write.video else None
        return {"conferenceDataVersion": 1}

    @property
    def _meeting_fits(self) -> bool:
        """Whether there is a meeting where one is wanted, and none of ours where not."""
        if not self._options.meet or self._options.mode == "shared":
            return True
        whose = self.memo.get("meet")
        return bool(whose) if self.write.video else whose != OUR_MEETING

    def _alarms(self) -> list[Body]:
        asked = self._options.reminders or ()
        return [{"method": "popup", "minutes": int(one.total_seconds() // 60)} for one in asked]

    def _wanted_print(self) -> str:
        wanted = self._identity.print_of(body(self.write, self._identity, self.generation))
        if self.write.keep_time:
            return f"{str(self.memo.get('print')).partition(':')[0]}:{wanted.partition(':')[2]}"
        return wanted

    # --- what is answered ----------------------------------------------------------------------

    def _inserted(self, answer: Answer) -> EventResult | None:
        if answer.kind is Kind.DONE:
            return self._written(answer)
        if answer.kind is Kind.TAKEN:
            return self._next(Step.GET)
        return _DOUBT

    def _patched(self, answer: Answer) -> EventResult | None:
        if answer.kind is Kind.DONE:
            return self._written(answer)
        if answer.kind in (Kind.CHANGED, Kind.DELETED):
            return self._next(Step.GET)
        if answer.kind is Kind.ABSENT:
            return self._afresh(self.generation)
        return _DOUBT

    def _raised(self, answer: Answer) -> EventResult | None:
        """A tombstone rose; or it may not, and the visit gets another id."""
        if answer.kind is Kind.DONE:
            return self._written(answer)
        if answer.kind is Kind.ABSENT:
            return self._afresh(self.generation)
        if answer.kind in (Kind.FORBIDDEN, Kind.DELETED, Kind.TAKEN):
            return self._another_generation()
        if answer.kind is Kind.CHANGED:
            return self._next(Step.GET)
        return _DOUBT

    def _got(self, answer: Answer) -> EventResult | None:
        if answer.kind is Kind.ABSENT and self.write.put:
            return self._afresh(self.generation)
        if answer.kind is not Kind.DONE:
            return _DOUBT
        event = answer.body
        if marks(event).ref != self.write.ref and not self.memo.get("adopted"):
            return self._another_generation()  # somebody else's event has the id
        if is_deleted(event):
            return self._found_deleted(event)
        return self._found_live(event)

    def _found_deleted(self, event: Body) -> EventResult | None:
        found = memo_of(event, self._identity, self.memo)
        if not self.write.put:
            return self._accepted(self._gone(found))
        removed_by_us = self.memo.get("gone")
        self.memo = found
        if removed_by_us:
            return self._next(Step.RAISE)
        return self._by_another_hand(Hand.DELETED, event)

    def _found_live(self, event: Body) -> EventResult | None:
        before, found = self.memo, memo_of(event, self._identity, self.memo)
        self.memo = found
        if not self.write.put:
            return self._next(Step.DELETE)
        self._description = str(event.get("description") or "")
        if found["print"] == self._wanted_print() and self._meeting_fits:
            return self._accepted(found)  # a write of ours whose answer was lost
        hand = changed_by(before.get("print"), found["print"], event)
        if hand is None:
            return self._next(Step.PATCH)
        return self._by_another_hand(hand, event)

    def _deleted(self, answer: Answer) -> EventResult | None:
        if answer.kind in (Kind.DONE, Kind.DELETED):
            return self._accepted(self._gone(self.memo))
        if answer.kind is Kind.CHANGED:
            return self._next(Step.GET)
        return _DOUBT

    def _bad(self, answer: Answer) -> EventResult | None:
        if not self._zoneless and self.write.put and self._step is not Step.GET:
            self._zoneless = True  # a zone that Google does not know yet: the offset says enough
            return None
        return self._rejected(answer)

    # --- results -------------------------------------------------------------------------------

    def _next(self, step: Step) -> EventResult | None:
        self._step = step
        return None

    def _afresh(self, generation: int) -> EventResult | None:
        """Nothing is there any more: insert it, under the same id."""
        self.memo = {"gen": generation}
        self._description = None
        return self._next(Step.INSERT)

    def _another_generation(self) -> EventResult:
        return EventResult(self.write.ref, Outcome.AGAIN, {"gen": self.generation + 1})

    def _by_another_hand(self, hand: Hand, event: Body) -> EventResult:
        start, end = span(event) or (None, None)
        return EventResult(
            self.write.ref, Outcome.AGAIN, self.memo, hand=hand, start=start, end=end
        )

    def _written(self, answer: Answer) -> EventResult:
        return self._accepted(
            memo_of({"id": self.event_id, **answer.body}, self._identity, self.memo)
        )

    def _accepted(self, memo: Memo) -> EventResult:
        return EventResult(self.write.ref, Outcome.ACCEPTED, memo)

    def _rejected(self, answer: Answer) -> EventResult:
        reason = f"provider_rejected({answer.reason})"[:40]
        return EventResult(self.write.ref, Outcome.REJECTED, self.memo, reason)

    def _gone(self, memo: Memo) -> Memo:
        return {"id": self.event_id, "gen": memo.get("gen", 0), "gone": True}


_ASK: dict[Step, Callable[[Task, Any], Any]] = {
    Step.INSERT: Task._insert,
    Step.PATCH: Task._patch,
    Step.RAISE: Task._raise,
    Step.GET: Task._get,
    Step.DELETE: Task._delete,
}
_HEAR: dict[Step, Callable[[Task, Answer], EventResult | None]] = {
    Step.INSERT: Task._inserted,
    Step.PATCH: Task._patched,
    Step.RAISE: Task._raised,
    Step.GET: Task._got,
    Step.DELETE: Task._deleted,
}


def changed_by(before: str | None, now: str, event: Body) -> Hand | None:
    """Return what a hand other than ours changed, by the prints of what we knew and what is there.

    An event as it says that we wrote it last is ours, also where the answer to that was lost.
    """
    sent = marks(event).sent
    wrote = before or sent
    if not wrote or now in (wrote, sent):
        return None
    return Hand.MOVED if wrote.partition(":")[0] != now.partition(":")[0] else Hand.EDITED
