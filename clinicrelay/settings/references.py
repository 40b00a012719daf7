"""Fills `${NAME}`, `${NAME:-default}` and `${file:path}` into values; `$$` stands for one `$`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

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


@dataclass
class References:
    """Where references lead: variables, and files beside the settings or of the service manager.

    `read` collects the files that were read from beside the settings, for a look at who may read
    them; systemd and the container's own secrets are guarded by their makers.
    """

    folder: Path
    environ: Mapping[str, str]
    read: set[Path] = field(default_factory=set)

    def fill(self, text: str) -> tuple[str, tuple[str, ...]]:
        """Return the text with its references filled, and what was filled in. Raises Unresolved."""
        found: list[str] = []

        def resolve(part: re.Match[str]) -> str:
            if part[0] == "$$":
                return "$"
            if not part[2]:
                raise Unresolved("reference", "${ without its }", "write ${NAME}, or $${ for ${")
            found.append(self._lookup(part[1]))
            return found[-1]

        return _PART.sub(resolve, text), tuple(found)

    def _lookup(self, body: str) -> str:
        if body.startswith("file:"):
            return self._file(body.removeprefix("file:").strip())
        named = _NAMED.fullmatch(body)
        if not named:
            raise Unresolved(
                "reference",
                "this reference is not understood",
                "write ${NAME}, ${NAME:-default} or ${file:path}; $$ for a plain $",
            )
        if named[2] is not None:
            return self.environ.get(named[1]) or named[2]
        if named[1] not in self.environ:
            raise Unresolved(
                "unset_variable",
                f"the environment variable {named[1]} is not set",
                f"set {named[1]} in the environment or in .env beside the settings file",
            )
        return self.environ[named[1]]

    def _file(self, name: str) -> str:
        beside = self.folder / Path(name).expanduser()
        places = [Path(p) for p in (self.environ.get("CREDENTIALS_DIRECTORY"), "/run/secrets") if p]
        others = [place / tail for place in places for tail in (name, Path(name).name)]
        file = next((f for f in (beside, *others) if f.is_file()), None)
        if file is None:
            raise Unresolved(
                "no_secret_file",
                f"there is no file {name}",
                f"create {beside}, or correct the path",
            )
        if file == beside:
            self.read.add(file)
        return _content(file)


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
    except Unresolved as error:
        tree.report(tree.mark(where), where, error.code, str(error), error.fix)
        return value
    if found:
        tree.values[where] = replace(tree.mark(where), hidden=tuple(f for f in (*found, text) if f))
    # A value that is nothing but an empty reference is not there: `broker: ${URL:-}`.
    return text or (None if found else text)
