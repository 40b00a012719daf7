"""Which ways to a person are left for a message: by what was tried, learned, and is out of use.

The next notifier or channel is used only where the first is proven to have failed. What a provider
says of the person (no mobile number, no messages wanted) closes the channel; what it says of itself
or of the text leaves the channel's other notifiers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from clinicrelay.actions import Role
from clinicrelay.model import Channel
from sync import caps
from sync.caps import CAPPED, NEAR, full_until, sparing
from sync.gate import Go, Wait
from sync.store import attempts, contacts

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from clinicrelay.actions import Say
    from clinicrelay.settings.upkeep import Caps
    from sync.breaker import Barred
    from sync.clinic import Clinic
    from sync.gate import GateOptions, Verdict
    from sync.store.attempts import Tried
    from sync.store.said import Due

Addresses = Mapping[Channel, str | None]

# What is so until the address changes: nothing is sent there again.
LASTING = frozenset(
    {"opted_out", "landline", "not_on_whatsapp", "address_refused", "address_invalid"}
)
# What no other notifier of the channel could mend.
_THEIR_OWN = LASTING | {"address_unsupported", "mailbox_full", "handset_unreachable", "too_large"}
# A notifier that is down keeps a message for so long before another channel is used.
_PATIENCE = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Ways:
    """What is known of the ways to the people of some messages.

    `closed` maps addresses (their opaque ids) to why nothing is sent there, `tried` a message's
    number to its attempts that failed, `said` a person at an address (as well) to when they got what
    `caps` limit. `shared` are the telephone numbers that several patients have.
    """

    opaque: Callable[..., str]
    closed: Mapping[str, str] = field(default_factory=dict)
    tried: Mapping[int, Sequence[Tried]] = field(default_factory=dict)
    caps: Caps | None = None
    said: dict[str, list[datetime]] = field(default_factory=dict)
    shared: Collection[str] = ()

    def left(
        self, due: Due, addresses: Addresses, options: GateOptions, *, now: datetime
    ) -> GateOptions:
        """Return the options of a message without the ways that are of no use."""
        if not (self.closed or self.said or due.id in self.tried):
            return options
        closed = {
            channel: reason
            for channel, address in (_open(addresses, options) if self.closed else ())
            if (reason := self.closed.get(self.opaque("address", channel, address)))
        }
        senders = dict(options.senders)
        for one in self.tried.get(due.id, ()):
            if one.address != addresses.get(one.channel) or _comes_again(one, due.say):
                continue
            others = tuple(n for n in senders.get(one.channel, ()) if n != one.notifier)
            if others and one.state == "rejected" and one.reason not in _THEIR_OWN:
                senders[one.channel] = others
            else:
                closed.setdefault(one.channel, one.reason)
        full = self._full(due.say, addresses, options, now) if self.said else {}
        if not (closed or full or due.id in self.tried):
            return options
        return replace(options, closed=closed, senders=senders, full=full)

    def _full(
        self, say: Say, addresses: Addresses, options: GateOptions, now: datetime
    ) -> dict[Channel, datetime]:
        """Return the channels on which a person got enough for now, and until when."""
        if say.kind not in CAPPED or say.role is not Role.PATIENT or self.caps is None:
            return {}
        near = say.facts.start is not None and say.facts.start - now <= NEAR
        caps = self.caps if near else sparing(self.caps)
        ends = {
            channel: full_until(some, caps, options.zone, now=now)
            for channel, address in _open(addresses, options)
            if (some := self.said.get(contact(self.opaque, say.recipient, channel, address)))
        }
        return {channel: end for channel, end in ends.items() if end is not None}

    def note(self, say: Say, contact: str, now: datetime) -> None:
        """Count a message that leaves now among what its recipient got."""
        if say.kind in CAPPED:
            self.said.setdefault(contact, []).append(now)

    def attempt(self, due: Due, go: Go) -> str:
        """Return the id of the next attempt: the same each time, of its own for a second notifier.

        Of its own also at another address where one was accepted: what a provider still reports of
        that one would else be taken for this one's fate.
        """
        name = go.notifiers[0]
        others = [one for one in self.tried.get(due.id, ()) if one.channel is go.channel]
        if any(one.state == "undelivered" and one.address != go.address for one in others):
            return self.opaque("message", due.dedupe, go.channel, name, go.address)
        if any(one.notifier != name for one in others):
            return self.opaque("message", due.dedupe, go.channel, name)
        return self.opaque("message", due.dedupe, go.channel)

    def own(self, due: Due) -> set[str]:
        """Return the ids of all attempts at a message so far."""
        ids = {self.opaque("message", due.dedupe, channel) for channel in Channel}
        return ids | {one.id for one in self.tried.get(due.id, ())}


def _open(addresses: Addresses, options: GateOptions) -> Iterator[tuple[Channel, str]]:
    """Yield the addresses on channels that a message may take."""
    for channel, address in addresses.items():
        if address and options.senders.get(channel):
            yield channel, address


def known(
    connection: Connection,
    clinic: Clinic,
    batch: Sequence[Due],
    addresses: Sequence[Addresses],
) -> Ways:
    """Return what is known of the ways to the people of a batch; `addresses` in the batch's order."""
    capped = [
        (due.say.recipient, some)
        for due, some in zip(batch, addresses, strict=True)
        if due.say.role is Role.PATIENT and due.say.kind in CAPPED
    ]
    return Ways(
        clinic.opaque,
        _closed(connection, clinic, addresses),
        attempts.tried(connection, [due.id for due in batch if due.tries]),
        clinic.settings.safety.caps,
        _said(connection, clinic, capped),
        _shared(connection, clinic, batch, addresses),
    )


