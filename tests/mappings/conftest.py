"""A mapping from a few lines of YAML, applied to a few cells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import mappings
from clinicrelay import Appointment, Record
from clinicrelay.tables import Header, Row

Load: TypeAlias = Callable[[str], mappings.Mapping]
Apply: TypeAlias = Callable[..., Appointment | None]

BERLIN = mappings.Context(source="s", timezone="Europe/Berlin", country="DE", language="de")


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a mapping from the YAML of its body; `version: 1` goes without saying."""

    def loaded(body: str) -> mappings.Mapping:
        (tmp_path / "own.yaml").write_text("version: 1\n" + body, encoding="utf-8")
        return mappings.load("own.yaml", tmp_path)

    return loaded


@pytest.fixture
def visit(load: Load) -> Apply:
    """Map one row of a table by a mapping of `fields` lines; cells are given by column name."""

    def mapped(fields: str, _more: str = "", _key: str | None = None, **cells: Any) -> Any:
        body = "fields:\n" + "".join(f"  {line.strip()}\n" for line in fields.split("\n") if line)
        mapper = load(body + _more).compile(BERLIN)
        row = Row(Header(list(cells)), tuple(cells.values()), tuple)
        return mapper(Record(data=row, digest=b"", key=_key))

    return mapped


@pytest.fixture
def csv_mapper() -> mappings.Mapper:
    """The packaged `clinic_csv`, ready to run."""
    return mappings.load("clinic_csv", Path()).compile(BERLIN)


@pytest.fixture
def csv(csv_mapper: mappings.Mapper) -> Apply:
    """Map one row by the packaged `clinic_csv`; cells are given by column name."""

    def mapped(**cells: Any) -> Appointment | None:
        row = Row(Header(list(cells)), tuple(cells.values()), tuple)
        return csv_mapper(Record(data=row, digest=b""))

    return mapped
