"""Writes down what became of an attempt, what the person knows from now on, and what was learned."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs

from clinicrelay.actions import INVITATION, MessageKind
from clinicrelay.contracts import Message, Outcome, SendResult
from clinicrelay.model import Channel
from sync import gate
from sync.breaker import TILL_LOOKED_AT
from sync.plan import follow_up_key
from sync.store import attempts, contacts, said, together, told_state, wakes
from sync.store.contacts import Learned
from sync.store.gap import FOUND
from sync.store.in_flight import knows_newer
from sync.ways import LASTING

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from sync.breaker import Refused
    from sync.clinic import Clinic
    from sync.send import MessageRun
    from sync.store.leases import Lease
    from sync.store.said import Due, Open
    from sync.store.wakes import Woken
    from sync.together import Other

_ALTERS = (MessageKind.CHANGE, MessageKind.CANCELLATION)
_FIRST_RETRY = timedelta(minutes=1)
_LAST_RETRY = timedelta(minutes=30)
_FIRST_LOOK = timedelta(minutes=2)
_MEANT_ITSELF = 4  # tries


class Conclusion(NamedTuple):
    """An attempt and its result; `begun_at` is when it left, if it did.

    `seen` is the visit that it was made of, `alone` says that it told of no other one, and `found`
    is the attempt where all this was found out later.
    """

    due: Due
    message: Message
    notifier: str
    result: SendResult
    begun_at: datetime
    seen: Woken | None = None
    alone: bool = False
    found: Open | None = None


def conclude(clinic: Clinic, lease: Lease, end: Conclusion, run: MessageRun) -> None:
    """Write down what became of an attempt, in a transaction of its own."""
    with clinic.store.write() as connection:
        lease.fence(connection)
        write(connection, clinic, end, run)
    count(end, run)


def write(connection: Connection, clinic: Clinic, end: Conclusion, run: MessageRun) -> None:
    """Write down what became of an attempt; the transaction may hold other matters too.

    A message that was refused is planned again at once: the gate looks for another way, and ends it
    where there is none.
    """
    now = clinic.now
    due, message, notifier, result = end.due, end.message, end.notifier, end.result
    asks = result.outcome is Outcome.ACCEPTED and clinic.receipts(notifier)
    look = now + _FIRST_LOOK if asks else None
    attempts.end(connection, message.id, result, now=now, look_at=look)
    if result.outcome is Outcome.ACCEPTED:
        reason = result.reason if result.reason == FOUND else None
        reason = "unproven_repeated" if due.say.repeated else reason
        said.settle(connection, due.id, "sent", now=end.begun_at, reason=reason)
        tell(connection, clinic, due, message, at=end.begun_at, alone=end.alone, found=end.found)
        _tell_their_calendar(connection, clinic, due, message)
        _wake(connection, due, end.seen)
    elif result.outcome is Outcome.REJECTED:
        _part(connection, end)
        if refused := _refuses_everyone(end, run):
            _wait_with_the_others(connection, clinic, end, refused)
            return
        if one := learned(clinic, due, message, notifier, result.reason):
            contacts.learn(connection, clinic.store.clinic, one)
        said.settle(connection, due.id, "planned", now=now, reason=rejected(result))
    else:
        unsent = result.outcome is Outcome.NOT_SENT
        if unsent:
            _part(connection, end)
        said.settle(
            connection,
            due.id,
            "planned" if unsent else "unknown",
            now=now,
            reason=_why(result),
            next_try_at=now + _wait(result, due),
        )


def count(end: Conclusion, run: MessageRun) -> None:
    """Count what was written down."""
    result = end.result
    if result.reason == FOUND:  # it was sent by another run, which is forgotten
        run.skipped[FOUND] += 1
    elif result.outcome is Outcome.ACCEPTED:
        run.sent += 1
        run.by_channel[end.message.channel.value] += 1
    elif result.outcome is Outcome.NOT_SENT:
        run.skipped[_why(result)] += 1
    elif result.outcome is not Outcome.REJECTED:
        run.unknown += 1


def _why(result: SendResult) -> str:
    return result.reason or ("not_sent" if result.outcome is Outcome.NOT_SENT else "unknown")


def _wake(connection: Connection, due: Due, seen: Woken | None) -> None:
    """Let plan look at what became of a visit while the message about it was on its way.

    It was decided on without knowing of this message: a cancellation is owed because of it.
    """
    if seen is not None:
        wakes.look_again_unless(connection, seen)
    elif due.appointment is not None:
        wakes.look_again(connection, due.appointment)


def join(connection: Connection, clinic: Clinic, due: Due, others: Sequence[Other]) -> None:
    """Let the reminders of other visits leave within a message."""
    if others:
        owed = [one.owed for one in others]
        store = clinic.store.clinic
        together.join(connection, store, due.id, owed, run=clinic.run, now=clinic.now)


def _part(connection: Connection, end: Conclusion) -> None:
    """Let what was to leave within a message wait for its next try, or leave by itself."""
    if end.due.say.kind is MessageKind.REMINDER and not end.alone:
        together.part(connection, end.due.id)


def tell(
    connection: Connection,
    clinic: Clinic,
    due: Due,
    message: Message,
    *,
    at: datetime,
    alone: bool = False,
    found: Open | None = None,
) -> None:
    """Note what a person knows since a message left, also of the other visits that it told of.

    Where that was `found` out later, they may have been told something newer meanwhile.
    """
    told = [] if due.appointment is None else [(due.appointment, due.say)]
    if due.say.kind is MessageKind.REMINDER and not alone:
        told += together.within(connection, due.id)
    for appointment, say in told:
        if found and knows_newer(connection, appointment, say.recipient, found):
            continue
        told_state.tell(
            connection,
            clinic.store.clinic,
            appointment,
            say,
            by=message.id,
            kind=say.kind,
            channel=message.channel,
            now=at,
        )
        if appointment != due.appointment:
            wakes.look_again(connection, appointment)


def know_anyhow(connection: Connection, clinic: Clinic, due: Due, reason: str) -> None:
    """Note that a person knows of a visit from whoever booked it, where its confirmation reached nobody.

    So a move or a cancellation is news to them. It counts from the hour in which the confirmation
    was owed, or the reminders of the time that it waited would seem to lie before the booking.
    """
    say = due.say
    if due.appointment is not None and gate.is_known_anyhow(say.kind, reason):
        store = clinic.store.clinic
        told_state.tell(
            connection,
            store,
            due.appointment,
            say,
            by=None,
            kind=say.kind,
            channel=None,
            now=say.due_at,
        )


def _tell_their_calendar(
    connection: Connection, clinic: Clinic, due: Due, message: Message
) -> None:
    """Owe the mail that moves or withdraws an invitation, where the news left another way."""
    say, visit = due.say, due.appointment
    if not say.invite or say.kind not in _ALTERS or message.channel is Channel.EMAIL:
        return
    if visit is None or not said.was_invited(connection, visit, say.recipient):
        return
    mail = structs.replace(say, step=INVITATION, due_at=clinic.now, repeated=False)
    owed = said.Owed(follow_up_key(due.dedupe, INVITATION), visit, mail, anew=False)
    store = clinic.store.clinic
    said.owe(connection, store, [owed], run=clinic.run, now=clinic.now, reopens=lambda *_: False)


def rejected(result: SendResult) -> str:
    """Return the reason that is kept of a refusal: with the provider's own code where it gave one."""
    why = f"{result.code}: {result.reason}" if result.code else result.reason
    return f"provider_rejected({why})"


