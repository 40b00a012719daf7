"""What of a read fails: narrowed down to what it fails for, and left out, so that the rest goes on."""

from __future__ import annotations

from dataclasses import dataclass, field

from clinicrelay.http import NotAnswered, Unwelcome
from connectors.fhir.search import Job, Part
from connectors.fhir.server import Ignored

_NAMED = 5


@dataclass(slots=True)
class Apart:
    """Remembers what was refused. `refused` is by id of a partition.

    `postponed` are searches that failed before any succeeded: whether it is them or all, will be seen.
    """

    refused: dict[str, Unwelcome] = field(default_factory=dict)
    postponed: list[Job] = field(default_factory=list)
    _failed: dict[str, Unwelcome | NotAnswered] = field(default_factory=dict)
    _first: Unwelcome | None = None
    _unanswered: bool = False  # the search before this one

    def narrowed(self, piece: Job, error: Unwelcome | NotAnswered, *, has_read: bool) -> list[Part]:
        """Return the parts to try instead of a search that failed; none where it is left out.

        Raises the error where it concerns the source as a whole.
        """
        part = piece.part
        if part is None or isinstance(error, Ignored) or getattr(error, "status", 0) == 401:
            raise error
        if isinstance(error, NotAnswered):
            # One search may be more than it can do; two in a row, and it is the server.
            if error.after or self._unanswered or not has_read:
                raise error
            self._unanswered = True
        elif len(part.ids) > 1:
            return part.singly()
        elif part.by:
            self.refused[part.ids[0]] = error
        elif halves := part.halves():
            if has_read:
                return halves
            self._postpone(piece, error)
            return []
        self._failed[part.called] = error
        return []

    def _postpone(self, piece: Job, error: Unwelcome) -> None:
        self.postponed.append(piece)
        self._first = self._first or error
        if len(self.postponed) > 2:
            raise self._first

    def answered(self) -> None:
        """Note that a search came to its end."""
        self._unanswered = False

    @property
    def error(self) -> Unwelcome | NotAnswered | None:
        """What failed first, if anything."""
        return next(iter(self._failed.values()), self._first)

    @property
    def told(self) -> str | None:
        """A sentence about what was left out."""
        if not self._failed:
            return None
        named = [*self._failed]
        more = " …" if named[_NAMED:] else ""
        return f"not read: {', '.join(named[:_NAMED])}{more}: {self.error}"
