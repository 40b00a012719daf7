"""What the CSV connector makes of files: text, header, records, dates (C-05 to C-10, C-12, C-17)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clinicrelay.contracts import Columns
from clinicrelay.errors import BadRecord, Refused
from clinicrelay.testing.connectors import Read
from connectors.csv.pages import PAGE

if TYPE_CHECKING:
    from conftest import Drops

HEAD = "id,date,time,patient,notes\n"
ROWS = "1,2026-12-01,09:00,p1,\n2,2026-12-02,09:30,p2,bring papers\n"


def ids(read: Read) -> list[str]:
    return [record.data["id"] for record in read.records]


def bad(read: Read) -> list[tuple[str, str]]:
    return [(thing.place, thing.reason) for thing in read.unreadable]


def notes(read: Read) -> str:
    return " ".join(note for page in read.pages for note in page.notes)


class TestText:
    def test_a_byte_order_mark_is_no_part_of_the_first_column(self, drops: Drops) -> None:
        drops.put("visits.csv", "\ufeff" + HEAD + ROWS)
        assert ids(drops.read()) == ["1", "2"]

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
    def test_unicode_is_recognised_with_and_without_a_mark(
        self, drops: Drops, encoding: str
    ) -> None:
        drops.put("visits.csv", (HEAD + "1,2026-12-01,09:00,Jürgen Größ,\n").encode(encoding))
        read = drops.read()
        assert [r.data["patient"] for r in read.records] == ["Jürgen Größ"]
        assert read.pages[-1].complete

    def test_what_is_not_utf8_is_read_by_the_fallback_and_says_so(self, drops: Drops) -> None:
        drops.put("visits.csv", (HEAD + "1,2026-12-01,09:00,Müller,5 €\n").encode("cp1252"))
        read = drops.read()
        assert [(r.data["patient"], r.data["notes"]) for r in read.records] == [("Müller", "5 €")]
        assert "cp1252" in notes(read)

    def test_one_wrong_letter_far_down_the_file_decides_for_the_whole(self, drops: Drops) -> None:
        rows = "".join(f"{n},2026-12-01,09:00,p,\n" for n in range(60_000))
        drops.put("visits.csv", (HEAD + rows + "x,2026-12-01,09:00,Müller,\n").encode("cp1252"))
        assert drops.read().records[-1].data["patient"] == "Müller"

    def test_the_settings_win_over_what_the_bytes_look_like(self, drops: Drops) -> None:
        drops.put("visits.csv", (HEAD + "1,2026-12-01,09:00,Müller,\n").encode("cp850"))
        assert drops.read(encoding="cp850").records[0].data["patient"] == "Müller"

    def test_bytes_outside_the_named_encoding_lose_only_their_record(self, drops: Drops) -> None:
        rows = ROWS + "3,2026-12-01,09:00,Müller,\n4,2026-12-01,09:00,p4,\n"
        drops.put("visits.csv", (HEAD + rows).encode("cp1252"))
        read = drops.read(encoding="utf-8")
        assert ids(read) == ["1", "2", "4"]
        assert bad(read) == [("visits.csv:4", "undecodable")]
        assert "utf-8" in read.unreadable[0].detail
        assert read.unreadable[0].raw.encode()

    def test_nul_bytes_are_taken_out_with_a_note(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + "1,2026-12-01,09:00,p\x001,\n")
        read = drops.read()
        assert read.records[0].data["patient"] == "p1"
        assert "NUL" in notes(read)

    def test_a_cell_longer_than_pythons_own_limit_is_read(self, drops: Drops) -> None:
        long = "x" * 200_000
        drops.put("visits.csv", HEAD + f'1,2026-12-01,09:00,p1,"{long}, end"\n')
        assert drops.read().records[0].data["notes"] == f"{long}, end"

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_every_kind_of_line_end_is_one(self, drops: Drops, end: str) -> None:
        drops.put("visits.csv", (HEAD + ROWS).replace("\n", end))
        read = drops.read()
        assert ids(read) == ["1", "2"]
        assert read.records[1].data["notes"] == "bring papers"

    def test_line_ends_may_differ_within_a_file(self, drops: Drops) -> None:
        rows = [
            f"{n},2026-12-01,09:00,p{n},{end}" for n, end in enumerate(("\r", "\n", "\r\n") * 2)
        ]
        drops.put("visits.csv", HEAD + "".join(rows) + '9,2026-12-01,09:00,p9,"a\rb"\r')
        read = drops.read()
        assert ids(read) == ["0", "1", "2", "3", "4", "5", "9"]
        assert [record.line for record in read.records] == [2, 3, 4, 5, 6, 7, 8]
        assert read.records[-1].data["notes"] == "a\rb"


class TestHeader:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_the_delimiter_is_the_one_that_makes_a_header(
        self, drops: Drops, delimiter: str
    ) -> None:
        drops.put("visits.csv", (HEAD + ROWS).replace(",", delimiter))
        assert ids(drops.read()) == ["1", "2"]

    def test_a_sep_line_is_believed(self, drops: Drops) -> None:
        drops.put("visits.csv", "sep=^\r\n" + (HEAD + ROWS).replace(",", "^"))
        assert ids(drops.read()) == ["1", "2"]

    def test_a_sep_line_in_quotes_is_believed_too(self, drops: Drops) -> None:
        drops.put("visits.csv", '"sep=;"\r\n' + (HEAD + ROWS).replace(",", ";"))
        assert ids(drops.read()) == ["1", "2"]

    def test_the_settings_win_over_a_sep_line(self, drops: Drops) -> None:
        drops.put("visits.csv", "sep=,\n" + (HEAD + ROWS).replace(",", ";"))
        assert ids(drops.read(delimiter="semicolon")) == ["1", "2"]

    def test_a_sep_line_with_more_than_one_character_is_answered(self, drops: Drops) -> None:
        drops.put("visits.csv", "sep=||\n" + (HEAD + ROWS).replace(",", "||"))
        detail = drops.read().unreadable[0].detail
        assert "sep=||" in detail
        assert "one character" in detail

    def test_a_delimiter_that_the_file_does_not_have_is_answered_with_the_one_it_has(
        self, drops: Drops
    ) -> None:
        drops.put("visits.csv", (HEAD + ROWS).replace(",", ";"))
        detail = drops.read(delimiter=",").unreadable[0].detail
        assert detail == "its cells are parted by a semicolon: set delimiter to that"

    def test_semicolons_and_decimal_commas_inside_cells_are_no_delimiters(
        self, drops: Drops
    ) -> None:
        row = '1;2026-12-01;09:00;"Sample; Ada";0,5 h, then x\n'
        drops.put("visits.csv", HEAD.replace(",", ";") + row)
        (record,) = drops.read().records
        assert record.data["patient"] == "Sample; Ada"
        assert record.data["notes"] == "0,5 h, then x"

    def test_where_two_delimiters_make_a_header_the_rows_decide(self, drops: Drops) -> None:
        drops.put("visits.csv", "id;b,date\n1;2\n4;5\n7;8,9\n")
        (head, *_rest) = drops.read(columns=None).records
        assert list(head.data) == ["id", "b,date"]

    def test_lines_before_the_header_are_passed_over(self, drops: Drops) -> None:
        preamble = 'Riverside, Berlin\nPrinted, 23.11.2026, by "desk\n\n'
        drops.put("visits.csv", preamble + HEAD + ROWS)
        read = drops.read()
        assert ids(read) == ["1", "2"]
        assert (read.records[0].place, read.records[0].line) == ("visits.csv", 5)

    def test_a_header_cell_may_have_a_line_break(self, drops: Drops) -> None:
        drops.put("visits.csv", '"id","da\nte",time,patient,notes\n' + ROWS)
        assert ids(drops.read()) == ["1", "2"]

    def test_the_header_knows_no_case_accents_or_spaces(self, drops: Drops) -> None:
        drops.put("visits.csv", " ID ; DATUM ; Uhr-Zeit ; Pátient\n1;2026-12-01;09:00;p1\n")
        row = drops.read().records[0].data
        assert (row["id"], row["datum"], row["uhrzeit"], row["patient"]) == (
            "1",
            "2026-12-01",
            "09:00",
            "p1",
        )

    def test_a_name_that_stands_twice_means_the_first_and_is_noted(self, drops: Drops) -> None:
        drops.put("visits.csv", "id,date,Notes,notes\n1,2026-12-01,a,b\n")
        read = drops.read()
        assert read.records[0].data["notes"] == "a"
        assert "notes" in notes(read)

    def test_a_column_that_is_hoped_for_and_lacking_is_told_with_those_not_read(
        self, drops: Drops
    ) -> None:
        hoped = ((frozenset({"status"}), "every visit counts as booked"),)
        columns = Columns(
            names=frozenset({"id", "date", "status"}),
            required=(frozenset({"date"}), frozenset({"id"})),
            hoped=hoped,
        )
        drops.put("visits.csv", "id,date,Buchungs Lage,Farbe\n1,2026-12-01,storniert,rot\n")
        told = "visits.csv: every visit counts as booked. Columns not read: Buchungs Lage, Farbe"
        assert told in notes(drops.read(columns=columns))
        drops.put("visits.csv", "id,date,Status,Farbe\n1,2026-12-01,storniert,rot\n")
        assert "counts as booked" not in notes(drops.read(columns=columns))

    def test_without_a_mapping_the_first_line_with_columns_is_the_header(
        self, drops: Drops
    ) -> None:
        drops.put("visits.csv", "My clinic\n" + HEAD + ROWS)
        assert ids(drops.read(columns=None)) == ["1", "2"]

    def test_a_header_alone_is_a_whole_file_with_nothing_in_it(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD)
        read = drops.read()
        assert [(list(p.records), p.complete, p.last) for p in read.pages] == [([], True, True)]

    def test_totals_blank_lines_and_repeated_headers_are_no_records(self, drops: Drops) -> None:
        rows = ROWS + "\n,,,,\n" + HEAD + "3,2026-12-03,08:00,p3,\n"
        foot = "Total,,,,3\nTotal: 3\n(3 rows affected)\n-----\nEnde\n"
        drops.put("visits.csv", HEAD + rows + foot)
        read = drops.read()
        assert ids(read) == ["1", "2", "3"]
        assert not read.unreadable
        assert read.pages[-1].complete

    def test_quoted_totals_are_no_records_either(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + '"1","2026-12-01","09:00","p","n"\n"Summe","","","","1"\n')
        read = drops.read()
        assert ids(read) == ["1"]
        assert not read.unreadable

    def test_a_patient_called_like_a_total_is_still_a_record(self, drops: Drops) -> None:
        drops.put("visits.csv", "patient,date,time,id,notes\nTotal Recall,2026-12-01,9:00,1,x\n")
        assert ids(drops.read()) == ["1"]


class TestRecords:
    def test_quoted_line_breaks_and_doubled_quotes_are_read(self, drops: Drops) -> None:
        note = '"first ""line""\r\nsecond, line"'
        drops.put("visits.csv", HEAD + f"1,2026-12-01,09:00,p1,{note}\n" + ROWS[23:])
        read = drops.read()
        assert read.records[0].data["notes"] == 'first "line"\nsecond, line'
        assert [r.line for r in read.records] == [2, 4]

    def test_a_delimiter_too_many_at_the_end_is_harmless(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + ROWS.replace("\n", ",\n"))
        assert ids(drops.read()) == ["1", "2"]
        drops.put("again.csv", (HEAD + ROWS).replace("\n", ",,\n"))
        assert ids(drops.read()) == ["1", "2"]

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ('9,2026-12-01,09:00,"p9,x', "stray_quote"),
            ('9,2026-12-01,09:00,"p"9,x', "stray_quote"),
            ("9,2026-12-01,09:00", "missing_cell"),
            ("9", "missing_cell"),
            ("9,2026-12-01,09:00,Doe, Jane,x", "extra_cell"),
        ],
    )
    def test_a_damaged_record_loses_only_itself(self, drops: Drops, row: str, reason: str) -> None:
        drops.put("visits.csv", HEAD + "1,2026-12-01,09:00,p1,\n" + row + "\n" + ROWS[23:])
        read = drops.read()
        assert ids(read) == ["1", "2"]
        assert bad(read) == [("visits.csv:3", reason)]
        assert (read.unreadable[0].raw, read.unreadable[0].line) == (row, 3)
        assert not read.pages[-1].complete

    def test_a_damaged_record_names_its_cell(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + '9,2026-12-01,09:00,"p"9,x\n')
        thing = drops.read().unreadable[0]
        assert (thing.column, thing.field) == (4, "patient")

    def test_two_stray_quotes_do_not_swallow_the_records_between(self, drops: Drops) -> None:
        rows = '1,2026-12-01,09:00,"p1,\n2,2026-12-02,09:00,p2,\n3,2026-12-03,09:00,p3",\n'
        drops.put("visits.csv", HEAD + rows)
        read = drops.read()
        assert "2" in ids(read)
        assert ("visits.csv:2", "stray_quote") in bad(read)

    def test_a_record_inside_open_quotes_is_still_a_record(self, drops: Drops) -> None:
        rows = '1,2026-12-01,09:00,"p1,\n2,2026-12-02,09:00,p2,\nsecond floor",x\n'
        drops.put("visits.csv", HEAD + rows)
        assert ids(drops.read()) == ["2"]

    def test_no_open_quote_swallows_more_than_a_record_can_be_long(self, drops: Drops) -> None:
        many = "".join(f"{n},2026-12-01,09:00,p,{'x' * 90}\n" for n in range(11_000))
        drops.put("visits.csv", HEAD + '0,2026-12-01,09:00,"p,\n' + many + 'end",x\n')
        assert len(drops.read(columns=None).records) == 11_000

    def test_two_stray_quotes_do_not_make_one_record_of_two(self, drops: Drops) -> None:
        rows = '1,"2026-12-01,09:00,p1,\n2,2026-12-02",09:00,p2,\n'
        drops.put("visits.csv", HEAD + rows)
        assert not [r for r in drops.read().records if "2026-12-01" in r.raw and "12-02" in r.raw]

    def test_a_note_over_three_lines_is_read_in_the_last_column_and_in_the_first(
        self, drops: Drops
    ) -> None:
        rows = '1,2026-12-01,09:00,p1,"one, two\nthree, four\nfive, six"\n' + ROWS[23:]
        drops.put("visits.csv", HEAD + rows)
        assert drops.read().records[0].data["notes"] == "one, two\nthree, four\nfive, six"
        drops.put("again.csv", 'notes,id,date\n"a, b\nc, d",1,2026-12-01\n')
        assert drops.read().records[0].data["notes"] == "a, b\nc, d"

    def test_a_quote_in_the_middle_of_a_bare_cell_is_a_letter(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + '1,2026-12-01,09:00,p1,5" pipe\n' + ROWS[23:])
        read = drops.read()
        assert ids(read) == ["1", "2"]
        assert read.records[0].data["notes"] == '5" pipe'

    def test_a_quote_that_never_closes_ends_with_its_record(self, drops: Drops) -> None:
        many = "".join(f"{n},2026-12-01,09:00,p{n},note\n" for n in range(5000))
        drops.put("visits.csv", HEAD + '9,2026-12-01,09:00,"p9,x\n' + many)
        read = drops.read()
        assert len(read.records) == 5000
        assert bad(read) == [("visits.csv:2", "stray_quote")]

    def test_a_file_cut_off_in_a_row_is_not_whole(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + ROWS + "3,2026-12")
        read = drops.read()
        assert bad(read) == [("visits.csv:4", "truncated")]
        assert not read.pages[-1].complete

    def test_a_last_row_without_line_end_is_taken_with_a_note(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + ROWS.rstrip("\n"))
        read = drops.read()
        assert ids(read) == ["1", "2"]
        assert "cut off" in notes(read)
        assert read.pages[-1].complete

    def test_a_large_file_comes_in_pages_and_only_the_last_moves_the_cursor(
        self, drops: Drops
    ) -> None:
        rows = "".join(f"{n},2026-12-01,09:00,p{n},\n" for n in range(2 * PAGE + 1))
        drops.put("visits.csv", HEAD + rows)
        read = drops.read()
        assert [len(p.records) for p in read.pages] == [PAGE, PAGE, 1]
        assert [bool(p.cursor) for p in read.pages] == [False, False, True]
        assert read.pages[-1].cursor["count"] == 2 * PAGE + 1

    def test_a_record_is_equal_wherever_it_stands_and_whatever_its_line_end(
        self, drops: Drops
    ) -> None:
        drops.put("a.csv", HEAD + ROWS)
        first = drops.read().records
        drops.put("b.csv", (HEAD + "7,2026-12-01,09:00,p7,\n" + ROWS).replace("\n", "\r\n"))
        again = drops.read().records
        assert [r.digest for r in first] == [r.digest for r in again[1:]]

    def test_the_same_text_under_other_columns_is_another_record(self, drops: Drops) -> None:
        drops.put("a.csv", "id,date,time\n1,2026-12-01,09:00\n")
        first = drops.read().records[0]
        drops.put("b.csv", "id,date,patient\n1,2026-12-01,09:00\n")
        second = drops.read().records[0]
        assert first.raw == second.raw
        assert first.digest != second.digest

    def test_a_row_of_formulas_is_data(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + "1,2026-12-01,09:00,=1+1,@SUM(A1)\n")
        assert drops.read().records[0].data["patient"] == "=1+1"


class TestDates:
    def rows(self, *dates: str) -> str:
        return HEAD + "".join(f"{n},{date},09:00,p,\n" for n, date in enumerate(dates))

    def test_the_whole_column_decides_and_cells_become_iso(self, drops: Drops) -> None:
        dates = ["03/04/2026"] * 3000 + ["13/04/2026"]
        drops.put("visits.csv", self.rows(*dates))
        read = drops.read()
        assert read.records[0].data["date"] == "2026-04-03"
        assert read.records[-1].data["date"] == "2026-04-13"
        assert "dmy" in notes(read)

    def test_month_first_is_recognised_and_times_stay(self, drops: Drops) -> None:
        drops.put("visits.csv", self.rows("3-4-26 9:30 AM", "12-31-26 10:00"))
        read = drops.read()
        assert [r.data["date"] for r in read.records] == [
            "2026-03-04 9:30 AM",
            "2026-12-31 10:00",
        ]

    def test_days_that_could_be_months_are_refused_and_the_file_stays(self, drops: Drops) -> None:
        drops.put("visits.csv", self.rows("03/04/2026", "05/06/2026"))
        with pytest.raises(Refused) as refused:
            drops.read()
        assert "visits.csv" in str(refused.value)
        assert "dates: dmy" in refused.value.fix
        assert "test" in refused.value.fix
        assert drops.tree() == ["visits.csv"]

    def test_the_settings_decide_what_the_column_cannot(self, drops: Drops) -> None:
        drops.put("visits.csv", self.rows("03/04/2026"))
        assert drops.look(dates="dmy").records[0].data["date"] == "2026-04-03"
        assert drops.look(dates="mdy").records[0].data["date"] == "2026-03-04"

    def test_a_column_of_both_orders_is_refused(self, drops: Drops) -> None:
        drops.put("visits.csv", self.rows("13/04/2026", "04/13/2026"))
        with pytest.raises(Refused):
            drops.read()

    def test_a_date_against_the_order_is_set_aside_and_not_turned_round(self, drops: Drops) -> None:
        drops.put("visits.csv", self.rows("04/13/2026", "03/04/2026"))
        first, second = drops.read(dates="dmy").records
        with pytest.raises(BadRecord) as error:
            first.data["date"]
        assert error.value.field == "date"
        assert "13" not in str(error.value) + error.value.detail
        assert second.data["date"] == "2026-04-03"

    def test_another_order_makes_another_record(self, drops: Drops) -> None:
        drops.put("visits.csv", self.rows("03/04/2026"))
        dmy, mdy = (drops.look(dates=order).records[0] for order in ("dmy", "mdy"))
        assert dmy.digest != mdy.digest

    def test_iso_dates_ask_nobody(self, drops: Drops) -> None:
        drops.put("visits.csv", self.rows("2026-04-03"))
        read = drops.read()
        assert read.records[0].data["date"] == "2026-04-03"
        assert not notes(read)

    def test_slashes_outside_the_date_columns_are_left_alone(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + "1,2026-12-01,09:00,p,seen 03/04/2026\n")
        assert drops.read().records[0].data["notes"] == "seen 03/04/2026"


class TestDelta:
    head = "op,id,date,patient\n"

    def test_operations_say_what_is_gone(self, drops: Drops) -> None:
        rows = "I,1,2026-12-01,p\nupdate,2,2026-12-01,p\nDeleted,3,2026-12-01,p\n"
        drops.put("changes.csv", self.head + rows)
        read = drops.read(contents="delta")
        assert [(r.data["id"], r.gone) for r in read.records] == [
            ("1", False),
            ("2", False),
            ("3", True),
        ]
        assert not read.pages[-1].complete

    def test_an_unknown_operation_is_set_aside(self, drops: Drops) -> None:
        drops.put("changes.csv", self.head + "Q,1,2026-12-01,p\nI,2,2026-12-01,p\n")
        read = drops.read(contents="delta")
        assert ids(read) == ["2"]
        assert bad(read) == [("changes.csv:2", "unknown_op")]
        assert read.unreadable[0].field == "op"

    def test_a_delta_without_an_operation_column_is_not_guessed(self, drops: Drops) -> None:
        drops.put("changes.csv", HEAD + ROWS)
        read = drops.read(contents="delta")
        assert bad(read) == [("changes.csv", "no_operation")]
        assert drops.tree() == ["quarantine/changes.csv"]

    def test_an_operation_column_means_nothing_in_a_snapshot(self, drops: Drops) -> None:
        drops.put("visits.csv", self.head + "D,1,2026-12-01,p\n")
        assert [r.gone for r in drops.read().records] == [False]

    def test_absence_from_an_appended_file_means_nothing(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + ROWS)
        read = drops.read(contents="append")
        assert ids(read) == ["1", "2"]
        assert not read.pages[-1].complete
        assert not drops.connector(contents="append").lists_everything


class TestHopelessFiles:
    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "empty_file"),
            (b"\r\n \r\n", "empty_file"),
            (b"<!DOCTYPE html>\n<html><body>Log in, please</body></html>", "not_csv"),
            (b"PK\x03\x04\x14\x00\x06\x00", "not_csv"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "not_csv"),
            (b"%PDF-1.7\n", "not_csv"),
            (b"\x00\x01\x02\xff\xfe\x00id,date\x07", "not_csv"),
            (b"ORA-12541: TNS no listener\n", "not_csv"),
            (b"kunde,ort,summe\n1,Berlin,3\n", "no_header"),
        ],
    )
    def test_it_goes_to_quarantine_whole_and_the_others_are_read(
        self, drops: Drops, content: bytes, reason: str
    ) -> None:
        drops.put("a.csv", content, age=5000)
        drops.put("b.csv", HEAD + ROWS)
        read = drops.read()
        assert bad(read) == [("a.csv", reason)]
        assert read.unreadable[0].detail
        assert ids(read) == ["1", "2"]
        assert [p.complete for p in read.pages if p.last] == [False, True]
        assert drops.tree() == [
            "processed/2026-11/b.csv",
            "quarantine/a.csv",
            "quarantine/a.summary.json",
        ]

    def test_a_header_of_unknown_names_is_shown_where_it_can_be_nothing_else(
        self, drops: Drops
    ) -> None:
        drops.put("a.csv", "Kennung;Am;Um;Wer\nT1;24.03.2027;09:00;A B\n")
        assert "line 1 names the columns Kennung, Am, Um, Wer" in drops.read().unreadable[0].detail

    @pytest.mark.parametrize(
        "content",
        [
            "T1;24.03.2027;09:00;Ada B\nT2;24.03.2027;09:00;Bo C\n",  # no header at all
            "Ada B;Dr Who;open;today\nCleo D;Dr Who;open;today\n",
            "List;Ada B;Dr Who;x\n\nT1;24.03.2027;09:00;A B\n",
        ],
    )
    def test_a_line_that_may_be_somebodys_visit_is_not_shown(
        self, drops: Drops, content: str
    ) -> None:
        drops.put("a.csv", content)
        detail = drops.read().unreadable[0].detail
        assert "known as start" in detail
        assert "Ada" not in detail

    def test_the_missing_columns_are_named(self, drops: Drops) -> None:
        drops.put("a.csv", "kunde,ort,summe\n1,Berlin,3\n")
        assert "known as start; and key or patient.name" in drops.read().unreadable[0].detail

    def test_a_header_that_lacks_something_is_shown_with_the_lines_for_a_mapping(
        self, drops: Drops
    ) -> None:
        drops.put("a.csv", "Report of Monday\nDate,Time,Subject,Room\n2026-12-01,09:30,Ada,1\n")
        detail = drops.read().unreadable[0].detail
        assert detail == (
            "line 2 names the columns Date, Time, Subject, Room; none of them is known as key or "
            'patient.name. In a mapping of your own say which it is (patient.name: {path: "…"})'
        )

    def test_check_and_the_run_say_it_too(self, drops: Drops) -> None:
        drops.put("a.csv", "Date,Time,Subject,Room\n2026-12-01,09:30,Ada,1\n")
        (finding,) = drops.connector().check()
        assert (finding.severity, finding.code) == ("warning", "no_header")
        assert finding.message.startswith("a.csv: line 1 names the columns Date, Time, Subject")
        note = drops.read().pages[-1].notes[-1]
        assert note.startswith("a.csv was moved to quarantine: line 1 names the columns Date")

    def test_a_first_line_that_may_be_a_visit_is_not_shown(self, drops: Drops) -> None:
        drops.put("a.csv", "date,2026-12-01,09:30,Ada Sample,time\n")
        assert "Ada" not in drops.read().unreadable[0].detail
        drops.put("b.csv", "Sample,Ada,Dr Example,2. Etage\nMuster,Jo,Dr Example,Keller\n")
        assert "Sample" not in drops.read().unreadable[0].detail

    def test_a_hopeless_file_changes_nothing_of_what_is_known(self, drops: Drops) -> None:
        drops.put("a.csv", HEAD + ROWS, age=300)
        known = drops.read().cursor
        drops.put("b.csv", "<html>")
        after = drops.read(known).cursor
        drops.put("c.csv", HEAD + ROWS)
        assert [p.same for p in drops.read(after).pages] == [True]

    def test_columns_without_requirements_accept_any_header(self, drops: Drops) -> None:
        drops.put("a.csv", HEAD + ROWS)
        anything = Columns(names=frozenset(), required=())
        assert ids(drops.read(columns=anything)) == ["1", "2"]
