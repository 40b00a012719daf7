"""Doctors' Google calendars: every visit once, at its time, and what a doctor adds stays.

Sources of what is said here of Google: the Calendar API's reference (discovery revision 20261030) and
its guides on errors, quota, synchronising, batches and extended properties.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any

from calendars.google.answers import Kind
from calendars.google.batches import Delivery
from calendars.google.event import Identity, is_deleted, marks
from calendars.google.found import of_strangers, seen
from calendars.google.options import Options
from calendars.google.reading import look_at, the_event
from calendars.google.troubles import finding
from calendars.google.wire import Stopped, Wire
from calendars.google.writing import Task
from clinicrelay import (
    Calendar,
    EventResult,
    EventWrite,
    Finding,
    Kit,
    Known,
    Look,
    Memo,
    Outcome,
    Reach,
    Sighting,
    TryLater,
)
from clinicrelay.loopback import url_stays_here
from clinicrelay.settings.values import Rate

if find_spec("googleapiclient") is None:
    raise ModuleNotFoundError("no module named 'googleapiclient'", name="google-api-python-client")


class Google(Calendar):
    """Writes through the Calendar API as a service account, as the doctor, or with their consent."""

    Options = Options
    looks = True
    at_once = 4  # as much as the quota of all doctors together can take

    def __init__(self, options: Any, kit: Kit) -> None:
        super().__init__(options, kit)
        self._identity = Identity(kit.instance_key)

    @cached_property
    def _wire(self) -> Wire:
        return Wire(self.options, self.kit, self._identity)

    @cached_property
    def outside(self) -> bool:
        addresses = (self.options.base_url, str(self.options.key["token_uri"]))
        return not all(url_stays_here(address) for address in addresses)

    @classmethod
    def limits(cls, options: Any) -> Mapping[str, Rate]:
        return {"user": options.quota.per_user, "": options.quota.per_project}

    def apply(self, calendar: str, writes: Sequence[EventWrite]) -> Iterator[EventResult]:
        tasks = []
        for write in writes:
            if write.put and (write.start is None or write.end is None):
                yield EventResult(
                    write.ref, Outcome.REJECTED, write.memo, "no_start", "an event needs a start"
                )
                continue
            task = Task(write, calendar, self._identity, self.options)
            done = task.nothing_to_do()
            if done is not None:
                yield done
            else:
                tasks.append(task)
        if tasks:
            yield from Delivery(self._wire, calendar, tasks).results()

    def seen(self, calendar: str, cursor: Mapping[str, object] | None, known: Known) -> Look:
        try:
            return seen(self._wire, calendar, cursor, known)
        except Stopped as stopped:
            return Look(trouble=stopped.why)

    def theirs(self, calendar: str) -> Iterator[Sighting]:
        try:
            yield from of_strangers(self._wire, calendar)
        except Stopped as stopped:
            raise TryLater(stopped.why.detail) from None

    def shows(self, calendar: str, ref: str, memo: Memo) -> bool:
        event = str(memo.get("id") or self._identity.event_id(ref, int(memo.get("gen", 0))))
        try:
            answer = the_event(self._wire, calendar, event)
        except Stopped as stopped:
            raise TryLater(stopped.why.detail) from None
        if answer.kind in (Kind.ABSENT, Kind.DELETED):
            return False
        if answer.kind is not Kind.DONE:
            raise TryLater(f"Google did not say ({answer.reason})")
        return marks(answer.body).ref == ref and not is_deleted(answer.body)

    def advise(self) -> Iterator[Finding]:
        """Yield what mode shared cannot do: Google keeps it from accounts that act for nobody."""
        if self.options.mode != "shared":
            return
        for key, what in (("meet", "make no meetings"), ("reminders", "set no doctor's alarms")):
            if getattr(self.options, key):
                yield Finding(
                    "warning",
                    "no_effect",
                    f"`{key}` changes nothing: in mode shared the account can {what}",
                    "delete it, or use mode delegated",
                    path=key,
                )

    def check(self) -> Iterator[Finding]:
        """Log in, where one account does for all; each doctor's login is tried by `reach`."""
        if self.options.mode == "shared":
            try:
                self._wire.log_in()
            except Stopped as stopped:
                yield finding(stopped.why)

    def reach(self, calendars: Sequence[str]) -> Iterator[Reach]:
        as_the_doctor = self.options.mode != "shared"
        for calendar in calendars:
            try:
                state = look_at(self._wire, calendar)
            except Stopped as stopped:
                yield Reach(calendar, wrong=finding(stopped.why))
                continue
            wrong = finding(state.trouble) if state.trouble else None
            able = as_the_doctor and wrong is None
            yield Reach(calendar, state.role, state.zone, able, able, wrong)

    def close(self) -> None:
        if "_wire" in self.__dict__:
            self._wire.close()
