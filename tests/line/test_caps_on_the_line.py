"""Nobody gets more reminders than the settings allow; news of a closed door always leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.line.conftest import Line

STEPS = {"patient": {"steps": ["1d"], "confirmation": {"channels": ["sms"]}}}
HOURS = ("09:00", "10:00", "11:00", "12:00", "13:00")


def ledger(line: Line, kind: str = "reminder") -> list[tuple[object, ...]]:
    """Return state and reason of each message, by the visit's hour."""
    return line.query(
        "SELECT a.source_key, m.state, m.reason FROM messages m JOIN appointments a "
        f"ON a.id = m.appointment WHERE m.kind = '{kind}' ORDER BY a.source_key"
    )


def one_person(line: Line, *, caps: object, day: str = "2026-11-25", **cells: str) -> None:
    """Give one patient five visits on a day, each elsewhere, so that each is told by itself."""
    line.set(safety={"caps": caps}, reminders=STEPS, channels={"order": ["sms"]})
    line.drop()
    line.sync("2026-11-23 09:00")
    for number, hour in enumerate(HOURS, 1):
        line.book(number, f"{day} {hour}", patient_id="P1", mobile="+4915155550001",
                  email="p1@mail.example", location=f"House {number}", **cells)  # fmt: skip


def test_what_is_above_the_cap_of_a_day_waits_for_the_next(line: Line) -> None:
    one_person(line, caps={"day": 3, "week": 20})
    line.drop()
    line.sync("2026-11-23 09:30")
    assert [row[1] for row in ledger(line, "confirmation")].count("sent") == 2  # one is left free
    line.sync("2026-11-24 13:01")
    sent, waits = ("sent", None), ("planned", "cap_reached")
    assert [row[1:] for row in ledger(line)] == [sent, sent, sent, waits, waits]
    line.sync("2026-11-25 08:01")  # the first hour of the day that is not of the night
    assert [row[1:] for row in ledger(line)] == [sent] * 5


def test_what_no_waiting_would_help_is_not_said_and_why_tells_it(line: Line) -> None:
    one_person(line, caps={"day": 3, "week": 3})
    line.drop()
    line.sync("2026-11-23 09:30")
    line.sync("2026-11-24 13:01")
    skipped = ("skipped", "cap_reached")
    assert [row[1:] for row in ledger(line)] == [("sent", None)] * 2 + [skipped] * 3
    assert line.query(
        "SELECT DISTINCT setting FROM messages WHERE kind = 'reminder' AND state = 'skipped'"
    ) == [("safety.caps",)]


def test_a_series_booked_at_once_does_not_cost_the_reminder_of_its_nearest_visit(
    line: Line,
) -> None:
    one_person(line, caps={"day": 3, "week": 6}, day="2026-12-09")
    line.book(9, "2026-11-25 10:00", patient_id="P1", mobile="+4915155550001")
    line.drop()
    line.sync("2026-11-23 09:30")
    confirmed = [key for key, state, _ in ledger(line, "confirmation") if state == "sent"]
    assert confirmed == ["1", "9"]  # the nearest, and one more
    line.sync("2026-11-24 10:01")
    assert ledger(line) == [("9", "sent", None)]


def test_a_cancellation_leaves_whatever_was_said_before(line: Line) -> None:
    one_person(line, caps={"day": 1, "week": 1})
    line.drop()
    line.sync("2026-11-23 09:30")
    for number in range(1, 5):  # five would be held
        line.change(number, status="cancelled")
    line.drop()
    line.sync("2026-11-23 10:30")
    told = [row for row in ledger(line, "cancellation") if row[1] == "sent"]
    assert len(told) == 4  # whoever booked them knows of them, confirmed or not


def test_another_person_at_the_same_number_is_counted_apart(line: Line) -> None:
    line.set(safety={"caps": {"day": 1, "week": 1}}, channels={"order": ["sms"]},
             reminders={"patient": {"steps": ["1d"]}})  # fmt: skip
    for number in (1, 2):
        line.book(number, "2026-11-25 10:00", mobile="+4915155550001")
    line.drop()
    line.sync("2026-11-23 09:00")
    line.sync("2026-11-24 10:01")
    assert [row[1] for row in ledger(line)] == ["sent", "sent"]


def test_where_another_channel_is_open_it_is_taken(line: Line) -> None:
    one_person(line, caps={"day": 1, "week": 20})
    line.set(channels={"order": ["sms", "email"]})
    line.drop()
    line.sync("2026-11-23 09:30")
    line.sync("2026-11-24 11:01")
    rows = line.query("SELECT channel FROM messages WHERE kind = 'reminder' AND state = 'sent'")
    assert sorted(rows) == [("email",), ("sms",)]


def test_switched_off_everything_leaves(line: Line) -> None:
    one_person(line, caps="off")
    line.drop()
    line.sync("2026-11-23 09:30")
    line.sync("2026-11-24 13:01")
    assert [row[1] for row in ledger(line)] == ["sent"] * 5
