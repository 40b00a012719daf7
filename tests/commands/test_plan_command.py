"""`clinicrelay plan` on a terminal's pipe: what will be said when, and what not, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from clinicrelay.testing.kits import canaries_in

Row = Callable[..., dict[str, Any]]


def test_a_plan_tells_when_messages_leave_and_why_others_will_not(desk: Any, row: Row) -> None:
    desk.drop(row(1, time="07:30"), row(2, phone="", email=""))

    ran = desk.run("plan", "--until", "9d")

    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    times = [line.partition(" reminder")[0] for line in lines if "reception/1" in line]
    assert times == ["Sat 28 Nov 08:00", "Mon 30 Nov 08:00", "Mon 30 Nov 20:55"]  # never at night
    assert "not said no_contact 3" in lines
    assert any("reception/2 no_contact: the source has no address" in line for line in lines)
    assert canaries_in(ran.out, ran.err) == []


def test_the_json_of_a_plan_has_exactly_the_promised_keys_and_what_is_not_said(
    desk: Any, row: Row
) -> None:
    desk.drop(row(1, phone="", email=""))

    found = json.loads(desk.run("plan", "--until", "9d", "--json").out)

    assert set(found) == {"changes", "calendars", "messages", "unsaid", "held", "set_aside"}
    assert found["messages"] == []
    assert found["unsaid"][0] == {
        "at": "2026-11-28T08:15:00Z",
        "kind": "reminder",
        "step": "3d",
        "to": "patient",
        "appointment": "reception/1",
        "reason": "no_contact",
        "setting": "channels.order",
    }
