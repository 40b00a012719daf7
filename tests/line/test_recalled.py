"""What a source said before is known by its digest, and never believed a moment too long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sync import release
from sync.store import incoming

Line = Any
HELD = 4


def swept(reads: int) -> dict[str, Any]:
    """Return a source whose visits are gone when that many reads do not name them."""
    csv = {"type": "csv", "contents": "snapshot", "ready": {"settle": "0s"}, "gone_after": reads}
    return {"reception": csv}


@pytest.fixture
def known(line: Line) -> Line:
    line.book_many(40)
    line.after()
    return line


def mapped(line: Line, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sync an export; return how many of its records had to be looked into."""
    from mappings.compile import Mapper

    looked: list[int] = []
    one = Mapper.__call__
    monkeypatch.setattr(Mapper, "__call__", lambda self, r: (looked.append(1), one(self, r))[1])
    line.drop()
    report = line.sync()
    monkeypatch.undo()
    return len(looked), report.sources["reception"]


def test_only_what_changed_is_looked_into(known: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    known.change(110, start="2026-12-20 10:00")
    looked, report = mapped(known, monkeypatch)
    assert (looked, report.unchanged, report.changes) == (1, 39, {"rescheduled": 1})


def test_a_new_row_at_the_top_hides_none(known: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = dict(known.rows)
    known.rows = {}
    known.book(900, "2026-12-20 10:00")
    known.rows |= rows
    looked, report = mapped(known, monkeypatch)
    assert (looked, report.unchanged, report.changes) == (1, 40, {"booked": 1})


def test_a_change_and_its_way_back_are_both_seen(known: Line) -> None:
    before = known.rows["110"]["start"]
    known.change(110, start="2026-12-20 10:00")
    assert [kind for kind, _ in known.after()] == ["change"]
    known.change(110, start=before)
    assert [kind for kind, _ in known.after()] == ["change"]
    assert known.visits()["reception/110"]["version"] == 3


def test_what_a_person_released_is_not_what_the_old_row_says(known: Line) -> None:
    known.set(safety={"hold_if": {"reinstated": "100%"}})
    good = dict(known.rows)
    for key in list(known.rows)[:20]:
        known.cancel(key)
    known.drop()
    assert known.sync().exit == HELD
    known.rows = dict(good)
    (cut, _), (head, *_) = (known.drop().read_text().rsplit("\n", 1), [""])
    known.drop(
        cut[:-30] + head
    )  # the good rows again, but cut off: it proves nothing, ends nothing
    known.sync()

    def let_go(at_work: Any) -> None:
        with at_work.store.read() as connection:
            holds = incoming.open_holds(connection, at_work.store.clinic)
        for hold in holds:
            release.release(at_work, hold)

    known.at_work(let_go)
    off = [key for key, one in known.visits().items() if one["status"] == "cancelled"]
    known.drop()
    known.sync()
    back = [key for key, one in known.visits().items() if one["status"] == "cancelled"]
    assert (len(off), back) == (20, [])


def test_a_visit_that_was_missing_once_and_named_again_is_not_half_gone(known: Line) -> None:
    known.set(sources=swept(2))
    row = known.rows.pop("110")
    known.after()
    known.rows["110"] = row
    known.after()
    del known.rows["110"]
    known.after()
    assert "gone" not in known.visits()["reception/110"]
    known.drop()  # the same bytes once more are a second read that does not name it
    assert known.sync().sources["reception"].changes == {"gone": 1}
    assert known.visits()["reception/110"]["gone"]


def test_a_visit_that_is_new_in_the_second_of_two_exports_stays(
    house: Callable[..., Line],
) -> None:
    line = house(sources=swept(1))
    line.book_many(10)
    line.after()
    line.drop(name="a.csv")
    line.book(900, "2026-12-09 14:00")
    line.drop(name="b.csv")
    line.sync()
    line.sync()
    assert "gone" not in line.visits()["reception/900"]
    assert len(line.starts()) == 11


def test_another_mapping_looks_into_everything_again(
    known: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    known.set(clinic={**known.settings["clinic"], "country": "AT"})
    looked, report = mapped(known, monkeypatch)
    assert (looked, report.unchanged) == (40, 40)


@pytest.mark.parametrize("right", ["first", "last"])
@pytest.mark.parametrize("between", [0, 4500])
def test_of_two_rows_for_one_visit_the_same_counts_at_every_read(
    house: Callable[..., Line], right: str, between: int
) -> None:
    csv = {**swept(2)["reception"], "duplicates": right}
    line = house(sources={"reception": csv})
    line.book(1, "2026-12-09 10:00")
    line.book_many(between)
    line.book(2, "2026-12-10 10:00")
    starts = []
    for service in ("check-up", "vaccination", "follow-up"):
        line.change(2, service=service)  # another file each time
        head, *rows = line.drop().read_text().splitlines()
        again = rows[0].replace("2026-12-09 10:00", "2026-12-09 15:00")
        line.drop("\n".join([head, *rows, again, ""]))
        assert line.sync().messages.sent == 0
        starts.append(line.visits()["reception/1"]["start"])
    assert starts == [{"first": "2026-12-09T09:00:00Z", "last": "2026-12-09T14:00:00Z"}[right]] * 3


@pytest.mark.parametrize(
    "later", ["09:00", "15:00", "17:00"], ids=["as known", "the same", "third"]
)
def test_two_rows_that_contradict_each_other_pages_apart_change_nothing(
    line: Line, later: str
) -> None:
    line.book(1, "2026-12-09 09:00")
    line.book_many(4500)
    line.after()
    line.change(1, start="2026-12-09 15:00")
    content = line.drop().read_text()
    again = content.splitlines()[1].replace("15:00", later)
    line.drop(f"{content}{again}\n")
    line.sync()
    agree = later == "15:00"
    assert line.visits()["reception/1"]["start"] == f"2026-12-09T{'14' if agree else '08'}:00:00Z"
    assert len(line.set_aside()) == (0 if agree else 1)
