"""What the guards stopped and what was set aside: shown to a person, and decided by one."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mappings
from clinicrelay.testing.kits import canaries_in
from commands._call import Call

Row = Callable[..., dict[str, Any]]
NOON = "2026-11-23T11:00:00Z"
ONE = "2026-11-23T12:00:00Z"
TWO = "2026-11-23T13:00:00Z"


@pytest.fixture
def holding(desk: Any, row: Row) -> Any:
    """Ten visits were known and confirmed or imported; the next file cancels eight of them."""
    desk.sync(row(99))
    desk.sync(row(99), *(row(n) for n in range(1, 11)), now=NOON)
    ran = desk.sync(
        row(99),
        *(row(n, status="cancelled" if n < 9 else "booked") for n in range(1, 11)),
        now=ONE,
    )
    assert ran.code == 4
    return desk


def listed(desk: Any, what: str) -> list[dict[str, Any]]:
    ran = desk.run(what, "list", "--json", now=TWO)
    assert ran.code == 0
    found: list[dict[str, Any]] = json.loads(ran.out)
    return found


def statuses(desk: Any) -> dict[str, str]:
    ran = desk.run("appointments", "--all", "--json", now=TWO)
    return {one["key"]: one["status"] for one in json.loads(ran.out)}


def mails(desk: Any, kind: str) -> int:
    return len(list((desk.folder / "var" / "outbox").glob(f"*{kind}*")))


# --- held ----------------------------------------------------------------------------------------


def test_the_list_of_holds_has_exactly_its_keys(holding: Any) -> None:
    (hold,) = listed(holding, "held")

    assert hold == {
        "id": "h1",
        "source": "reception",
        "guard": "cancelled",
        "count": 8,
        "of": 11,
        "since": "2026-11-23T12:00:00Z",
        "summary": "8 of 11 visits cancelled (limit 30%)",
    }


def test_showing_a_hold_names_its_visits_and_counts_them_a_day(holding: Any) -> None:
    ran = holding.run("held", "show", "h1", now=TWO)

    assert ran.code == 0
    assert "Tue 1 Dec 2026   8" in ran.out
    assert "reception/3  cancelled  Tue 01 Dec 11:45" in ran.out
    assert "clinicrelay held release h1" in ran.out


def test_releasing_applies_on_the_spot_and_tells_people(holding: Any) -> None:
    ran = holding.run("held", "release", "h1", now=TWO)

    assert ran.code == 0, ran
    assert listed(holding, "held") == []
    assert list(statuses(holding).values()).count("cancelled") == 8
    assert mails(holding, "cancellation") == 8
    assert "sent 8" in ran.out


def test_releasing_without_messages_applies_and_tells_nobody(holding: Any) -> None:
    ran = holding.run("held", "release", "h1", "--without-messages", now=TWO)

    assert ran.code == 0, ran
    assert list(statuses(holding).values()).count("cancelled") == 8
    assert mails(holding, "cancellation") == 0
    assert holding.run("sync", now="2026-11-23T14:00:00Z").code == 0
    assert mails(holding, "cancellation") == 0


def test_releasing_without_messages_tells_nobody_of_what_vanished(desk: Any, row: Row) -> None:
    desk.change("steps: [3d, 1d, 1h]", "steps: [3d], on_gone: true")
    desk.sync(row(99))
    desk.sync(row(99), *(row(n) for n in range(1, 11)), now=NOON)
    assert desk.sync(row(99), row(1), now=ONE).code == 4

    assert desk.run("held", "release", "h1", "--without-messages", now=TWO).code == 0

    assert mails(desk, "cancellation") == 0


def test_rejecting_leaves_everything_as_it_was_also_when_the_source_repeats_itself(
    holding: Any, row: Row
) -> None:
    ran = holding.run("held", "reject", "h1", now=TWO)

    assert ran.code == 0
    again = holding.sync(
        row(99),
        *(row(n, status="cancelled" if n < 9 else "booked") for n in range(1, 11)),
        now="2026-11-23T14:00:00Z",
    )
    assert again.code == 0, again
    assert set(statuses(holding).values()) == {"booked"}
    assert mails(holding, "cancellation") == 0


def test_after_a_release_the_source_is_green_again(holding: Any) -> None:
    before = holding.run("status", "--json", now=TWO)
    holding.run("held", "release", "h1", now=TWO)
    after = holding.run("status", "--json", now=TWO)

    assert before.code == 4
    assert json.loads(before.out)["sources"]["reception"]["state"] == "held"
    assert after.code == 0, after
    assert json.loads(after.out)["sources"]["reception"]["state"] == "ok"


# --- held, of a calendar -------------------------------------------------------------------------


@pytest.fixture
def unlinked(desk: Any, row: Row) -> Any:
    """Dr Acar's 25 visits stand in a calendar; then settings name another one."""
    assert desk.sync(*(row(n) for n in range(1, 26))).code == 0
    desk.write(
        f"{desk.settings.read_text()}doctors: [{{id: acar, match: acar, calendar: other}}]\n"
    )
    assert desk.run("sync", now=ONE).code == 4
    return desk


