"""Reject files: what was set aside, beside the original, and back again (C-15, C-16)."""

from __future__ import annotations

import csv
import io
import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.contracts import Unreadable
from clinicrelay.testing.kits import WINDOW
from connectors.csv.rejects import escaped, is_named, remarks_in, unescaped

if TYPE_CHECKING:
    from conftest import Drops

HEAD = "id,date,time,patient,notes\n"
GOOD = "1,2026-12-01,09:00,p1,\n2,2026-12-02,10:00,p2,\n"
SHORT = "3,2026-12-03\n"
MONTH = "processed/2026-11"
REJECTS = f"{MONTH}/visits.rejects.csv"


def rejects(drops: Drops, name: str = REJECTS, delimiter: str = ",") -> list[dict[str, str]]:
    text = (drops.inbox / name).read_bytes().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


def summary(drops: Drops, name: str = f"{MONTH}/visits.summary.json") -> dict[str, Any]:
    found = json.loads((drops.inbox / name).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def set_aside(line: int, raw: str, **more: Any) -> Unreadable:
    return Unreadable(f"visits.csv:{line}", "bad_time", raw, "no time", line=line, **more)


def read_and_reject(drops: Drops, *things: Unreadable, **said: Any) -> None:
    """Read what was dropped, and have the mapping set some of it aside."""
    connector = drops.connector(**said)
    connector.claim()
    page = list(connector.pull(None, WINDOW))[-1]
    connector.rejected(page.cursor, things)
    connector.kept(page.cursor)


class TestWriting:
    def test_bad_rows_lie_beside_the_original_with_what_is_wrong(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + GOOD + SHORT)
        drops.read()
        assert drops.tree() == [
            f"{MONTH}/visits.csv",
            REJECTS,
            f"{MONTH}/visits.summary.json",
        ]
        (row,) = rejects(drops)
        assert list(row) == [
            *("id", "date", "time", "patient", "notes"),
            *("line", "column", "reason", "value", "ref"),
        ]
        assert (row["id"], row["date"], row["patient"]) == ("3", "2026-12-03", "")
        assert (row["line"], row["column"], row["value"]) == ("4", "time", "")
        assert row["reason"] == "missing_cell: the row has fewer cells than the header"

    def test_a_summary_counts_and_names_the_file(self, drops: Drops) -> None:
        path = drops.put("visits.csv", HEAD + GOOD + SHORT + '4,"x\n')
        size = path.stat().st_size
        drops.read()
        told = summary(drops)
        assert len(told.pop("sha256")) == 64
        assert told == {
            "file": "visits.csv",
            "source": "test",
            "bytes": size,
            "written_at": "2026-11-23T07:58:20.000000+00:00",
            "read_at": "2026-11-23T08:00:00Z",
            "rows": 4,
            "set_aside": 2,
            "reasons": {"missing_cell": 1, "stray_quote": 1},
            "rejects": "visits.rejects.csv",
        }

    def test_a_file_without_bad_rows_leaves_nothing_beside_it(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + GOOD)
        drops.read()
        assert drops.tree() == [f"{MONTH}/visits.csv"]

    def test_a_file_nobody_can_read_has_a_summary_that_says_why(self, drops: Drops) -> None:
        drops.put("visits.csv", "%PDF-1.7")
        drops.read()
        told = summary(drops, "quarantine/visits.summary.json")
        assert (told["reasons"], told["rows"], told["rejects"]) == ({"not_csv": 1}, None, None)

    def test_only_their_owner_may_read_them(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + SHORT)
        drops.read()
        for path in (drops.inbox / MONTH).glob("visits.*.*"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_what_the_mapping_set_aside_is_in_it_too(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + GOOD + "3,2026-12-03,soon,p3,\n")
        thing = set_aside(4, "3,2026-12-03,soon,p3,", field="start", column=3, ref="ab12")
        read_and_reject(drops, thing)
        (row,) = rejects(drops)
        assert (row["id"], row["line"], row["column"], row["value"]) == ("3", "4", "time", "soon")
        assert row["ref"] == "rab12"

    def test_cells_that_say_who_somebody_is_are_not_repeated(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + "1,2026-12-01,09:00,Ada Sample,\n")
        read_and_reject(drops, set_aside(2, "1,2026-12-01,09:00,Ada Sample,", column=4))
        (row,) = rejects(drops)
        assert (row["patient"], row["column"], row["value"]) == ("Ada Sample", "patient", "***")

    def test_entries_of_another_file_of_that_name_are_not_in_it(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + GOOD)
        read_and_reject(drops, set_aside(2, "9,2026-11-01,08:00,p9,"), set_aside(77, "x"))
        assert drops.tree() == [f"{MONTH}/visits.csv"]

    def test_a_row_over_several_lines_is_one_row(self, drops: Drops) -> None:
        raw = '1,2026-12-01,soon,p1,"first\nsecond, third"'
        drops.put("visits.csv", f"{HEAD}{raw}\n{GOOD}")
        read_and_reject(drops, set_aside(2, raw))
        (row,) = rejects(drops)
        assert row["notes"] == "first\nsecond, third"

    def test_nothing_of_a_row_with_too_many_cells_is_lost(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + "1,2026-12-01,09:00,p1,fasting, please\n")
        drops.read()
        (row,) = rejects(drops)
        assert row["notes"] == "fasting, please"

    @pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8"])
    def test_it_is_unicode_and_has_the_delimiter_of_the_original(
        self, drops: Drops, encoding: str
    ) -> None:
        text = (HEAD + "1,2026-12-01,09:00,Jörg\n").replace(",", ";")
        drops.put("visits.csv", text.encode(encoding))
        drops.read()
        assert (drops.inbox / REJECTS).read_bytes().startswith(b"\xef\xbb\xbf")
        assert rejects(drops, delimiter=";")[0]["patient"] == "Jörg"

    def test_formulas_are_written_so_that_no_spreadsheet_runs_them(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + '1,2026-12-01,09:00,"=HYPERLINK(""x"")"\n-1,+49,@x,\'=y\n')
        drops.read()
        one, two = rejects(drops)
        assert one["patient"] == '\'=HYPERLINK("x")'
        assert [two[name] for name in ("id", "date", "time", "patient")] == [
            *("'-1", "'+49", "'@x", "''=y"),
        ]

    def test_two_originals_of_one_name_have_a_reject_file_each(self, drops: Drops) -> None:
        for number in range(2):
            drops.put("visits.csv", f"{HEAD}{number},2026-12-03\n", age=200 - number)
            drops.read(contents="append")
        assert rejects(drops, f"{MONTH}/visits-2.rejects.csv")[0]["id"] == "1"
        assert rejects(drops)[0]["id"] == "0"

    def test_an_archives_reject_file_is_named_after_it(self, drops: Drops) -> None:
        import gzip

        drops.put("visits.csv.gz", gzip.compress((HEAD + SHORT).encode()))
        drops.read()
        assert rejects(drops, f"{MONTH}/visits.csv.gz.rejects.csv")[0]["id"] == "3"

    @pytest.mark.parametrize("rows", [1, 10_000])
    def test_the_row_is_found_wherever_it_stands(self, drops: Drops, rows: int) -> None:
        many = "".join(f"{n},2026-12-01,09:00,p{n},\n" for n in range(rows))
        drops.put("visits.csv", f"{HEAD}{many}x,2026-12-03,soon,p3,\n{GOOD}")
        read_and_reject(drops, set_aside(rows + 2, "x,2026-12-03,soon,p3,"))
        assert [row["id"] for row in rejects(drops)] == ["x"]


class TestKilled:
    def test_before_the_move_the_same_files_are_there_in_the_end(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + GOOD + SHORT)
        connector = drops.connector()
        connector.claim()
        page = list(connector.pull(None, WINDOW))[-1]
        connector.rejected(page.cursor, page.unreadable)
        before = rejects(drops)
        drops.read(page.cursor)
        assert drops.tree() == [f"{MONTH}/visits.csv", REJECTS, f"{MONTH}/visits.summary.json"]
        assert rejects(drops) == before

    def test_before_the_reject_file_it_is_written_by_the_next_run(self, drops: Drops) -> None:
        """The rows are known word for word then, and only the store knows what was wrong."""
        drops.put("visits.csv", HEAD + GOOD + "3,2026-12-03,soon,p3,\n")
        connector = drops.connector()
        connector.claim()
        page = list(connector.pull(None, WINDOW))[-1]
        again = drops.connector()
        again.claim()
        same = list(again.pull(page.cursor, WINDOW))[-1]
        assert same.same
        again.rejected(same.cursor, [set_aside(4, "3,2026-12-03,soon,p3,")])
        again.kept(same.cursor)
        assert [row["id"] for row in rejects(drops)] == ["3"]

    def test_after_the_move_nothing_is_written_again(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + GOOD + SHORT)
        read = drops.read()
        (drops.inbox / REJECTS).unlink()
        drops.connector().rejected(read.cursor or {}, read.unreadable)
        assert REJECTS not in drops.tree()


class TestComingBack:
    def mended(self, drops: Drops, *, name: str = "visits.rejects.csv", **cells: str) -> None:
        """Mend the cells of all rows of the reject file and drop it."""
        rows = [{**row, **cells} for row in rejects(drops)]
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        drops.put(name, out.getvalue())

    @pytest.fixture(autouse=True)
    def a_bad_file(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + GOOD + "3,2026-12-03,,-p3,\n", age=500)
        read_and_reject(drops, set_aside(4, "3,2026-12-03,,-p3,", column=3, ref="ab12"))

    @pytest.mark.parametrize("contents", ["snapshot", "append"])
    def test_only_its_rows_are_read_and_the_source_stands_where_it_stood(
        self, drops: Drops, contents: str
    ) -> None:
        self.mended(drops, time="11:00")
        known = {"name": "visits.csv", "sha256": "0" * 64, "complete": True}
        read = drops.read(known, contents=contents)
        (record,) = read.records
        assert (record.data["time"], record.data["patient"]) == ("11:00", "-p3")
        page = read.pages[-1]
        assert (page.correction, page.complete, page.last) == (True, False, True)
        assert page.mends == ["ab12"]
        assert f"{MONTH}/visits.rejects-2.csv" in drops.tree()
        assert known.items() <= (read.cursor or {}).items()

    def test_what_is_wrong_with_it_is_no_data(self, drops: Drops) -> None:
        """The mapping calls a column `reason` the service, and knows `line` as little as any."""
        self.mended(drops, time="11:00")
        (record,) = drops.read().records
        assert [name for name in record.data if name] == HEAD.strip().split(",")

    @pytest.mark.parametrize(
        "name", ["fixed.csv", "visits.REJECTS (1).csv", "Kopie visits.rejects.csv"]
    )
    def test_it_is_known_by_its_name_or_by_its_columns(self, drops: Drops, name: str) -> None:
        self.mended(drops, name=name, time="11:00")
        assert drops.read().pages[-1].correction

    def test_it_is_known_by_its_name_without_the_columns(self, drops: Drops) -> None:
        drops.put("visits.rejects.csv", HEAD + "3,2026-12-03,11:00,p3,\n")
        page = drops.read().pages[-1]
        assert (page.correction, page.mends) == (True, [])

    def test_it_is_taken_whatever_the_pattern_and_without_a_done_file(self, drops: Drops) -> None:
        self.mended(drops, time="11:00")
        read = drops.read(pattern="export_*.txt", ready={"done_file": "{name}.done"})
        assert len(read.records) == 1

    @pytest.mark.parametrize(
        ("ready", "age", "taken"),
        [
            ({"settle": "0s"}, 0, True),
            ({"settle": "5m"}, 100, False),
            ({"manifest": True}, 30, False),
            ({"manifest": True}, 61, True),
        ],
    )
    def test_it_settles_like_other_files_or_for_a_minute(
        self, drops: Drops, ready: dict[str, Any], age: float, taken: bool
    ) -> None:
        drops.put("visits.rejects.csv", HEAD + "3,2026-12-03,11:00,p3,\n", age=age)
        assert bool(drops.read(ready=ready).records) is taken

    def test_a_spreadsheet_may_have_saved_it_in_its_own_way(self, drops: Drops) -> None:
        row = rejects(drops)[0] | {"time": "11:00", "notes": "Grüße"}
        text = ";".join(row) + "\r\n" + ";".join(row.values()) + "\r\n"
        drops.put("visits.rejects.csv", text.encode("cp1252"))
        (record,) = drops.read(encoding="auto").records
        assert (record.data["notes"], record.data["patient"]) == ("Grüße", "-p3")

    def test_a_set_encoding_is_not_that_of_our_file(self, drops: Drops) -> None:
        self.mended(drops, time="11:00")
        assert len(drops.read(encoding="cp1252").records) == 1

    def test_dates_are_read_as_in_the_file_they_came_from(self, drops: Drops) -> None:
        dated = HEAD + "1,13/12/2026,09:00,p1,\n2,03/04/2026,,p2,\n"
        drops.put("slashes.csv", dated, age=200)
        connector = drops.connector()
        connector.claim()
        page = list(connector.pull(None, WINDOW))[-1]
        connector.kept(page.cursor)
        drops.put("slashes.rejects.csv", HEAD + "2,03/04/2026,11:00,p2,\n")
        (record,) = drops.read().records
        assert record.data["date"] == "2026-04-03"

    def test_rows_that_are_still_wrong_come_out_again(self, drops: Drops) -> None:
        self.mended(drops, id="3,4")
        connector = drops.connector()
        connector.claim()
        page = list(connector.pull(None, WINDOW))[-1]
        raw = page.records[0].raw or ""
        place = "visits.rejects.csv"
        thing = Unreadable(f"{place}:2", "bad_time", raw, line=2, column=3, ref="cd34")
        connector.rejected(page.cursor, [thing])
        connector.kept(page.cursor)
        (row,) = rejects(drops, f"{MONTH}/visits.rejects-2.rejects.csv")
        assert list(row)[-5:] == ["line", "column", "reason", "value", "ref"]
        assert (len(row), row["id"], row["patient"], row["ref"]) == (10, "3,4", "'-p3", "rcd34")

    def test_that_of_an_older_export_is_not_applied_over_a_newer(self, drops: Drops) -> None:
        drops.put("visits_20261121.csv", HEAD + GOOD + SHORT, age=400)
        drops.put("visits_20261122.csv", HEAD + GOOD, age=300)
        known = drops.read().cursor
        drops.put("visits_20261121.rejects.csv", HEAD + "3,2026-12-03,11:00,p3,\n")
        read = drops.read(known)
        assert not read.records
        assert "older export than visits_20261122.csv" in read.pages[-1].notes[0]
        assert "quarantine/visits_20261121.rejects.csv" in drops.tree()

    def test_in_a_delta_it_keeps_its_operation(self, drops: Drops) -> None:
        drops.put("deltas.csv", "op,id,date,patient\nD,1,,\nU,2\n", age=200)
        drops.read(contents="delta")
        again = drops.inbox / MONTH / "deltas.rejects.csv"
        text = again.read_text(encoding="utf-8-sig").replace("U,2,,,", "D,2,2026-12-02,p2,")
        drops.put("deltas.rejects.csv", text)
        read = drops.read(contents="delta")
        assert [(r.data["id"], r.gone) for r in read.records] == [("2", True)]


@pytest.mark.parametrize(
    "cell", ["", "plain", "=1", "+49 30 555", "-", "@x", "'tis", "''", "'=1", "a=b", "\tx", "\rx"]
)
def test_escaping_is_undone_exactly(cell: str) -> None:
    assert unescaped(escaped(cell)) == cell
    assert not escaped(cell).startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("visits.rejects.csv", True),
        ("visits.rejects-2.csv", True),
        ("visits.REJECTS.CSV", True),
        ("visits.csv", False),
        ("rejects.csv", False),
        ("visits.rejectsX.csv", False),
    ],
)
def test_a_reject_file_is_told_by_its_name(name: str, ours: bool) -> None:
    assert is_named(name) is ours


def test_columns_that_only_look_like_ours_are_the_clinics() -> None:
    assert remarks_in(("id", "line", "reason", "value", "column")) is None
    assert remarks_in(("id", "line", "column", "reason", "value")) == 1
