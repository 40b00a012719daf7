"""Ends a run of this process as SIGKILL would, at one of its commits."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine.default import DefaultDialect


class Killed(BaseException):
    """As kill -9, for a process that must not die: nothing is committed after it."""


class Axe:
    """Ends a run at one of its commits; whoever wants to commit after that is dead already."""

    def __init__(self) -> None:
        self.commits, self.at, self.after, self.dead = 0, 0, False, False
        self._real = DefaultDialect.do_commit

    def raised(self, at: int, *, after: bool) -> None:
        self.commits, self.at, self.after, self.dead = 0, at, after, False

    def commit(self, dialect: Any, connection: Any) -> None:
        self.commits += 1
        if self.dead:
            raise Killed
        if self.commits != self.at:
            self._real(dialect, connection)
            return
        self.dead = True
        if self.after:
            self._real(dialect, connection)
        raise Killed
