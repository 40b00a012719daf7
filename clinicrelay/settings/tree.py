"""A settings file as plain data, and where in the file each value stands.

YAML 1.2 as ruamel.yaml composes it. Only what every YAML reader agrees on is accepted: no tags, no
merge keys, no key twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec.structs import replace

from clinicrelay.contracts import Finding
from clinicrelay.settings.values import Plain

if TYPE_CHECKING:
    from pathlib import Path

    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.nodes import Node, ScalarNode

Where: TypeAlias = tuple[str | int, ...]

# Aliases can blow a small file up to billions of values.
_MOST_VALUES = 20_000
_STEP = re.compile(r"(?:^|\.)([^.]+?)(?=\[\d+\]|\.|$)|\[(\d+)\]")
_TOO_MUCH = "the file is nested too deeply, or holds far too much"


@dataclass(slots=True)
class Mark:
    """Where a value stands (counted from 1) and its text there.

    `hidden` are texts that no message may repeat; `variable` is the environment variable that the
    value came from, if it did not come from the file.
    """

    line: int
    column: int
    text: str = ""
    hidden: tuple[str, ...] = ()
    variable: str = ""


@dataclass(slots=True)
class Tree:
    """Plain data with the places of its values and keys, and what was wrong with the text."""

    file: str
    data: Any = None
    values: dict[Where, Mark] = field(default_factory=dict)
    keys: dict[Where, Mark] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    unquoted: set[tuple[int, int]] = field(default_factory=set)  # places filled in to read on
    opaque: set[Where] = field(default_factory=set)  # references not followed, or that lead nowhere

    def mark(self, where: Where) -> Mark:
        """Return the place of a value, or of the nearest thing around it."""
        while where and where not in self.values:
            where = where[:-1]
        return self.values.get(where, Mark(1, 1))

    def key_mark(self, where: Where) -> Mark:
        """Return the place of a key, or of the nearest key or item around it."""
        while where and where not in self.keys and not isinstance(where[-1], int):
            where = where[:-1]
        return self.keys.get(where) or self.mark(where)

    def report(
        self, mark: Mark, where: Where, code: str, message: str, fix: str, severity: str = "error"
    ) -> None:
        """Note something a person has to know about one place.

        What stands where a reference was not in quotes is ours, and what a reference leads to that
        is not followed is unknown: nothing is said about either.
        """
        if (mark.line, mark.column) in self.unquoted or where in self.opaque:
            return
        origin = f" (from the environment variable {mark.variable})" if mark.variable else ""
        self.findings.append(
            Finding(
                severity=severity,
                code=code,
                message=message + origin,
                fix=fix,
                path=dotted(where),
                file=self.file,
                line=mark.line,
                column=mark.column,
            )
        )


def dotted(where: Where) -> str:
    """Write a place as people read it: `reminders.patient.steps[1]`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)
    return text.removeprefix(".")


def _where(path: str) -> Where:
    """Read a place as `dotted` writes it."""
    steps = _STEP.findall(path)
    return tuple(int(number) if number else key for key, number in steps)


def placed(finding: Finding, file: Path) -> Finding:
    """Return what was found out later with its place in the settings file, if its key stands there."""
    if not finding.path:  # it is about something else, such as a file that was named
        return finding
    where = _where(finding.path)
    try:
        mark = parse(file.read_text("utf-8-sig"), str(file)).values.get(where)
    except (OSError, UnicodeDecodeError):  # it was read a moment ago, and is gone now
        mark = None
    if mark is None or finding.file:
        return finding
    return replace(finding, file=str(file), line=mark.line, column=mark.column)


def parse(text: str, file: str) -> Tree:
    """Read YAML; mistakes are in the tree's findings, and `data` is None if there is nothing to use."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.reader import ReaderError

    tree = Tree(file)
    readable: str | None = text
    while readable is not None:
        text, readable = readable, None
        try:
            node = YAML(typ="rt", pure=True).compose(text)
            if node is not None:
                tree.data = _Reader(tree).value(node, ())
        except ReaderError as error:
            _unprintable(tree, text, error.position)
        except MarkedYAMLError as error:
            readable = _syntax(tree, error, text)
        except RecursionError:
            _whole_file(tree, "syntax", _TOO_MUCH, "settings need six levels and few lines")
    return tree


def _whole_file(tree: Tree, code: str, message: str, fix: str) -> None:
    tree.data = None
    tree.report(Mark(1, 1), (), code, message, fix)


class _Reader:
    """Turns composed nodes into data, once."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.inside: set[int] = set()

    def value(self, node: Node, where: Where) -> Any:
        from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

        if len(self.tree.values) >= _MOST_VALUES or id(node) in self.inside:
            raise RecursionError
        self.tree.values[where] = _mark_of(node)
        tag = str(node.tag)
        if not tag.startswith("tag:yaml.org,2002:") or tag.endswith(":binary"):
            self._refuse_tag(node, where)
            return None
        if isinstance(node, ScalarNode):
            return _scalar(node)
        self.inside.add(id(node))
        if isinstance(node, SequenceNode):
            read: Any = [self.value(item, (*where, i)) for i, item in enumerate(node.value)]
        else:
            assert isinstance(node, MappingNode)
            read = dict(self._pairs(node, where))
        self.inside.discard(id(node))
        return read

    def _pairs(self, node: Node, where: Where) -> Iterator[tuple[str, Any]]:
        from ruamel.yaml.nodes import ScalarNode

        for key, value in node.value:
            if not isinstance(key, ScalarNode) or str(key.tag).endswith(":merge"):
                self._refuse_key(key, where)
                continue
            place = (*where, key.value)
            if place in self.tree.keys:
                self._refuse_twice(key, place)
                continue
            self.tree.keys[place] = _mark_of(key)
            yield key.value, self.value(value, place)
            if isinstance(value, ScalarNode) and not value.value:
                # An empty value is noted where the parser stopped: often lines below its key.
                self.tree.values[place] = self.tree.keys[place]

    def _refuse_tag(self, node: Node, where: Where) -> None:
        self.tree.report(
            _mark_of(node),
            where,
            "tag",
            "settings know no YAML tags (a word that begins with !)",
            "delete the tag, or put the value in quotes",
        )

    def _refuse_key(self, key: Node, where: Where) -> None:
        self.tree.report(
            _mark_of(key),
            where,
            "key",
            "a key must be one plain word; merge keys (<<) are not understood",
            "write the keys out",
        )

    def _refuse_twice(self, key: ScalarNode, place: Where) -> None:
        self.tree.report(
            _mark_of(key),
            place,
            "duplicate_key",
            f"{key.value!r} stands here a second time, first on line {self.tree.keys[place].line}",
            "keep one of the two",
        )


