"""Whatever is done to the shipped file: it is read, or every finding has its place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from clinicrelay import Finding, SettingsError
from clinicrelay.settings import Broken, load, load_all, tree
from clinicrelay.settings.origins import explain

SHIPPED = (Path(__file__).parents[2] / "settings.yaml").read_text(encoding="utf-8")
LINES = SHIPPED.splitlines()
VALUES = [match.span(1) for match in re.finditer(r'[:\[,] +("[^"]*"|[\w-]+)', SHIPPED)]
KEYS = [match.span(1) for match in re.finditer(r"([a-z_]+):(?=\s)", SHIPPED)]


def findings(tmp_path: Path, content: str | bytes) -> tuple[Finding, ...]:
    """Read the content in every way there is; only SettingsError may come of it."""
    file = tmp_path / "settings.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    [one] = load_all(file, environ={})
    with suppress(SettingsError):  # where there is no file to be read at all
        explain(file, environ={}, secrets=False)
    errors = [f for f in one.findings if f.severity == "error"]
    assert bool(errors) == isinstance(one, Broken)
    for finding in one.findings:
        assert finding.file == str(file)
        assert finding.line >= 1
        assert finding.column >= 1
        assert finding.message
        assert finding.fix
    return one.findings


def torn() -> Iterator[tuple[str, list[str]]]:
    for at, line in enumerate(LINES):
        before, after = LINES[:at], LINES[at + 1 :]
        yield f"line {at + 1} deleted", [*before, *after]
        yield f"line {at + 1} twice", [*before, line, line, *after]
        yield f"line {at + 1} indented", [*before, "  " + line, *after]
        yield f"line {at + 1} after a tab", [*before, "\t" + line, *after]
        yield f"cut before line {at + 1}", before


@pytest.mark.parametrize(("what", "lines"), list(torn()))
def test_a_torn_file_is_read_or_told_of(tmp_path: Path, what: str, lines: list[str]) -> None:
    told = findings(tmp_path, "\n".join(lines) + "\n")

    if "twice" in what and ":" in lines[int(what.split()[1]) - 1].partition("#")[0]:
        assert "duplicate_key" in [finding.code for finding in told], what


@pytest.mark.parametrize(
    "value",
    [
        *("", "~", "[]", "{}", "[[]]", "{a: {b: c}}", "[{}]", "true", "0", "-1", "1e999", ".nan"),
        *("99999999999999d", "9999999999999999h", "1" * 5000, "2026-01-01", "!!str x", "!x y"),
        *("*a", "&a x", '"\\0"', '"${X}"', '"${X:-}"', '"${file:.}"', "~nobody-of-this-name/x"),
        *("|\n    text", "☃", "'" + "/" * 3000 + "'", "@x", "-", "?", "², ٣"),
    ],
    ids=lambda value: value[:20],
)
def test_any_value_in_any_place_is_read_or_told_of(tmp_path: Path, value: str) -> None:
    for start, end in VALUES:
        findings(tmp_path, SHIPPED[:start] + value + SHIPPED[end:])


@pytest.mark.parametrize(
    "key", ["", "?", "<<", "null", "1", '"a.b"', '"\\0"', "[a]", "{a: b}", "- x"]
)
def test_any_key_in_any_place_is_read_or_told_of(tmp_path: Path, key: str) -> None:
    for start, end in KEYS:
        findings(tmp_path, SHIPPED[:start] + key + SHIPPED[end:])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b" \n \n", "empty"),
        (b"\0" * 100, "syntax"),
        (SHIPPED.encode().replace(b"DE", b"D\0E"), "syntax"),
        (SHIPPED.replace("Riverside", "Flüsse").encode("latin-1"), "encoding"),
        (SHIPPED.encode("utf-16-le"), "syntax"),
        (SHIPPED.encode("utf-32"), "encoding"),
        ("x: \ud800".encode("utf-8", "surrogatepass"), "encoding"),
        (bytes(range(256)), "encoding"),
        (b"<html><body>Please log in</body></html>", "wrong_type"),
        (b"\n".join(b" " * level + b"a:" for level in range(200)), "missing"),
        (b"a: " + b"[" * 200 + b"]" * 200, "missing"),
        (b"{a:\n" * 1500 + b"1" + b"}" * 1500, "syntax"),
        (b"- " * 1500, "syntax"),
        (b"a: &a {b: *a}\n", "syntax"),
        (b"a: &a [1]\nb: &b [*a,*a,*a]\n" + b"c: [*b,*b,*b]\n", "missing"),
        (b"base: &b {type: ics}\n" + SHIPPED.encode().replace(b"{type: ics}", b"{<<: *b}"), "key"),
        (b"? {a: b}\n: c\n", "key"),
        (SHIPPED.encode() + b"---\na: b\n", "syntax"),
        (b"%YAML 3.7\n---\n" + SHIPPED.encode(), "syntax"),
    ],
)
def test_a_file_that_is_something_else_is_told_of(
    tmp_path: Path, content: bytes, code: str
) -> None:
    assert code in [finding.code for finding in findings(tmp_path, content)]


def test_a_file_that_holds_far_too_much_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "_MOST_VALUES", 50)
    [finding] = findings(tmp_path, SHIPPED + "".join(f"k{number}: 1\n" for number in range(50)))

    assert "far too much" in finding.message


@pytest.mark.parametrize(
    "content",
    [
        SHIPPED.replace("\n", "\r\n").encode(),
        SHIPPED.replace("\n", "\r").encode(),
        b"\xef\xbb\xbf" + SHIPPED.encode(),
        SHIPPED.encode() + b"...\n",
        b"%YAML 1.2\n---\n" + SHIPPED.encode(),
        SHIPPED.encode() + b"# a comment\n" * 10_000,
        SHIPPED.replace("{type: ics}", "&a {type: ics}").encode(),
    ],
)
def test_line_ends_marks_and_comments_do_no_harm(tmp_path: Path, content: bytes) -> None:
    assert findings(tmp_path, content) == ()


def test_places_are_right_whatever_ends_a_line(tmp_path: Path) -> None:
    for end in ("\n", "\r\n", "\r"):
        text = SHIPPED.replace("country: DE", "country: Germany").replace("\n", end)
        [finding] = findings(tmp_path, text.encode())
        assert (finding.path, finding.line, finding.column) == ("clinic.country", 7, 12)


@pytest.mark.skipif(os.name != "posix", reason="links are those of POSIX")
def test_a_file_that_cannot_be_read_is_told_of(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.symlink_to(file)
    with pytest.raises(SettingsError, match="cannot be read") as refused:
        load(file, environ={})

    assert refused.value.findings[0].file == str(file)
