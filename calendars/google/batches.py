"""Takes a calendar's writes to their ends, many at once; what failed is tried again behind the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from calendars.google.answers import Answer, Kind
from calendars.google.reading import look_at, state_of
from calendars.google.troubles import trouble
from calendars.google.wire import AGAIN, TRIES, Stopped, Wire
from calendars.google.writing import InDoubt, Task
from clinicrelay import EventResult, Outcome


class Delivery:
    """The writes of one calendar in one call of `apply`."""

    def __init__(self, wire: Wire, calendar: str, tasks: Sequence[Task]) -> None:
        self._wire, self._calendar = wire, calendar
        self._open = list(tasks)
        self._later: list[Task] = []
        self._failure = Answer(Kind.UNKNOWN)  # the last that a task waits for
        self._in_a_row = 0  # whole batches that brought no answer
        self._is_there = False

    def results(self) -> Iterator[EventResult]:
        """Yield what became of each write, as soon as it is known."""
        while self._open or self._later:
            try:
                yield from self._round()
            except Stopped as stopped:
                yield from self._all_blocked(stopped.why)
                return

    def _round(self) -> Iterator[EventResult]:
        if not self._open:
            self._open, self._later = self._later, []
            self._wire.rest(min(task.failed for task in self._open), self._failure)
        size = self._wire.at_once
        batch, self._open = self._open[:size], self._open[size:]
        answers = self._asked(batch)
        stopped: Stopped | None = None
        for task, answer in zip(batch, answers, strict=True):
            try:
                result = self._heard(task, answer, look=stopped is None)
            except Stopped as why:
                stopped = stopped or why
                self._open.append(task)
                continue
            if result is not None:
                yield result
        if stopped is not None:
            raise stopped
        self._mind_the_server(answers)

    def _asked(self, batch: Sequence[Task]) -> list[Answer]:
        try:
            return self._wire.batch(self._calendar, [task.call for task in batch])
        except Stopped:
            self._open = [*batch, *self._open]
            raise

    def _heard(self, task: Task, answer: Answer, *, look: bool) -> EventResult | None:
        """Return a task's result; without one it waits for its next call. Raises Stopped.

        Without `look` the calendar is known to be in trouble, and is not asked again.
        """
        if answer.kind in AGAIN or answer.kind is Kind.COLLIDED:
            return self._failed(task, answer)
        task.failed = 0
        self._stop_for(answer)
        try:
            result = task.hear(answer, calendar_is_there=self._is_there)
        except InDoubt:
            self._look(look=look)
            result = task.hear(answer, calendar_is_there=True)
        if result is None:
            self._open.append(task)
        return result

    def _failed(self, task: Task, answer: Answer) -> EventResult | None:
        task.failed += 1
        self._failure = answer
        if task.failed < TRIES:
            self._later.append(task)
            return None
        too_fast = answer.kind is Kind.TOO_FAST
        return EventResult(
            task.write.ref,
            Outcome.NOT_SENT if too_fast else Outcome.UNKNOWN,
            task.memo,
            "quota" if too_fast else "unreachable",
            f"Google did not answer ({answer.reason})",
        )

    def _stop_for(self, answer: Answer) -> None:
        if answer.kind is Kind.USED_UP:
            raise Stopped(trouble("usage_limit", self._wire.account.facts))
        if answer.kind is Kind.MISCONFIGURED:
            why = state_of(self._wire, answer).trouble
            assert why is not None
            raise Stopped(why)

    def _look(self, *, look: bool) -> None:
        """Find out whether the calendar itself is to blame. Raises Stopped."""
        if not look:
            raise Stopped(trouble("unreachable", self._wire.account.facts))
        found = look_at(self._wire, self._calendar)
        if found.trouble is not None:
            raise Stopped(found.trouble)
        self._is_there = True

    def _mind_the_server(self, answers: Sequence[Answer]) -> None:
        """Give up on a server that answers nothing at all, rather than ask it for every batch."""
        if any(answer.kind is not Kind.UNKNOWN for answer in answers):
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self._in_a_row >= TRIES:
            raise Stopped(self._wire.unreachable(answers[0]))
        if self._open:
            self._wire.rest(self._in_a_row, answers[0])

    def _all_blocked(self, why: EventResult) -> Iterator[EventResult]:
        from msgspec.structs import replace

        for task in (*self._open, *self._later):
            yield replace(why, ref=task.write.ref, memo=task.memo)
