"""What was accepted and came back: the mended number gets it once, and what is too late has failed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.testing import Fault
from sync.explain import stories
from sync.health import health
from sync.searching import search
from tests.notifiers.peers import PROVIDERS, Peer, Provider

if TYPE_CHECKING:
    from sync.report import RunReport
    from tests.line.conftest import Line

SMS, EMAIL, _ = PROVIDERS
OLD, NEW = "+4915155500001", "+4915155500011"
MAIL = "p1@mail.example"
NO_SUCH_NUMBER, OFF = 30005, 30003


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """What providers do is the same on every store."""
    return f"sqlite:///{tmp_path}/store.db"


class Post:
    """A clinic that sends by real requests to small providers of ours, and says what reached whom."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.peers: list[Peer] = []

    def serve(self, *providers: Provider, **reminders: Any) -> None:
        self.peers = [Peer(one) for one in providers]
        through = {
            one.provider.name: {**one.provider.options, "base_url": one.door(), "timeout": "1s"}
            for one in self.peers
        }
        channels = {
            "order": [one.channel for one in providers],
            "consent": {one.channel: "implied" for one in providers},
        }
        self.line.set(
            calendars={},
            notifiers=through,
            channels=channels,
            reminders={"patient": reminders},
        )

    def book(self, start: str = "2026-11-27 10:00", at: str = "2026-11-23 09:00") -> None:
        self.line.book(1, start)
        self.line.drop()
        self.line.sync(at)

    def after(self, when: str | timedelta, **cells: str) -> list[str]:
        """Change cells of the visit, sync, and return to whom something was said since."""
        if cells:
            self.line.change(1, **cells)
            self.line.drop()
        before = len(self.said)
        self.line.sync(when)
        return [to for to, _ in self.said[before:]]

    def bounce(self, code: int, *numbers: str) -> None:
        """Let the telephone network give back what was accepted for these numbers."""
        for one in self.peers[0].exchange.messages:
            if one["to"] in numbers:
                one.update(status="undelivered", error_code=code)

    def deliver(self, *numbers: str) -> None:
        for one in self.peers[0].exchange.messages:
            if one["to"] in numbers:
                one.update(status="delivered", error_code=None)

    @property
    def said(self) -> list[tuple[str, str]]:
        taken = (one for peer in self.peers for one in peer.taken)
        return [(one.to, one.text) for one in taken]

    def ledger(self, kind: str) -> list[tuple[Any, ...]]:
        return self.line.query(f"SELECT state, reason FROM messages WHERE kind = '{kind}'")


@pytest.fixture
def post(line: Line) -> Iterator[Post]:
    post = Post(line)
    yield post
    for peer in post.peers:
        peer.close()


def quiet(post: Post, *whens: str) -> list[str]:
    return [to for when in whens for to in post.after(when)]


NEWS = {
    "change": {"start": "2026-11-27 12:00"},
    "cancellation": {"status": "cancelled"},
}


def news(post: Post, kind: str, code: int = NO_SUCH_NUMBER) -> None:
    """Let news be accepted at 10:00, and come back at 10:05."""
    assert post.after("2026-11-23 10:00", **NEWS[kind]) == [OLD]
    post.bounce(code, OLD)
    assert post.after("2026-11-23 10:05") == []
    ((state, reason),) = post.ledger(kind)
    assert (state, reason.startswith(f"undelivered({code}")) == ("failed", True)


@pytest.mark.parametrize("code", [NO_SUCH_NUMBER, OFF])
@pytest.mark.parametrize("kind", NEWS)
def test_news_that_did_not_arrive_go_to_the_corrected_number_once(
    post: Post, kind: str, code: int
) -> None:
    post.serve(SMS, steps=["1d"])
    post.book()
    news(post, kind, code)
    assert post.after("2026-11-23 11:00", mobile=NEW) == [NEW]
    assert post.ledger(kind) == [("sent", None)]
    assert quiet(post, "2026-11-23 11:05", "2026-11-23 12:00") == []
    assert post.after("2026-11-23 13:00", notes="brings papers") == []
    first, second = (text for _, text in post.said)
    assert first == second


@pytest.mark.parametrize("kind", NEWS)
def test_they_go_to_an_address_that_was_not_there_before(post: Post, kind: str) -> None:
    post.serve(SMS, EMAIL, steps=["1d"])
    post.line.book(1, "2026-11-27 10:00", email="")
    post.line.drop()
    post.line.sync("2026-11-23 09:00")
    news(post, kind)
    assert post.after("2026-11-23 11:00", email=MAIL) == [MAIL]
    assert quiet(post, "2026-11-23 11:05", "2026-11-23 12:00") == []


