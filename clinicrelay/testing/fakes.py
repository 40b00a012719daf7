"""A source, a calendar and a notifier in memory, whose failures a test writes down beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict

from clinicrelay.contracts import (
    Absent,
    Attempt,
    Calendar,
    CannotTell,
    Connector,
    Cursor,
    EventResult,
    EventWrite,
    Found,
    Kit,
    Memo,
    Message,
    Notifier,
    Outcome,
    Page,
    Proof,
    Record,
    SendResult,
    Unreadable,
    Window,
)
from clinicrelay.model import Channel
from clinicrelay.testing.kits import kit as sample_kit


class NoOptions(BaseModel):
    """Fakes are told what to do by the test, not by settings."""

    model_config = ConfigDict(extra="forbid")


def record(data: dict[str, Any], *, key: str | None = None, gone: bool = False) -> Record:
    """Return a record whose digest is over its data, as a source would give it."""
    digest = blake2b(msgspec.json.encode(data, order="sorted"), digest_size=16).digest()
    if key is None and "appointment_id" in data:
        key = str(data["appointment_id"])
    return Record(data=data, digest=digest, key=key, gone=gone)


class FakeConnector(Connector):
    """Lists `rows` in pages of `page_size`. `rows`, `unreadable` and `error` may be changed between
    reads; `fails_after` pages, `error` is raised in the middle of one. `calls` says what was asked.
    """

    Options = NoOptions

    def __init__(
        self,
        rows: Iterable[dict[str, Any]] = (),
        kit: Kit | None = None,
        *,
        page_size: int = 100,
        lists_everything: bool = True,
        gone_after: int = 2,
    ) -> None:
        super().__init__(NoOptions(), kit or sample_kit(Path()))
        self.rows = list(rows)
        self.page_size = page_size
        self.unreadable: list[Unreadable] = []
        self.error: Exception | None = None
        self.fails_after = 0
        self.same = False
        self.calls: list[str] = []
        self._lists_everything = lists_everything
        self._gone_after = gone_after

    @property
    def lists_everything(self) -> bool:
        return self._lists_everything

    @property
    def gone_after(self) -> int:
        return self._gone_after

    def claim(self) -> None:
        self.calls.append("claim")

    def kept(self, cursor: Cursor) -> None:
        self.calls.append("kept")

    def pull(self, cursor: Cursor | None, window: Window) -> Iterator[Page]:
        self.calls.append("pull")
        for number, page in enumerate(self._pages((cursor or {}).get("read", 0) + 1)):
            if self.error and number >= self.fails_after:
                raise self.error
            yield page

    def _pages(self, read: int) -> Iterator[Page]:
        if self.same:
            yield Page("all", cursor={"read": read}, last=True, complete=True, same=True)
            return
        size = self.page_size
        starts = range(0, max(len(self.rows), 1), size)
        for start in starts:
            last = start == starts[-1]
            yield Page(
                "all",
                [record(row) for row in self.rows[start : start + size]],
                self.unreadable if last else (),
                {"read": read},
                last=last,
                complete=last and not self.unreadable,
            )


class FakeCalendar(Calendar):
    """Keeps `events[calendar][ref]`. `faults` are outcomes for the coming writes, first come first
    served; `broken` calendars answer NOT_SENT with their reason. `calls` lists each apply.
    """

    Options = NoOptions
    outside = False
    connects = False

    def __init__(self, kit: Kit | None = None, *, faults: Iterable[Outcome] = ()) -> None:
        super().__init__(NoOptions(), kit or sample_kit(Path()))
        self.events: dict[str, dict[str, EventWrite]] = {}
        self.faults = list(faults)
        self.broken: dict[str, str] = {}
        self.gone: set[str] = set()
        self.calls: list[tuple[str, tuple[EventWrite, ...]]] = []

    def apply(self, calendar: str, writes: Sequence[EventWrite]) -> Iterator[EventResult]:
        self.calls.append((calendar, tuple(writes)))
        for write in writes:
            yield self._one(calendar, write)

    def lost(self, calendar: str) -> bool:
        return calendar in self.gone

    def shows(self, calendar: str, ref: str, memo: Memo) -> bool:
        return ref in self.events.get(calendar, {})

    def _one(self, calendar: str, write: EventWrite) -> EventResult:
        if calendar in self.broken:
            reason = self.broken[calendar]
            return EventResult(write.ref, Outcome.NOT_SENT, write.memo, reason, fix="Mend it.")
        outcome = self.faults.pop(0) if self.faults else Outcome.ACCEPTED
        memo = {"id": write.ref, "again": outcome is Outcome.AGAIN}
        if outcome is Outcome.ACCEPTED:
            self._keep(calendar, write)
        reason = "" if outcome in (Outcome.ACCEPTED, Outcome.AGAIN) else "fault"
        return EventResult(write.ref, outcome, memo, reason)

    def _keep(self, calendar: str, write: EventWrite) -> None:
        there = self.events.setdefault(calendar, {})
        if write.put:
            there[write.ref] = write
        else:
            there.pop(write.ref, None)


class FakeNotifier(Notifier):
    """Keeps what arrived in `sent`. `outcomes` are answers to the coming attempts, first come first
    served, then ACCEPTED; an exception among them is raised, as by a plugin with a bug.

    UNKNOWN does not arrive; with `arrives_unknown` it does, as when only the answer was lost.
    `lookups` is what `lookup` says; by default the truth.
    """

    Options = NoOptions
    channels = (Channel.EMAIL, Channel.SMS, Channel.WHATSAPP)
    outside = False
    connects = False

    def __init__(
        self,
        outcomes: Iterable[Outcome | SendResult | Exception] = (),
        kit: Kit | None = None,
        *,
        arrives_unknown: bool = False,
        lookups: Iterable[Proof] = (),
    ) -> None:
        super().__init__(NoOptions(), kit or sample_kit(Path()))
        self.sent: list[Message] = []
        self.attempts: list[Message] = []
        self.outcomes = list(outcomes)
        self.arrives_unknown = arrives_unknown
        self.lookups = list(lookups)

    def send(self, message: Message) -> SendResult:
        self.attempts.append(message)
        answer = self.outcomes.pop(0) if self.outcomes else Outcome.ACCEPTED
        if isinstance(answer, Exception):
            raise answer
        result = answer if isinstance(answer, SendResult) else self._result(message, answer)
        if result.outcome is Outcome.ACCEPTED or (
            result.outcome is Outcome.UNKNOWN and self.arrives_unknown
        ):
            self.sent.append(message)
        return result

    def lookup(self, attempt: Attempt) -> Proof:
        if self.lookups:
            return self.lookups.pop(0)
        if any(m.id == attempt.message.id for m in self.sent):
            return Found(attempt.message.id)
        return CannotTell() if self.arrives_unknown else Absent()

    def _result(self, message: Message, outcome: Outcome) -> SendResult:
        if outcome is Outcome.ACCEPTED:
            return SendResult(outcome, provider_id=message.id)
        return SendResult(outcome, reason="fault", detail="as the test asked")
