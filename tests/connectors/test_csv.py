"""The CSV connector keeps the promises of its room, and its settings explain themselves."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from clinicrelay.contracts import Columns, Connector
from clinicrelay.plugins import find
from clinicrelay.testing.connectors import Booking, ConnectorContract
from clinicrelay.testing.kits import kit
from connectors.csv import Csv, Options

_HEAD = ("appointment_id", "start", "status", "patient_id", "patient", "phone", "email", "provider")
_COLUMNS = Columns(
    names=frozenset({"appointmentid", "start"}),
    required=(frozenset({"appointmentid"}), frozenset({"start"})),
    dates=frozenset({"start"}),
)


class TestCsv(ConnectorContract):
    def make(self, folder: Path) -> Connector:
        options = Options.model_validate({"contents": "snapshot", "ready": {"settle": "0s"}})
        return Csv(options, kit(folder, columns=_COLUMNS))

    def fill(self, folder: Path, bookings: Sequence[Booking], more: str = "") -> None:
        inbox = folder / "drops" / "test"
        inbox.mkdir(parents=True, exist_ok=True)
        number = sum(1 for p in inbox.rglob("*.csv"))
        path = inbox / f"visits-{number}.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(_HEAD)
            writer.writerows(self._row(b) for b in bookings)
            file.write(more)
        os.utime(path, (1_795_000_000 + number, 1_795_000_000 + number))

    def _row(self, b: Booking) -> tuple[str, ...]:
        who = (b.patient_key, b.patient_name, b.patient_phone, b.patient_email)
        return (b.key, b.start.isoformat(), b.status, *who, b.practitioner_key)

    def spoil(self, folder: Path, bookings: Sequence[Booking]) -> bool:
        bad = bookings[0]
        self.fill(folder, bookings, f'X-1,"{bad.patient_name},{bad.patient_phone}\r\n')
        return True

    def break_source(self, folder: Path) -> bool:
        (folder / "drops").mkdir(exist_ok=True)
        inbox = folder / "drops" / "test"
        inbox.rename(folder / "drops" / "away")
        inbox.write_text("")
        return True


def mistakes(**said: Any) -> str:
    with pytest.raises(ValidationError) as error:
        Options.model_validate(said)
    return " ".join(f"{e['loc']} {e['msg']}" for e in error.value.errors())


def test_it_is_found_by_its_type() -> None:
    assert find("connectors", "csv") is Csv


def test_contents_has_no_default_and_the_error_says_why() -> None:
    said = mistakes()
    assert "contents" in said
    assert "cancels visits" in said


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ({"ready": {"settle": 60}}, "60s"),
        ({"ready": {}}, "name one rule"),
        ({"ready": {"settle": "60s", "manifest": True}}, "name one rule"),
        ({"ready": {"done_file": "done"}}, "{name}"),
        ({"ready": {"done_file": "../{name}"}}, "slashes"),
        ({"encoding": "latin-99"}, "cp1252"),
        ({"encoding": "base64"}, "cp1252"),
        ({"delimiter": ",,"}, "one character"),
        ({"delimiter": "x"}, "one character"),
        ({"delimiter": " "}, "a space between cells"),
        ({"pattern": "in/*.csv"}, "slashes"),
    ],
)
def test_a_wrong_setting_is_answered_with_a_right_one(said: dict[str, Any], hint: str) -> None:
    assert hint in mistakes(contents="snapshot", **said)


def test_delimiters_have_names() -> None:
    assert Options.model_validate({"contents": "delta", "delimiter": "tab"}).delimiter == "\t"


def test_the_schema_says_that_contents_is_needed() -> None:
    assert "contents" in Options.model_json_schema()["required"]


def test_a_missing_visit_is_gone_after_one_file_unless_settings_say_otherwise(
    tmp_path: Path,
) -> None:
    options = Options.model_validate({"contents": "snapshot"})
    assert Csv(options, kit(tmp_path)).gone_after == 1
    more = options.model_copy(update={"gone_after": 3})
    assert Csv(more, kit(tmp_path)).gone_after == 3
