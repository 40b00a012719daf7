"""Exports as practice systems write them, through the real connector and mapping, to the last visit.

Each folder below a mapping's is one sample: the file as it would be dropped (its own encoding,
delimiter, quoting, order of dates and title lines), `sample.json` with the options that it takes, and
`out.json` with what has to come out. Whatever is in them is made up. A new folder is a new test.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import mappings
from clinicrelay import Appointment, BadRecord, Record, Refused
from clinicrelay.contracts import Kit, Unreadable, Window
from clinicrelay.tables import Header, Row
from clinicrelay.testing.kits import CLINIC
from connectors.csv import Csv
from mappings.testing import as_json

HERE = Path(__file__).parent
FOLDERS = sorted(path.parent for path in HERE.glob("*/*/sample.json"))
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
USUAL = {"source": "reception", "timezone": "Europe/Berlin", "country": "DE", "language": "de"}
LANGUAGES = {"en", "de", "es", "fr", "it", "pt", "nl", "pl", "tr"}
KINDS = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "decimal": Decimal,
    "bytes": bytes.fromhex,
}


@dataclass(frozen=True)
class Sample:
    """One folder."""

    folder: Path

    @cached_property
    def said(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads((self.folder / "sample.json").read_text("utf-8"))
        return found

    @property
    def file(self) -> Path:
        (found,) = (p for p in self.folder.iterdir() if p.suffix not in (".json", ".yaml"))
        return found

    @property
    def mapping(self) -> mappings.Mapping:
        return mappings.load(self.said.get("mapping", self.folder.parent.name), self.folder)

    @property
    def context(self) -> mappings.Context:
        return mappings.Context(**USUAL | self.said.get("clinic", {}))


def records(
    sample: Sample, mapping: mappings.Mapping, inbox: Path, options: Mapping[str, Any]
) -> Iterator[Record | Unreadable | str]:
    """Yield what the connector makes of a file that is dropped, notes included."""
    shutil.copy(sample.file, inbox / sample.file.name)
    said = {"contents": "snapshot", "inbox": inbox, "ready": {"settle": "0s"}, **options}
    kit = Kit("reception", CLINIC, inbox, NOW, find_columns=lambda: mapping.columns)
    for page in Csv(Csv.Options.model_validate(said), kit).pull(None, Window(NOW, NOW)):
        yield from page.records
        yield from page.unreadable
        yield from page.notes


def rows(sample: Sample) -> Iterator[Record]:
    """Yield what a database gives: values of its own types."""
    header = Header(sample.said["columns"])
    for number, values in enumerate(sample.said["rows"], start=1):
        cells = tuple(native(value) for value in values)
        yield Record(Row(header, cells, tuple), b"", "rows", line=number)


def native(value: Any) -> Any:
    if isinstance(value, dict):
        ((kind, text),) = value.items()
        return KINDS[kind](text)  # type: ignore[operator]
    return value


def outcome(sample: Sample, inbox: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the visits, what was set aside and what the connector had to say."""
    mapping = sample.mapping
    mapper = mapping.compile(sample.context)
    found: dict[str, list[Any]] = {"notes": [], "visits": [], "set_aside": []}
    given = rows(sample) if "rows" in sample.said else records(sample, mapping, inbox, options)
    for one in given:
        if isinstance(one, str):
            found["notes"].append(one)
        elif isinstance(one, Unreadable):
            told = {
                "line": one.line,
                "reason": one.reason,
                "field": one.field,
                "column": one.column,
            }
            found["set_aside"].append(told)
        else:
            try:
                visit = mapper(one)
            except BadRecord as wrong:
                told = {"line": one.line, "reason": wrong.reason, "field": wrong.field}
                column = mapper.column_of(one, wrong.field)
                found["set_aside"].append({**told, "column": column})
            else:
                found["visits"].append(plain(visit))
    return found


def plain(visit: Appointment | None) -> dict[str, Any]:
    """Return a visit without what goes without saying."""
    if visit is None:
        return {"skipped": True}
    usual: dict[str, Any] = {"kind": "visit", "modality": "in_person", "source": "reception"}
    told = as_json(visit).items()
    return {k: v for k, v in told if v not in (None, [], False) and usual.get(k) != v}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f"{f.parent.name}-{f.name}")
def test_an_export_becomes_its_visits(folder: Path, tmp_path: Path) -> None:
    sample = Sample(folder)
    expected = json.loads((folder / "out.json").read_text("utf-8"))
    assert outcome(sample, tmp_path, sample.said.get("options", {})) == expected
    assert expected["visits"]


NEEDY = [folder for folder in FOLDERS if Sample(folder).said.get("without")]


@pytest.mark.parametrize("folder", NEEDY, ids=lambda f: f"{f.parent.name}-{f.name}")
def test_without_its_options_it_is_answered_with_a_sentence(folder: Path, tmp_path: Path) -> None:
    sample = Sample(folder)
    without = sample.said["without"]
    usual = Sample(folder)
    usual.__dict__["said"] = {**sample.said, "mapping": folder.parent.name}
    try:
        found = list(records(usual, usual.mapping, tmp_path, without.get("options", {})))
    except Refused as refused:
        told = [f"{refused}: {refused.fix}"]
    else:
        told = [getattr(one, "detail", one) for one in found if not isinstance(one, Record)]
    assert without["says"] in " ".join(map(str, told))


def test_every_language_and_enough_styles_are_there() -> None:
    of_csv = [Sample(folder) for folder in FOLDERS if folder.parent.name == "clinic_csv"]
    assert {sample.said["language"] for sample in of_csv} == LANGUAGES
    assert len({sample.said["like"] for sample in of_csv}) >= 10


def test_every_style_has_a_row_that_cannot_be_read() -> None:
    lacking = [
        folder.name
        for folder in FOLDERS
        if not json.loads((folder / "out.json").read_text("utf-8"))["set_aside"]
    ]
    assert lacking == []