@pytest.mark.parametrize("kind", NEWS)
def test_no_other_edit_brings_them_back_to_a_number_that_got_nothing(post: Post, kind: str) -> None:
    post.serve(SMS, steps=["1d"])
    post.book()
    news(post, kind, OFF)
    assert post.after("2026-11-23 11:00", notes="brings papers") == []
    assert post.after("2026-11-23 11:10", email="other@mail.example") == []
    (state,) = {state for state, _ in post.ledger(kind)}
    assert state == "failed"


def test_a_number_that_is_corrected_twice_gets_it_each_time_it_did_not_arrive(post: Post) -> None:
    post.serve(SMS, steps=["1d"])
    post.book()
    news(post, "cancellation")
    assert post.after("2026-11-23 11:00", mobile=NEW) == [NEW]
    post.bounce(OFF, NEW)
    assert post.after("2026-11-23 11:05") == []
    assert post.ledger("cancellation") == [("failed", "undelivered(30003: handset_unreachable)")]
    assert post.after("2026-11-23 12:00", mobile=OLD) == []  # it got nothing before
    assert post.after("2026-11-23 13:00", mobile="+4915155500012") == ["+4915155500012"]
    assert quiet(post, "2026-11-23 13:05", "2026-11-23 14:00") == []


def test_what_the_wrong_number_reports_later_is_not_taken_for_the_right_ones(post: Post) -> None:
    post.serve(SMS, steps=["1d"])
    post.book()
    news(post, "cancellation")
    assert post.after("2026-11-23 11:00", mobile=NEW) == [NEW]
    post.deliver(OLD)
    assert quiet(post, "2026-11-23 11:05", "2026-11-23 12:00") == []
    post.bounce(NO_SUCH_NUMBER, NEW)
    post.after("2026-11-23 13:00")
    assert post.ledger("cancellation") == [("failed", "undelivered(30005: address_refused)")]
    told = post.line.query("SELECT state FROM attempts")
    assert told == [("undelivered",), ("undelivered",)]


def test_a_number_that_is_corrected_before_it_is_known_gets_them_at_once(post: Post) -> None:
    post.serve(SMS, steps=["1d"])
    post.book()
    assert post.after("2026-11-23 10:00", status="cancelled") == [OLD]
    post.bounce(NO_SUCH_NUMBER, OLD)
    assert post.after("2026-11-23 10:05", mobile=NEW) == [NEW]
    assert quiet(post, "2026-11-23 10:10", "2026-11-23 11:00") == []


def test_what_is_no_longer_so_is_not_said_to_the_corrected_number(post: Post) -> None:
    post.serve(SMS, steps=["1d"])
    post.book()
    news(post, "change")
    post.after("2026-11-23 11:00", start="2026-11-27 14:00", mobile=NEW)
    ((to, text),) = post.said[1:]
    assert (to, "14:00" in text) == (NEW, True)
    assert quiet(post, "2026-11-23 11:05", "2026-11-23 12:00") == []


def test_a_cancellation_is_not_made_up_for_once_the_visit_would_have_begun(post: Post) -> None:
    post.serve(SMS, steps=["1d"])
    post.book()
    news(post, "cancellation")
    assert post.after("2026-11-27 10:00", mobile=NEW) == []


def test_a_reminder_that_did_not_arrive_comes_back_while_it_is_of_use(post: Post) -> None:
    post.serve(SMS, steps=["1d", "1h"])
    post.book()
    assert post.after("2026-11-26 10:00") == [OLD]
    post.bounce(NO_SUCH_NUMBER, OLD)
    assert post.after("2026-11-26 10:05") == []
    assert post.after("2026-11-26 12:00", mobile=NEW) == [NEW]
    assert quiet(post, "2026-11-26 12:05", "2026-11-26 13:00") == []
    assert post.after("2026-11-27 09:00") == [NEW]


def test_a_reminder_whose_next_step_has_come_does_not(post: Post) -> None:
    post.serve(SMS, steps=["1d", "1h"])
    post.book()
    assert post.after("2026-11-26 10:00") == [OLD]
    post.bounce(OFF, OLD)
    assert post.after("2026-11-26 10:05") == []
    assert post.after("2026-11-27 09:00") == [OLD]
    assert post.after("2026-11-27 09:02", mobile=NEW) == []
    post.bounce(OFF, OLD)
    assert post.after("2026-11-27 09:10") == [NEW]
    assert quiet(post, "2026-11-27 09:12", "2026-11-27 09:30") == []


