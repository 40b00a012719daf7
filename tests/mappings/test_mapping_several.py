"""Records that list several patients and practitioners (`each`), and issues that a record brings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import mappings
from clinicrelay import Appointment, BadRecord, Issue, Record, SettingsError
from clinicrelay.tables import Header, Row, Shared

Load = Callable[[str], mappings.Mapping]
BERLIN = mappings.Context("s", "Europe/Berlin", "DE", "de")

LISTS = """
each: {patient: who, practitioner: staff}
fields:
  key: {path: id}
  status: {path: status, default: booked}
  patient.key: {path: key}
  patient.name: {path: name}
  patient.phone: {path: phone}
  practitioner.key: {path: key}
  practitioner.name: {path: name}
  practitioner.primary: {path: lead}
"""


def mapped(load: Load, body: str, data: Any, issues: tuple[Issue, ...] = ()) -> Appointment:
    visit = load(body).compile(BERLIN)(Record(data=data, digest=b"", issues=issues))
    assert visit is not None
    return visit


def keys(visit: Appointment) -> tuple[list[str], list[tuple[str, bool]]]:
    doctors = [(one.key, one.primary) for one in visit.practitioners]
    return [one.key for one in visit.patients], doctors


def test_everyone_who_is_listed_is_there_once(load: Load) -> None:
    who = [{"key": "b"}, {"key": "a"}, {"key": "b", "name": "again"}]
    staff = [{"key": "x"}, {"key": "y", "lead": True}, {"key": "x"}]
    visit = mapped(load, LISTS, {"id": 1, "who": who, "staff": staff})
    assert keys(visit) == (["b", "a"], [("x", False), ("y", True)])
    assert visit.patients[0].name is None


@pytest.mark.parametrize(
    ("flags", "primary"),
    [((None, None), "x"), ((False, True), "y"), ((True, True), "x"), (("no", "yes"), "y")],
)
def test_exactly_one_is_primary_the_flagged_else_the_first(
    load: Load, flags: tuple[Any, Any], primary: str
) -> None:
    staff = [{"key": key, "lead": flag} for key, flag in zip("xy", flags, strict=True)]
    visit = mapped(load, LISTS, {"id": 1, "who": [{"key": "a"}], "staff": staff})
    assert [one.key for one in visit.practitioners if one.primary] == [primary]


def test_one_practitioner_is_primary_whatever_the_flag_says(load: Load) -> None:
    staff = [{"key": "x", "lead": False}]
    assert keys(mapped(load, LISTS, {"id": 1, "staff": staff}))[1] == [("x", True)]


@pytest.mark.parametrize("nobody", [None, [], [{}], [{"key": None, "name": " "}]])
def test_without_anyone_it_is_a_block(load: Load, nobody: Any) -> None:
    visit = mapped(load, LISTS, {"id": 1, "who": nobody, "staff": nobody})
    assert (visit.kind, visit.patients, visit.practitioners) == ("block", (), ())


def test_those_without_a_key_get_one_of_what_they_have(load: Load) -> None:
    who = [{"name": "Ada Sample"}, {"name": "Bo Example"}]
    visit = mapped(load, LISTS, {"id": 1, "who": who, "staff": [{"name": "Dr Sam"}]})
    assert keys(visit)[1] == [("dr-sam", True)]
    assert all(one.key.startswith("auto-") for one in visit.patients)
    assert len(visit.patients) == 2


def test_an_issue_is_told_once_for_all_of_a_list(load: Load) -> None:
    who = [{"key": key, "phone": "12"} for key in "abc"]
    visit = mapped(load, LISTS, {"id": 1, "who": who})
    assert visit.issues.count(Issue("invalid_phone", "patient.phone")) == 1


def test_a_phone_number_met_again_is_not_parsed_again(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapper = load(LISTS).compile(BERLIN)
    who = [{"key": "a", "phone": "12"}]
    first = mapper(Record(data={"id": 1, "who": who}, digest=b""))
    asked: list[str] = []
    monkeypatch.setattr("mappings.fields.read_phone", lambda *given: asked.append("again"))
    second = mapper(Record(data={"id": 2, "who": [dict(who[0])]}, digest=b""))
    assert first is not None
    assert second is not None
    assert (asked, first.patients, first.issues) == ([], second.patients, second.issues)


def test_what_is_remembered_of_one_is_not_told_of_another(load: Load) -> None:
    mapper = load(LISTS).compile(BERLIN)
    for name in ("Ada", "Bo"):
        visit = mapper(Record(data={"id": 1, "who": [{"key": "a", "name": name}]}, digest=b""))
        assert visit is not None
        assert visit.patients[0].name == name
    visit = mapper(Record(data={"id": 1, "who": [{"name": "a", "key": "Ada"}]}, digest=b""))
    assert visit is not None
    assert (visit.patients[0].key, visit.patients[0].name) == ("Ada", "a")


@pytest.mark.parametrize("wrong", ["Ada", {"key": "a"}, ["Ada"], [["a"]], 7])
def test_what_is_no_list_of_objects_sets_the_record_aside(load: Load, wrong: Any) -> None:
    with pytest.raises(BadRecord) as bad:
        mapped(load, LISTS, {"id": 9, "who": wrong})
    assert (bad.value.reason, bad.value.field, bad.value.key) == ("bad_shape", "patient", "9")
    assert "Ada" not in bad.value.detail


def test_lists_and_what_is_in_them_may_lie_deep(load: Load) -> None:
    body = LISTS.replace("who,", '"booking.people[?adult]",').replace(
        "{path: key}", "{path: ids.own}", 1
    )
    people = [{"ids": {"own": "a"}, "adult": True}, {"ids": {"own": "b"}, "adult": False}]
    assert keys(mapped(load, body, {"id": 1, "booking": {"people": people}}))[0] == ["a"]


def test_a_cell_of_a_table_may_hold_a_list(load: Load) -> None:
    row = Row(Header(["ID", "Who", "Staff"]), ("1", [{"key": "a"}], None), tuple)
    assert keys(mapped(load, LISTS, row)) == (["a"], [])


def test_of_a_list_alone_the_others_are_read_of_the_record(load: Load) -> None:
    body = LISTS.replace(", practitioner: staff", "").replace(
        "  practitioner.primary: {path: lead}\n", ""
    )
    data = {"id": 1, "who": [{"key": "a"}], "key": "x", "name": "Dr Sam"}
    assert keys(mapped(load, body, data)) == (["a"], [("x", True)])


def test_a_table_is_not_asked_for_the_columns_of_its_lists(load: Load) -> None:
    required = LISTS.replace("{path: phone}", "{path: phone, required: true}")
    mapping = load(required)
    assert {name.path for name in mapping.names} == {"id", "status", "who", "staff"}
    assert mapping.header == ()


def test_a_key_is_made_of_the_first_of_each(load: Load) -> None:
    body = LISTS + "  start: {path: at}\n"
    data = {"at": "2026-12-01T09:00:00Z", "who": [{"key": "a"}], "staff": [{"key": "x"}]}
    plain = (
        "fields:\n  start: {path: at}\n  patient.key: {path: a}\n  practitioner.key: {path: x}\n"
    )
    flat = {"at": "2026-12-01T09:00:00Z", "a": "a", "x": "x"}
    assert mapped(load, body, data).key == mapped(load, plain, flat).key


def test_sources_that_invent_keys_do_not_fill_the_memory(load: Load) -> None:
    mapper = load(LISTS).compile(BERLIN)
    for number in range(200):
        who = [{"key": f"p{number}", f"odd{number}": 1}]
        visit = mapper(Record(data={"id": number, "who": who}, digest=b""))
        assert visit is not None
        assert visit.patients[0].key == f"p{number}"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("each: {patients: who}\n", ("each.patients", 2, "unknown_list", "did you mean patient?")),
        ("each: {patient: ''}\n", ("each.patient", 2, "path", "")),
        ("each: {patient: [who]}\n", ("each.patient", 2, "path", "")),
        ("each: {patient: 'a[?'}\n", ("each.patient", 2, "path", "see https://jmespath.org")),
        ("each: who\n", ("each", 2, "mapping", "")),
        (
            "each: {practitioner: staff}\n",
            (
                "each.practitioner",
                2,
                "missing",
                "write under fields, say, practitioner.key: {path: id}",
            ),
        ),
    ],
)
def test_a_mistake_about_lists_is_told_with_its_place(
    load: Load, body: str, told: tuple[str, int, str, str]
) -> None:
    with pytest.raises(SettingsError) as wrong:
        load(body + "fields:\n  patient.key: {path: id}\n")
    [found] = wrong.value.findings
    assert (found.path, found.line, found.code, found.fix) == told


def test_which_is_primary_is_no_question_where_there_is_one(load: Load) -> None:
    with pytest.raises(SettingsError) as wrong:
        load("fields:\n  practitioner.key: {path: id}\n  practitioner.primary: {path: lead}\n")
    [found] = wrong.value.findings
    assert (found.path, found.line) == ("fields.practitioner.primary", 4)
    assert "each: {practitioner: …}" in found.fix


def test_what_the_connector_found_odd_travels_with_the_visit(load: Load) -> None:
    odd = Issue("unresolved_reference", "patient")
    visit = mapped(load, LISTS, {"id": 1, "who": [{"key": "a", "phone": "12"}]}, (odd,))
    assert visit.issues[-1] == odd
    assert Issue("invalid_phone", "patient.phone") in visit.issues


def test_it_travels_with_a_tables_row_too(load: Load) -> None:
    odd = Issue("odd", "key")
    row = Row(Header(["ID"]), ("1",), tuple)
    visit = mapped(load, "fields:\n  key: {path: id}\n", row, (odd,))
    assert odd in visit.issues


def test_a_shared_entry_says_in_every_record_what_a_plain_one_says(load: Load) -> None:
    entry = {"key": "a", "name": "Ada Sample", "phone": "call the ward"}
    mapper, shared = load(LISTS).compile(BERLIN), Shared(entry)
    plain = mapper(Record({"id": 1, "who": [entry]}, b""))
    assert plain is not None
    assert plain.issues
    visits = [mapper(Record({"id": 1, "who": [shared]}, b"")) for _ in range(3)]
    assert visits == [plain] * 3
    both = mapper(Record({"id": 1, "who": [shared, shared]}, b""))
    assert both is not None
    assert (both.patients, both.issues) == (plain.patients, plain.issues)


def test_each_mapping_reads_a_shared_entry_for_itself(load: Load) -> None:
    data = {"id": 1, "who": [Shared(key="a", phone="0151 23456789")]}
    germany = load(LISTS).compile(BERLIN)
    poland = load(LISTS).compile(mappings.Context("s", "Europe/Warsaw", "PL", "pl"))
    for _ in range(2):
        here, there = germany(Record(data, b"")), poland(Record(data, b""))
        assert here is not None
        assert there is not None
        assert here.patients[0].phone == "+4915123456789"
        assert there.patients[0].phone != here.patients[0].phone


def test_a_shared_entry_that_cannot_be_read_is_wrong_in_every_record(load: Load) -> None:
    mapper, shared = load(LISTS).compile(BERLIN), Shared(key="k" * 300)
    for _ in range(2):
        with pytest.raises(BadRecord, match="too_long"):
            mapper(Record({"id": 1, "who": [shared]}, b""))