def pause(tries: int) -> timedelta:
    """Return how long to wait before the next try."""
    doubled: timedelta = _FIRST_RETRY * (1 << min(tries, 10))
    return min(doubled, _LAST_RETRY)


def learned(
    clinic: Clinic, due: Due, message: Message, notifier: str, reason: str
) -> Learned | None:
    """Return what a refusal teaches of an address, if it is so until the address changes."""
    if reason not in LASTING:
        return None
    return Learned(
        address=clinic.opaque("address", message.channel, message.to),
        channel=message.channel,
        reason=reason,
        notifier=notifier,
        recipient=due.say.recipient,
        attempt=message.id,
        learned_at=clinic.now,
    )


def _refuses_everyone(end: Conclusion, run: MessageRun) -> Refused | None:
    """Return whom a notifier refused in a row, where that means nobody of them.

    A message that was refused again and again meanwhile is meant itself.
    """
    refused = run.breaker.refused.get(end.notifier) if run.breaker else None
    meant = end.due.tries >= _MEANT_ITSELF
    return refused if refused is not None and refused.everyone and not meant else None


def _wait_with_the_others(
    connection: Connection, clinic: Clinic, end: Conclusion, refused: Refused
) -> None:
    """Let what was refused in a row wait for the notifier, behind what was not tried yet.

    It says that of everybody, so it says nothing of their addresses and messages.
    """
    notifier, why = end.notifier, end.result.reason
    contacts.doubt(connection, clinic.store.clinic, notifier, why, refused.people)
    for message in {*refused.messages, end.due.id}:
        attempts.take_back(connection, message, notifier, why)
        said.wait_again(
            connection,
            message,
            reason=refused.reason(why),
            refused=rejected(end.result),
            most=_MEANT_ITSELF,
            at=clinic.now + TILL_LOOKED_AT,
        )


def _wait(result: SendResult, due: Due) -> timedelta:
    return pause(due.tries) if result.retry_after is None else result.retry_after
