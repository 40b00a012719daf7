"""One message that is due, with all that decides about it: looked up in batches, asked one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clinicrelay.actions import Role, Told
from clinicrelay.contracts import Message
from clinicrelay.model import Channel, Patient, Practitioner
from sync import alerts, outward, seeing, together, ways
from sync.compose import Fresh, addresses_of, message_of, person_of
from sync.gate import CLOSED_DOOR, Go, Verdict, gate
from sync.reasons import base, reason
from sync.standing import Answer, Leave, Standing, Stopped
from sync.store import wakes
from sync.store.in_flight import InFlight, in_flight
from sync.store.said import Due
from sync.ways import Ways

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sync.clinic import Clinic
    from sync.together import Other


_PASSES = ("cap_reached", "not_asked_yet", "rate", "server_busy", "unreachable")


@dataclass(frozen=True, slots=True)
class Case:
    """One message with all that decides about it."""

    clinic: Clinic
    standing: Standing
    due: Due
    fresh: Fresh | None
    person: Patient | Practitioner | None
    ways: Ways
    days: Mapping[together.Person, Sequence[int]]
    in_flight: Sequence[InFlight] = ()  # what else may be on its way to the person about the visit

    def ask(self, closed: Mapping[Channel, str] | None = None) -> Verdict:
        """Ask the gate, with further channels closed."""
        if self.due.say.role is Role.STAFF and (no := alerts.still(self.clinic, self.due.say)):
            return no
        say, visit = self.due.say, self.fresh.visit if self.fresh else None
        addresses = addresses_of(self.person)
        options = self.ways.left(
            self.due,
            addresses,
            outward.options(self.clinic, self.standing, say, visit),
            now=self.clinic.now,
        )
        options = replace(options, waited=self._waited(), in_flight=self._is_in_flight())
        if closed:
            options = replace(options, closed={**options.closed, **closed})
        return gate(
            say,
            fresh=visit,
            gone=self.fresh is not None and self.fresh.woken.gone_at is not None,
            told=self._told_by_another(),
            person=self.person,
            addresses=addresses,
            options=options,
            now=self.clinic.now,
        )

    def roads(self) -> Iterator[Go]:
        """Yield every way by which it may have left already, whatever keeps it back now."""
        say, visit = self.due.say, self.fresh.visit if self.fresh else None
        addresses = addresses_of(self.person)
        standing = replace(self.standing, pauses=())
        options = self.ways.left(
            self.due,
            addresses,
            outward.options(self.clinic, standing, say, visit),
            now=self.clinic.now,
        )
        options = replace(
            options,
            quiet=None,
            full={},
            stale="",
            change_held=False,
            unasked=False,
            in_flight=False,
        )
        for channel in addresses:
            others = {other: "channel_off" for other in Channel if other is not channel}
            verdict = gate(
                say,
                fresh=visit,
                gone=self.fresh is not None and self.fresh.woken.gone_at is not None,
                told=self._told_by_another(),
                person=self.person,
                addresses=addresses,
                options=replace(options, closed={**options.closed, **others}),
                now=self.clinic.now,
            )
            if isinstance(verdict, Go):
                each = (Go(channel, verdict.address, (name,)) for name in verdict.notifiers)
                yield from (go for go in each if isinstance(self.leaving(go), Leave | Stopped))

    def leaving(self, go: Go) -> Answer:
        """Ask whether it may leave this way."""
        visit = self.fresh.visit if self.fresh else None
        return outward.message(self.clinic, self.standing, self.due.say, visit, go)

    def stands(self, connection: Connection) -> bool:
        """Whether all is as it was looked up: the messages before this one may have taken a while."""
        if self.clinic.standing_in(connection) != self.standing:  # a pause holds from now on
            return False
        return self.fresh is None or wakes.stands(connection, self.fresh.woken)

    @property
    def begins_at(self) -> datetime:
        """When it leaves if it does now: never before what may be on its way, whatever the clock says.

        Who was told what last is known by that order.
        """
        return max([self.clinic.now, *(one.started_at for one in self.in_flight)])

    @property
    def shares_a_day(self) -> bool:
        """Whether the person has other visits on the day that the message is about."""
        return together.day_of(self.clinic, self.due, self.fresh) in self.days

    def others(self, go: Go, *, rehearsed: bool = False) -> Sequence[Other]:
        """Return the person's other visits of that day that the message can tell of."""
        if self.fresh is None or not isinstance(self.person, Patient):
            return ()
        return together.others(
            self.clinic,
            self.standing,
            self.due,
            go,
            self.person,
            self.fresh,
            self.days,
            rehearsed=rehearsed,
        )

    def message(self, go: Go, others: Sequence[Other]) -> Message:
        return message_of(
            self.clinic,
            self.due,
            self.fresh,
            self.person,
            go,
            self.ways.attempt(self.due, go),
            shared=self.ways.shared,
            others=others,
        )

    def _waited(self) -> str | None:
        """Return what kept it back till now, where that was neither the night nor its own fault."""
        waited = self.due.reason
        if waited is None or base(waited) == "provider_rejected":
            return None
        return waited if reason(waited).ours or base(waited) in _PASSES else None

    def _is_in_flight(self) -> bool:
        """Whether the same news may be on their way already, as another entry of the ledger."""
        say = self.due.say
        return say.kind in CLOSED_DOOR and any(
            (one.kind, one.step) == (say.kind, say.step)
            and (one.facts == say.facts or not say.facts.on)
            for one in (open_.say for open_ in self.in_flight)
        )

    def _told_by_another(self) -> Told | None:
        """Return what was last told, but for what an earlier attempt at this message may have told."""
        told = self.fresh.told.get(self.due.say.recipient) if self.fresh else None
        if told is None or not self.due.tries:
            return told
        return None if told.by in self.ways.own(self.due) else told


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a batch: the visits as they stand, their people, the ways to them, their days."""

    clinic: Clinic
    visits: Mapping[int, Fresh]
    people: Mapping[int, Patient | Practitioner | None]
    ways: Ways
    days: Mapping[together.Person, Sequence[int]]
    in_flight: Mapping[tuple[int, str], Sequence[InFlight]]

    def case(self, due: Due, standing: Standing) -> Case:
        """Return one of the batch's messages with all that decides about it."""
        on_their_way = self.in_flight.get((due.appointment or 0, due.say.recipient), ())
        return Case(
            self.clinic,
            standing,
            due,
            self.visits.get(due.appointment or 0),
            self.people[due.id],
            self.ways,
            self.days,
            [one for one in on_their_way if one.message != due.id],
        )


def look_up(clinic: Clinic, batch: Sequence[Due]) -> Known:
    """Return what is known at this moment of the messages of a batch."""
    clinic.held_back = None
    ids = [due.appointment for due in batch if due.appointment]
    with clinic.store.read() as connection:
        found = wakes.by_ids(connection, ids)
        told = seeing.told_of(clinic, connection, list(found.values()))
    visits = {n: Fresh(one, one.visit, dict(told.get(n, {}))) for n, one in found.items()}
    people = {due.id: person_of(clinic, due.say, visits.get(due.appointment or 0)) for due in batch}
    addresses = [addresses_of(people[due.id]) for due in batch]
    with clinic.store.read() as connection:
        known = ways.known(connection, clinic, batch, addresses)
        days = together.days(connection, clinic, batch, visits)
        on_their_way = in_flight(connection, ids)
    return Known(clinic, visits, people, known, days, on_their_way)
