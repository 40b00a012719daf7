"""A message is proven sent after newer ones have left: who knows what goes by the order of leaving."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinicrelay.testing import Fault
from clinicrelay.times import local, parse_instant
from sync.explain import stories
from sync.foresee import foresee
from sync.searching import search
from tests.notifiers.peers import ALL, Fate, Peer, Provider

if TYPE_CHECKING:
    from sync.explain import Story
    from sync.foresee import Forecast
    from tests.line.conftest import Line

ZONE = "Europe/Berlin"
EXAMPLES = int(os.environ.get("CLINICRELAY_TEST_EXAMPLES", "18"))
SMS = next(one for one in ALL if one.name == "twilio")
MUTE = next(one for one in ALL if one.name == "aws_eum")  # nobody can ask it afterwards
LOST = Fault.ANSWER_LOST
either = pytest.mark.parametrize("provider", [SMS, MUTE], ids=lambda one: one.name)


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """Which of two messages is the newer one is the same question on every store."""
    return f"sqlite:///{tmp_path}/store.db"


class Ward:
    """A clinic with one provider, whose lists lag a minute and a half."""

    def __init__(self, line: Line, provider: Provider, **reminders: Any) -> None:
        self.line, self.peer = line, Peer(provider, lag=timedelta(seconds=90))
        there = {**provider.options, "base_url": self.peer.door()}
        names = ("post", "other_post")  # an answer that is lost rests the one for a minute
        line.set(
            calendars={},
            channels=provider.channels,
            notifiers=dict.fromkeys(names, there),
            reminders={"patient": {"steps": ["1d"], **reminders}},
        )

    def at(self, clock: str, *fates: Fate, **cells: str) -> None:
        """Let visit 1 be changed, if it is, and run; what leaves then ends so, and well after that."""
        if cells:
            self.line.change(1, **cells)
            self.line.drop()
        left = list(fates)
        self.peer.fate = lambda: left.pop(0) if left else None
        self.run(parse_instant(f"2026-11-23T{clock}", ZONE))

    def run(self, moment: datetime) -> None:
        self.line.now = self.peer.now = moment
        self.line.sync(timedelta(0))

    @property
    def came(self) -> list[str]:
        """What the patients got, in its order: a word for each kind, with the time that it tells."""
        return [_gist(one.text) for one in self.peer.taken]

    @property
    def story(self) -> Story:
        (story,) = self.line.at_work(
            lambda at_work: stories(at_work, search(at_work, "reception/1"))
        )
        return story

    def plan(self, until: timedelta = timedelta(hours=1)) -> Forecast:
        return self.line.at_work(
            lambda at_work: foresee(at_work, until=at_work.now + until), scratch=True
        )

    def close(self) -> None:
        self.peer.close()


def _gist(text: str) -> str:
    words = {"abgesagt": "off", "verlegt": "moved", "findet doch": "on again"}
    kind = next((kind for word, kind in words.items() if word in text), "reminder")
    told = re.findall(r"\d\d:\d\d", text)[0]
    return f"{kind} {told}"


def begin(line: Line, visits: int = 1) -> None:
    """Import one patient's visits of tomorrow, from noon on."""
    for number in range(1, visits + 1):
        clock = f"2026-11-24 {11 + number}:00"
        line.book(number, clock, patient_id="P1", mobile="+4915155550001")
    line.drop()
    line.sync("2026-11-23 09:00")


@pytest.fixture
def opened(line: Line) -> Iterator[Callable[..., Ward]]:
    made: list[Ward] = []

    def ward(provider: Provider, *, visits: int = 1, **reminders: Any) -> Ward:
        made.append(one := Ward(line, provider, **reminders))
        begin(line, visits)
        return one

    yield ward
    for one in made:
        one.close()


LATER = ("12:02:30", "12:04", "12:06", "12:10", "12:30", "13:30")
OFF = {"status": "cancelled"}


def moved(clock: str) -> dict[str, str]:
    return {"start": f"2026-11-24 {clock}"}


@either
@pytest.mark.parametrize(
    ("news", "told"), [(OFF, "off 12:00"), (moved("15:00"), "moved 15:00")], ids=["off", "moved"]
)
def test_news_leave_once_though_the_reminder_before_them_is_found_out_later(
    opened: Callable[..., Ward], provider: Provider, news: dict[str, str], told: str
) -> None:
    ward = opened(provider)
    ward.at("12:00", LOST)
    ward.at("12:00:30", **news)
    for clock in LATER:
        ward.at(clock)
    assert ward.came == ["reminder 12:00", told]