def known_of(
    connection: Connection, clinic: Clinic, patients: Sequence[tuple[str, Addresses]]
) -> Ways:
    """Return what is known of the ways to patients (recipient, addresses) nobody has written to yet."""
    return Ways(
        clinic.opaque,
        _closed(connection, clinic, [some for _, some in patients]),
        caps=clinic.settings.safety.caps,
        said=_said(connection, clinic, patients),
    )


def _closed(
    connection: Connection, clinic: Clinic, addresses: Sequence[Addresses]
) -> dict[str, str]:
    ids = {
        clinic.opaque("address", channel, address)
        for one in addresses
        for channel, address in one.items()
        if address and clinic.senders[channel]
    }
    return contacts.closed(connection, clinic.store.clinic, ids)


def _said(
    connection: Connection, clinic: Clinic, patients: Sequence[tuple[str, Addresses]]
) -> dict[str, list[datetime]]:
    """Return when each of these patients got what caps limit, by person and address."""
    if clinic.settings.safety.caps is None:
        return {}
    capped = {
        contact(clinic.opaque, recipient, channel, address)
        for recipient, some in patients
        for channel, address in some.items()
        if address and clinic.senders[channel]
    }
    return attempts.said_to(connection, capped, kinds=CAPPED, since=clinic.now - caps.WEEK)


def _shared(
    connection: Connection, clinic: Clinic, batch: Sequence[Due], addresses: Sequence[Addresses]
) -> Collection[str]:
    """Return the telephone numbers of a batch that patients with different first names have."""
    rules = clinic.settings.reminders.patient
    if rules is None or rules.name_in_sms != "shared":
        return ()
    phones = {
        phone
        for due, some in zip(batch, addresses, strict=True)
        if due.say.role is Role.PATIENT and (phone := some[Channel.SMS])
    }
    found = contacts.names_at(connection, clinic.store.clinic, phones)
    if all(len(names) == 1 for names in found.values()):
        return ()
    from sync.words.names import first_name

    firsts = {
        phone: {(first_name(name) or "").casefold() for name in names}
        for phone, names in found.items()
        if len(names) > 1
    }
    return {phone for phone, names in firsts.items() if len(names) > 1}


def contact(opaque: Callable[..., str], recipient: str, channel: Channel, address: str) -> str:
    """Return the opaque id of one person at one address."""
    return opaque("contact", recipient, channel, address)


def working(
    due: Due,
    go: Go,
    barred: Mapping[str, Barred],
    ask: Callable[[Mapping[Channel, str]], Verdict],
    *,
    now: datetime,
) -> Verdict:
    """Return the way by a notifier that works at present, else until when to wait for one.

    `ask` asks the gate again with further channels closed. Another channel is used once a notifier
    was out of use for longer than the message can wait, and only if one is open.
    """
    closed: dict[Channel, str] = {}
    first = go
    verdict: Verdict = go
    while isinstance(verdict, Go):
        usable = tuple(n for n in verdict.notifiers if not _is_barred(barred.get(n), now))
        if usable:
            return replace(verdict, notifiers=usable)
        if now < patience_ends(due.say):
            break
        closed[verdict.channel] = barred[verdict.notifiers[0]].reason
        verdict = ask(closed)
    ailing = [barred[name] for name in first.notifiers]
    until = min(one.until for one in ailing)
    ends = patience_ends(due.say)
    return Wait(min(until, ends) if now < ends else until, ailing[0].reason)


def patience_ends(say: Say) -> datetime:
    """Return until when a message waits for its channel before another one is used.

    Two hours, or a sixth of the time between its hour and the visit: 10 minutes for 1 h ahead.
    """
    start = say.facts.start if say.before is None or say.before.start is None else say.before.start
    lead = (start or say.useless_after) - say.due_at
    return say.due_at + max(min(_PATIENCE, lead / 6), timedelta(0))


def _is_barred(one: Barred | None, now: datetime) -> bool:
    return one is not None and now < one.until


def _comes_again(one: Tried, say: Say) -> bool:
    """Whether it is this attempt that is made once more, as nobody could say what became of it."""
    return one.state == "abandoned" and say.repeated
