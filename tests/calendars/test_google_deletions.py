"""A deletion by the doctor is seen, though of a deleted event a list of changes tells only the id."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from calendars.google.answers import Answer, Kind
from calendars.google.event import Body, Identity, memo_of
from calendars.google.found import seen
from calendars.google.troubles import Facts
from calendars.google.wire import Call, Wire
from clinicrelay import Hand, Memo, Sighting

CALENDAR = "elif.acar@riverside.example"
IDENTITY = Identity(b"k" * 32)
OURS = IDENTITY.event_id("r1", 0)
BEFORE: Memo = {"id": OURS, "gen": 0, "etag": '"1"', "print": "a:b"}
BARE: Body = {"id": OURS, "status": "cancelled", "etag": '"2"'}


class Listed:
    """A wire on which one list of changes arrives, and then the events that are asked for."""

    def __init__(self, items: Sequence[Body], event: Answer) -> None:
        self.identity, self._items, self._event = IDENTITY, items, event
        self.options = SimpleNamespace(mode="delegated")
        self.at_once = 50
        self.account = SimpleNamespace(facts=Facts())
        self.asked = 0

    def call(self, calendar: str, call: Call) -> Answer:
        body = {"items": self._items, "nextSyncToken": "t2", "accessRole": "owner"}
        return Answer(Kind.DONE, body)

    def batch(self, calendar: str, calls: Sequence[Call]) -> list[Answer]:
        self.asked += len(calls)
        return [self._event for _ in calls]


class Memory:
    """What is known of a calendar's events; `asked` are the refs of each question, None for all."""

    def __init__(self, memos: Mapping[str, Memo]) -> None:
        self._memos = memos
        self.asked: list[Collection[str] | None] = []

    def __call__(self, refs: Collection[str] | None = None) -> Mapping[str, Memo]:
        self.asked.append(refs)
        return {ref: m for ref, m in self._memos.items() if refs is None or ref in refs}


def look(
    item: Body, event: Answer, memo: Memo = BEFORE
) -> tuple[Sequence[Sighting], Listed, Memory]:
    wire, known = Listed([item], event), Memory({"r1": memo})
    found = seen(cast(Wire, wire), CALENDAR, {"token": "t1"}, known)
    assert found.cursor == {"token": "t2"}
    return found.sightings, wire, known


def full(**more: Any) -> Answer:
    own = {"csApp": "1", "csRef": "r1", "csInst": IDENTITY.instance, "csGen": "0"}
    return Answer(Kind.DONE, {**BARE, "extendedProperties": {"private": own}, **more})


@pytest.mark.parametrize("event", [full(), Answer(Kind.DONE, BARE)], ids=["whole", "bare"])
def test_a_deletion_that_is_listed_by_its_id_alone_is_seen(event: Answer) -> None:
    (sighting,), _, _ = look(BARE, event)

    assert (sighting.ref, sighting.hand) == ("r1", Hand.DELETED)
    assert sighting.memo["deleted"]
    assert (sighting.memo["id"], sighting.memo["etag"]) == (OURS, '"2"')


def test_a_deletion_that_was_seen_before_or_is_ours_is_no_news() -> None:
    (again,), _, _ = look(BARE, full(), {**BEFORE, "deleted": True})
    ours, wire, _ = look(BARE, full(), {"id": OURS, "gen": 0, "gone": True})

    assert again.hand is None
    assert ours == []
    assert wire.asked == 0


def test_an_event_that_the_doctor_put_back_as_it_was_is_as_it_was_written() -> None:
    lived = full(status="confirmed", etag='"0"', summary="Appointment", visibility="private")
    before = memo_of(lived.body, IDENTITY, {})
    (deleted,), _, _ = look(BARE, full(), before)
    back = full(**{**lived.body, "etag": '"3"'})
    (restored,), _, _ = look(back.body, back, deleted.memo)

    assert deleted.hand is Hand.DELETED
    assert restored.hand is None
    assert restored.memo == {**before, "etag": '"3"'}


def test_an_event_that_was_purged_meanwhile_is_missing() -> None:
    (sighting,), _, _ = look(BARE, Answer(Kind.ABSENT))

    assert sighting.hand is Hand.MISSING


def test_what_a_doctor_deletes_of_their_own_is_asked_about_nowhere() -> None:
    own = {"id": "cs0own0event0of0the0doctor", "status": "cancelled"}
    found, wire, known = look(own, full())

    assert found == []
    assert wire.asked == 0
    assert known.asked == [set()]