def test_a_confirmation_that_did_not_arrive_is_made_up_for(post: Post) -> None:
    post.serve(SMS, confirmation={"channels": ["sms"]}, steps=["1d"])
    post.line.book(2, "2026-12-30 10:00")
    post.line.drop()
    post.line.sync("2026-11-23 09:00")
    post.line.book(1, "2026-11-27 10:00")
    assert post.after("2026-11-23 10:00", notes="") == [OLD]
    post.bounce(NO_SUCH_NUMBER, OLD)
    assert post.after("2026-11-23 10:05") == []
    assert post.after("2026-11-25 10:00", mobile=NEW) == [NEW]
    assert quiet(post, "2026-11-25 10:05", "2026-11-25 11:00") == []
    assert post.ledger("confirmation") == [("sent", None)]


def test_mail_that_bounced_goes_to_the_corrected_address(post: Post) -> None:
    post.serve(EMAIL, steps=["1d"])
    post.book()
    assert post.after("2026-11-23 10:00", status="cancelled") == [MAIL]
    (mail,) = post.peers[0].exchange.mails
    mail.update(status="not_delivered", events=[{"event_name": "bounce"}])
    post.after("2026-11-23 10:05")
    ((state, _),) = post.ledger("cancellation")
    assert state == "failed"
    assert post.after("2026-11-23 11:00", email="right@mail.example") == ["right@mail.example"]
    assert quiet(post, "2026-11-23 11:05", "2026-11-23 12:00") == []


# --- too late for another way ----------------------------------------------------------------------


def why(line: Line) -> str:
    (told,) = line.at_work(lambda at_work: stories(at_work, search(at_work, "reception/1")))
    return told.answer


def early(post: Post, code: int | None = OFF) -> RunReport:
    """Let the last reminder of a visit at 7:30 leave just before the night, and come back in it."""
    post.serve(SMS, EMAIL, steps=["1h"])
    post.line.set(quiet_hours={"start": "21:00", "end": "08:00"})
    post.book("2026-11-27 07:30")
    assert post.after("2026-11-26 20:55") == [OLD]
    if code is not None:
        post.bounce(code, OLD)
    return post.line.sync("2026-11-26 21:00")


def test_a_last_reminder_that_comes_back_in_the_night_has_failed(post: Post) -> None:
    report = early(post)
    assert post.ledger("reminder") == [("failed", "undelivered(30003: handset_unreachable)")]
    assert (report.messages.failed, report.exit) == (1, 3)
    assert not report.messages.skipped
    assert [to for to, _ in post.said] == [OLD]


def test_why_says_that_it_came_back_and_that_the_night_left_no_other_way(post: Post) -> None:
    early(post)
    told = why(post.line)
    assert "it was accepted and did not arrive (it said 30003: the telephone was off" in told
    assert "The night left no other way in time." in told


def test_the_staff_hear_of_it(post: Post) -> None:
    early(post)
    found = post.line.at_work(health)
    assert found.messages["failed"] == 1
    assert "1 message failed in the last 24 h" in [need.what for need in found.needs]
    assert (found.tomorrow.visits, found.tomorrow.explained) == (1, 0)


def test_one_that_arrived_before_the_night_has_not(post: Post) -> None:
    report = early(post, None)
    assert post.ledger("reminder") == [("sent", None)]
    assert report.exit == 0


def test_by_day_it_is_the_same_where_the_other_way_is_down_until_it_is_too_late(post: Post) -> None:
    post.serve(SMS, EMAIL, steps=["1d"])
    post.book()
    assert post.after("2026-11-26 10:00") == [OLD]
    post.bounce(OFF, OLD)
    post.peers[1].fate = lambda: Fault.GONE
    assert quiet(post, "2026-11-26 10:05", "2026-11-26 11:00", "2026-11-27 09:00") == []
    post.after("2026-11-27 09:50")
    assert post.ledger("reminder") == [("failed", "undelivered(handset_unreachable)")]


def test_what_only_waited_until_it_was_too_late_keeps_that_reason(post: Post) -> None:
    post.serve(SMS, steps=["1d"])
    post.book()
    post.peers[0].fate = lambda: Fault.BUSY
    quiet(post, "2026-11-26 10:00", "2026-11-26 11:00", "2026-11-27 09:00")
    report = post.line.sync("2026-11-27 09:50")
    assert post.ledger("reminder") == [("skipped", "rate")]
    assert report.messages.failed == 0


def test_a_visit_that_was_cancelled_meanwhile_has_no_reminder_that_failed(post: Post) -> None:
    post.serve(SMS, EMAIL, steps=["1h"])
    post.line.set(quiet_hours={"start": "21:00", "end": "08:00"})
    post.book("2026-11-27 07:30")
    assert post.after("2026-11-26 20:55") == [OLD]
    post.bounce(OFF, OLD)
    post.after("2026-11-26 21:00", status="cancelled")
    assert post.ledger("reminder") == [("skipped", "cancelled")]
