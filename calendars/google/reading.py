"""Reads calendars: how they stand, which events of this product are there, and those in full.

Only ids, etags and our own marks are asked of what else stands there: a doctor's own titles and
notes never come here. A list that is short or empty proves nothing; an event is missing only when it
was asked for by its id and the calendar itself is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

from calendars.google.answers import Answer, Kind
from calendars.google.event import (
    Body,
    is_bare_tombstone,
    marks,
)
from calendars.google.troubles import trouble
from calendars.google.wire import AGAIN, TRIES, Stopped, Wire
from calendars.google.writing import FULL
from clinicrelay import EventResult

_MARKS = "extendedProperties/private(csRef,csInst,csGen,csApp)"
_LISTED = f"items(id,etag,status,{_MARKS}),nextPageToken,nextSyncToken,accessRole,timeZone"
_WRITERS = ("owner", "writer")
_MOST_PAGES = 10_000

T = TypeVar("T")


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


# --- events --------------------------------------------------------------------------------------


class Listed(NamedTuple):
    answer: Answer
    items: list[Body]
    token: str | None


def list_all(wire: Wire, calendar: str, token: str | None) -> Listed:
    """Return all pages of a list; one that cannot be read to its end counts for nothing."""
    items: list[Body] = []
    asked: dict[str, Any] = {"syncToken": token} if token else {"showDeleted": True}
    for _ in range(_MOST_PAGES):
        answer = wire.call(calendar, partial(_page, calendar, asked))
        if answer.kind is not Kind.DONE:
            return Listed(answer, [], None)
        items += filter(_concerns_us, answer.body.get("items", ()))
        following = answer.body.get("nextPageToken")
        if not following:
            return Listed(answer, items, answer.body.get("nextSyncToken"))
        asked = {**asked, "pageToken": following}
    return Listed(Answer(Kind.UNKNOWN, reason="endless pages"), [], None)


def _concerns_us(item: Body) -> bool:
    return marks(item).ours or is_bare_tombstone(item)


def _page(calendar: str, asked: Mapping[str, Any], events: Any) -> Any:
    return events.list(calendarId=calendar, maxResults=2500, fields=_LISTED, **asked)


def in_full(wire: Wire, calendar: str, wanted: Mapping[T, str]) -> Iterator[tuple[T, Answer]]:
    """Yield events, asked for by their ids, each with the key it stands under. Raises Stopped."""
    keys = list(wanted)
    for tried in range(TRIES):
        again: dict[T, Answer] = {}
        for first in range(0, len(keys), wire.at_once):
            some = keys[first : first + wire.at_once]
            answers = wire.batch(calendar, [partial(_get, calendar, wanted[key]) for key in some])
            for key, answer in zip(some, answers, strict=True):
                if answer.kind in AGAIN:
                    again[key] = answer
                else:
                    yield key, answer
        if not again:
            return
        keys = list(again)
        wire.rest(tried, again[keys[-1]])
    # What cannot be read now must not be passed over for good: the token stays as it was.
    raise Stopped(wire.unreachable(again[keys[-1]]))


def _get(calendar: str, event: str, events: Any) -> Any:
    return events.get(calendarId=calendar, eventId=event, fields=FULL)


def the_event(wire: Wire, calendar: str, event: str) -> Answer:
    """Return one event, asked for by its id. Raises Stopped."""
    return wire.call(calendar, partial(_get, calendar, event))
