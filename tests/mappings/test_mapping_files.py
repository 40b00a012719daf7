"""Mapping files: what is found, what is wrong with them, and where it stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mappings
from clinicrelay import BadRecord, Record, SettingsError
from clinicrelay.tables import Header, Row
from mappings.testing import run_tests

Load = Callable[[str], mappings.Mapping]
BERLIN = mappings.Context("s", "Europe/Berlin", "DE", "de")
LEAST = "fields:\n  key: {path: id}\n"


def mistakes(load: Load, body: str) -> list[tuple[str, int, int, str, str]]:
    with pytest.raises(SettingsError) as wrong:
        load(body)
    return [(f.path, f.line, f.column, f.code, f.fix) for f in wrong.value.findings]


def test_a_name_is_found_in_the_package_and_a_path_beside_the_settings(tmp_path: Path) -> None:
    assert mappings.load("clinic_csv", tmp_path).name == "clinic_csv"
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "ours.yaml").write_text("version: 1\n" + LEAST)
    assert mappings.load("maps/ours.yaml", tmp_path).file == tmp_path / "maps" / "ours.yaml"


def test_a_mapping_that_is_not_there_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as wrong:
        mappings.load("clinic_cvs", tmp_path)
    assert "did you mean clinic_csv?" in wrong.value.findings[0].fix


def test_every_mistake_is_told_at_once_with_its_place_and_what_is_right(load: Load) -> None:
    found = mistakes(
        load,
        "fields:\n"
        "  start: {path: at, typ: datetime}\n"
        "  patient.nam: {path: name}\n"
        "  service: {path: s, type: txt}\n"
        "  status: {path: st, table: {x: canceled}}\n"
        "nuls: []\n",
    )
    assert [(path, line, fix) for path, line, _, _, fix in found] == [
        ("nuls", 7, "did you mean nulls?"),
        ("fields.patient.nam", 4, "did you mean patient.name?"),
        ("fields.start.typ", 3, "did you mean type?"),
        ("fields.service.type", 5, "did you mean text?"),
        ("fields.status.table.x", 6, "did you mean cancelled?"),
    ]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("key: {path: id, any: [id]}", "origin"),
        ("key: {required: true}", "origin"),
        ("key: id", "mapping"),
        ("key: {any: id}", "list"),
        ("key: {path: 'a.['}", "path"),
        ("start: {path: at, type: text}", "type"),
        ("start: {path: at, zone: EST}", "zone"),
        ("start: {path: at, add_minutes: ten}", "add_minutes"),
        ("service: {path: s, regex: '('}", "regex"),
        ("service: {path: s, split: 3}", "transform"),
        ("duration: {path: d, length: long}", "length"),
        ("duration: {path: d, default: ages}", "default"),
        ("duration: {path: d, unit: weeks}", "unknown_unit"),
        ("status: {path: s, default: fine}", "unknown_word"),
        ("status: {path: s, unknown: ignore}", "unknown_word"),
    ],
)
def test_a_field_that_cannot_work_is_a_finding_on_its_line(
    load: Load, line: str, code: str
) -> None:
    found = mistakes(load, f"fields:\n  {line}\n")
    assert [(row, what) for _, row, _, what, _ in found] == [(3, code)]


@pytest.mark.parametrize(
    ("body", "line"), [("fields: {a: [}\n", 2), ("fields: {}\nfields: {}\n", 3)]
)
def test_what_is_not_yaml_is_told_with_its_place(load: Load, body: str, line: int) -> None:
    assert [(row, code) for _, row, _, code, _ in mistakes(load, body)] == [(line, "yaml")]


@pytest.mark.parametrize("value", ["2026-99-99", "2026-02-30 10:00:00"])
def test_what_only_looks_like_a_date_is_told_with_its_place(load: Load, value: str) -> None:
    body = f"fields:\n  key: {{path: id, default: {value}}}\n"
    ((_, row, column, code, _),) = mistakes(load, body)
    assert (row, column, code) == (3, 28, "yaml")


@pytest.mark.parametrize("depth", [600, 1999, 300_000])
@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_a_text_without_a_floor_is_a_mistake_and_not_the_end(
    tmp_path: Path, opening: str, depth: int
) -> None:
    (tmp_path / "ours.yaml").write_text(opening * depth)
    with pytest.raises(SettingsError) as wrong:
        mappings.load("ours.yaml", tmp_path)
    assert wrong.value.findings[0].line == 1


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text("version: 2\n" + LEAST)
    with pytest.raises(SettingsError, match="version: 1"):
        mappings.load("new.yaml", tmp_path)


def test_columns_tell_a_connector_the_names_the_header_needs_and_the_dates(load: Load) -> None:
    columns = load(
        "header: [[start], [key, patient.name]]\n"
        "fields:\n"
        "  key: {path: Visit ID, also: [nr]}\n"
        "  start: {join: [date, {path: time, also: [Uhr-Zeit]}]}\n"
        "  patient.name: {any: [name, {join: [first, last]}]}\n"
        "  service: {path: what}\n"
    ).columns
    assert columns.dates == {"date", "time", "uhrzeit"}
    assert [set(group) for group in columns.required] == [
        {"date", "time", "uhrzeit"},
        {"visitid", "nr", "name", "first", "last"},
    ]
    assert columns.names > columns.dates | {"what", "visitid"}


def test_columns_that_a_person_should_hear_of_when_they_lack_are_status_and_contact(
    load: Load,
) -> None:
    least = "fields:\n  key: {path: id, required: true}\n"
    assert load(least).columns.hoped == ()
    full = (
        "  status: {path: state, also: [lage], default: pending}\n  patient.email: {path: mail}\n"
    )
    status, contact = load(least + full).columns.hoped
    assert status[0] == {"state", "lage"}
    assert "counts as pending" in status[1]
    assert contact[0] == {"mail"}
    assert load(least + "  status: {literal: booked}\n").columns.hoped == ()


def test_required_fields_are_required_columns_where_nothing_else_is_said(load: Load) -> None:
    body = "fields:\n  key: {path: id, required: true}\n  service: {path: s}\n"
    assert load(body).columns.required == (frozenset({"id"}),)


def test_binding_says_which_column_serves_which_path() -> None:
    mapping = mappings.load("clinic_csv", Path())
    header = Header(["Termin-ID", "Datum", "Uhrzeit", "Patient", "Lieblingsfarbe"])
    assert mapping.bind(header) == {
        "appointment_id": "Termin-ID",
        "date": "Datum",
        "time": "Uhrzeit",
        "patient": "Patient",
    }


def test_the_fingerprint_changes_with_the_text_and_the_place(load: Load) -> None:
    one, other = load(LEAST), load(LEAST + "# a comment\n")
    assert one.fingerprint != other.fingerprint
    berlin = one.compile(BERLIN).fingerprint
    assert berlin == one.compile(BERLIN).fingerprint
    assert berlin != one.compile(mappings.Context("s", "Europe/Rome", "DE", "de")).fingerprint
    assert berlin != other.compile(BERLIN).fingerprint


# --- records that are not rows of a table ------------------------------------------------------------

NESTED = (
    "fields:\n"
    "  key: {path: id, required: true}\n"
    "  start: {path: slot.begin, also: [slot.at], zone: utc}\n"
    "  patient.key: {path: patient.id}\n"
    "  patient.phone: {path: \"patient.contacts[?kind=='phone'].value | [0]\"}\n"
    "  service: {path: \"join(', ', services)\"}\n"
)


def test_json_is_read_by_paths(load: Load) -> None:
    mapper = load(NESTED).compile(BERLIN)
    data: dict[str, Any] = {
        "id": 7,
        "slot": {"begin": None, "at": "2026-12-01T09:30:00"},
        "patient": {"id": 5, "contacts": [{"kind": "fax"}, {"kind": "phone", "value": "030 55"}]},
        "services": ["a", "b"],
    }
    visit = mapper(Record(data=data, digest=b""))
    assert visit is not None
    assert (visit.key, visit.service, visit.patients[0].key) == ("7", "a, b", "5")
    assert visit.start is not None
    assert visit.start.hour == 9


@pytest.mark.parametrize(
    "odd",
    [{"services": "0151 23456789"}, {"services": ["a"], "patient": {"id": ["0151 23456789"]}}],
)
def test_json_of_another_shape_is_set_aside_with_its_key_and_without_its_data(
    load: Load, odd: dict[str, Any]
) -> None:
    with pytest.raises(BadRecord) as wrong:
        load(NESTED).compile(BERLIN)(Record(data={"id": 7, **odd}, digest=b""))
    assert (wrong.value.reason, wrong.value.key) == ("bad_shape", "7")
    assert "0151" not in f"{wrong.value} {wrong.value.detail}"


def test_flat_json_is_compared_as_a_tables_columns_are(load: Load) -> None:
    mapper = load("fields:\n  key: {path: id, required: true}\n  service: {path: s, also: [t]}\n")
    compiled = mapper.compile(BERLIN)
    visit = compiled(Record(data={"ID": 7, "t": "x"}, digest=b""))
    assert visit is not None
    assert (visit.key, visit.service) == ("7", "x")
    with pytest.raises(BadRecord, match="missing"):
        compiled(Record(data={"s": "x", "t": "y"}, digest=b""))


def test_two_tables_one_after_the_other_are_each_read_by_their_own_header(load: Load) -> None:
    mapper = load(LEAST + "  service: {path: s}\n").compile(BERLIN)
    rows = [
        Row(Header(["id", "s"]), ("1", "a"), tuple),
        Row(Header(["s", "id"]), ("b", "2"), tuple),
    ]
    visits = [mapper(Record(data=rows[n], digest=b"")) for n in (0, 1, 0)]
    assert [(v.key, v.service) for v in visits if v] == [("1", "a"), ("2", "b"), ("1", "a")]


def test_a_row_that_needs_a_closer_look_comes_out_like_the_others(load: Load) -> None:
    mapper = load(LEAST + "  service: {path: s}\n").compile(BERLIN)
    header = Header(["id", "s"])
    rows = [Row(header, cells, tuple) for cells in (("1", "a"), (2, "a\u00a0b"), ("3", "a  b"))]
    visits = [mapper(Record(data=row, digest=b"")) for row in rows]
    assert [(v.key, v.service) for v in visits if v] == [("1", "a"), ("2", "a b"), ("3", "a b")]


# --- tests inside a mapping --------------------------------------------------------------------------


def test_a_mappings_own_tests_tell_each_field_that_differs(load: Load) -> None:
    mapping = load(
        LEAST + "  status: {path: st}\n  patient.name: {path: name}\n"
        "skip_if: {path: st, equals: note}\n"
        "tests:\n"
        "  - {in: {id: 1, st: booked, name: Ada}, out: {key: '1', patients: [{name: Ada}]}}\n"
        "  - {in: {id: 1, st: booked, name: Ada}, out: {status: no_show, patients: [{name: Bo}]}}\n"
        "  - {in: {id: 1, st: booked}, set_aside: {field: status}}\n"
        "  - {in: {id: 1, st: XQ}, out: {key: '1'}}\n"
        "  - {in: {id: 1, st: XQ}, set_aside: {field: status}}\n"
        "  - {in: {id: 1, st: note}, skipped: true}\n"
        "  - {in: {id: 1, st: note}, out: {key: '1'}}\n"
        "  - {in: {id: 1}, out: {patients: [{name: Ada}]}}\n"
    )
    assert [(f.number, f.field, f.expected, f.found) for f in run_tests(mapping)] == [
        (2, "status", "no_show", "booked"),
        (2, "patients[0].name", "Bo", "Ada"),
        (3, "set_aside", {"field": "status"}, "not set aside"),
        (4, "set_aside", None, {"field": "status", "reason": "unknown_status"}),
        (7, "skipped", False, True),
        (8, "patients", [{"name": "Ada"}], []),
    ]
    assert str(run_tests(mapping)[0]) == "own test 2: status: expected 'no_show', found 'booked'"


def test_a_mapping_runs_without_its_tests_being_read(load: Load, tmp_path: Path) -> None:
    body = LEAST + "tests:\n- {in: {id: 1}, uot: {}}\n\n# the end\nnulls: [x]\n"
    (tmp_path / "ours.yaml").write_text("version: 1\n" + body)
    found = mappings.find("ours.yaml", tmp_path)
    assert "X" in found.nulls
    with pytest.raises(SettingsError, match="uot"):
        _ = found.tests
    assert [fix for *_, fix in mistakes(load, body)] == ["did you mean out?"]


def test_a_mistake_beside_the_tests_is_told_with_theirs_and_on_its_line(tmp_path: Path) -> None:
    body = LEAST + "tests:\n  - {in: {id: 1}, uot: {}}\nnuls: []\n"
    (tmp_path / "ours.yaml").write_text("version: 1\n" + body)
    with pytest.raises(SettingsError) as wrong:
        _ = mappings.find("ours.yaml", tmp_path).fields
    assert [(f.path, f.line) for f in wrong.value.findings] == [("nuls", 6), ("tests[0].uot", 5)]


def test_what_only_the_tests_name_is_still_known(tmp_path: Path) -> None:
    body = "tests:\n  - {in: {id: &word break}}\nskip_if: {path: id, equals: *word}\n"
    (tmp_path / "ours.yaml").write_text("version: 1\n" + LEAST + body)
    (skip,) = mappings.find("ours.yaml", tmp_path).skips
    assert skip.equals == {"break"}
