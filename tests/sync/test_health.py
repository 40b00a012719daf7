"""How a clinic stands, judged from numbers alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sync.breaker import Barred
from sync.calendar_health import CalendarHealth
from sync.coverage import Coverage
from sync.health import Health, SourceHealth
from sync.outstanding import Outstanding
from sync.push import Blocked
from sync.standing import Pause, Standing

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
QUIET = {"due": 0, "sent_24h": 12, "unknown": 0, "failed": 0}
SOURCE = SourceHealth("ok", NOW, None, 300, 0, 0)
LOCKED_OUT = Barred("credentials_refused", NOW, NOW + timedelta(minutes=15))
UNSHARED = Blocked("acar@riverside.example", "not_shared", "share it")
STOPPED = Blocked("acar@riverside.example", "usage_limit", "wait", everywhere=True)
AWAY = Barred("unreachable", NOW - timedelta(hours=1), NOW + timedelta(minutes=1))


def clinic(**changes: Any) -> Health:
    whole = Health(
        "live", NOW, {"ehr": SOURCE}, {"google": CalendarHealth()}, QUIET, Coverage(), []
    )
    return replace(whole, **changes)


def test_a_clinic_without_a_care_is_green() -> None:
    assert clinic().healthy
    assert clinic().exit == 0


NEEDS = {
    "failed": ({"sources": {"ehr": replace(SOURCE, state="failed", error="HTTP 403")}}, "HTTP 403"),
    "stale": ({"sources": {"ehr": replace(SOURCE, state="stale")}}, "too long"),
    "partial": ({"sources": {"ehr": replace(SOURCE, state="partial")}}, "to its end"),
    "new": ({"sources": {"ehr": replace(SOURCE, state="new")}}, "never read"),
    "set aside": ({"sources": {"ehr": replace(SOURCE, set_aside=2)}}, "2 set aside from ehr"),
    "blocked": (
        {"calendars": {"google": CalendarHealth("blocked", 3, 1, [UNSHARED])}},
        "calendar google:acar@riverside.example not_shared",
    ),
    "an account that is stopped": (
        {"calendars": {"google": CalendarHealth("blocked", 3, 2, [STOPPED, STOPPED])}},
        "calendars google usage_limit: 2 cannot be written",
    ),
    "refused events": ({"calendars": {"google": CalendarHealth(refused=2)}}, "2 events set aside"),
    "moved too often": (
        {"calendars": {"google": CalendarHealth(held=1, asked=2)}},
        "1 moved too often, 2 deleted or moved",
    ),
    "failed messages": ({"messages": {**QUIET, "failed": 2}}, "2 messages failed"),
    "unproven messages": ({"messages": {**QUIET, "unproven": 2}}, "2 messages in the last 24 h"),
    "a notifier locked out": ({"barred": {"post": LOCKED_OUT}}, "post sends nothing since"),
    "a server away for long": ({"barred": {"post": AWAY}}, "cannot be reached"),
    "uncovered": ({"tomorrow": Coverage(40, 30, 9)}, "1 of 40 visits tomorrow"),
}


@pytest.mark.parametrize("situation", NEEDS)
def test_whatever_needs_a_person_turns_it_red_and_names_a_command(situation: str) -> None:
    changes, said = NEEDS[situation]
    found = clinic(**changes)

    (need,) = found.needs
    assert said in need.what
    assert need.command
    assert found.exit == 3
    assert found.json()["healthy"] is False


def test_a_hold_outweighs_everything_else() -> None:
    found = clinic(
        holds=[{"id": 7, "source": "ehr", "summary": "61 of 412 visits missing"}],
        messages={**QUIET, "failed": 2},
    )

    assert found.exit == 4
    assert found.needs[0].command == "clinicrelay held show h7"


def test_a_calendar_in_rehearsal_and_a_message_being_settled_need_nobody() -> None:
    found = clinic(
        calendars={"google": CalendarHealth("rehearsal", 90)}, messages={**QUIET, "unknown": 3}
    )

    assert found.exit == 0


def test_the_clinics_clock_tells_since_when_a_notifier_sends_nothing() -> None:
    (need,) = clinic(barred={"post": LOCKED_OUT}, zone="Europe/Berlin").needs
    assert f"since {NOW.astimezone(ZoneInfo('Europe/Berlin')):%a %d %b %H:%M}: " in need.what


def test_a_server_away_for_a_moment_needs_nobody() -> None:
    assert clinic(barred={"post": AWAY._replace(since=NOW)}).exit == 0


def test_what_nobody_can_find_out_is_told_as_unknown() -> None:
    told = clinic(messages={**QUIET, "unknown": 3, "unproven": 2}).json()["messages"]
    assert told == {**QUIET, "unknown": 5, "visits_waiting": 0}


def test_what_the_next_run_will_owe_is_due_as_well() -> None:
    found = clinic(messages={**QUIET, "due": 2}, outstanding=Outstanding(messages=3))
    assert found.json()["messages"]["due"] == 5
    assert found.exit == 0


def test_a_notifier_is_told_as_paused_or_barred_and_else_as_ok() -> None:
    stopped = Standing(pauses=(Pause("sms", "wrong texts", None, NOW),))
    found = clinic(senders=("post", "sms", "spare"), barred={"post": AWAY}, standing=stopped)

    told = found.json()["notifiers"]

    assert {name: (one["state"], one["reason"]) for name, one in told.items()} == {
        "post": ("barred", "unreachable"),
        "sms": ("paused", "wrong texts"),
        "spare": ("ok", None),
    }


def test_the_first_visits_of_which_nobody_is_told_are_named() -> None:
    many = tuple(f"ehr/{n}" for n in range(1, 6))

    (need,) = clinic(tomorrow=Coverage(9, 4, 0, many)).needs

    assert "5 of 9 visits tomorrow: nobody is reminded (ehr/1, ehr/2, ehr/3 …)" in need.what
    assert need.command == "clinicrelay appointments --uncovered"
