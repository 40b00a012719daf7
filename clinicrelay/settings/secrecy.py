"""Keeps secrets out of messages, and warns where they lie open in a file."""

from __future__ import annotations

import os
import re
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

# To the last @: one that should be written as %40 must not show what stands behind it. Before the
# colon of a database's URL anything may be meant as the user's name.
_WITH_PASSWORD = re.compile(
    r"((?:(?:postgres|mysql|mariadb)[\w+]*://[^:\n]*|[a-z][\w+.-]*://[^/?#\s:]*):)(.+)@",
    re.IGNORECASE,
)


_REFERENCE = re.compile(r"\$\{[^}]*\}")


def hide_secrets(tree: Tree, shape: Shape) -> bool:
    """Mark the texts of secret keys as hidden; warn of those that stand in the file themselves.

    Returns whether there are such.
    """
    literal = False
    for where, mark in list(tree.values.items()):
        if not mark.text or mark.variable or (_REFERENCE.fullmatch(mark.text) and not mark.hidden):
            continue  # not there, or it refers to what is empty
        if shape.is_secret(where):
            if not mark.hidden and where not in tree.opaque:
                literal = True
                _warn_of_literal(tree, mark, where, "a secret stands in the settings file itself")
            tree.values[where] = replace(mark, hidden=(*mark.hidden, mark.text))
        elif (password := password_in(mark.text)) and not password.startswith("${"):
            literal = True
            _warn_of_literal(tree, mark, where, "a password stands in the settings file itself")
            tree.values[where] = replace(mark, hidden=(*mark.hidden, password))
    return literal


def password_in(url: str) -> str | None:
    """Return the password that stands in an address, if it is one and holds one."""
    found = _WITH_PASSWORD.match(url)
    return found[2] if found else None


def without_password(url: str) -> str:
    """Return an address as it may be shown; what is none stays as it is."""
    return _WITH_PASSWORD.sub(r"\1…@", url)


def _warn_of_literal(tree: Tree, mark: Mark, where: Where, message: str) -> None:
    name = "PASSWORD" if password_in(mark.text) else str(where[-1]).upper()
    fix = f"write ${{{name}}} and set that variable, or ${{file:secrets/…}}"
    tree.report(mark, where, "literal_secret", message, fix, "warning")


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


def warn_of_open_folders(tree: Tree, folders: Iterable[Path]) -> None:
    """Warn of each folder with patients' data that other users of this machine may look into."""
    for folder in folders if os.name == "posix" else ():
        if not folder.is_dir() or not folder.stat().st_mode & (stat.S_IROTH | stat.S_IXOTH):
            continue
        message = f"{folder} holds patients' data and every user of this machine may look into it"
        fix = f"chmod o= {folder}"
        tree.report(Mark(1, 1), ("data",), "open_folder", message, fix, "warning")


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
        # A short one is also a part of honest words: `x` of `inbox`.
        whole = re.escape(text) if len(text) >= _TELLTALE else rf"(?<!\w){re.escape(text)}(?!\w)"
        message, fix = re.sub(whole, "…", message), re.sub(whole, "…", fix)
    return msgspec.structs.replace(finding, message=message, fix=fix)