@either
def test_of_two_moves_each_is_told_once_though_the_first_is_found_out_later(
    opened: Callable[..., Ward], provider: Provider
) -> None:
    ward = opened(provider)
    ward.at("10:00", LOST, **moved("15:00"))
    ward.at("10:00:30", **moved("16:00"))
    for clock in LATER[:3]:
        ward.at(clock.replace("12:", "10:"))
    assert ward.came == ["moved 15:00", "moved 16:00"]
    ward.at("11:00", **moved("15:00"))
    assert ward.came[2:] == ["moved 15:00"], "measured by the second move"


@either
@pytest.mark.parametrize("clock", ["12:00:30", "11:00:30"], ids=["later", "the clock goes back"])
def test_a_visit_that_was_told_along_is_called_off_once(
    opened: Callable[..., Ward], provider: Provider, clock: str
) -> None:
    ward = opened(provider, visits=2)
    ward.at("12:00", LOST)
    ward.line.change(2, status="cancelled")
    ward.line.drop()
    for later in (clock, *LATER):
        ward.at(later)
    assert ward.came == ["reminder 12:00", "off 13:00"]


def test_news_wait_for_the_same_news_whose_end_nobody_knows(opened: Callable[..., Ward]) -> None:
    ward = opened(SMS)
    ward.at("12:00", LOST)
    ward.at("12:01:05", LOST, **OFF)  # found once the reminder is, and not before
    for clock in ("12:02:20", "12:02:30", *LATER[1:]):
        ward.at(clock)
    assert ward.came == ["reminder 12:00", "off 12:00"]


def test_of_two_whose_end_nobody_can_find_out_the_news_are_repeated_once(
    opened: Callable[..., Ward],
) -> None:
    ward = opened(MUTE)
    ward.at("12:00", LOST)
    ward.at("12:00:30", LOST, **OFF)
    for clock in LATER:
        ward.at(clock)
    assert ward.came == ["reminder 12:00", "off 12:00", "off 12:00"]


@either
@pytest.mark.parametrize("clock", ["12:00", "11:00:30"], ids=["no time passes", "it goes back"])
def test_the_order_holds_whatever_the_clock_does(
    opened: Callable[..., Ward], provider: Provider, clock: str
) -> None:
    ward = opened(provider)
    ward.at("12:00", LOST)
    ward.at(clock, **OFF)
    for later in ("11:02", "11:04", *LATER):
        ward.at(later)
    assert ward.came == ["reminder 12:00", "off 12:00"]


def test_history_says_when_a_message_left_and_when_that_was_found_out(
    opened: Callable[..., Ward],
) -> None:
    ward = opened(SMS)
    ward.at("12:00", LOST)
    ward.at("12:02:30")
    story = ward.story
    told = [(f"{one.at:%H:%M:%S}", one.what, one.detail) for one in story.history[1:]]
    assert told == [
        ("11:00:00", "reminder 1d sent", "sms by post, accepted"),
        ("11:02:30", "reminder 1d found to have left", "by post"),
    ]
    assert "told by SMS on Mon 23 Nov 12:00 (reminder 1d)" in story.answer


# --- what is said meanwhile ------------------------------------------------------------------------

MAY = "may have arrived, and nobody can prove it"
NEWS = [
    pytest.param(OFF, "cancellation", "It was cancelled. ", id="off"),
    pytest.param(moved("15:00"), "change", "", id="moved"),
]


@pytest.mark.parametrize(("news", "kind", "first"), NEWS)
def test_why_says_that_news_may_have_arrived_and_that_they_are_repeated(
    opened: Callable[..., Ward], news: dict[str, str], kind: str, first: str
) -> None:
    ward = opened(MUTE)
    ward.at("10:00", LOST, **news)
    once_more = "It is sent once more Mon 23 Nov 10:01."
    assert ward.story.answer == f"{first}The {kind} {MAY}: post cannot be asked. {once_more}"
    busy = Fault.BUSY
    ward.at("10:05", busy, busy)
    assert ward.story.answer.startswith(f"{first}The {kind} {MAY}. It is sent once more Mon 23")
    assert "told the same already" not in ward.story.answer
    ward.at("10:30", LOST)
    assert ward.story.answer == (
        f"{first}The {kind} {MAY}: post cannot be asked. "
        "It is not sent again: call the person if it matters."
    )
    ward.at("10:45")
    found = f"{first}Nobody can find out whether the {kind} of Mon 23 Nov 10:45 arrived: "
    assert ward.story.answer.startswith(found + "it was sent twice, and both times the answer was")
    assert len(ward.peer.taken) == 2


