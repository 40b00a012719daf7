"""`clinicrelay why` on a clinic that has really lived through it."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from clinicrelay.testing.kits import canaries_in

Row = Callable[..., dict[str, Any]]
NOON = "2026-11-23T11:00:00Z"
EVENING = "2026-11-23T16:00:00Z"
KEYS = {
    *("appointment", "history", "events", "messages", "next"),
    *("reason", "setting", "to_do", "answer"),
}


def told(desk: Any, reference: str, now: str = EVENING) -> dict[str, Any]:
    ran = desk.run("why", reference, "--json", now=now)
    assert ran.code == 0, ran
    found: dict[str, Any] = json.loads(ran.out)
    return found


def sql(desk: Any, statement: str) -> None:
    with sqlite3.connect(desk.folder / "var" / "clinicrelay.db") as store:
        assert store.execute(statement).rowcount
    store.close()


@pytest.fixture
def lived(desk: Any, row: Row) -> Any:
    """Visits 1 to 9 came with the import; 10 was booked at noon."""
    imported = [row(n) for n in range(1, 10)]
    desk.sync(*imported)
    desk.sync(*imported, row(10), now=NOON)
    return desk


@pytest.mark.parametrize(
    "reference",
    [
        "reception/10",
        "10",
        "p10",
        "patient/p10",
    ],
)
def test_a_visit_is_found_by_what_people_have_at_hand(lived: Any, reference: str) -> None:
    assert told(lived, reference)["appointment"]["key"] == "10"


@pytest.mark.parametrize(
    "reference",
    ["+1 (202) 555-0143", "+12025550143", "QUENBY@canary.example", "quenby canary", "Cana"],
)
def test_all_visits_of_a_person_are_found_the_nearest_first(lived: Any, reference: str) -> None:
    found = told(lived, reference)

    starts = [one["appointment"]["start"] for one in found["appointments"]]
    assert len(starts) == 10
    assert starts == sorted(starts)
    assert found["appointment"] == found["appointments"][0]["appointment"]


def test_names_are_found_whatever_the_accents_and_the_case(desk: Any, row: Row) -> None:
    desk.sync(row(1, patient_name="Zoë Müller"), row(2, patient_name="Zora Maler"))

    for name in ("muller", "Müller", "ZOE MÜLLER", "Müller, Zoë", "zoe"):
        assert told(desk, name)["appointment"]["key"] == "1"


def test_a_confirmation_is_told_with_its_way_and_setting(lived: Any) -> None:
    found = told(lived, "10")

    (message,) = found["messages"]
    assert (message["kind"], message["state"], message["channel"]) == (
        "confirmation",
        "sent",
        "email",
    )
    assert message["setting"] == "reminders.patient.confirmation"
    line = next(one for one in found["history"] if one["what"] == "confirmation sent")
    assert line["detail"] == "e-mail by outbox, accepted"
    assert set(line) == {"at", "what", "reason", "setting", "detail"}
    assert "told by e-mail on Mon 23 Nov 12:00 (confirmation)" in found["answer"]
    assert "reminder (3d) leaves" in found["answer"]


def test_the_promised_json_has_exactly_its_keys(lived: Any) -> None:
    found = told(lived, "10")

    assert set(found) == KEYS
    assert (found["reason"], found["setting"], found["to_do"]) == (None, None, None)
    (event,) = found["events"]
    assert event["state"] == "synced"
    assert event["calendar"] == "files:acar"
    assert found["next"] == {
        "step": "3d",
        "at": "2026-11-28T08:30:00Z",
        "channel": "sms",
        "reason": None,
        "setting": None,
    }


def test_a_message_and_an_event_lead_back_to_their_visit(lived: Any) -> None:
    found = told(lived, "10")
    attempt = found["messages"][0]["attempts"][0]["id"]

    assert attempt.startswith("cr")
    assert told(lived, attempt)["appointment"]["key"] == "10"
    assert told(lived, found["events"][0]["ref"])["appointment"]["key"] == "10"


@pytest.mark.parametrize(
    ("id_", "reference"),
    [
        ("SM0123456789abcdef0123456789abcdef", "SM0123456789abcdef0123456789abcdef"),
        ("9f1c2ab4-0c6d", "9f1c2ab4-0c6d"),
        ("14c5d75ce93", "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0"),
    ],
)
def test_a_message_is_found_by_what_its_provider_calls_it(
    lived: Any, id_: str, reference: str
) -> None:
    sql(lived, f"UPDATE attempts SET provider_id = '{id_}'")

    assert told(lived, reference)["appointment"]["key"] == "10"
    assert lived.run("why", f"{reference}0", now=EVENING).code == (0 if "." in reference else 3)


def test_a_list_is_found_by_what_its_provider_calls_it(desk: Any, row: Row) -> None:
    desk.change("steps: [3d, 1d, 1h]}", 'steps: [1d]}\n  doctor: {digest: {at: "18:00"}}')
    desk.sync(row(1, date="2026-11-24"))
    desk.run("sync", now="2026-11-23T17:05:00Z")
    digest = "SELECT id FROM messages WHERE kind = 'digest'"
    sql(desk, f"UPDATE attempts SET provider_id = 'SM77' WHERE message IN ({digest})")

    assert "This is the digest 2026-11-24" in told(desk, "SM77")["answer"]


def test_a_patient_whose_visit_is_anothers_now_is_found_by_what_was_sent(
    lived: Any, row: Row
) -> None:
    rest = [row(n) for n in range(1, 10)]
    lived.sync(*rest, row(10, patient_id="p77"), now="2026-11-23T12:00:00Z")

    for reference in ("p10", "patient/p10"):
        found = told(lived, reference)
        assert found["appointment"]["key"] == "10"
        assert "patient/p10" in {one["to"] for one in found["messages"]}
    assert lived.run("why", "p78", now=EVENING).code == 3


def test_a_step_that_fell_due_while_nothing_ran_is_the_next_one(desk: Any, row: Row) -> None:
    desk.sync(row(1, time="10:00"))
    late = "2026-11-30T14:00:00Z"

    found = told(desk, "1", now=late)
    assert (found["next"]["step"], found["next"]["at"]) == ("1d", late)
    assert "reminder (1d) is overdue and leaves with the next run by SMS" in found["answer"]
    assert "next: reminder 1d  with the next run, sms" in desk.run("why", "1", now=late).out
    sent = json.loads(desk.run("plan", "--json", now=late).out)["messages"]
    assert [one["step"] for one in sent] == ["1d"]

    desk.sync(now=late)
    assert told(desk, "1", now=late)["next"]["step"] == "1h"


def test_an_imported_visit_counts_as_told(lived: Any) -> None:
    found = told(lived, "1")

    assert found["messages"] == []
    assert found["history"][0]["reason"] == "imported"
    assert "there at the first read" in found["answer"]


def test_a_move_and_a_cancellation_stand_in_the_history(lived: Any, row: Row) -> None:
    rest = [row(n) for n in range(1, 10)]
    lived.sync(*rest, row(10, date="2026-12-02"), now="2026-11-23T12:00:00Z")
    lived.sync(*rest, row(10, date="2026-12-02", status="cancelled"), now="2026-11-23T13:00:00Z")

    found = told(lived, "10")

    whats = [line["what"] for line in found["history"]]
    assert whats[0] == "first seen"
    assert {"rescheduled", "change sent", "cancelled", "cancellation sent"} <= set(whats)
    moved = next(line for line in found["history"] if line["what"] == "rescheduled")
    assert "Tue 1 Dec 09:30 → Wed 2 Dec 09:30" in moved["detail"]
    assert found["appointment"]["version"] == 3
    assert found["answer"].startswith("It was cancelled, and the patient was told by SMS on")


def test_a_visit_that_vanished_says_that_nobody_was_told(lived: Any, row: Row) -> None:
    lived.sync(*(row(n) for n in range(1, 10)), now="2026-11-23T12:00:00Z")

    found = told(lived, "10")

    assert found["appointment"]["gone"] is True
    assert "nobody was told (reminders.patient.on_gone is off)" in found["answer"]
    gone = next(line for line in found["history"] if line["what"] == "gone")
    assert gone["reason"] == "source_deleted"


def test_a_held_change_points_to_its_hold(lived: Any, row: Row) -> None:
    lived.sync(row(1), now="2026-11-23T12:00:00Z")

    found = told(lived, "10")

    assert "held for a person" in found["answer"]
    assert "clinicrelay held show h1" in found["answer"]
    assert any(line["setting"] == "safety.hold_if.gone" for line in found["history"])


def test_a_record_set_aside_leaves_the_visit_as_it_was(lived: Any, row: Row) -> None:
    rest = [row(n) for n in range(1, 10)]
    lived.sync(*rest, row(10, status="XQ"), now="2026-11-23T12:00:00Z")

    found = told(lived, "10")

    assert found["appointment"]["status"] == "booked"
    assert "unknown_status in status" in found["answer"]


def test_who_has_no_address_is_told_what_to_enter(desk: Any, row: Row) -> None:
    desk.sync(row(1, phone="", email=""))

    assert "no address for any allowed channel" in told(desk, "1")["answer"]


def test_restricted_recipients_are_named_as_the_reason(desk: Any, row: Row) -> None:
    desk.write(desk.settings.read_text() + 'safety: {only_recipients: ["*@riverside.example"]}\n')
    desk.sync(row(1))
    desk.sync(row(1), row(2), now=NOON)

    found = told(desk, "2")

    assert found["messages"][0]["reason"] == "only_recipients"
    assert found["messages"][0]["setting"] == "safety.only_recipients"
    assert "restricted to" in found["answer"]


def test_a_source_that_fell_silent_is_warned_of(desk: Any, row: Row) -> None:
    desk.change("settle: 0s}", "settle: 0s}, stale_after: 2h")
    desk.sync(row(1))

    assert "Beware: reception is stale" in told(desk, "1", now="2026-11-23T16:00:00Z")["answer"]
    assert "Beware" not in told(desk, "1", now="2026-11-23T09:00:00Z")["answer"]


def test_what_is_not_known_may_have_been_set_aside(desk: Any, row: Row) -> None:
    desk.sync(row(1), row(2, status="XQ"))

    for reference in ("2", "reception/2", "p2"):
        ran = desk.run("why", reference)
        assert ran.code == 3
        assert "clinicrelay quarantine show 1" in ran.out.replace("\n              ", " ")
        assert "last read completely Mon 23 Nov 09:00" in ran.out.replace("\n              ", " ")


def test_nothing_found_keeps_the_shape_of_the_json(desk: Any) -> None:
    ran = desk.run("why", "nobody", "--json")

    assert ran.code == 3
    found = json.loads(ran.out)
    assert found["appointment"] is None
    assert set(found) == KEYS
    assert found["reason"] == "not_known"


def test_a_pipe_gets_the_life_of_a_visit_and_no_name(lived: Any) -> None:
    ran = lived.run("why", "Quenby Canary", now=EVENING)

    assert "reception/10" in ran.out
    assert "Short answer: " in ran.out
    assert "10 patients, 10 visits ahead" in ran.out
    assert canaries_in(ran.out, ran.err) == []


def test_a_dash_asks_so_that_a_number_stays_out_of_the_history(
    lived: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("+1 202 555 0143\n"))

    ran = lived.run("why", "-", now=EVENING)

    assert ran.code == 0
    assert "10 visits ahead" in ran.out


def test_only_visits_that_still_take_place_are_ahead(lived: Any, row: Row) -> None:
    lived.write(lived.settings.read_text() + "safety: {hold_if: {reassigned: 100%}}\n")
    rows = {n: row(n, patient_id="p1") for n in range(1, 11)}
    lived.sync(*rows.values(), now=NOON)
    rows[3]["status"] = "cancelled"
    del rows[4]
    lived.sync(*rows.values(), now=EVENING)
    assert "1 patient, 8 visits ahead of 10:" in lived.run("why", "p1", now=EVENING).out
    ran = lived.run("why", "reception/3", now=EVENING)
    assert "1 patient, 0 visits ahead of 1: reception/3" in ran.out


def test_a_doctors_list_is_found_by_its_message(desk: Any, row: Row) -> None:
    desk.change("steps: [3d, 1d, 1h]}", 'steps: [1d]}\n  doctor: {digest: {at: "18:00"}}')
    desk.sync(row(1, date="2026-11-24"))
    desk.run("sync", now="2026-11-23T17:05:00Z")
    listed = json.loads(desk.run("messages", "list", "--kind", "digest", "--json").out)
    (digest,) = listed

    for reference in (digest["attempt"], digest["id"]):
        found = told(desk, reference)
        assert found["appointment"] is None
        assert [one["id"] for one in found["messages"][0]["attempts"]] == [digest["attempt"]]
        assert found["answer"].startswith(
            "This is the digest 2026-11-24 for doctor/acar. It was sent"
        )


def test_a_doctor_is_found_by_key_or_id_with_what_was_said_to_them(desk: Any, row: Row) -> None:
    desk.change(
        "steps: [3d, 1d, 1h]}", 'steps: [1d]}\n  doctor: {digest: {at: "18:00"}, steps: [1h]}'
    )
    desk.write(desk.settings.read_text() + "doctors:\n  - {id: elif, match: acar}\n")
    desk.sync(row(1, date="2026-11-24", time="10:00"), row(2, doctor_id="kaya", doctor_email=""))
    assert "Nothing was said to this doctor" in told(desk, "doctor/elif")["answer"]
    desk.run("sync", now="2026-11-23T17:05:00Z")
    desk.run("sync", now="2026-11-24T08:05:00Z")

    for reference in ("doctor/acar", "acar", "elif", "doctor/elif"):
        found = told(desk, reference, now="2026-11-24T09:00:00Z")
        assert {one["to"] for one in found["messages"]} == {"doctor/acar"}
        assert [one["kind"] for one in found["messages"]] == ["reminder", "digest"]
        assert found["answer"].startswith("The latest to this doctor is the reminder 1h.")
        assert any(str(one["detail"]).startswith("reception/1") for one in found["history"])
    ran = desk.run("why", "doctor/acar", now="2026-11-24T09:00:00Z")
    assert "digest 2026-11-24 to the doctor sent" in ran.out
    assert canaries_in(ran.out, ran.err) == []
    assert "Nothing is known under this." in desk.run("why", "doctor/nobody").out


def test_a_message_that_was_never_tried_leads_to_its_visit_by_its_number(
    desk: Any, row: Row
) -> None:
    desk.sync(row(1, date="2026-11-24"))
    desk.sync(row(1, date="2026-11-24", phone="", email=""), now=EVENING)
    listed = json.loads(desk.run("messages", "list", "--state", "skipped", "--json").out)

    assert listed
    assert told(desk, listed[0]["id"])["appointment"]["key"] == "1"


def test_a_number_that_no_message_has_is_not_found(desk: Any, row: Row) -> None:
    desk.sync(row(1))

    ran = desk.run("why", "m999999999999999999")
    assert "Nothing is known under this." in ran.out


def test_a_visit_that_is_far_off_is_told_with_its_year(desk: Any, row: Row) -> None:
    desk.sync(row(1))
    desk.sync(row(1), row(2, date="2028-03-02", time="09:30"), now=NOON)
    ran = desk.run("why", "reception/2", now=EVENING)
    head, *lines = (line for line in ran.out.splitlines() if "2028" in line)
    assert "reception/2 · Thu 2 Mar 2028 09:30 · acar" in head
    assert any("first seen" in line and "booked, Thu 2 Mar 2028 09:30" in line for line in lines)
    assert "Tue 1 Dec 09:15" in desk.run("why", "reception/1", now=EVENING).out
