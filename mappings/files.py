"""Finds a mapping file and reads it: every mistake at once, each with its place and what is right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError

Position: TypeAlias = tuple[int, int]
Steps: TypeAlias = tuple[str | int, ...]

_PACKAGE = Path(__file__).parent

_NESTING = "[{?-"  # what can open a level without a line of its own
_MOST_NESTED = 2000


def names() -> list[str]:
    """Return the mappings that come with the package."""
    return sorted(file.stem for file in _PACKAGE.glob("*.yaml"))


def locate(name_or_path: str, folder: Path) -> Path:
    """Return the file of a mapping: a name in the package, or a path relative to `folder`.

    Raises SettingsError for a file that is not there.
    """
    packaged = _PACKAGE / f"{name_or_path}.yaml"
    if name_or_path.isidentifier() and packaged.is_file():
        return packaged
    given = folder / name_or_path
    if given.is_file():
        return given
    raise SettingsError([_absent(name_or_path, given)])


def _absent(name: str, given: Path) -> Finding:
    from difflib import get_close_matches

    close = get_close_matches(name, names(), n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(names())}"
    return Finding(
        severity="error",
        code="no_mapping",
        message=f"there is no mapping {name!r}, neither in the package nor at {given}",
        fix=f"{hint}; or write the path of a .yaml file",
        file=str(given),
    )


def read_text(file: Path) -> str:
    """Return the text of a mapping file. Raises SettingsError."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as wrong:
        message = f"{file} cannot be read: {wrong.strerror}"
    except UnicodeDecodeError:
        message = f"{file} is not UTF-8"
    raise SettingsError([Finding(severity="error", code="unreadable", message=message)])


def without_section(text: str, key: str) -> str:
    """Return a YAML text with blank lines where one of its outermost keys and its value stand.

    What that leaves may no longer be YAML, as where an alias leads into the section.
    """
    section = re.compile(rf"^{key}:.*\n?(?:(?:[ \t#-].*)?\n|[ \t#-].*\Z)*", re.MULTILINE)
    return section.sub(lambda found: "\n" * found[0].count("\n"), text, count=1)


class Document:
    """A YAML text as plain values, and where each of them stands."""

    def __init__(self, text: str, file: Path) -> None:
        """Raise SettingsError for what is not YAML, duplicate keys included."""
        self._text = text
        self._file = file
        self._places: dict[Steps, Position] | None = None
        self.findings: list[Finding] = []
        self.data = self._load()

    def _load(self) -> Any:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        try:
            return _load_fast(self._text) or YAML(typ="safe", pure=True).load(self._text)
        except RecursionError as wrong:
            deep = self._finding((), "yaml", "it is nested too deeply", "", (1, 1))
            raise SettingsError([deep]) from wrong
        except ValueError as wrong:  # 2026-99-99: of the form of a date, and none
            what = "this has the form of a date or a number, and is none: quote this"
            at = _unreadable_at(self._text)
            raise SettingsError([self._finding((), "yaml", what, "", at)]) from wrong
        except MarkedYAMLError as wrong:
            mark = wrong.problem_mark
            at = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            problem = (wrong.problem or "it cannot be parsed").split("\n")[0]
            raise SettingsError([self._finding((), "yaml", problem, "", at)]) from wrong
        except YAMLError as wrong:
            raise SettingsError(
                [self._finding((), "yaml", "this is not YAML", "", (1, 1))]
            ) from wrong

    def wrong(self, steps: Steps, code: str, message: str, fix: str = "") -> None:
        """Note a mistake at the place that the steps lead to."""
        self.findings.append(self._finding(steps, code, message, fix))

    def raise_findings(self) -> None:
        """Raise SettingsError when anything was noted."""
        if self.findings:
            raise SettingsError(self.findings)

    def _finding(
        self, steps: Steps, code: str, message: str, fix: str, at: Position | None = None
    ) -> Finding:
        line, column = at or self._at(steps)
        return Finding(
            severity="error",
            code=code,
            message=message,
            fix=fix,
            path=_dotted(steps),
            file=str(self._file),
            line=line,
            column=column,
        )

    def _at(self, steps: Steps) -> Position:
        # Positions cost a second reading, so only those who have something to report pay for it.
        if self._places is None:
            self._places = {}
            with suppress(RecursionError):  # nested too deeply: the whole of it is the place
                self._places.update(_places(self._text))
        while steps and steps not in self._places:
            steps = steps[:-1]
        return self._places.get(steps, (1, 1))


def _load_fast(text: str) -> Any:
    """Return what the C parser reads, None for what it should not read or cannot.

    It takes a sixth of the time, but its words and places for mistakes are others, and a text that
    is nested some ten thousand levels deep overflows its stack.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if sum(map(text.count, _NESTING)) >= _MOST_NESTED:
        return None
    with suppress(YAMLError):
        return YAML(typ="safe").load(text)
    return None


def _unreadable_at(text: str) -> Position:
    """Return where the first plain value stands that YAML has a type for and cannot read."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    waiting, seen = [YAML(pure=True).compose(text)], set[int]()
    while waiting:
        node = waiting.pop(0)
        if id(node) in seen:  # an alias may lead back to where it stands
            continue
        seen.add(id(node))
        if node.id == "scalar":
            try:
                YAML(typ="safe", pure=True).load(node.value if not node.style else "")
            except ValueError:
                return node.start_mark.line + 1, node.start_mark.column + 1
            except YAMLError:
                continue
        else:
            pairs = node.value if node.id == "mapping" else [(item,) for item in node.value]
            waiting += [one for pair in pairs for one in pair]
    return 1, 1


def _dotted(steps: Steps) -> str:
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _places(text: str) -> Iterator[tuple[Steps, Position]]:
    from ruamel.yaml import YAML

    root = YAML(pure=True).compose(text)
    if root is not None:
        yield from _places_under(root, ())


def _places_under(node: Any, steps: Steps) -> Iterator[tuple[Steps, Position]]:
    if node.id == "mapping":
        for key, value in node.value:
            below = (*steps, str(key.value))
            yield below, (key.start_mark.line + 1, key.start_mark.column + 1)
            yield from _places_under(value, below)
    elif node.id == "sequence":
        for index, item in enumerate(node.value):
            yield (*steps, index), (item.start_mark.line + 1, item.start_mark.column + 1)
            yield from _places_under(item, (*steps, index))
