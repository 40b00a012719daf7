"""A source that answers wrongly: nothing known is altered or told, and what is new goes on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.errors import Refused
from connectors.csv import Csv
from sync import release
from sync.health import SourceHealth, health
from sync.store import incoming

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.report import RunReport
    from tests.line.conftest import Line

HELD, NEEDS_PERSON, DONE = 4, 3, 0
COUNT = 40


@pytest.fixture
def known(line: Line) -> Line:
    """A clinic with 40 coming visits, of which nobody was told anything."""
    line.book_many(COUNT)
    line.after()
    return line


def whole(known: Line) -> str:
    return known.drop().read_text()


def held(known: Line, content: str, name: str = "bad.csv") -> RunReport:
    """Drop a bad export and check that nothing known was altered and nobody told."""
    visits, files, said = known.visits(), known.files(), known.outbox()
    known.drop(content, name=name)
    report = known.sync()
    assert {key: known.visits()[key] for key in visits} == visits
    assert known.outbox() == said
    assert {k: v for k, v in known.files().items() if "calendars" not in k} == {
        k: v for k, v in files.items() if "calendars" not in k
    }
    return report


def sentence(report: RunReport) -> str:
    return " ".join(hold["summary"] for hold in report.sources["reception"].held)


def header(known: Line) -> str:
    return whole(known).splitlines()[0]


def test_an_export_with_nothing_but_a_header_is_held(known: Line) -> None:
    report = held(known, header(known) + "\n")
    assert report.exit == HELD
    assert "40" in sentence(report)
    assert len(known.events()) == COUNT


def test_an_empty_file_harms_nothing_and_is_pointed_out(known: Line) -> None:
    known.drop("", name="empty.csv")
    visits = known.visits()
    report = known.sync()
    assert known.visits() == visits
    assert len(known.events()) == COUNT
    assert report.messages.sent == 0
    # An empty file may still be growing: it is said, and nothing is taken for gone.
    assert report.exit in (NEEDS_PERSON, HELD) or "empty" in (
        report.sources["reception"].idle or ""
    )


def test_an_export_cut_off_between_two_rows_is_held(known: Line) -> None:
    report = held(known, "\n".join(whole(known).splitlines()[:21]) + "\n")
    assert report.exit == HELD
    assert sentence(report) == "20 of 40 visits missing from this read (limit 10%)"


def test_an_export_cut_off_within_a_row_proves_nothing_and_needs_a_person(known: Line) -> None:
    content = whole(known)
    report = held(known, content[: len(content) // 2])
    assert report.exit == NEEDS_PERSON
    assert report.sources["reception"].complete is False
    assert [one["reason"] for one in known.set_aside()] == ["truncated"]
    assert len(known.events()) == COUNT


def test_half_an_export_is_held_and_its_new_visits_are_kept(known: Line) -> None:
    known.book(900, "2026-12-10 17:00")
    rows = whole(known).splitlines()
    half = [*rows[:1], *rows[21:]]
    said = known.outbox()
    known.drop("\n".join(half) + "\n", name="half.csv")
    known.sync()  # the whole export that `whole` left in the inbox goes first
    assert known.said_since(said) == [("confirmation", "p900@mail.example")]
    known.book(901, "2026-12-11 17:00")
    visits, said = known.visits(), known.outbox()
    new = known.rows["901"]
    known.drop("\n".join([*half, ",".join(new.values())]) + "\n", name="half-again.csv")
    report = known.sync()
    assert report.exit == HELD
    assert {key: known.visits()[key] for key in visits} == visits
    assert known.said_since(said) == [("confirmation", "p901@mail.example")]
    assert report.sources["reception"].changes == {"booked": 1}
    assert len(known.events()) == COUNT + 2


def test_everything_an_hour_later_is_held(known: Line) -> None:
    for key, row in known.rows.items():
        start = datetime.fromisoformat(row["start"]) + timedelta(hours=1)
        known.change(key, start=f"{start:%Y-%m-%d %H:%M}")
    report = held(known, whole(known), name="visits.csv")
    assert report.exit == HELD
    assert "40" in sentence(report)
    assert {hold["guard"] for hold in report.sources["reception"].held} & {"shifted", "rescheduled"}


def test_a_mass_cancellation_is_held(known: Line) -> None:
    for key in list(known.rows)[:20]:
        known.cancel(key)
    report = held(known, whole(known), name="visits.csv")
    assert report.exit == HELD
    assert sentence(report) == "20 of 40 visits cancelled (limit 30%)"


def test_a_renamed_date_column_harms_nothing(known: Line) -> None:
    content = whole(known).replace("start", "Wann genau", 1)
    report = held(known, content, name="visits.csv")
    assert report.exit in (NEEDS_PERSON, HELD)
    assert report.sources["reception"].set_aside >= 1
    assert len(known.events()) == COUNT


def test_an_export_of_which_a_third_is_unreadable_is_held(known: Line) -> None:
    for key in list(known.rows)[:14]:
        known.change(key, status="XQ")
    known.cancel(120)
    report = held(known, whole(known), name="visits.csv")
    assert report.exit == HELD
    assert "14 of 40" in sentence(report)
    assert "unknown_status" in sentence(report)


def test_a_small_true_change_goes_through(known: Line) -> None:
    for key in (100, 101, 102, 103):
        known.cancel(key)
    assert len(known.after()) == 4
    for key in (100, 101, 102, 103):
        del known.rows[str(key)]
    assert known.after() == []
    assert len(known.events()) == COUNT - 4


def renumbered(known: Line) -> dict[str, dict[str, str]]:
    return {f"9{key}": {**row, "appointment_id": f"9{key}"} for key, row in known.rows.items()}


def test_ids_that_all_changed_harm_nothing_and_tell_nobody(known: Line) -> None:
    known.rows = renumbered(known)
    known.drop()
    report = known.sync()
    assert report.exit == DONE
    assert report.messages.sent == 0
    assert report.sources["reception"].changes == {"booked": COUNT, "gone": COUNT}
    assert any("under other ids" in note for note in report.sources["reception"].notes)
    assert len(known.events()) == COUNT
    assert known.after() == []
    first = min(known.rows.values(), key=lambda row: row["start"])
    reminded = known.after("2026-12-04 08:30")
    assert reminded.count(("reminder", first["mobile"])) == 1
    assert len(reminded) == len(set(reminded))


def test_ids_that_came_back_tell_nobody_either(known: Line) -> None:
    before = dict(known.rows)
    known.rows = renumbered(known)
    assert known.after() == []
    known.rows = before
    known.change(100, start="2026-12-20 11:11")
    assert known.after() == [("change", known.rows["100"]["mobile"])]
    assert len(known.events()) == COUNT
    assert known.after() == []


def test_an_export_that_lost_its_column_of_ids_tells_nobody(known: Line) -> None:
    known.drop(whole(known).replace("appointment_id", "Vorgang", 1))
    report = known.sync()
    assert report.exit == DONE
    assert report.messages.sent == 0
    assert len(known.events()) == COUNT


def test_one_of_a_patients_visits_is_renumbered_and_the_other_moved_none_is_mixed_up(
    known: Line,
) -> None:
    same = {name: known.rows["100"][name] for name in ("patient_id", "mobile", "email")}
    known.book(200, "2026-12-15 10:00", **same)
    known.after()
    known.rows = renumbered(known)
    known.change("9100", start="2026-12-16 10:00")
    assert known.after() == [("change", same["mobile"])]
    assert len(known.events()) == COUNT + 1


def test_doctors_that_all_have_another_name_are_held(known: Line) -> None:
    for key in known.rows:
        known.change(key, doctor_id="", doctor="Dr. Ann Acar-Kelly", doctor_email="")
    report = held(known, whole(known), name="visits.csv")
    assert report.exit == HELD
    assert sentence(report) == "40 of 40 visits reassigned (limit 30%)"


def test_a_doctor_who_takes_over_a_day_is_no_alarm(known: Line) -> None:
    for key in list(known.rows)[:4]:
        known.change(key, doctor_id="braun", doctor="Dr. Braun", doctor_email="b@riverside.example")
    assert len(known.after()) == 4


def test_cancelled_visits_that_are_all_back_are_held(line: Line) -> None:
    line.book_many(COUNT)
    for key in list(line.rows)[:15]:
        line.cancel(key)
    line.after()
    line.drop(whole(line).replace("status", "Buchungslage", 1))
    report = line.sync()
    assert report.exit == HELD
    assert sentence(report) == "15 of 25 visits reinstated (limit 30%)"
    assert len(line.events()) == COUNT - 15
    assert report.messages.sent == 0


def test_the_next_good_export_dissolves_the_hold(known: Line) -> None:
    good = dict(known.rows)
    for key in list(known.rows)[:20]:
        known.cancel(key)
    held(known, whole(known), name="visits.csv")
    known.rows = good
    known.change(110, start="2026-12-20 11:11")
    assert known.after() == [("change", "+4915155500110")]
    assert known.state()["held"] == [("cancelled", 20, 40, "dissolved")]
    assert known.sync().exit == DONE


def test_who_was_told_of_a_new_booking_while_the_rest_was_held_is_told_of_the_old_one_too(
    known: Line,
) -> None:
    good = dict(known.rows)
    for key in list(known.rows)[:20]:
        known.cancel(key)
    same = {name: good["100"][name] for name in ("patient_id", "patient_name", "mobile", "email")}
    known.book(900, "2026-12-19 14:00", **same)
    assert known.after() == [("confirmation", "p100@mail.example")]
    known.rows = {**good, "900": known.rows["900"]}
    known.cancel(100)
    # No move: the new visit was told by itself, so without this the patient would expect both.
    assert known.after() == [("cancellation", "+4915155500100")]
    assert known.after() == []


def test_what_is_held_stays_held_until_somebody_looks(known: Line) -> None:
    for key in list(known.rows)[:20]:
        known.cancel(key)
    held(known, whole(known), name="visits.csv")
    for _ in range(3):
        assert known.sync().exit == HELD
        assert known.after() == []
    assert known.state()["held"] == [("cancelled", 20, 40, "open")]
    assert len(known.events()) == COUNT


@pytest.mark.parametrize("silently", [False, True])
def test_what_a_person_releases_is_applied_and_told_once(known: Line, silently: bool) -> None:
    for key in list(known.rows)[:20]:
        known.cancel(key)
    held(known, whole(known), name="visits.csv")

    known.at_work(lambda at_work: _end(at_work, silently=silently))
    said = known.quietly()
    assert len(said) == (0 if silently else 20)
    assert len(known.events()) == COUNT - 20
    assert known.after() == []
    assert known.sync().exit == DONE


def _end(at_work: Clinic, **how: Any) -> None:
    with at_work.store.read() as connection:
        (hold,) = incoming.open_holds(connection, at_work.store.clinic)
    assert release.release(at_work, hold, **how)


def _source(at_work: Clinic) -> SourceHealth:
    return health(at_work).sources["reception"]


def _moved_and_cancelled(known: Line) -> datetime:
    """Hold a read that moves 20 visits by three hours and cancels 15; return when it was."""
    for key, row in [*known.rows.items()][:20]:
        start = datetime.fromisoformat(row["start"]) + timedelta(hours=3)
        known.change(key, start=f"{start:%Y-%m-%d %H:%M}")
    for key in [*known.rows][20:35]:
        known.cancel(key)
    held(known, whole(known), name="visits.csv")
    return known.now


@pytest.mark.parametrize("refused", [None, 0, 1])
def test_a_held_read_of_which_all_is_released_was_a_complete_one(
    known: Line, refused: int | None
) -> None:
    reception = known.settings["sources"]["reception"]
    known.set(sources={"reception": {**reception, "stale_after": "30m"}})
    before = known.now
    at = _moved_and_cancelled(known)
    known.now += timedelta(minutes=27)

    def decide(at_work: Clinic) -> None:
        with at_work.store.read() as connection:
            holds = incoming.open_holds(connection, at_work.store.clinic)
        assert len(holds) == 2
        for number, hold in enumerate(holds):
            assert not _source(at_work).complete
            end = release.reject if number == refused else release.release
            assert end(at_work, hold)

    known.at_work(decide)
    found = known.at_work(_source)
    assert found.state == ("ok" if refused is None else "stale")
    assert found.complete is (refused is None)
    assert found.last_complete == (at if refused is None else before)


def test_a_read_that_was_cut_off_is_none_though_what_it_held_is_released(known: Line) -> None:
    before = known.now
    for key in [*known.rows][:20]:
        known.cancel(key)
    held(known, whole(known).rstrip("\n") + '\n"999', name="visits.csv")

    known.at_work(_end)
    assert known.at_work(_source).last_complete == before


def test_what_a_person_rejects_stays_as_it_was_while_the_source_repeats_itself(known: Line) -> None:
    for key in list(known.rows)[:20]:
        known.cancel(key)
    held(known, whole(known), name="visits.csv")
    visits = known.visits()

    def refuse(at_work: Clinic) -> None:
        with at_work.store.read() as connection:
            (hold,) = incoming.open_holds(connection, at_work.store.clinic)
        assert release.reject(at_work, hold)

    known.at_work(refuse)
    assert known.after() == []
    assert known.visits() == visits
    assert known.sync().exit == DONE
    known.cancel(130)
    assert known.after() == [("cancellation", "+4915155500130")]


def test_a_flood_of_messages_is_held_and_the_rest_released_once(known: Line) -> None:
    known.set(safety={"max_messages_per_run": 5})
    for key in range(100, 108):
        known.change(key, location="Seeblick")
    assert len(known.after()) == 5
    assert known.sync().exit == HELD
    assert len(known.outbox()) == 5
    known.set(safety={"max_messages_per_run": 500})
    known.at_work(_end)
    assert len(known.quietly()) == 3
    assert len({sent.to for sent in known.outbox()}) == 8
    assert known.quietly() == []


def test_a_hold_does_not_hide_that_its_source_is_dead(
    known: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Csv, cursor: Any, window: Any) -> Any:
        raise Refused("the server refuses the login", fix="look")

    known.drop(known.drop(name="x.tmp").read_text().splitlines()[0] + "\n")
    assert known.sync().exit == HELD
    monkeypatch.setattr(Csv, "pull", refused)
    known.drop()
    known.sync()
    stands = known.at_work(health)
    said = "\n".join(need.what for need in stands.needs)
    assert stands.exit == HELD
    assert stands.sources["reception"].state == "held"
    assert "reception could not be read: the server refuses the login" in said
    assert "held:" in said


def test_of_a_flood_those_leave_whose_visits_are_soonest(known: Line) -> None:
    """What was due first is not what matters first: a reminder of 3 days ahead came due before."""
    known.set(safety={"max_messages_per_run": 3})
    for key, start in zip(range(100, 106), ("15", "14", "13", "12", "11", "10"), strict=True):
        known.change(key, start=f"2026-12-{start} 10:00")
    told = known.after()
    assert [to for _, to in told] == ["+4915155500103", "+4915155500104", "+4915155500105"]


def test_a_flood_that_goes_on_is_held_with_all_that_was_held_before(known: Line) -> None:
    known.set(safety={"max_messages_per_run": 5})
    for key in range(100, 108):
        known.change(key, location="Seeblick")
    known.after()
    known.change(108, location="Seeblick")
    assert known.after() == []
    ((guard, count, of, state),) = known.state()["held"]
    assert (guard, count, of, state) == ("storm", 4, 4, "open")


def test_holds_of_one_source_do_not_stop_another(line: Line) -> None:
    source = line.settings["sources"]["reception"]
    line.set(sources={"reception": source, "physio": source})
    line.book_many(COUNT)
    line.drop()
    line.drop(source="physio")
    line.sync()
    line.change(100, start="2026-12-20 11:11")
    line.drop(source="physio")
    line.drop(line.drop(name="x.tmp").read_text().splitlines()[0] + "\n")
    said = line.outbox()
    report = line.sync()
    assert report.exit == HELD
    assert report.sources["physio"].changes == {"rescheduled": 1}
    assert line.said_since(said) == [("change", "+4915155500100")]