def shown_in(desk: Any, calendar: str) -> int:
    file = desk.folder / "var" / "calendars" / f"{calendar}.ics"
    return file.read_text().count("BEGIN:VEVENT") if file.exists() else 0


def test_a_calendar_that_would_be_emptied_is_shown_with_the_visits_that_would_leave_it(
    unlinked: Any,
) -> None:
    ran = unlinked.run("held", "show", "h1", now=TWO)

    assert ran.code == 0
    assert "25 of 25 events would go from files:acar though their visits stand" in ran.out
    assert "Tue 1 Dec 2026   25" in ran.out
    assert "  files:acar  reception/3  Tue 01 Dec 11:45" in ran.out
    visits = json.loads(unlinked.run("held", "show", "h1", "--json", now=TWO).out)["visits"]
    at = {"start": "2026-12-01T10:45:00Z"}
    assert {"source": "reception", "key": "3", "what": ["unlinked"], "calendar": "files:acar"} | {
        "before": at,
        "after": at,
    } in visits


def test_releasing_empties_the_calendar_on_the_spot(unlinked: Any) -> None:
    assert (shown_in(unlinked, "acar"), shown_in(unlinked, "other")) == (25, 25)
    assert unlinked.run("held", "release", "h1", now=TWO).code == 0
    assert (shown_in(unlinked, "acar"), shown_in(unlinked, "other")) == (0, 25)
    assert unlinked.run("status", now=TWO).code == 0


def test_rejecting_leaves_the_calendar_as_it_is(unlinked: Any) -> None:
    assert unlinked.run("held", "reject", "h1", now=TWO).code == 0
    assert unlinked.run("sync", now="2026-11-23T14:00:00Z").code == 0
    assert (shown_in(unlinked, "acar"), shown_in(unlinked, "other")) == (25, 25)


def test_time_that_passes_does_not_decide_for_a_person(unlinked: Any, row: Row) -> None:
    """Of the visits that wait fewer and fewer are still to come."""
    for now in ("2026-12-01T14:00:00Z", "2026-12-03T08:00:00Z"):
        assert unlinked.sync(*(row(n) for n in range(1, 26)), now=now).code == 4
        assert shown_in(unlinked, "acar") == 25


def test_on_a_terminal_it_says_how_many_events_would_go(
    unlinked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Call, "on_terminal", property(lambda call: True))
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    ran = unlinked.run("held", "release", "h1", now=TWO)
    assert "Apply 25 removals of events now (nobody is told)?" in ran.out
    assert shown_in(unlinked, "acar") == 25


@pytest.mark.parametrize("command", ["show", "release", "reject"])
def test_an_unknown_hold_is_answered_with_those_there_are(holding: Any, command: str) -> None:
    ran = holding.run("held", command, "h9", now=TWO)

    assert ran.code == 2
    assert "open are: h1" in ran.err


