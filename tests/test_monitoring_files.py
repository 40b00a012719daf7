"""The rules and the dashboard that are shipped ask only for what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

import commands
from sync.measures import MEASURES, PREFIX

FOLDER = Path(__file__).parents[1] / "deploy" / "monitoring"
SELECTED = re.compile(rf"{PREFIX}(\w+)(?:\{{([^}}]*)\}})?")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
GROUPED = re.compile(r"\b(?:by|on|without)\s*\(([^)]*)\)")
VALUES = {
    ("mode", "mode"): {"rehearsal", "live", "paused"},
    ("source_state", "state"): {"ok", "new", "partial", "failed", "held", "stale"},
    ("messages_24h", "state"): {"sent", "skipped", "failed", "unproven"},
    ("run_last_finished_timestamp_seconds", "command"): {"sync", "send", "worker"},
}


class Asked(NamedTuple):
    """An expression, where it stands, and the labels that its texts speak of."""

    place: str
    expression: str
    shown: frozenset[str]


def rules() -> list[dict[str, Any]]:
    read = YAML(typ="safe").load(FOLDER / "alerts.yaml")
    return [rule for group in read["groups"] for rule in group["rules"]]


def board() -> dict[str, Any]:
    return dict(json.loads((FOLDER / "dashboard.json").read_text()))


def asked() -> Iterator[Asked]:
    for rule in rules():
        texts = " ".join(rule["annotations"].values())
        shown = frozenset(re.findall(r"\$labels\.(\w+)", texts))
        yield Asked(rule["alert"], rule["expr"], shown)
    for panel in board()["panels"]:
        for target in panel.get("targets", ()):
            shown = frozenset(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            yield Asked(panel["title"], target["expr"], shown)


@pytest.mark.parametrize("one", [*asked()], ids=lambda one: one.place)
def test_it_asks_for_metrics_and_labels_that_there_are(one: Asked) -> None:
    found = SELECTED.findall(one.expression)
    assert found
    assert one.expression.count("(") == one.expression.count(")")
    labels = {"clinic"}
    for name, matchers in found:
        assert name in MEASURES, f"{one.place}: {name}"
        labels |= {*MEASURES[name].labels}
        for label, value in MATCHER.findall(matchers):
            assert label in (*MEASURES[name].labels, "clinic"), f"{one.place}: {label}"
            allowed = VALUES.get((name, label))
            assert allowed is None or {*value.split("|")} <= allowed, f"{one.place}: {value}"
    grouped = {g.strip() for group in GROUPED.findall(one.expression) for g in group.split(",")}
    assert grouped <= labels
    kept = grouped if " by (" in one.expression and len(found) == 1 else labels
    assert one.shown <= kept, f"{one.place}: {one.shown - kept} is summed up"


def test_every_rule_says_what_is_wrong_and_a_command_that_there_is() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) > 15
    for rule in rules():
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        named = re.findall(r"clinicrelay ([a-z]+)", rule["annotations"]["description"])
        assert {*named} <= {*commands.names()}, rule["alert"]


def test_the_scrape_configuration_names_the_rules_and_the_address_of_the_settings() -> None:
    read = YAML(typ="safe").load(FOLDER / "scrape.yaml")
    assert read["rule_files"] == ["alerts.yaml"]
    targets = [
        t for job in read["scrape_configs"] for s in job["static_configs"] for t in s["targets"]
    ]
    assert targets == ["127.0.0.1:9464", "127.0.0.1:9100"]


def test_the_panels_of_the_dashboard_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board()["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
