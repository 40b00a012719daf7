"""`check --explain`: every value of the settings with its origin, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands._call import Call
from commands._table import Table, show

if TYPE_CHECKING:
    from clinicrelay.settings.origins import Told


def values(file: Path, *, secrets: bool = True, among_others: bool = False) -> list[Told]:
    """Return every value of a settings file; none where the file cannot be read at all."""
    from clinicrelay.errors import SettingsError
    from clinicrelay.settings.origins import explain

    try:
        return explain(file, secrets=secrets, among_others=among_others)
    except SettingsError:  # told as a finding
        return []


def show_values(call: Call, told: Sequence[Told]) -> None:
    """Print values with their origins; a pipe learns nothing of people."""
    from clinicrelay.settings.origins import MASK

    rows = [
        (one.path, MASK if one.personal and not call.on_terminal else one.text, one.origin)
        for one in told
    ]
    if rows:
        show(call, Table(("key", "value", "from"), rows))


def as_json(told: Sequence[Told]) -> list[dict[str, Any]]:
    """Return values for other programs; a secret is null."""
    return [
        {
            "path": one.path,
            "value": None if one.secret else one.value,
            "secret": one.secret,
            "origin": one.kind,
            "file": one.file or None,
            "line": one.line or None,
            "column": one.column or None,
            "variable": one.variable or None,
            "references": list(one.references),
        }
        for one in told
    ]
