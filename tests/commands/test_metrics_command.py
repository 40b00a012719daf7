"""`clinicrelay metrics` prints what monitoring reads, of one clinic or of several."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import commands
from clinicrelay.testing.kits import CANARY_EMAIL, CANARY_NAME, CANARY_PHONE
from commands import _metrics_page
from sync.measures import MEASURES, PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from tests.commands.conftest import Desk

    Row = Callable[..., dict[str, Any]]


def test_it_prints_metrics_and_names_nobody(desk: Desk, row: Row) -> None:
    desk.sync(*(row(n) for n in range(3)))
    desk.sync(*(row(n, time="09:00") for n in range(3)), row(3, status="canary"))

    ran = desk.run("metrics")

    assert ran.code == 0
    assert (
        'clinicrelay_source_state{clinic="riverside",source="reception",state="ok"} 1.0' in ran.out
    )
    for canary in (CANARY_NAME, CANARY_PHONE, CANARY_EMAIL, "acar", "p1"):
        assert canary.lower() not in ran.out.lower()


def test_as_json_it_is_a_list(desk: Desk, row: Row) -> None:
    desk.sync(row(1))
    (schema,) = (
        one
        for one in json.loads(desk.run("metrics", "--json").out)
        if one["name"] == "clinicrelay_store_schema"
    )
    assert schema["labels"] == {}
    assert schema["value"] >= 11


def test_several_clinics_are_told_together_and_a_broken_one_stops_no_other(
    desk: Desk, tmp_path: Path
) -> None:
    text = desk.settings.read_text()
    folder = tmp_path / "clinics"
    folder.mkdir()
    for name in ("north", "south"):
        own = f"id: {name}", f"contents: snapshot, inbox: in_{name}", f"data: {name}\n"
        mine = text.replace("id: riverside", own[0]).replace("contents: snapshot", own[1])
        (folder / f"{name}.yaml").write_text(mine + own[2])
    (folder / "west.yaml").write_text("version: 7\n")

    with pytest.raises(SystemExit) as end:
        commands.main(["metrics", "--settings", str(folder), "--now", "2026-11-23T09:00"])

    out = desk.capture.readouterr().out
    assert end.value.code == 2
    assert 'clinicrelay_store_readable{clinic="north"} 1.0' in out
    assert 'clinicrelay_store_readable{clinic="south"} 1.0' in out
    assert out.count("# TYPE clinicrelay_store_readable gauge") == 1


def test_the_reference_lists_every_metric() -> None:
    page = _metrics_page.PAGE.read_text()
    assert all(f"`{PREFIX}{name}`" in page for name in MEASURES)