def test_on_a_terminal_release_repeats_the_numbers_and_takes_no_for_an_answer(
    holding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Call, "on_terminal", property(lambda call: True))
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))

    ran = holding.run("held", "release", "h1", now=TWO)

    assert ran.code == 0
    assert "8 of 11 visits cancelled" in ran.out
    assert "Apply 8 changes now (people are told as settings say)?" in ran.out + ran.err
    assert mails(holding, "cancellation") == 0


def test_a_flood_of_messages_is_held_and_dropped_when_rejected(desk: Any, row: Row) -> None:
    desk.write(desk.settings.read_text() + "safety: {max_messages_per_run: 3}\n")
    desk.sync(row(99))
    ran = desk.sync(row(99), *(row(n) for n in range(1, 9)), now=NOON)
    assert ran.code == 4

    (hold,) = listed(desk, "held")
    assert (hold["guard"], hold["count"], hold["of"]) == ("storm", 5, 8)
    shown = desk.run("held", "show", hold["id"], now=NOON)
    assert shown.out.count("confirmation") == 5
    assert desk.run("held", "reject", hold["id"], now=NOON).code == 0

    assert desk.run("send", now=ONE).code == 0
    assert mails(desk, "confirmation") == 3
    why = json.loads(desk.run("why", "8", "--json", now=ONE).out)
    assert why["messages"][0]["reason"] == "rejected"


def test_a_flood_leaves_when_a_person_releases_it(desk: Any, row: Row) -> None:
    desk.write(desk.settings.read_text() + "safety: {max_messages_per_run: 3}\n")
    desk.sync(row(99))
    desk.sync(row(99), *(row(n) for n in range(1, 9)), now=NOON)

    ran = desk.run("held", "release", "h1", now=NOON)

    assert ran.code == 0, ran
    assert mails(desk, "confirmation") == 8


# --- set aside -----------------------------------------------------------------------------------


@pytest.fixture
def aside(desk: Any, row: Row) -> Any:
    """Ten visits, one of them in a status that nobody knows."""
    ran = desk.sync(*(row(n) for n in range(1, 10)), row(10, status="XQ"))
    assert ran.code == 3
    return desk


def test_the_list_of_what_was_set_aside_has_exactly_its_keys(aside: Any) -> None:
    (thing,) = listed(aside, "quarantine")

    assert thing.pop("detail").startswith("the mapping's table does not know")
    assert thing == {
        "id": 1,
        "kind": "record",
        "source": "reception",
        "key": "10",
        "place": "visits-001.csv:11",
        "line": 11,
        "column": 4,
        "field": "status",
        "reason": "unknown_status",
        "first_seen": "2026-11-23T08:00:00Z",
        "last_seen": "2026-11-23T08:00:00Z",
        "count": 1,
    }


def test_the_text_of_a_record_stays_out_of_a_pipe_unless_asked_for(aside: Any) -> None:
    masked = aside.run("quarantine", "show", "1")
    asked = aside.run("quarantine", "show", "1", "--raw")

    assert masked.code == asked.code == 0
    assert canaries_in(masked.out) == []
    assert "Add the word to the status table of the mapping." in masked.out
    assert "Quenby" in asked.out


def test_masked_in_json_too(aside: Any) -> None:
    assert json.loads(aside.run("quarantine", "show", "1", "--json").out)["raw"] is None


