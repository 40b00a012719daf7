"""A mapping of the clinic's own: while its own tests fail, whoever looks is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Row = Callable[..., dict[str, Any]]

OURS = """\
version: 1
fields:
  key: {path: appointment_id, required: true}
  start: {join: [date, time], type: datetime, zone: clinic, required: true}
  status: {path: status, table: {booked: booked, cancelled: WORD}, unknown: set_aside}
  patient.key: {path: patient_id, required: true}
  patient.name: {path: patient_name}
  patient.email: {path: email, type: email}
  practitioner.key: {path: doctor_id}
  practitioner.email: {path: doctor_email, type: email}
tests:
  - in: {appointment_id: "1", date: "2026-12-01", time: "09:00", status: booked, patient_id: "1"}
    out: {status: booked}
  - in: {appointment_id: "1", date: "2026-12-01", time: "09:00", status: cancelled, patient_id: "1",
      patient_name: Quenby Canary}
    out: {status: cancelled}
"""


@pytest.fixture
def own(desk: Any) -> Callable[[str], None]:
    """Write the mapping, with a word for what is cancelled."""

    def write(word: str) -> None:
        (desk.folder / "ours.yaml").write_text(OURS.replace("WORD", word))

    desk.change("contents: snapshot,", "contents: snapshot, mapping: ours.yaml,")
    return write


def test_that_tests_of_its_own_mapping_fail_is_told_until_they_do_not(
    desk: Any, row: Row, own: Callable[[str], None]
) -> None:
    own("cancelled")
    assert desk.sync(row(1)).code == 0
    own("fulfilled")
    failing = "the mapping of reception: test 2 in ours.yaml fails"
    found = desk.sync(row(1, status="cancelled"), row(2))
    assert found.code == 3
    assert failing in found.out
    assert "Canary" not in found.out + found.err
    assert len(json.loads(desk.run("appointments", "--json").out)) == 2
    status = desk.run("status")
    assert status.code == 3
    assert f"{failing}   clinicrelay check" in status.out
    assert desk.run("check").code == 2

    own("cancelled")
    assert desk.sync(row(1, status="cancelled"), row(2)).code == 0
    kept = json.loads(desk.run("appointments", "--json").out)
    assert sorted(one["status"] for one in kept) == ["booked", "cancelled"]
    assert desk.run("status").code == 0


def test_tests_that_came_out_are_not_run_again(
    desk: Any, row: Row, own: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mappings import testing

    own("cancelled")
    assert desk.sync(row(1)).code == 0
    monkeypatch.setattr(testing, "run_tests", lambda *_: pytest.fail("they are as they were"))
    assert desk.sync(row(1), row(2)).code == 0
    desk.change("timezone: Europe/Berlin", "timezone: Europe/Lisbon")
    with pytest.raises(pytest.fail.Exception):
        desk.sync(row(1), row(3))
