"""Answers of Google that get lost, batches of which parts fail, and runs that have to stop.

CAL-03, 25, 26 and 42 at the wire.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from google_peer.peer import GooglePeer

from clinicrelay import EventWrite, Outcome
from clinicrelay.contracts import Unpaced
from clinicrelay.testing import NOW
from tests.calendars.conftest import (
    Ours,
    accepted,
    asked,
    batches,
    live,
    many,
    write,
)

LOST_AFTER = ("close_after", "reset_after", "truncate", "drop_part")
LOST_BEFORE = ("close_before", "reset_before", "html")


# --- no answer (CAL-03, CAL-25) ------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize("kind", [*LOST_AFTER, *LOST_BEFORE, "hang", "hang_after"])
def test_an_answer_that_is_lost_is_asked_for_again_and_nothing_is_doubled(
    google: GooglePeer, reach_google: Any, kind: str, count: int
) -> None:
    """CAL-03: lost on the first write, on a later part, and on the request that holds them."""
    ours = reach_google(timeout="1s")
    hangs = kind.startswith("hang")
    where = "insert" if count == 1 else "batch"
    google.fault(kind, where, limit=1, seconds=3)
    if count > 1 and not hangs and kind != "html":
        google.fault(kind, "insert", nth=7)
    assert accepted(ours.put(*many(count)))
    assert (len(live(google)), google.duplicates()) == (count, {})
    assert google.mails() == []


@pytest.mark.parametrize("operation", ["patch", "delete"])
@pytest.mark.parametrize("kind", LOST_AFTER[:3])
def test_a_lost_answer_to_a_change_or_removal_is_not_taken_for_a_doctors_hand(
    google: GooglePeer, ours: Ours, kind: str, operation: str
) -> None:
    ours.put(write())
    google.fault(kind, operation, limit=1)
    changed = write(title="Video visit", start=NOW + timedelta(days=2))
    result = ours.once(changed if operation == "patch" else EventWrite("r1", put=False))
    assert (result.outcome, result.hand) == (Outcome.ACCEPTED, None)
    assert len(live(google)) == (operation == "patch")


@pytest.mark.parametrize("came_through", [True, False])
def test_what_is_to_go_is_looked_at_first_where_nobody_knows_whether_it_came(
    google: GooglePeer, ours: Ours, came_through: bool
) -> None:
    """CAL-10: no write without the etag it is based on."""
    if came_through:
        ours.put(write())
        ours.memos.clear()
    google.forget_calls()
    assert ours.once(EventWrite("r1", put=False)).outcome is Outcome.ACCEPTED
    assert [call.operation for call in google.calls("get", "delete")] == ["get", "delete"][
        : 1 + came_through
    ]
    assert live(google) == []


def test_an_event_that_is_purged_while_it_is_removed_is_gone(
    google: GooglePeer, ours: Ours
) -> None:
    ours.put(write())
    google.fault("status", "delete", limit=1, status=412, reason="conditionNotMet")
    google.fault("status", "get", limit=1, status=404, reason="notFound")
    assert ours.once(EventWrite("r1", put=False)).outcome is Outcome.ACCEPTED
    assert google.calls("insert")[1:] == []


def test_only_the_part_that_failed_is_sent_again(google: GooglePeer, ours: Ours) -> None:
    """CAL-25."""
    for n, (status, reason) in enumerate([(503, "backendError"), (500, "x"), (409, "conflict")]):
        google.fault("status", "insert", nth=5 + 7 * n, status=status, reason=reason)
    assert accepted(ours.put(*many(40)))
    tries = [json.loads(call.body)["id"] for call in google.calls("insert")]
    assert len(tries) == 43
    assert sorted(tries.count(one) for one in set(tries)) == [1] * 37 + [2] * 3
    assert len(live(google)) == 40


def test_a_server_that_answers_nothing_is_given_up(google: GooglePeer, ours: Ours) -> None:
    google.fault("status", "batch")
    results = ours.put(*many(260))
    assert {one.reason for one in results} == {"unreachable"}
    assert not accepted(results)
    assert len(google.calls("batch")) <= 10
    google.heal()
    assert accepted(ours.put(*many(260)))
    assert (len(live(google)), google.duplicates()) == (260, {})


def test_only_the_part_that_is_missing_in_an_answer_is_sent_again(
    google: GooglePeer, ours: Ours
) -> None:
    """CAL-25: it was done; so the second try finds it and takes it for ours."""
    google.fault("drop_part", "insert", nth=7)
    assert accepted(ours.put(*many(20)))
    tries = [json.loads(call.body)["id"] for call in google.calls("insert")]
    assert sorted(tries.count(one) for one in set(tries)) == [1] * 19 + [2]
    assert (len(live(google)), google.duplicates()) == (20, {})


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [(503, "backendError", "unreachable"), (429, "rateLimitExceeded", "quota")],
)
def test_a_run_whose_patience_is_over_says_what_it_waited_for(
    google: GooglePeer,
    reach_google: Any,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    reason: str,
    said: str,
) -> None:
    monkeypatch.setattr("calendars.google.wire._PATIENCE", timedelta(0))
    google.fault("status", "insert", status=status, reason=reason)
    assert {one.reason for one in reach_google().put(*many(20))} == {said}


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_at_random_three_runs_are_enough(
    google: GooglePeer, ours: Ours, seed: int
) -> None:
    """CAL-03, CAL-25: a quarter of all batches is lost in some way, and parts of the others."""
    google.world.random.seed(seed)
    for kind in ("status", "drop_part"):
        google.fault(kind, "insert", probability=0.02)
    for kind in (*LOST_AFTER[:3], *LOST_BEFORE):
        google.fault(kind, "batch", probability=0.05)
    for _ in range(3):
        results = ours.put(*many(150))
    google.heal()
    assert accepted(results)
    assert (len(live(google)), google.duplicates()) == (150, {})


# --- batches (CAL-26) ----------------------------------------------------------------------------


def test_batches_hold_fifty_and_their_order_means_nothing(google: GooglePeer, ours: Ours) -> None:
    """CAL-26."""
    google.switch(batch_shuffle=True)
    results = ours.put(*many(120))
    assert [one.ref for one in results] == [one.ref for one in many(120)]
    assert [len(parts) for parts in batches(google)] == [50, 50, 20]
    by_ref = {one["extendedProperties"]["private"]["csRef"]: one["id"] for one in live(google)}
    assert {one.ref: one.memo["id"] for one in results} == by_ref
    assert all(len({part.event for part in parts}) == len(parts) for parts in batches(google)[3:])


def test_no_batch_writes_one_event_twice(google: GooglePeer, ours: Ours) -> None:
    """CAL-26: whatever has to be asked again comes in a later one."""
    ours.put(*many(30))
    ours.memos.clear()
    google.fault("status", "patch", every=4, limit=6)
    google.forget_calls()
    assert accepted(ours.put(*(write(one.ref, start=one.start, title="New") for one in many(60))))
    for parts in batches(google):
        written = [
            part.event or json.loads(part.body)["id"] for part in parts if part.method != "GET"
        ]
        assert len(written) == len(set(written))
    assert google.duplicates() == {}


def test_a_part_that_collided_within_its_batch_is_made_again(
    google: GooglePeer, ours: Ours
) -> None:
    """CAL-25: it says nothing of the event itself."""
    ours.put(*many(5))
    google.fault("status", "patch", status=409, reason="conflict", nth=2)
    google.forget_calls()
    assert accepted(ours.put(*(write(one.ref, start=one.start, title="New") for one in many(5))))
    assert asked(google) == ["patch"] * 6


# --- the end of a run ----------------------------------------------------------------------------


class NoLeave(Unpaced):
    """Lets so many calls through, and then none in this run."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def take(self, key: str, n: int = 1) -> timedelta:
        self.left -= n * key.startswith("user/")
        return timedelta.max if self.left < 0 else timedelta(0)


def test_without_leave_for_more_the_rest_waits_for_the_next_run(
    google: GooglePeer, reach_google: Any
) -> None:
    results = reach_google(own={"pace": NoLeave(70)}).put(*many(120))
    reasons = [(one.outcome, one.reason) for one in results]
    assert reasons == [(Outcome.ACCEPTED, "")] * 50 + [(Outcome.NOT_SENT, "quota")] * 70
    assert len(live(google)) == 50


def test_a_run_that_is_to_end_stops_between_two_batches(
    google: GooglePeer, reach_google: Any
) -> None:
    """CAL-42: whatever was answered is told, and nothing more is begun."""
    answers = iter([True] * 2)
    ours = reach_google(own={"rest": lambda seconds: next(answers, False)})
    results = ours.put(*many(500))
    done = [one for one in results if one.outcome is Outcome.ACCEPTED]
    assert 0 < len(done) == len(live(google)) < 500
    assert {one.outcome for one in results} == {Outcome.ACCEPTED, Outcome.NOT_SENT}
    assert all(one.blocks for one in results if one.outcome is Outcome.NOT_SENT)
