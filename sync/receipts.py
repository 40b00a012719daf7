"""Asks how far accepted messages came, and lets those that did not arrive take the next way.

A provider accepts a message long before a telephone has it. Those that can be asked later
(`Notifier.receipts`) are asked a few times within a day; what they say of an address is kept. What
they still cannot say arrived after a while (`ways.patience_ends`) takes another channel, once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from clinicrelay.actions import MessageKind
from clinicrelay.contracts import Attempt, Delivery, Receipt
from sync import outward, ways
from sync.compose import Fresh, addresses_of, person_of
from sync.conclude import learned
from sync.gate import Go, gate
from sync.store import contacts, said, together, wakes
from sync.store import receipts as kept

if TYPE_CHECKING:
    from datetime import datetime

    from sync.clinic import Clinic
    from sync.send import MessageRun
    from sync.store.leases import Lease
    from sync.store.receipts import Asked

_AT_ONCE = 200
_NO_RECEIPT = "no_receipt"
_MISSED = (MessageKind.REMINDER, MessageKind.CHANGE, MessageKind.CANCELLATION)
# How long after a message was accepted it is asked for; `conclude` sets the first of them.
_LOOKS = tuple(timedelta(minutes=minutes) for minutes in (2, 10, 60, 240, 720, 1440))


def look_back(clinic: Clinic, lease: Lease, run: MessageRun) -> None:
    """Ask each notifier about the attempts whose turn has come."""
    with clinic.store.read() as connection:
        asked = kept.to_ask(connection, clinic.store.clinic, now=clinic.now, limit=_AT_ONCE)
    asked.sort(key=lambda one: one.notifier)
    for name, some in groupby(asked, key=lambda one: one.notifier):
        if not clinic.ending.is_set() and run.may_use(name):
            _ask(clinic, lease, name, [*some], run)


def _ask(clinic: Clinic, lease: Lease, name: str, some: Sequence[Asked], run: MessageRun) -> None:
    told = dict(_told(clinic, name, some)) if clinic.receipts(name) else {}
    for one in some:
        receipt = told.get(one.id)
        if receipt is not None and receipt.delivery is Delivery.UNDELIVERED:
            _did_not_arrive(clinic, lease, one, receipt, run)
        elif receipt is not None and receipt.delivery is Delivery.SENT and _is_overdue(clinic, one):
            _send_another_way(clinic, lease, one)
        else:
            _note(clinic, lease, one, receipt)


def _told(clinic: Clinic, name: str, some: Sequence[Asked]) -> Iterator[tuple[str, Receipt]]:
    """Yield receipts with the id of the attempt that each is about."""
    by_provider = {one.provider_id: one.id for one in some if one.provider_id}
    ours = {one.id for one in some}
    attempts = [
        Attempt(one.body, begun_at=one.begun_at, at=clinic.now, provider_id=one.provider_id)
        for one in some
    ]
    for receipt in clinic.notifier(name).look_back(attempts):
        attempt = receipt.attempt or by_provider.get(receipt.provider_id or "")
        if attempt in ours:
            yield str(attempt), receipt


def _note(clinic: Clinic, lease: Lease, one: Asked, receipt: Receipt | None) -> None:
    arrived = receipt is not None and receipt.delivery in (Delivery.DELIVERED, Delivery.READ)
    look = None if arrived else next_look(one.started_at, clinic.now, by=_awaited_until(one))
    with clinic.store.write() as connection:
        lease.fence(connection)
        kept.note(connection, one.id, receipt.delivery.value if receipt else None, look_at=look)


def next_look(accepted: datetime, now: datetime, *, by: datetime) -> datetime | None:
    """Return when to ask again, `by` then at the latest; None once it was asked often enough."""
    looks = (by, *(accepted + after for after in _LOOKS))
    return min((moment for moment in looks if moment > now), default=None)


def _awaited_until(one: Asked) -> datetime:
    """Return until when a receipt is waited for: as long as a channel that is down."""
    say = one.due.say
    return one.started_at + (ways.patience_ends(say) - say.due_at)


def _is_overdue(clinic: Clinic, one: Asked) -> bool:
    """Whether a message is to take another channel, as the provider does not say that it arrived.

    Who misses a confirmation is reminded all the same; a day's list can be asked for.
    """
    if clinic.settings.notifiers[one.notifier].when_no_receipt == "nothing":
        return False
    if one.due.say.kind not in _MISSED or clinic.now < _awaited_until(one):
        return False
    with clinic.store.read() as connection:
        found = wakes.by_ids(connection, [one.due.appointment or 0])
    woken = found.get(one.due.appointment or 0)
    if woken is None:
        return False
    visit = woken.visit
    person = person_of(clinic, one.due.say, Fresh(woken, visit, {}))
    addresses = addresses_of(person)
    with clinic.store.read() as connection:
        known = ways.known(connection, clinic, [one.due], [addresses])
    if any(before.reason == _NO_RECEIPT for before in known.tried.get(one.due.id, ())):
        return False  # once is enough
    options = known.left(
        one.due,
        addresses,
        outward.options(clinic, clinic.standing(), one.due.say, visit),
        now=clinic.now,
    )
    verdict = gate(
        one.due.say,
        fresh=visit,
        gone=woken.gone_at is not None,
        told=None,
        person=person,
        addresses=addresses,
        options=replace(options, closed={**options.closed, one.body.channel: _NO_RECEIPT}),
        now=clinic.now,
    )
    return isinstance(verdict, Go)


def _send_another_way(clinic: Clinic, lease: Lease, one: Asked) -> None:
    with clinic.store.write() as connection:
        lease.fence(connection)
        if kept.undelivered(connection, one.id, _NO_RECEIPT, ""):
            kept.send_again(connection, one.due.id, _NO_RECEIPT)
            together.part(connection, one.due.id)


def _did_not_arrive(
    clinic: Clinic, lease: Lease, one: Asked, receipt: Receipt, run: MessageRun
) -> None:
    """Let a message take the next way while it is of use; the gate says whether there is one."""
    why = f"{receipt.code}: {receipt.reason}" if receipt.code else receipt.reason
    reason, late = f"undelivered({why})", clinic.now >= one.due.say.useless_after
    with clinic.store.write() as connection:
        lease.fence(connection)
        if not kept.undelivered(connection, one.id, receipt.reason, receipt.detail):
            return
        if found := learned(clinic, one.due, one.body, one.notifier, receipt.reason):
            contacts.learn(connection, clinic.store.clinic, found)
        again = kept.send_again(connection, one.due.id, reason)
        if again:
            together.part(connection, one.due.id)
        if again and late:
            said.settle(connection, one.due.id, "failed", now=clinic.now, reason=reason)
            run.failed += 1
