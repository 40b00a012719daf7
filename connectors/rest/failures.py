"""Tells what is one entry's own affair from what is the server's: failures one after another."""

from __future__ import annotations

from clinicrelay.http import Foreign, NotAnswered, NoToken, Unwelcome

_FEW = 3  # in a row are borne


class Failures:
    """Those of asking for single entries, such as patients or visits."""

    def __init__(self) -> None:
        self._in_a_row: list[Unwelcome | NotAnswered] = []

    def over(self) -> None:
        """One was read: those before it had reasons of their own."""
        self._in_a_row = []

    def bear(self, error: Unwelcome | NotAnswered) -> None:
        """Bear that one cannot be read. Raises the first of many in a row."""
        self._in_a_row.append(error)
        if at_the_door(error) or len(self._in_a_row) > _FEW:
            raise self._in_a_row[0] from None


def at_the_door(error: Unwelcome | NotAnswered) -> bool:
    """Whether we are sent to a login page, or told to log in: that is about no one entry."""
    return isinstance(error, Foreign | NoToken) or getattr(error, "status", 0) == 401
