"""A plugin without the contract test of its room does not pass."""

from __future__ import annotations

import ast
import pkgutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = {
    "connectors": "ConnectorContract",
    "calendars": "CalendarContract",
    "notifiers": "NotifierContract",
}
PLUGINS = [
    (room, module.name)
    for room in CONTRACTS
    for module in pkgutil.iter_modules([str(ROOT / room)])
    if not module.name.startswith("_")
]


def keeps_the_contract(source: str, plugin: str, contract: str) -> bool:
    """Whether a test file imports the plugin and has a collected class that inherits the contract."""
    tree = ast.parse(source)
    imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)} | {
        alias.name
        for n in ast.walk(tree)
        if isinstance(n, ast.Import | ast.ImportFrom)
        for alias in n.names
    }
    name = plugin.split(".")[1]
    if not any(i in (plugin, name) or str(i).startswith(f"{plugin}.") for i in imported):
        return False
    kept = {contract, contract.replace("Notifier", "Provider")}  # the second is the first and more
    return any(
        node.name.startswith("Test")
        and any(ast.unparse(base).split(".")[-1] in kept for base in node.bases)
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    )


@pytest.mark.parametrize(("room", "name"), PLUGINS)
def test_every_plugin_inherits_the_contract_of_its_room(room: str, name: str) -> None:
    tests = (path.read_text() for path in (ROOT / "tests" / room).rglob("test_*.py"))
    assert any(keeps_the_contract(t, f"{room}.{name}", CONTRACTS[room]) for t in tests), (
        f"{room}/{name} needs a test class that inherits {CONTRACTS[room]} in tests/{room}/"
    )


def test_a_test_of_another_plugin_does_not_count() -> None:
    source = "from notifiers.outbox import Outbox\nclass TestIt(NotifierContract): ..."
    assert keeps_the_contract(source, "notifiers.outbox", "NotifierContract")
    assert not keeps_the_contract(source, "notifiers.smtp", "NotifierContract")
    assert not keeps_the_contract(source, "notifiers.outbox", "CalendarContract")
    assert not keeps_the_contract(
        source.replace("TestIt", "It"), "notifiers.outbox", "NotifierContract"
    )


def test_there_are_plugins_to_look_at() -> None:
    assert {("calendars", "ics"), ("notifiers", "outbox")} <= set(PLUGINS)