def test_why_says_that_a_provider_is_asked_only_where_it_can_be(
    opened: Callable[..., Ward],
) -> None:
    ward = opened(SMS)
    ward.at("10:00", LOST, **OFF)
    assert ward.story.answer == (
        "It was cancelled. Nobody knows yet whether the cancellation arrived: post is asked again "
        "Mon 23 Nov 10:01, and nothing is sent twice meanwhile."
    )
    (unsaid,) = ward.plan().unsaid
    assert (unsaid["kind"], unsaid["reason"]) == ("cancellation", "answer_lost")


@pytest.mark.parametrize("provider", ALL, ids=lambda one: one.name)
def test_it_is_known_who_can_be_asked(opened: Callable[..., Ward], provider: Provider) -> None:
    ward = opened(provider)
    assert ward.line.at_work(lambda at_work: at_work.tells("post")) is provider.tells
    assert not ward.line.at_work(lambda at_work: at_work.tells("one that is gone"))


@pytest.mark.parametrize(("news", "kind", "first"), NEWS)
def test_plan_shows_the_news_that_are_sent_once_more(
    opened: Callable[..., Ward], news: dict[str, str], kind: str, first: str
) -> None:
    ward = opened(MUTE)
    ward.at("10:00", LOST, **news)
    assert [one["reason"] for one in ward.plan(timedelta(0)).unsaid] == ["answer_lost"]
    forecast = ward.plan()
    assert [(one["kind"], one["at"][11:16]) for one in forecast.messages] == [(kind, "09:01")]
    assert forecast.unsaid == []


def test_a_visit_that_is_past_was_perhaps_told(opened: Callable[..., Ward]) -> None:
    ward = opened(MUTE, steps=["20h"])
    ward.at("16:00", LOST)
    ward.at("16:05")
    ward.run(parse_instant("2026-11-24T13:00", ZONE))
    assert "Nobody can find out whether the reminder 20h" in ward.story.answer
    assert "Nobody was told" not in ward.story.answer


# --- whatever happens ------------------------------------------------------------------------------

books = st.one_of(
    st.just(OFF),
    st.sampled_from(["12:00", "15:00", "16:00"]).map(lambda c: {"status": "scheduled", **moved(c)}),
)
moves = st.lists(
    st.tuples(books, st.booleans(), st.sampled_from([20, 40, 65, 100])), min_size=1, max_size=6
)


@pytest.mark.parametrize("store_url", ["sqlite:///made/anew/each/time"])
def test_whatever_changes_while_answers_are_lost_nobody_hears_the_same_twice(
    house: Callable[..., Line], tmp_path: Path
) -> None:
    numbers = count()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(moves)
    def whatever(some: list[tuple[dict[str, str], bool, int]]) -> None:
        ward = Ward(house(store=f"sqlite:///{tmp_path}/{next(numbers)}.db"), SMS)
        try:
            _everything_is_told_once(ward, some)
        finally:
            ward.close()

    whatever()


def _everything_is_told_once(ward: Ward, some: list[tuple[dict[str, str], bool, int]]) -> None:
    begin(ward.line)
    ward.at("09:30")
    now = ward.line.now
    for cells, lost, seconds in some:
        now += timedelta(seconds=seconds)
        ward.at(f"{local(now, ZONE):%H:%M:%S}", *([LOST] if lost else []), **cells)
    for minutes in range(2, 22, 2):
        ward.run(now + timedelta(minutes=minutes))
    came = ["on 12:00", *ward.came]
    assert all(one != other for one, other in pairwise(came)), came
    row = ward.line.rows["1"]
    expected = "off" if row["status"] == "cancelled" else row["start"][-5:]
    assert expected in came[-1], came
