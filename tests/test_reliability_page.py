"""What the page of promises names is there: each test, by its file and its name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"


def named(text: str) -> list[tuple[str, str]]:
    """Return the tests that a text names as `path::name`."""
    return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)


def names_in(file: Path) -> set[str]:
    if not file.exists():
        return set()
    return {
        node.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef)
    }


def missing(text: str) -> list[str]:
    return [f"{path}::{name}" for path, name in named(text) if name not in names_in(ROOT / path)]


def test_every_test_that_the_page_names_is_there() -> None:
    text = PAGE.read_text("utf-8")
    assert len(named(text)) > 20
    assert missing(text) == []


def test_every_promise_names_what_proves_it() -> None:
    rows = re.findall(
        r"(?m)^\| (.+?) \| (.+) \|$", PAGE.read_text("utf-8").split("## The crash lab")[0]
    )
    promises = [row for row in rows if row[0] not in ("promise", "---")]
    unproven = [promise for promise, proof in promises if "::" not in proof]
    assert len(promises) > 20
    assert unproven == []


def test_a_test_that_was_renamed_is_seen() -> None:
    own = "tests/test_reliability_page.py"
    text = (
        f"`{own}::test_a_test_that_was_renamed_is_seen` `{own}::test_gone` `tests/gone.py::test_x`"
    )
    assert missing(text) == [f"{own}::test_gone", "tests/gone.py::test_x"]
