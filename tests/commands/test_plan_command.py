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


def test_the_lists_of_several_doctors_are_told_apart_by_their_ids(desk: Any, row: Row) -> None:
    desk.change("steps: [3d, 1d, 1h]}", 'steps: [1d]}\n  doctor: {digest: {at: "18:00"}}')
    day = {"date": "2026-11-25", "doctor_email": ""}
    desk.drop(
        row(1, **day, doctor_id="d1"),
        row(2, **{**day, "doctor_email": "two@riverside.example"}, doctor_id="d2"),
        row(3, **{**day, "doctor_email": "lost@riverside.example"}, doctor_id=""),
    )

    ran = desk.run("plan", "--until", "34h")
    found = json.loads(desk.run("plan", "--until", "34h", "--json").out)

    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert any("digest 2026-11-25 to doctor d1 the day no_contact" in line for line in lines)
    assert any("digest 2026-11-25 to doctor d2 by email the day" in line for line in lines)
    assert [one["doctor"] for one in found["unsaid"] if one["kind"] == "digest"] == ["d1"]
    lists = [one["doctor"] for one in found["messages"] if one["kind"] == "digest"]
    assert len(set(lists)) == 2
    assert "d2" in lists
    assert "@" not in ran.out + json.dumps(found["messages"])
    assert not any("doctor" in one for one in found["messages"] if one["to"] == "patient")
