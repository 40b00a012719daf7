"""Bad rows, several sources, several clinics: each trouble stays where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.contracts import Cursor, Page, Window
from clinicrelay.errors import Refused, TryLater
from connectors.csv import Csv
from sync.store.leases import LeaseLost

if TYPE_CHECKING:
    from tests.line.conftest import Line

NEEDS_PERSON = 3


@pytest.fixture
def two(line: Line) -> Line:
    """A clinic with two sources, each with a book of its own that uses the same ids."""
    source = line.settings["sources"]["reception"]
    line.set(sources={"reception": source, "physio": source})
    line.book_many(10)
    line.drop()
    for key in line.rows:
        line.change(key, doctor_id="braun", patient_id=f"Q{key}", email=f"q{key}@mail.example")
    line.drop(source="physio")
    line.sync()
    return line


def test_a_bad_row_costs_nothing_but_itself(line: Line) -> None:
    line.book_many(20)
    line.after()
    before = line.visits()
    line.book(1)
    line.change(101, status="XQ")
    line.change(102, start="31.02.2026 10:00")
    line.change(103, start="")
    line.change(104, start="2026-12-20 10:00")
    line.cancel(105)
    content = line.drop().read_text()
    line.drop(content + 'broken,"row of\nhalf a file')
    said = line.outbox()
    report = line.sync()
    after = line.visits()
    assert report.exit == NEEDS_PERSON
    assert line.said_since(said) == [
        ("cancellation", "+4915155500105"),
        ("change", "+4915155500104"),
        ("confirmation", "p1@mail.example"),
    ]
    changed = {key for key in after if after[key] != before.get(key)}
    assert changed >= {"reception/1", "reception/104", "reception/105"}
    assert changed <= {"reception/1", "reception/103", "reception/104", "reception/105"}
    reasons = {(one["source_key"], one["reason"]) for one in line.set_aside()}
    assert ("101", "unknown_status") in reasons
    assert len(reasons) >= 3
    assert len([e for e in line.events() if e.start != "2026-12-07 10:00"]) >= 18


def test_two_rows_that_contradict_each_other_leave_what_was_known(line: Line) -> None:
    line.book_many(10)
    line.after()
    before = line.visits()
    content = line.drop().read_text()
    again = content.splitlines()[1].replace("2026-12-07 08:00", "2026-12-07 18:00")
    line.drop(f"{content}{again}\n")
    assert line.quietly() == []
    assert line.visits() == before
    assert {one["reason"] for one in line.set_aside()} == {"duplicate_key"}


def test_a_mended_row_leaves_quarantine_and_counts_as_new(line: Line) -> None:
    line.book_many(10)
    line.book(1, "2026-12-09 10:00", status="XQ")
    line.after()
    assert len(line.set_aside()) == 1
    line.change(1, status="scheduled")
    assert line.after() == [("confirmation", "p1@mail.example")]
    assert line.set_aside() == []


def test_the_same_id_in_two_sources_is_two_visits(two: Line) -> None:
    assert len(two.visits()) == 20
    assert (len(two.events("acar")), len(two.events("braun"))) == (10, 10)
    two.cancel(101)  # of the second source's book
    two.drop(source="physio")
    assert two.quietly() == [("cancellation", "+4915155500101")]
    assert two.visits()["reception/101"]["status"] == "booked"
    assert (len(two.events("acar")), len(two.events("braun"))) == (10, 9)


@pytest.mark.parametrize("error", [TryLater("the server is away"), Refused("no", fix="do this")])
def test_a_source_that_fails_leaves_the_other_at_work(
    two: Line, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    real = Csv.pull

    def pull(self: Csv, cursor: Cursor | None, window: Window) -> Iterator[Page]:
        if self.kit.name == "reception":
            raise error
        return real(self, cursor, window)

    before = {k: v for k, v in two.visits().items() if k.startswith("reception")}
    two.cancel(101)
    two.drop(source="physio")
    two.drop(source="reception", name="lost.csv")
    with monkeypatch.context() as broken:
        broken.setattr(Csv, "pull", pull)
        said = two.outbox()
        report = two.sync()
    assert report.exit == NEEDS_PERSON
    assert report.sources["reception"].state == "failed"
    assert report.sources["physio"].state == "ok"
    assert two.said_since(said) == [("cancellation", "+4915155500101")]
    after = two.visits()
    assert {k: v for k, v in after.items() if k.startswith("reception")} == before
    # What it could not read then, it reads as soon as it can.
    assert two.sync().sources["reception"].read == 10


def test_a_read_that_another_took_over_is_not_told_to_have_failed(
    two: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was frozen, say, and finds its files gone: the other run has read them."""

    def pull(self: Csv, cursor: Cursor | None, window: Window) -> Iterator[Page]:
        two.rewrite("UPDATE leases SET token = token + 1 WHERE name = 'source:reception'")
        raise Refused("no such file", fix="look")

    two.drop(source="reception")
    with monkeypatch.context() as overtaken:
        overtaken.setattr(Csv, "pull", pull)
        with pytest.raises(LeaseLost):
            two.sync()
    two.rewrite("DELETE FROM leases")
    states = two.queries(["SELECT source, state, error FROM sources"])[0]
    assert states == [("physio", "ok", None), ("reception", "ok", None)]


def test_naming_one_source_reads_that_one_only(two: Line) -> None:
    two.book(900)
    two.drop(source="physio")
    two.drop(source="reception")
    report = two.sync("2026-11-23 12:00", "physio")
    assert list(report.sources) == ["physio"]
    assert "physio/900" in two.visits()
    assert "reception/900" not in two.visits()


def test_two_clinics_in_one_store_know_nothing_of_each_other(house: Callable[..., Line]) -> None:
    one, other = house("riverside"), house("lakeside")
    for line in (one, other):
        line.book_many(10)
        assert line.after() == []
    before: dict[str, Any] = other.state()
    one.cancel(101)
    one.change(102, start="2026-12-20 10:00")
    del one.rows["103"]
    assert len(one.after()) == 2
    assert other.quietly() == []
    assert other.state() == before
    assert len(one.visits()) == len(other.visits()) == 10
    refs = [{row[3] for row in line.state()["events"]} for line in (one, other)]
    assert len(refs[0]) == len(refs[1]) == 10
