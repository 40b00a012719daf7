"""Which ways to a person are left for a message: by what was tried, learned, and is out of use.

The next notifier or channel is used only where the first is proven to have failed. What a provider
says of the person (no mobile number, no messages wanted) closes the channel; what it says of itself
or of the text leaves the channel's other notifiers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from clinicrelay.model import Channel
from sync.gate import Go, Wait
from sync.store import attempts, contacts

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from clinicrelay.actions import Say
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
    number to its attempts that failed.
    """

    opaque: Callable[..., str]
    closed: Mapping[str, str] = field(default_factory=dict)
    tried: Mapping[int, Sequence[Tried]] = field(default_factory=dict)

    def left(self, due: Due, addresses: Addresses, options: GateOptions) -> GateOptions:
        """Return the options of a message without the ways that are of no use."""
        closed = {
            channel: reason
            for channel, address in addresses.items()
            if address and (reason := self.closed.get(self.opaque("address", channel, address)))
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
        return replace(options, closed=closed, senders=senders)

    def attempt(self, due: Due, go: Go) -> str:
        """Return the id of the next attempt: the same each time, of its own for a second notifier."""
        name = go.notifiers[0]
        others = [one for one in self.tried.get(due.id, ()) if one.channel is go.channel]
        if any(one.notifier != name for one in others):
            return self.opaque("message", due.dedupe, go.channel, name)
        return self.opaque("message", due.dedupe, go.channel)

    def own(self, due: Due) -> set[str]:
        """Return the ids of all attempts at a message so far."""
        ids = {self.opaque("message", due.dedupe, channel) for channel in Channel}
        return ids | {one.id for one in self.tried.get(due.id, ())}


def known(
    connection: Connection,
    clinic: Clinic,
    batch: Sequence[Due],
    addresses: Iterable[Addresses],
) -> Ways:
    """Return what is known of the ways to the people of a batch."""
    ids = {
        clinic.opaque("address", channel, address)
        for one in addresses
        for channel, address in one.items()
        if address
    }
    return Ways(
        clinic.opaque,
        contacts.closed(connection, clinic.store.clinic, ids),
        attempts.tried(connection, [due.id for due in batch if due.tries]),
    )


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
