"""The column of a delta file that says what became of each row."""

from __future__ import annotations

from collections.abc import Sequence

from clinicrelay.paths import fold

COLUMNS = ("op", "operation", "action", "change", "changetype", "recordstatus")

_NEW = {"i", "insert", "inserted", "n", "new", "neu", "nuevo", "a", "add", "added", "c", "create"}
_CHANGED = {
    "u",
    "upd",
    "update",
    "updated",
    "upsert",
    "m",
    "modify",
    "modified",
    "change",
    "changed",
}
_DELETED = {"d", "del", "delete", "deleted", "x", "remove", "removed", "void"}
# A called-off visit is taken away quietly: its row may still say `booked`, and a text to the
# patient would then rest on a guess. A source that wants the patient told sends a status.
_CALLED_OFF = {"cancel", "cancelled", "canceled", "storno", "storniert", "anulado", "annule"}


def column_of(folded: Sequence[str]) -> int | None:
    """Return the position of the operation column among folded names, None without one."""
    return next((folded.index(name) for name in COLUMNS if name in folded), None)


def is_gone(word: str) -> bool | None:
    """Whether the word removes the row; None for a word that we do not know."""
    folded = fold(word)
    if folded in _DELETED or folded in _CALLED_OFF:
        return True
    return False if folded in _NEW or folded in _CHANGED else None
