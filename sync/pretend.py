"""Stand-ins that plan uses instead of calendars and notifiers: they accept everything and do nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clinicrelay.contracts import (
    Attempt,
    Calendar,
    EventResult,
    EventWrite,
    Kit,
    Memo,
    Message,
    Notifier,
    Outcome,
    Proof,
    SendResult,
)


class PretendedCalendar(Calendar):
    """Notes what would be written to a calendar."""

    def __init__(self, real: Calendar) -> None:
        super().__init__(real.options, real.kit)
        self._real = real
        self.written: list[tuple[str, EventWrite]] = []

    def shows(self, calendar: str, ref: str, memo: Memo) -> bool:
        return self._real.shows(calendar, ref, memo)

    @property
    def outside(self) -> bool:
        return self._real.outside

    def lost(self, calendar: str) -> bool:
        return not self.outside and self._real.lost(calendar)

    def close(self) -> None:
        self._real.close()

    def apply(self, calendar: str, writes: Sequence[EventWrite]) -> Iterator[EventResult]:
        for write in writes:
            self.written.append((calendar, write))
            yield EventResult(write.ref, Outcome.ACCEPTED, write.memo)


class AbsentNotifier(Notifier):
    """A notifier that ran and stands in the settings no more: what it would have sent is noted."""

    def __init__(self, kind: type[Notifier], kit: Kit) -> None:
        super().__init__(None, kit)
        self.channels = kind.channels  # type: ignore[misc]
        self._writes_files = not kind.connects

    @property
    def outside(self) -> bool:
        return not self._writes_files

    def send(self, message: Message) -> SendResult:
        return SendResult(Outcome.ACCEPTED)


class PretendedNotifier(Notifier):
    """Notes what would be sent."""

    def __init__(self, real: Notifier) -> None:
        super().__init__(real.options, real.kit)
        self._real = real
        self.channels = real.channels  # type: ignore[misc]
        self.hands_over = real.hands_over  # type: ignore[misc]
        self.sent: list[Message] = []

    @property
    def outside(self) -> bool:
        return self._real.outside

    @property
    def mailbox(self) -> str | None:
        return self._real.mailbox

    def language(self, template: str, wanted: str) -> str:
        return self._real.language(template, wanted)

    @property
    def tells(self) -> bool:
        return self._real.tells

    def lookup(self, attempt: Attempt) -> Proof:
        return self._real.lookup(attempt)

    def send(self, message: Message) -> SendResult:
        self.sent.append(message)
        return SendResult(Outcome.ACCEPTED)
