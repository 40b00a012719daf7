"""Looks at calendars: whether they can be written, and what somebody else changed of our events.

Only ids, etags and our own marks are asked of what else stands there: a doctor's own titles and
notes never come here. A list that is short or empty proves nothing; an event is missing only when it
was asked for by its id and the calendar itself is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from calendars.google.answers import Answer, Kind
from calendars.google.event import Body, Marks, is_deleted, marks, memo_of, span
from calendars.google.troubles import trouble
from calendars.google.wire import AGAIN, AT_ONCE, TRIES, Stopped, Wire
from calendars.google.writing import FULL, changed_by
from clinicrelay import EventResult, Hand, Known, Look, Memo, Sighting

_MARKS = "extendedProperties/private(csRef,csInst,csGen,csApp)"
_LISTED = f"items(id,etag,status,{_MARKS}),nextPageToken,nextSyncToken,accessRole,timeZone"
_WRITERS = ("owner", "writer")
_MOST_PAGES = 10_000


class State(NamedTuple):
    """How a calendar stands: our role there, its zone, and why it cannot be written, if so."""

    role: str = ""
    zone: str = ""
    trouble: EventResult | None = None


def look_at(wire: Wire, calendar: str) -> State:
    """Ask a calendar for nothing but how it stands. Raises Stopped."""
    if nobody_looks_at(wire, calendar):
        return State(trouble=trouble("own_calendar", wire.account.facts))
    answer = wire.call(
        calendar,
        lambda events: events.list(calendarId=calendar, maxResults=1, fields="accessRole,timeZone"),
    )
    return state_of(wire, answer)


def nobody_looks_at(wire: Wire, calendar: str) -> bool:
    """Whether this is a service account's own calendar, which it has without anybody's doing."""
    own = ("primary", wire.account.facts.account.casefold())
    return wire.options.mode == "shared" and calendar.casefold() in own


def state_of(wire: Wire, answer: Answer) -> State:
    """Return how a calendar stands, by the answer to a list."""
    facts = wire.account.facts._replace(code=answer.reason)
    if answer.kind is Kind.DONE:
        role = str(answer.body.get("accessRole", ""))
        reason = _lacking(role)
        why = trouble(reason, facts._replace(role=role)) if reason else None
        return State(role, str(answer.body.get("timeZone", "")), why)
    shared = wire.options.mode == "shared"
    reasons = {
        Kind.ABSENT: "not_shared" if shared else "no_such_calendar",
        Kind.FORBIDDEN: "not_shared" if shared else "no_such_calendar",
        Kind.TOO_FAST: "quota",
        Kind.USED_UP: "usage_limit",
        Kind.MISCONFIGURED: "api_disabled" if answer.reason == "accessNotConfigured" else "scope",
        Kind.TOKEN: "login_refused",
    }
    if answer.kind not in reasons:
        return State(trouble=wire.unreachable(answer))
    return State(trouble=trouble(reasons[answer.kind], facts))


def _lacking(role: str) -> str | None:
    if role in _WRITERS:
        return None
    return "no_private_access" if role == "writerWithoutPrivateAccess" else "read_only"


# --- what others changed -----------------------------------------------------------------------


def seen(wire: Wire, calendar: str, cursor: Mapping[str, Any] | None, known: Known) -> Look:
    """Return what differs from what we wrote; see `Calendar.seen`. Raises Stopped."""
    if nobody_looks_at(wire, calendar):
        return Look(trouble=trouble("own_calendar", wire.account.facts))
    token = cursor.get("token") if cursor else None
    listed = _list(wire, calendar, token)
    if token and listed.answer.kind is Kind.DELETED:
        token, listed = None, _list(wire, calendar, None)  # the token is dead: look at everything
    state = state_of(wire, listed.answer)
    if state.trouble is not None:
        return Look(trouble=state.trouble)
    found = _Found(wire, listed.items, known, whole=token is None)
    return Look(
        [*found.sightings(calendar)],
        {"token": listed.token} if listed.token else None,
        strangers=found.strangers,
    )


class _Listed(NamedTuple):
    answer: Answer
    items: list[Body]
    token: str | None


def _list(wire: Wire, calendar: str, token: str | None) -> _Listed:
    """Return all pages of a list; one that cannot be read to its end counts for nothing."""
    items: list[Body] = []
    asked: dict[str, Any] = {"syncToken": token} if token else {"showDeleted": True}
    for _ in range(_MOST_PAGES):
        answer = wire.call(calendar, partial(_page, calendar, asked))
        if answer.kind is not Kind.DONE:
            return _Listed(answer, [], None)
        items += (item for item in answer.body.get("items", ()) if marks(item).ours)
        following = answer.body.get("nextPageToken")
        if not following:
            return _Listed(answer, items, answer.body.get("nextSyncToken"))
        asked = {**asked, "pageToken": following}
    return _Listed(Answer(Kind.UNKNOWN, reason="endless pages"), [], None)


def _page(calendar: str, asked: Mapping[str, Any], events: Any) -> Any:
    return events.list(calendarId=calendar, maxResults=2500, fields=_LISTED, **asked)


class _Found:
    """Our events among those that were listed. `whole` says that the list was of all there is."""

    def __init__(self, wire: Wire, items: Iterable[Body], known: Known, *, whole: bool) -> None:
        self._wire, self._identity, self._whole = wire, wire.identity, whole
        self._ours: list[tuple[Body, Marks]] = []
        others: Counter[str] = Counter()
        for item in items:
            said = marks(item)
            if said.instance == self._identity.instance:
                self._ours.append((item, said))
            elif not is_deleted(item):
                others[said.instance] += 1
        self.strangers: Mapping[str, int] = others
        self._ours.sort(
            key=lambda one: one[1].generation
        )  # the last of a visit is the one that counts
        self._memos = known() if whole else known({said.ref for _, said in self._ours})

    def sightings(self, calendar: str) -> Iterator[Sighting]:
        """Yield what is news, having read in full what may be. Raises Stopped."""
        answered: set[str] = set()
        suspects: dict[str, str] = {}
        for item, said in self._ours:
            memo = self._memos.get(said.ref)
            if memo is None:
                yield from self._too_many(item, said, Hand.ORPHANED)
            elif item["id"] != (
                memo.get("id") or self._identity.event_id(said.ref, said.generation)
            ):
                yield from self._too_many(item, said, Hand.COPIED)
            else:
                answered.add(said.ref)
                if item.get("etag") != memo.get("etag"):
                    suspects[said.ref] = item["id"]
        if self._whole:
            suspects |= {
                ref: memo["id"]
                for ref, memo in self._memos.items()
                if memo.get("id") and ref not in answered and not memo.get("gone")
            }
        for ref, answer in _in_full(self._wire, calendar, suspects):
            yield from self._sighting(ref, answer)

    def _too_many(self, item: Body, said: Marks, hand: Hand) -> Iterator[Sighting]:
        if self._whole and not is_deleted(item):
            memo: Memo = {"id": item["id"], "gen": said.generation, "etag": item.get("etag", "")}
            yield Sighting(said.ref, memo, hand)

    def _sighting(self, ref: str, answer: Answer) -> Iterator[Sighting]:
        before = self._memos[ref]
        if answer.kind is Kind.ABSENT:
            yield Sighting(ref, {"gen": before.get("gen", 0)}, Hand.MISSING)
        elif answer.kind is Kind.DONE and marks(answer.body).ref == ref:
            event = answer.body
            memo = memo_of(event, self._identity, before)
            hand = self._hand(event, memo, before)
            start, end = span(event) or (None, None)
            if hand or memo != before:
                yield Sighting(ref, memo, hand, start, end)

    def _hand(self, event: Body, memo: Memo, before: Memo) -> Hand | None:
        if is_deleted(event):
            expected = before.get("deleted") or before.get("gone")
            return None if expected else Hand.DELETED
        return changed_by(str(before.get("print") or marks(event).sent), str(memo["print"]))


def _in_full(
    wire: Wire, calendar: str, suspects: Mapping[str, str]
) -> Iterator[tuple[str, Answer]]:
    """Yield each event, asked for by its id; one about which nothing can be heard is left out."""
    refs = list(suspects)
    for tried in range(TRIES):
        again = []
        for first in range(0, len(refs), AT_ONCE):
            some = refs[first : first + AT_ONCE]
            answers = wire.batch(calendar, [partial(_get, calendar, suspects[ref]) for ref in some])
            for ref, answer in zip(some, answers, strict=True):
                if answer.kind in AGAIN:
                    again.append(ref)
                else:
                    yield ref, answer
        refs = again
        if not refs:
            return
        wire.rest(tried)
    # What cannot be read now must not be passed over for good: the token stays as it was.
    raise Stopped(wire.unreachable(Answer(Kind.UNKNOWN, reason="events")))


def _get(calendar: str, event: str, events: Any) -> Any:
    return events.get(calendarId=calendar, eventId=event, fields=FULL)


def the_event(wire: Wire, calendar: str, event: str) -> Answer:
    """Return one event, asked for by its id. Raises Stopped."""
    return wire.call(calendar, partial(_get, calendar, event))
