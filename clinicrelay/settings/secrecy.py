"""Keeps secrets out of messages, and warns where they lie open in a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec

from clinicrelay.contracts import Finding
from clinicrelay.settings.shape import Shape
from clinicrelay.settings.tree import Mark, Tree, Where, dotted

# Shorter texts (`de`, `info`) also occur in honest words about other places.
_TELLTALE = 6


def hide_secrets(tree: Tree, shape: Shape) -> bool:
    """Mark the texts of secret keys as hidden; warn of those that stand in the file themselves.

    Returns whether there are such.
    """
    literal = False
    for where, mark in list(tree.values.items()):
        if mark.text and not mark.variable and shape.is_secret(where):
            if not mark.hidden:
                literal = True
                _warn_of_literal(tree, mark, where)
            tree.values[where] = replace(mark, hidden=(*mark.hidden, mark.text))
    return literal


def _warn_of_literal(tree: Tree, mark: Mark, where: Where) -> None:
    tree.report(
        mark,
        where,
        "literal_secret",
        "a secret stands in the settings file itself",
        f"write ${{{str(where[-1]).upper()}}} and set that variable, or ${{file:secrets/…}}",
        "warning",
    )


def warn_of_open_files(tree: Tree, files: Iterable[Path]) -> None:
    """Warn of each file with secrets that other users of this machine may read."""
    for file in sorted(files) if os.name == "posix" else ():
        status = file.stat()
        if not status.st_mode & stat.S_IROTH:
            continue
        # Who does not own it may read it as one of its group, and would lose it by 600.
        mode = "600" if status.st_uid == os.geteuid() else "o="
        message = f"{file} holds secrets and every user of this machine may read it"
        tree.report(Mark(1, 1), (), "open_file", message, f"chmod {mode} {file}", "warning")


def redacted(tree: Tree) -> tuple[Finding, ...]:
    """Return the findings in the file's order, with every hidden text struck out of them."""
    marks = [*tree.keys.items(), *tree.values.items()]
    own = {dotted(where): mark.hidden for where, mark in marks if mark.hidden}
    everywhere = {t for texts in own.values() for t in texts if len(t) >= _TELLTALE}
    ordered = sorted(tree.findings, key=lambda f: (f.line, f.column))
    return tuple(_strike(f, {*everywhere, *own.get(f.path, ())}) for f in ordered)


def _strike(finding: Finding, hidden: set[str]) -> Finding:
    message, fix = finding.message, finding.fix
    for text in sorted(hidden, key=len, reverse=True):
        message, fix = message.replace(text, "…"), fix.replace(text, "…")
    return msgspec.structs.replace(finding, message=message, fix=fix)
