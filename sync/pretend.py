"""Stand-ins that plan uses instead of calendars and notifiers: they accept everything and do nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clinicrelay.contracts import (
    Calendar,
    EventResult,
    EventWrite,
    Message,
    Notifier,
    Outcome,
    SendResult,
)


class PretendedCalendar(Calendar):
    """Notes what would be written to a calendar."""

    def __init__(self, real: Calendar) -> None:
        super().__init__(real.options, real.kit)
        self._real = real
        self.outside = real.outside  # type: ignore[misc]
        self.written: list[tuple[str, EventWrite]] = []

    def lost(self, calendar: str) -> bool:
        return self._real.lost(calendar)

    def apply(self, calendar: str, writes: Sequence[EventWrite]) -> Iterator[EventResult]:
        for write in writes:
            self.written.append((calendar, write))
            yield EventResult(write.ref, Outcome.ACCEPTED, write.memo)


class PretendedNotifier(Notifier):
    """Notes what would be sent."""

    def __init__(self, real: Notifier) -> None:
        super().__init__(real.options, real.kit)
        self.outside = real.outside  # type: ignore[misc]
        self.channels = real.channels  # type: ignore[misc]
        self.sent: list[Message] = []

    def send(self, message: Message) -> SendResult:
        self.sent.append(message)
        return SendResult(Outcome.ACCEPTED)
