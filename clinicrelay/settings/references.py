"""Fills `${NAME}`, `${NAME:-default}` and `${file:path}` into values; `$$` stands for one `$`.

In a path `~` stands for a home, as in a shell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from os.path import expanduser, isdir, isfile
from pathlib import Path
from typing import Any

from clinicrelay.settings.places import SYSTEM_FILE
from clinicrelay.settings.shape import Shape
from clinicrelay.settings.tree import Tree, Where

_PART = re.compile(r"\$\$|\$\{([^}]*)(\}?)")
_NAMED = re.compile(r"([A-Za-z_]\w*)(?::-(.*))?", re.DOTALL)
_LARGEST_SECRET = 256 * 1024


class Unresolved(ValueError):
    """A reference that leads nowhere; the text says why, `fix` what to do."""

    def __init__(self, code: str, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.code = code
        self.fix = fix


class Opaque(Exception):
    """A reference that is not followed, as nobody's secrets are at hand."""


@dataclass
class References:
    """Where references lead: variables, and files beside the settings or of the service manager.

    The real environment goes before `dotenv`. `opaque`: references are understood, not followed.
    `read` collects the files that were read from beside the settings, for a look at who may read
    them; systemd and the container's own secrets are guarded by their makers. `followed` collects all.
    """

    folder: Path
    environ: Mapping[str, str]
    dotenv: Mapping[str, str] = field(default_factory=dict)
    opaque: bool = False
    read: set[Path] = field(default_factory=set)
    followed: set[Path] = field(default_factory=set)

    @cached_property
    def known(self) -> Mapping[str, str]:
        """Every variable that counts."""
        return {**self.dotenv, **self.environ}

    def fill(self, text: str) -> tuple[str, tuple[str, ...]]:
        """Return the text with its references filled, and what was filled in.

        Raises Unresolved, and Opaque for one that is not followed.
        """
        found: list[str] = []

        def resolve(part: re.Match[str]) -> str:
            if part[0] == "$$":
                return "$"
            if not part[2]:
                raise Unresolved("reference", "${ without its }", "write ${NAME}, or $${ for ${")
            found.append(self._lookup(part[1]))
            return found[-1]

        return _PART.sub(resolve, text), tuple(found)

    def origins(self, text: str) -> Iterator[str]:
        """Yield each reference in a text with where it leads, never what stands there."""
        for part in _PART.finditer(text):
            named = _NAMED.fullmatch(part[1] or "")
            if named:
                yield self._origin(named[1], "the default written here" if named[2] else "nothing")
            elif (part[1] or "").startswith("file:"):
                name = part[1].removeprefix("file:").strip()
                place = "not looked for" if self.opaque else self.file(name) or "nowhere"
                yield f"${{file:{name}}}: {place}"

    def _origin(self, name: str, otherwise: str) -> str:
        if self.opaque:
            return f"${{{name}}}: not followed"
        if self.environ.get(name):
            return f"${{{name}}}: environment"
        return f"${{{name}}}: {'.env' if self.known.get(name) else otherwise}"

    def _lookup(self, body: str) -> str:
        if body.startswith("file:"):
            return self._content(body.removeprefix("file:").strip())
        named = _NAMED.fullmatch(body)
        if not named:
            raise Unresolved(
                "reference",
                "this reference is not understood",
                "write ${NAME}, ${NAME:-default} or ${file:path}; $$ for a plain $",
            )
        if named[2] is not None:
            return ("" if self.opaque else self.known.get(named[1])) or named[2]
        if self.opaque:
            raise Opaque
        if named[1] not in self.known:
            raise Unresolved(
                "unset_variable",
                f"the environment variable {named[1]} is not set",
                f"set {named[1]} in the environment or in .env beside the settings file",
            )
        return self.known[named[1]]

    def _content(self, name: str) -> str:
        if self.opaque:
            raise Opaque
        file = self.file(name)
        if file is None:
            raise self._no_file(name)
        if file == self._beside(name):
            self.read.add(file)
        self.followed.add(file)
        return _content(file)

    def _no_file(self, name: str) -> Unresolved:
        beside = self._beside(name)
        if isdir(beside):  # noqa: PTH112 - as below
            fix = "name a file in it, or another file"
            return Unresolved("no_secret_file", f"{beside} is a folder", fix)
        fix = f"create {beside}, or correct the path"
        if beside.parent == SYSTEM_FILE.parent and "CREDENTIALS_DIRECTORY" not in self.known:
            fix += "; where systemd hands it over, type commands as docs/howto/systemd.md says"
        return Unresolved("no_secret_file", f"there is no file {name}", fix)

    def file(self, name: str) -> Path | None:
        """Return the file that `${file:name}` means: beside the settings, or a service manager's."""
        places = [Path(p) for p in (self.known.get("CREDENTIALS_DIRECTORY"), "/run/secrets") if p]
        others = [place / tail for place in places for tail in (name, Path(name).name)]
        candidates = (self._beside(name), *others)
        # Path.is_file raises for names that are too long and folders that are closed.
        return next((f for f in candidates if isfile(f)), None)  # noqa: PTH113

    def _beside(self, name: str) -> Path:
        return self.folder / expanduser(name)  # noqa: PTH111 - Path's own raises


def _content(file: Path) -> str:
    try:
        content = file.read_bytes()
        text = content[:_LARGEST_SECRET].decode()
    except OSError as error:
        raise Unresolved(
            "unreadable_file",
            f"{file} cannot be read: {error.strerror}",
            "let the user that runs clinicrelay read it",
        ) from error
    except UnicodeDecodeError:
        raise Unresolved("not_text", f"{file} is not text", "name a text file") from None
    if len(content) > _LARGEST_SECRET:
        raise Unresolved("too_large", f"{file} is too large for a secret", "name the right file")
    return text.removesuffix("\n").removesuffix("\r")


def fill_all(tree: Tree, references: References) -> None:
    """Fill every value of the tree; what leads nowhere is reported at its place."""
    tree.data = _filled(tree, references, tree.data, ())


def _filled(tree: Tree, references: References, value: Any, where: Where) -> Any:
    if isinstance(value, dict):
        return {k: _filled(tree, references, v, (*where, k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(tree, references, v, (*where, i)) for i, v in enumerate(value)]
    if not isinstance(value, str) or "$" not in value or tree.mark(where).variable:
        return value
    try:
        text, found = references.fill(value)
    except Opaque:
        tree.opaque.add(where)
        return value
    except Unresolved as error:
        tree.report(tree.mark(where), where, error.code, str(error), error.fix)
        tree.opaque.add(where)
        return value
    if found:
        tree.values[where] = replace(tree.mark(where), hidden=tuple(f for f in (*found, text) if f))
    # A value that is nothing but an empty reference is not there: `broker: ${URL:-}`.
    return text or (None if found else text)


def fill_homes(tree: Tree, shape: Shape) -> None:
    """Put the home in place of a `~` that a path begins with."""
    for where, holder, step in list(_scalars(tree.data)):
        text = holder[step]
        if isinstance(text, str) and text.startswith("~") and shape.is_path(where):
            holder[step] = expanduser(text)  # noqa: PTH111 - Path's own raises
            if holder[step] == text:
                message = "nobody of this name has a home on this machine"
                tree.report(tree.mark(where), where, "no_home", message, "write the path in full")


def _scalars(value: Any, where: Where = ()) -> Iterator[tuple[Where, Any, Any]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    for step, item in steps:
        if isinstance(item, dict | list):
            yield from _scalars(item, (*where, step))
        else:
            yield (*where, step), value, step