def test_a_word_in_the_wrong_column_stays_out_of_a_pipe_unless_asked_for(
    desk: Any, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.sync(row(1), row(2, status="Quenby Zephyrine"))
    for words in (["list"], ["show", "1"], ["list", "--json"], ["show", "1", "--json"]):
        ran = desk.run("quarantine", *words)
        assert ran.code == 0
        assert "Quenby" not in ran.out + ran.err
        assert "does not know" in ran.out
    assert 'know "Quenby Zephyrine" yet' in desk.run("quarantine", "show", "1", "--raw").out
    monkeypatch.setattr(Call, "on_terminal", property(lambda call: True))
    assert "Quenby" in desk.run("quarantine", "list").out


def test_retry_has_the_next_read_look_at_every_record_afresh(aside: Any, row: Row) -> None:
    ran = aside.run("quarantine", "retry", "--all", now=NOON)
    assert ran.code == 3  # it is as it was
    assert "The next read of reception looks at every record again" in ran.out

    again = aside.run("sync", "--json", now=NOON)
    assert json.loads(again.out)["sources"]["reception"]["error"] is None

    rows = [*(row(n) for n in range(1, 10)), row(10, status="booked")]
    done = json.loads((aside.drop(*rows), aside.run("sync", "--json", now=ONE))[1].out)
    assert done["sources"]["reception"]["changes"] == {"booked": 1}
    assert listed(aside, "quarantine") == []


def test_retry_maps_what_lies_in_processed_once_more_and_says_nothing_twice(
    aside: Any, row: Row
) -> None:
    shipped = (Path(mappings.__file__).parent / "clinic_csv.yaml").read_text()
    mended = shipped.replace(
        "      scheduled: booked\n", "      scheduled: booked\n      xq: booked\n"
    )
    mended = mended.partition("\ntests:")[0]  # one of ours says that XQ is not known
    (aside.folder / "ours.yaml").write_text(mended)
    aside.change("type: csv,", "type: csv, mapping: ours.yaml,")
    said = sorted((aside.folder / "var" / "outbox").glob("*.*"))
    ran = aside.run("quarantine", "retry", "--all", "--json", now=NOON)
    assert ran.code == 0
    assert json.loads(ran.out)["run"]["sources"]["reception"]["changes"] == {"booked": 1}
    assert listed(aside, "quarantine") == []
    assert sorted((aside.folder / "var" / "outbox").glob("*.*")) == said
    assert aside.run("quarantine", "retry", "--all", now=ONE).out.endswith(
        "Nothing is set aside.\n"
    )


def test_what_is_discarded_comes_back_if_the_source_says_it_again(aside: Any, row: Row) -> None:
    assert aside.run("quarantine", "discard", "1").code == 0
    assert listed(aside, "quarantine") == []

    aside.sync(*(row(n) for n in range(1, 9)), row(10, status="XQ"), now=NOON)

    assert [one["reason"] for one in listed(aside, "quarantine")] == ["unknown_status"]


@pytest.mark.parametrize("words", [("show", "7"), ("retry", "7"), ("discard", "x")])
def test_an_unknown_number_is_answered_with_those_there_are(
    aside: Any, words: tuple[str, str]
) -> None:
    ran = aside.run("quarantine", *words)

    assert ran.code == 2
    assert "there are: 1" in ran.err


def test_retry_wants_to_know_what(aside: Any) -> None:
    assert aside.run("quarantine", "retry").code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["held", "show", "h99"], "there is no open hold 'h99'"),
        (["held", "release", "h99"], "there is no open hold 'h99'"),
        (["held", "reject", "h99"], "there is no open hold 'h99'"),
        (["quarantine", "show", "99"], "there is no '99'"),
        (["quarantine", "discard", "99"], "there is no '99'"),
    ],
)
def test_an_id_that_does_not_exist_is_told_in_a_sentence_and_as_json(
    holding: Any, words: list[str], said: str
) -> None:
    ran = holding.run(*words, now=TWO)
    assert (ran.code, ran.out) == (2, "")
    assert f"error: {said}" in ran.err
    assert "Usage" not in ran.err

    told = json.loads(holding.run(*words, "--json", now=TWO).out)
    assert told["exit"] == 2
    assert told["findings"][0]["message"] == said
    assert f"clinicrelay {words[0]} list" in told["findings"][0]["fix"]
