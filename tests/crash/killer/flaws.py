"""Mistakes that the program could make, each in one line that is in the wrong place or missing.

The lab has to see each of them (KILLER_FLAW in `sitecustomize`), or it proves nothing.
"""

from __future__ import annotations

from typing import Any


def cursor_first() -> None:
    """The place where reading stopped is committed before what was read."""
    from sync import keep
    from sync.store import progress

    end_read = keep.end_read

    def early(source: Any, reading: Any, page: Any, **limits: Any) -> None:
        with source.store.write() as connection:
            progress.note(connection, source.clinic, source.name, cursor=page.cursor)
        end_read(source, reading, page, **limits)

    keep.end_read = early


def sent_first() -> None:
    """A message counts as sent before its provider was asked."""
    from sync.store import attempts

    begin = attempts.begin

    def hopeful(
        connection: Any, clinic: str, due: Any, message: Any, *more: Any, **how: Any
    ) -> None:
        begin(connection, clinic, due, message, *more, **how)
        connection.exec_driver_sql(f"UPDATE messages SET state = 'sent' WHERE id = {due.id}")
        done = "UPDATE attempts SET state = 'accepted' WHERE state = 'sending'"
        connection.exec_driver_sql(done)

    attempts.begin = hopeful


def resent_blindly() -> None:
    """A message whose answer was lost is sent again, and nobody is asked."""
    from clinicrelay.contracts import Absent
    from notifiers._twilio import TwilioNotifier

    def absent(self: Any, attempt: Any) -> Absent:
        return Absent()

    TwilioNotifier.lookup = absent  # type: ignore[method-assign, assignment]


def mark_cleared_first() -> None:
    """The mark that a visit wants a look is cleared before what follows from it is written."""
    from sync import planner
    from sync.store import wakes

    look = planner._plan_batch

    def hasty(clinic: Any, lease: Any, batch: Any) -> None:
        with clinic.store.write() as connection:
            wakes.sleep(connection, [(None, one.id, one.version) for one in batch])
        look(clinic, lease, batch)

    planner._plan_batch = hasty


FLAWS = {
    made.__name__: made for made in (cursor_first, sent_first, resent_blindly, mark_cleared_first)
}


def make(name: str) -> None:
    FLAWS[name]()
