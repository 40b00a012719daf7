"""`probe` proposes settings and a mapping that pass `check`, and shows nobody's data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from clinicrelay import plugins
from clinicrelay.contracts import Connector, Offer
from clinicrelay.errors import Refused
from clinicrelay.testing.fakes import NoOptions
from clinicrelay.testing.kits import CANARY_EMAIL, CANARY_NAME, CANARY_PHONE, canaries_in

VISIT = {
    "id": 7,
    "starts_at": "2026-12-01T09:30:00Z",
    "status": "booked",
    "patient": {"id": 5, "name": CANARY_NAME, "phone": CANARY_PHONE, "email": CANARY_EMAIL},
    "doctor": {"id": 9},
}


class Unknown(Connector):
    Options = NoOptions
    said: ClassVar[list[Offer]] = []
    error: ClassVar[Exception | None] = None

    def offers(self) -> Iterator[Offer]:
        if self.error:
            raise self.error
        yield from self.said


@pytest.fixture
def source(desk: Any, monkeypatch: pytest.MonkeyPatch) -> type[Unknown]:
    """A source of a kind that only this test knows."""
    find = plugins.find

    def found(room: str, name: str) -> Any:
        return Unknown if name == "unknown" else find(room, name)

    monkeypatch.setattr(plugins, "find", found)
    desk.write(
        desk.settings.read_text().replace("sources:\n", "sources:\n  other: {type: unknown}\n")
    )
    Unknown.said = [
        Offer("colours", {"table": "colours"}, [{"colour": "red"}]),
        Offer("visits", {"table": "visits", "strategy": "cursor"}, [VISIT], ["it has a column x"]),
    ]
    Unknown.error = None
    return Unknown


def test_the_likeliest_is_proposed_with_what_to_write(desk: Any, source: Any) -> None:
    ran = desk.run("probe", "other", now=None)

    assert ran.code == 0
    assert "other: visits" in ran.out
    assert "it has a column x" in ran.out
    assert "There are also: colours" in ran.out
    assert "1 of 1 sample records are understood" in ran.out
    assert "strategy: cursor" in ran.out
    assert "mapping: mappings/other.yaml" in ran.out
    assert canaries_in(ran.out, ran.err) == []


def test_nothing_is_written_unless_asked_for(desk: Any, source: Any) -> None:
    before = sorted(desk.folder.rglob("*"))
    desk.run("probe", "other", now=None)
    assert sorted(desk.folder.rglob("*")) == before


def test_the_draft_that_is_written_passes_check(desk: Any, source: Any) -> None:
    assert desk.run("probe", "other", "--write", now=None).code == 0
    desk.change("{type: unknown}", "{type: unknown, mapping: mappings/other.yaml}")
    assert desk.run("check", now=None).code == 0


def test_a_draft_that_is_there_is_not_written_over(desk: Any, source: Any) -> None:
    desk.run("probe", "other", "--write", now=None)
    file = desk.folder / "mappings" / "other.yaml"
    file.write_text("mine")
    ran = desk.run("probe", "other", "--write", now=None)

    assert ran.code == 2
    assert "is there already" in ran.err + ran.out
    assert file.read_text() == "mine"


def test_programs_get_the_proposal_whole(desk: Any, source: Any) -> None:
    told = json.loads(desk.run("probe", "other", "--json", now=None).out)

    assert told["offer"] == "visits"
    assert told["settings"] == {
        "table": "visits", "strategy": "cursor", "mapping": "mappings/other.yaml",
    }  # fmt: skip
    assert told["places"]["patient.key"] == "patient.id"
    assert told["lacking"] == []
    assert told["samples"] == {"tried": 1, "understood": 1, "reasons": {}}


def test_a_source_that_knows_its_mapping_needs_no_draft(desk: Any, source: Any) -> None:
    source.said = [Offer("Appointment", {"strategy": "window"}, mapping="clinic_csv")]
    told = json.loads(desk.run("probe", "other", "--json", now=None).out)

    assert told["mapping"] is None
    assert told["settings"]["mapping"] == "clinic_csv"


def test_a_source_that_shows_nothing_says_so(desk: Any, source: Any) -> None:
    source.said = []
    ran = desk.run("probe", "other", now=None)

    assert ran.code == 3
    assert "nothing that could be a list of appointments" in ran.out


def test_a_source_that_refuses_is_told_with_the_remedy(desk: Any, source: Any) -> None:
    source.error = Refused("it does not accept our credentials", fix="check auth")
    ran = desk.run("probe", "other", now=None)

    assert ran.code == 2
    assert "does not accept our credentials" in ran.err + ran.out
    assert "check auth" in ran.err + ran.out


def test_a_source_that_is_not_there_is_named(desk: Any) -> None:
    ran = desk.run("probe", "nobody", now=None)

    assert ran.code == 2
    assert "there is no source 'nobody'" in ran.err + ran.out
