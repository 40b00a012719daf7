"""Windows, partitions, changes and questions by id: when a visit that was not named is gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

import mappings
from clinicrelay import plugins
from clinicrelay.contracts import Connector, Cursor, Page, Record, Stretch, Window
from clinicrelay.errors import TryLater
from clinicrelay.testing.fakes import NoOptions, record
from clinicrelay.times import parse_instant
from sync.foresee import foresee
from sync.runners import once

if TYPE_CHECKING:
    from tests.line.conftest import Line

ZONE = "Europe/Berlin"
HELD, NEEDS_PERSON, DONE = 4, 3, 0


@dataclass
class Book:
    """What the source holds, and how it answers; a test changes it between runs."""

    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)  # there, and left out of every listing
    covers: Sequence[Stretch] | None = None
    complete: bool = True
    changes: bool = False
    unfinished: bool = False
    widened: bool = False
    widened_from: datetime | None = None
    created: datetime | None = None
    rereads: bool = False
    gone: set[str] = field(default_factory=set)  # what reread proves deleted
    deleted: list[str] = field(default_factory=list)  # what a read of changes says is deleted
    silent: bool = False  # reread does not answer
    asked: list[list[str]] = field(default_factory=list)
    began: list[Cursor | None] = field(default_factory=list)
    reads: int = 0


BOOK = Book()


class Scripted(Connector):
    """Reads BOOK, one visit a page."""

    Options = NoOptions
    mapping = "clinic_csv"

    @property
    def rereads(self) -> bool:  # type: ignore[override]
        return BOOK.rereads

    def pull(self, cursor: Cursor | None, window: Window) -> Iterator[Page]:
        BOOK.began.append(cursor)
        BOOK.reads += 1
        named = [record(row) for key, row in BOOK.rows.items() if key not in BOOK.hidden]
        named += [replace(record({"appointment_id": key}), gone=True) for key in BOOK.deleted]
        for number, one in enumerate(named):
            yield Page(
                "all",
                [replace(one, created=BOOK.created)],
                cursor={"half": number},
                changes=BOOK.changes,
                widened=BOOK.widened,
                widened_from=BOOK.widened_from,
            )
        yield Page(
            "all",
            cursor={"read": BOOK.reads},
            last=True,
            complete=BOOK.complete,
            changes=BOOK.changes,
            covers=None if BOOK.covers is None else list(BOOK.covers),
            unfinished=BOOK.unfinished,
        )

    def reread(self, keys: Sequence[str]) -> Iterator[Page]:
        BOOK.asked.append(list(keys))
        if BOOK.silent:
            raise TryLater("the EHR does not answer")
        found = [record(BOOK.rows[key]) for key in keys if key in BOOK.rows]
        found += [Record({}, bytes(16), key=key, gone=True) for key in keys if key in BOOK.gone]
        yield Page("by id", found)


@pytest.fixture
def book(line: Line, monkeypatch: pytest.MonkeyPatch) -> Iterator[Book]:
    """Let the line read BOOK; 20 visits in it are known, and nobody was told of them."""
    find = plugins.find

    def found(room: str, name: str) -> Any:
        return Scripted if name == "scripted" else find(room, name)

    monkeypatch.setattr(plugins, "find", found)
    line.set(sources={"ehr": {"type": "scripted"}})
    line.book_many(20)
    BOOK.__init__(rows=line.rows)  # type: ignore[misc]
    line.sync()
    BOOK.asked.clear()
    yield BOOK
    BOOK.__init__()  # type: ignore[misc]


def day(line: Line, days: int) -> Any:
    return line.now.replace(hour=0, minute=0) + timedelta(days=days)


def is_gone(line: Line, key: str) -> bool:
    return bool(line.visits()[f"ehr/{key}"].get("gone"))


def test_a_visit_missing_inside_the_window_is_gone_after_two_whole_reads(
    line: Line, book: Book
) -> None:
    book.covers = [Stretch(day(line, -1), day(line, 120))]
    del book.rows["103"]
    line.sync()
    assert not is_gone(line, "103")
    line.sync()
    assert is_gone(line, "103")
    assert line.starts().count("2026-12-10 10:00") == 0


def test_a_visit_outside_of_what_was_read_is_not_missing(line: Line, book: Book) -> None:
    book.covers = [Stretch(day(line, -1), day(line, 15))]  # until 7 December
    del book.rows["103"]  # on the 10th
    del book.rows["100"]  # on the 7th
    line.sync()
    line.sync()
    assert not is_gone(line, "103")
    assert is_gone(line, "100")


def test_only_the_partitions_that_were_read_speak(line: Line, book: Book) -> None:
    line.change("101", doctor_id="Practitioner/17")
    line.change("102", doctor_id="Practitioner/22")
    line.sync()
    book.complete = False
    book.covers = [Stretch(day(line, -1), day(line, 120), "practitioner", "17")]
    del book.rows["101"]
    del book.rows["102"]
    for _ in range(3):
        report = line.sync()
    assert is_gone(line, "101")
    assert not is_gone(line, "102")
    assert report.sources["ehr"].state == "partial"
    assert report.exit == NEEDS_PERSON


def test_a_source_that_can_be_asked_by_id_proves_a_deletion_at_once(line: Line, book: Book) -> None:
    book.covers, book.rereads, book.gone = [Stretch()], True, {"103"}
    del book.rows["103"]
    report = line.sync()
    assert book.asked == [["103"]]
    assert is_gone(line, "103")
    assert report.sources["ehr"].changes == {"gone": 1}
    assert report.sources["ehr"].read == 19


def test_a_listing_that_lags_behind_deletes_nothing(line: Line, book: Book) -> None:
    book.covers, book.rereads, book.hidden = [Stretch()], True, {"103", "104"}
    for _ in range(3):
        report = line.sync()
    assert not is_gone(line, "103")
    assert report.exit == DONE
    assert report.sources["ehr"].changes == {}


def test_a_visit_that_moved_out_of_the_window_is_moved_and_not_gone(line: Line, book: Book) -> None:
    book.covers, book.rereads, book.hidden = [Stretch(day(line, -1), day(line, 60))], True, {"103"}
    line.change("103", start="2027-06-01 09:00")
    report = line.sync()
    assert report.sources["ehr"].changes == {"rescheduled": 1}
    assert line.visits()["ehr/103"]["start"] == "2027-06-01T07:00:00Z"


def test_an_id_that_nobody_answers_about_stays_as_it_was(line: Line, book: Book) -> None:
    book.covers, book.rereads = [Stretch()], True
    del book.rows["103"]
    for _ in range(3):
        line.sync()
    assert not is_gone(line, "103")
    book.silent = True
    report = line.sync()
    assert not is_gone(line, "103")
    assert "does not answer" in " ".join(report.sources["ehr"].notes)


def test_so_many_missing_that_the_guard_holds_them_are_not_asked_about(
    line: Line, book: Book
) -> None:
    book.covers, book.rereads = [Stretch()], True
    for key in list(book.rows)[:8]:
        del book.rows[key]
    report = line.sync()
    assert report.exit == HELD
    assert book.asked == []
    assert not any(is_gone(line, str(key)) for key in range(100, 120))


def test_a_read_of_changes_says_nothing_of_what_it_does_not_name(line: Line, book: Book) -> None:
    book.changes, book.covers = True, None
    kept = dict(book.rows)
    book.rows.clear()
    book.rows["105"] = kept["105"] | {"start": "2026-12-08 15:00"}
    for _ in range(3):
        report = line.sync()
    assert report.exit == DONE
    assert not any(is_gone(line, key) for key in kept)
    assert line.visits()["ehr/105"]["start"] == "2026-12-08T14:00:00Z"
    assert report.sources["ehr"].complete is True


def test_a_read_of_changes_may_say_that_one_was_deleted(line: Line, book: Book) -> None:
    book.changes, book.deleted = True, ["105"]
    book.rows.clear()
    assert line.sync().sources["ehr"].changes == {"gone": 1}
    assert is_gone(line, "105")


def test_what_a_listing_remembers_outlives_a_read_of_changes(line: Line, book: Book) -> None:
    book.covers = [Stretch()]
    line.sync()
    sheets = line.query("SELECT page, digests FROM sightings")
    kept = dict(book.rows)
    book.changes, book.covers = True, None
    book.rows.clear()
    line.sync()
    assert line.query("SELECT page, digests FROM sightings") == sheets
    book.rows.update(kept)
    book.changes, book.covers = False, [Stretch()]
    report = line.sync()
    assert report.sources["ehr"].unchanged == len(kept)
    assert report.sources["ehr"].changes == {}


def test_a_first_read_that_had_to_stop_is_still_the_first_when_it_goes_on(
    line: Line, book: Book
) -> None:
    line.set(sources={"second": {"type": "scripted"}})
    rest = {key: book.rows.pop(key) for key in list(book.rows)[10:]}
    book.complete, book.covers, book.unfinished = False, [], True
    line.sync()
    said = line.outbox()
    book.rows.update(rest)
    book.complete, book.covers, book.unfinished = True, [Stretch()], False
    assert line.sync().sources["second"].changes == {"booked": 10}
    assert line.outbox() == said


def test_a_held_listing_is_begun_again_from_where_it_began(line: Line, book: Book) -> None:
    book.covers = [Stretch()]
    line.sync()
    before = book.began[-1]
    for key in list(book.rows)[:8]:
        del book.rows[key]
    line.book("300", "2026-12-09 08:00")
    assert line.sync().exit == HELD
    began = book.began[-1]
    line.sync()
    assert book.began[-1] == began
    assert before != began


def test_a_visit_that_could_not_be_asked_about_is_asked_about_first_the_next_time(
    line: Line, book: Book
) -> None:
    """A budget that ends with each listing would else never let anybody find out."""
    book.covers, book.rereads, book.silent, book.gone = [Stretch()], True, True, {"103"}
    del book.rows["103"]
    line.sync()
    assert not is_gone(line, "103")
    book.silent, book.complete, book.covers, book.unfinished = False, False, [], True
    book.asked.clear()
    report = line.sync()
    assert book.asked == [["103"]]
    assert is_gone(line, "103")
    assert report.sources["ehr"].changes == {"gone": 1}
    assert report.exit == DONE  # nothing is held
    book.asked.clear()
    line.sync()
    assert book.asked == []


def test_one_that_is_there_after_all_is_asked_about_no_more(line: Line, book: Book) -> None:
    book.covers, book.rereads, book.silent, book.hidden = [Stretch()], True, True, {"103"}
    line.sync()
    book.silent = False
    line.sync()
    book.hidden = set()
    line.sync()
    book.asked.clear()
    line.sync()
    assert book.asked == []
    assert not is_gone(line, "103")


# --- what no read could tell before ---------------------------------------------------------------


def test_what_a_wider_question_brings_is_kept_and_told_to_nobody(line: Line, book: Book) -> None:
    book.widened = True
    line.book("900", "2026-12-09 14:00")
    assert line.quietly() == []
    assert line.visits()["ehr/900"]["start"] == "2026-12-09T13:00:00Z"
    assert "2026-12-09 14:00" in line.starts()
    book.widened = False
    line.book("901", "2026-12-09 15:00")
    assert line.quietly() == [("confirmation", "p901@mail.example")]
    line.change("900", start="2026-12-10 14:00")
    assert line.quietly() == [("change", "+4915155500900")]


@pytest.mark.parametrize(
    ("age", "told"),
    [
        (None, False),
        (timedelta(days=30), False),
        (timedelta(hours=2), False),
        (timedelta(minutes=4), True),  # since the last read, or so
        (timedelta(minutes=40), True),  # an EHR's clock is not ours
    ],
)
def test_beyond_the_days_that_were_read_only_what_was_created_since_is_news(
    line: Line, book: Book, age: timedelta | None, *, told: bool
) -> None:
    book.widened_from = parse_instant("2026-12-20", ZONE)
    book.created = age and line.now + timedelta(minutes=5) - age
    line.book("900", "2026-12-20 00:00")
    line.book("901", "2026-12-19 23:30")
    expected = [("confirmation", "p900@mail.example")] if told else []
    assert sorted(line.quietly()) == [*expected, ("confirmation", "p901@mail.example")]
    assert {"ehr/900", "ehr/901"} <= {*line.visits()}


def test_what_another_mapping_lets_through_is_told_to_nobody(
    line: Line, book: Book, tmp_path: Path
) -> None:
    packaged = (Path(mappings.__file__).parent / "clinic_csv.yaml").read_text()
    own = tmp_path / "without_courses.yaml"
    own.write_text(packaged + "\nskip_if: {path: service, equals: group course}\n")
    line.set(sources={"ehr": {"type": "scripted", "mapping": str(own)}})
    line.book("900", "2026-12-09 14:00", service="group course")
    assert line.quietly() == []
    assert "ehr/900" not in line.visits()
    line.set(sources={"ehr": {"type": "scripted"}})
    assert line.quietly() == []
    assert "ehr/900" in line.visits()
    line.book("901", "2026-12-09 15:00", service="group course")
    assert line.quietly() == [("confirmation", "p901@mail.example")]


def test_a_budget_that_is_used_up_needs_nobody(line: Line, book: Book) -> None:
    """An import of several days would wake somebody at each run of it."""
    book.complete, book.covers, book.unfinished = False, [], True
    report = line.sync()
    assert (report.sources["ehr"].state, report.exit, report.needs) == ("partial", DONE, [])
    book.unfinished = False
    report = line.sync()
    assert (report.exit, [need.what for need in report.needs]) == (
        NEEDS_PERSON,
        ["ehr was not read to its end"],
    )


# --- asked once more before a reminder leaves ------------------------------------------------------


@pytest.fixture
def due(line: Line, book: Book) -> Book:
    """Ten minutes after the last read a reminder of visit 1 falls due."""
    book.rereads = True
    line.set(reminders={"patient": {"steps": ["1d"], "confirmation": {}}})
    line.book(1, "2026-11-25 12:00")
    line.book(2, "2026-11-25 12:10")
    book.rows = line.rows
    line.sync("2026-11-23 09:10")
    line.calls.clear()
    line.sync("2026-11-24 11:50")
    book.asked.clear()
    return book


def send(line: Line, when: str = "2026-11-24 12:00") -> list[str]:
    line._pass(when)
    line.at_work(once.send)
    return [message.kind for message in line.calls]


def test_a_visit_cancelled_after_the_last_read_is_not_reminded_of(line: Line, due: Book) -> None:
    line.cancel(1)
    due.rows = line.rows
    assert send(line) == ["cancellation"]
    assert due.asked == [["1"]]
    assert line.visits()["ehr/1"]["status"] == "cancelled"


def test_a_visit_that_stands_is_asked_for_once_and_reminded_of(line: Line, due: Book) -> None:
    assert send(line) == ["reminder"]
    send(line, "2026-11-24 12:01")
    assert due.asked == [["1"]]


def test_one_that_was_deleted_is_not_reminded_of(line: Line, due: Book) -> None:
    del due.rows["1"]
    due.gone.add("1")
    assert send(line) == []
    assert is_gone(line, "1")


def test_who_does_not_answer_keeps_nobodys_reminder_back(line: Line, due: Book) -> None:
    due.silent = True
    assert send(line) == ["reminder"]
    assert send(line, "2026-11-24 12:11") == ["reminder", "reminder"]
    assert due.asked == [["1"]]  # nobody waits for it again before it was read


def test_what_was_read_just_now_is_not_asked_for_again(line: Line, due: Book) -> None:
    line.sync("2026-11-24 12:00")
    assert [message.kind for message in line.calls] == ["reminder"]
    assert due.asked == []


def test_nobody_is_asked_where_the_clinic_says_so_nor_in_a_plan(line: Line, due: Book) -> None:
    line._pass("2026-11-24 12:00")
    line.at_work(lambda at_work: foresee(at_work, until=at_work.now), scratch=True)
    assert due.asked == []
    line.set(sources={"ehr": {"type": "scripted", "verify_before_send": "off"}})
    assert send(line) == ["reminder"]
    assert due.asked == []


def test_answers_that_say_everything_is_off_are_held_for_a_person(line: Line, due: Book) -> None:
    for number in range(30, 60):
        line.book(number, "2026-11-26 13:00")
    due.rows = line.rows
    line.sync("2026-11-24 12:50")
    line.sync("2026-11-25 12:50")
    before = line.visits()
    for number in range(30, 60):
        line.cancel(number)
    send(line, "2026-11-25 13:00")
    assert line.query("SELECT guard, visits FROM held") == [("cancelled", 30)]
    assert line.visits()["ehr/30"]["status"] == before["ehr/30"]["status"] == "booked"
