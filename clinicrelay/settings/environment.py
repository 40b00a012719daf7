"""What the environment says: `.env` beside the settings file, and keys set by variables.

A variable such as CLINICRELAY__STORE__URL sets `store.url`. (pydantic-settings could do both, at
140 ms of import for each idle run, and without places for its mistakes.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clinicrelay.settings.tree import Mark, Tree, Where, dotted, parse

PREFIX = "CLINICRELAY__"

# What makes a clinic this clinic and no other: one value for several would mix their visits, their
# files, or the ids of their events.
_OWN: tuple[Where, ...] = (
    ("clinic",),
    ("data",),
    ("sources",),
    ("doctors",),
    ("store", "instance_key"),
)

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*")
_QUOTED = re.compile(r"""(["'])(.*?)\1\s*(?:#.*)?""")


def read_dotenv(file: Path) -> dict[str, str]:
    """Read NAME=value lines; quotes are dropped, as is ` # a comment`; there is no expansion.

    Raises OSError and UnicodeDecodeError.
    """
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    matched = (_LINE.fullmatch(line) for line in lines if not line.lstrip().startswith("#"))
    return {m[1]: _unquote(m[2]) for m in matched if m}


def _unquote(value: str) -> str:
    quoted = _QUOTED.fullmatch(value)
    return quoted[2] if quoted else re.split(r"\s#", value, maxsplit=1)[0].rstrip()


def apply(tree: Tree, environ: Mapping[str, str], *, among_others: bool = False) -> None:
    """Set the keys that variables name; their values are never repeated in a message.

    `among_others`: the file is one clinic of several, and what would mix them is refused.
    """
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or len(variable) == len(PREFIX):
            continue
        if among_others and (own := _own(variable)):
            _refuse(tree, variable, own)
        else:
            _set(tree, variable, environ[variable])


def _own(variable: str) -> Where:
    names = tuple(variable.removeprefix(PREFIX).lower().split("__"))
    return next((own for own in _OWN if names[: len(own)] == own), ())


def _refuse(tree: Tree, variable: str, own: Where) -> None:
    tree.report(
        Mark(0, 0, variable=variable),
        own,
        "mixes_clinics",
        f"`{dotted(own)}` is each clinic's own, and this would give all of them the same",
        "take the variable away and write the key into each file, as ${NAME} if it is a secret",
    )


def _set(tree: Tree, variable: str, text: str) -> None:
    holder = tree.data
    where: Where = ()
    *parents, last = variable.removeprefix(PREFIX).split("__")
    for name in parents:
        step = _step(holder, name)
        where = (*where, step)
        holder = _section(holder, step)
        if where not in tree.values:
            tree.values[where] = tree.keys[where] = Mark(0, 0, variable=variable)
    step = _step(holder, last)
    where = (*where, step)
    _forget(tree, where)
    tree.keys[where] = Mark(0, 0, variable=variable, hidden=(text,) if text else ())
    value = _value(tree, text, where)
    if isinstance(holder, list) and step == len(holder):
        holder.append(value)
    else:
        holder[step] = value


def _step(holder: Any, name: str) -> str | int:
    """Return the key or index that a part of a variable's name means; case and - do not count."""
    if isinstance(holder, list):
        return min(int(name), len(holder)) if name.isdecimal() else len(holder)
    folded = name.lower().replace("-", "_")
    return next((k for k in holder if k.lower().replace("-", "_") == folded), name.lower())


def _section(holder: Any, step: str | int) -> Any:
    if isinstance(holder, list):
        holder.extend([{}] if step == len(holder) else [])
    elif step not in holder:
        holder[step] = {}
    if not isinstance(holder[step], dict | list):
        holder[step] = {}
    return holder[step]


def _forget(tree: Tree, where: Where) -> None:
    for marks in (tree.values, tree.keys):
        for place in [p for p in marks if p[: len(where)] == where]:
            del marks[place]


def _value(tree: Tree, text: str, where: Where) -> Any:
    """Read `{…}` and `[…]` as YAML and all else as the text it is; empty means absent."""
    mark = tree.keys[where]
    tree.values[where] = mark
    if not text.lstrip().startswith(("{", "[")):
        return text or None
    flow = parse(text, tree.file)
    for finding in flow.findings:
        tree.report(mark, where, finding.code, finding.message, finding.fix)
    for place in flow.values:
        tree.values[where + place] = mark
    return flow.data