def _mark_of(node: Node) -> Mark:
    start = node.start_mark
    text = node.value if isinstance(node.value, str) else ""
    return Mark(start.line + 1, start.column + 1, text)


_CORE = {"true": True, "false": False}


def _scalar(node: ScalarNode) -> Any:
    """Read a scalar; a plain text keeps the knowledge that it had no quotes."""
    text: str = node.value
    if node.style:
        return text
    try:
        match str(node.tag).rpartition(":")[2]:
            case "null":
                return None
            case "bool":
                return _CORE[text.lower()]
            case "int":
                return _integer(text.replace("_", ""))
            case "float":
                return float(text.replace("_", ""))
    except (ValueError, KeyError):
        pass  # .inf, or more digits than a number may have: nothing that settings know
    return Plain(text)


def _integer(text: str) -> int:
    return int(text, 0) if text.lstrip("+-")[:2].lower() in ("0x", "0o", "0b") else int(text)


# --- what is wrong with a text that is not YAML ---------------------------------------------------


_REFERENCE = re.compile(r"\$\{(\w+)")

_REMEDIES = (
    (r"character '\\t'", "a tab stands where only spaces may", "indent with spaces"),
    (
        r"undefined alias",
        "a value that begins with * is an alias in YAML: quote this",
        'put the whole value in quotes: "*.csv"',
    ),
    (
        r"cannot start any token",
        "a value must not begin with this character: quote this",
        "put the whole value in quotes",
    ),
    (
        r"mapping values are not allowed",
        "a colon and a space stand where no key can be",
        "put a value that holds ': ' in quotes; keys of one section begin in the same column",
    ),
    (
        r"could not find expected ':'",
        "this line is neither `key: value` nor an item",
        "write `key: value`, with a space after the colon",
    ),
    (
        r"unexpected end of stream|quoted scalar",
        "a quote is opened and not closed",
        "close the quote",
    ),
    (
        r"unknown escape character",
        'a backslash in "…" begins an escape',
        "write '…' around a value with backslashes",
    ),
    (
        r"expected ',' or '[}\]]'",
        "a bracket is not closed, or a comma is missing",
        "separate the parts with commas and close the bracket",
    ),
    (r"another document", "a second document begins here", "delete everything from --- on"),
    (r"<block end>", "this does not belong here", "align it with the keys above"),
)


def _syntax(tree: Tree, error: MarkedYAMLError, text: str) -> str | None:
    """Say in our own words what the parser met; its own may repeat a secret.

    Returns a text to read on with, where it is plain how the mistake is mended.
    """
    lines = text.splitlines()
    place = error.problem_mark or error.context_mark
    line, column = (place.line, place.column) if place else (0, 0)
    here = lines[line] if line < len(lines) else ""
    if here[max(column - 1, 0) : column + 1] == "${":
        return _unquoted_reference(tree, Mark(line + 1, column), lines)
    if re.search("unexpected end of stream|not find expected ':'", str(error.problem)):
        place = error.context_mark or place
        line, column = place.line, place.column
    message, fix = next(
        ((m, f) for pattern, m, f in _REMEDIES if re.search(pattern, str(error.problem))),
        ("this is not YAML", "look at quotes, brackets and indentation here and just above"),
    )
    tree.data = None
    tree.report(Mark(line + 1, column + 1), (), "syntax", message, fix)
    return None


def _unquoted_reference(tree: Tree, mark: Mark, lines: list[str]) -> str | None:
    here = lines[mark.line - 1]
    rest = here[mark.column - 1 :]
    named = _REFERENCE.match(rest)
    name = named[1] if named else "NAME"
    tree.data = None
    tree.report(
        mark,
        (),
        "unquoted",
        "inside {…} and […] a ${…} must stand in quotes: quote this",
        f'write "${{{name}}}"' if name != "file" else 'write "${file:…}"',
    )
    whole = re.match(r"\$\{[^}]*\}", rest)
    if whole is None:
        return None
    tree.unquoted.add((mark.line, mark.column))
    filled = here[: mark.column - 1] + "x" * whole.end() + rest[whole.end() :]
    return "\n".join([*lines[: mark.line - 1], filled, *lines[mark.line :]])


def _unprintable(tree: Tree, text: str, position: int) -> None:
    before = text[:position]
    mark = Mark(before.count("\n") + 1, position - before.rfind("\n"))
    tree.data = None
    tree.report(
        mark, (), "syntax", "an unprintable character stands here", "delete it and type it again"
    )
