"""Who may be reached, decided on paper: every combination of live, named, paused and a set clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from sync.standing import (
    Leave,
    Leaving,
    Live,
    NotNamed,
    Pause,
    Rehearse,
    Standing,
    Stopped,
    may_leave,
)

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
LIVE = Standing((Live("patients", "", NOW - timedelta(days=1)),))
REHEARSAL = Standing()
ADDRESS = "+4915155500001"


def leaving(
    *,
    standing: Standing = REHEARSAL,
    outside: bool = True,
    named: tuple[str, ...] | None = None,
    rehearsed: bool = False,
    foretold: bool = False,
    doctors: tuple[str, ...] = (),
) -> Leaving:
    return Leaving(
        part="patients",
        plugin="twilio",
        outside=outside,
        doctors=doctors,
        address=ADDRESS,
        named=named,
        rehearsed=rehearsed,
        foretold=foretold,
        standing=standing,
    )


OTHERS, HERS = ("*@riverside.example",), (ADDRESS,)


@pytest.mark.parametrize(
    ("standing", "outside", "named", "expected"),
    [
        (REHEARSAL, True, None, Rehearse()),
        (REHEARSAL, True, OTHERS, Rehearse()),
        (REHEARSAL, True, HERS, Leave()),
        (REHEARSAL, False, None, Leave()),
        (REHEARSAL, False, OTHERS, NotNamed()),
        (REHEARSAL, False, HERS, Leave()),
        (LIVE, True, None, Leave()),
        (LIVE, True, OTHERS, NotNamed()),
        (LIVE, True, HERS, Leave()),
        (LIVE, False, None, Leave()),
        (LIVE, False, OTHERS, NotNamed()),
    ],
)
def test_who_is_reached(
    standing: Standing, outside: bool, named: tuple[str, ...] | None, expected: object
) -> None:
    thing = leaving(standing=standing, outside=outside, named=named)
    assert may_leave(thing, now=NOW) == expected


def test_under_a_clock_set_by_hand_nothing_ever_goes_outside() -> None:
    for standing, named in product((REHEARSAL, LIVE), (None, HERS)):
        thing = leaving(standing=standing, named=named, rehearsed=True)
        assert may_leave(thing, now=NOW) == Rehearse()


def test_live_for_others_is_not_live_for_this_one() -> None:
    part = Standing((Live("doctors", "", NOW), Live("patients", "braun", NOW)))
    assert may_leave(leaving(standing=part), now=NOW) == Rehearse()
    assert may_leave(leaving(standing=part, doctors=("acar",)), now=NOW) == Rehearse()
    assert may_leave(leaving(standing=part, doctors=("acar", "braun")), now=NOW) == Leave()


@pytest.mark.parametrize("scope", ["", "patients", "twilio"])
def test_a_pause_of_it_stops_even_what_stays_on_this_machine(scope: str) -> None:
    until = NOW + timedelta(hours=1)
    paused = Standing(LIVE.live, (Pause(scope, "", until, NOW),))
    for outside in (True, False):
        thing = leaving(standing=paused, outside=outside)
        assert may_leave(thing, now=NOW) == Stopped(until)
        assert may_leave(thing, now=until) == Leave()


@pytest.mark.parametrize("scope", ["doctors", "calendars", "smtp"])
def test_a_pause_of_something_else_stops_nothing(scope: str) -> None:
    paused = Standing(LIVE.live, (Pause(scope, "", None, NOW),))
    assert may_leave(leaving(standing=paused), now=NOW) == Leave()


def test_a_live_store_elsewhere_reaches_nobody() -> None:
    strange = Standing(LIVE.live, elsewhere="the machine old-desk")
    for outside, named in product((True, False), (None, HERS)):
        thing = leaving(standing=strange, outside=outside, named=named)
        assert isinstance(may_leave(thing, now=NOW), Stopped)
    assert strange.mode(NOW) == "paused"


def test_what_is_foretold_leaves_wherever_it_would_be_sent_or_rehearsed() -> None:
    assert may_leave(leaving(foretold=True), now=NOW) == Leave()
    assert may_leave(leaving(foretold=True, rehearsed=True), now=NOW) == Leave()
    assert may_leave(leaving(foretold=True, standing=LIVE, named=OTHERS), now=NOW) == NotNamed()


@pytest.mark.parametrize(
    ("standing", "mode", "first_words"),
    [
        (REHEARSAL, "rehearsal", "REHEARSAL"),
        (LIVE, "live", "LIVE (patients; the rest in rehearsal)"),
        (
            Standing(tuple(Live(p, "", NOW) for p in ("calendars", "doctors", "patients"))),
            "live",
            "LIVE",
        ),
        (
            Standing((Live("calendars", "", NOW), Live("patients", "acar", NOW))),
            "live",
            "LIVE (calendars, patients of acar; the rest in rehearsal)",
        ),
        (Standing(LIVE.live, (Pause("", "", None, NOW),)), "paused", "PAUSED"),
        (Standing(LIVE.live, (Pause("twilio", "", None, NOW),)), "paused", "PAUSED (twilio)"),
        (
            Standing(LIVE.live, (Pause("", "", NOW, NOW),)),
            "live",
            "LIVE (patients; the rest in rehearsal)",
        ),
    ],
)
def test_the_first_words_of_every_command(standing: Standing, mode: str, first_words: str) -> None:
    assert (standing.mode(NOW), standing.headline(NOW)) == (mode, first_words)


def test_of_several_pauses_the_one_that_lasts_longest_is_told() -> None:
    soon = Pause("", "", NOW + timedelta(hours=1), NOW)
    late = Pause("patients", "", NOW + timedelta(hours=2), NOW)
    endless = Pause("twilio", "", None, NOW)
    paused = Standing(LIVE.live, (soon, late, endless))
    assert paused.paused("patients", "twilio", NOW) == endless
    assert paused.paused("patients", "smtp", NOW) == late
    assert paused.paused("doctors", "smtp", NOW) == soon
