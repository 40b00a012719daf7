"""Which notifiers are of no use for now: their server, account or password is to blame, no message.

Whatever a notifier owes waits meanwhile without being tried, so a wrong password is tried a few
times in an hour and not once a message, and nobody's message counts as refused because of it.

A server does not always say that it means everybody. So several people in a row whom it refuses with
one and the same answer count as that: three addresses that are wrong in the same way are rare, and
cost the others a quarter of an hour; a server that refuses everyone would cost all their messages.
What it refused till then waits with the others (see `sync.conclude`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from clinicrelay.contracts import Outcome, SendResult
from clinicrelay.times import iso
from sync.reasons import reason
from sync.store import memory, said

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic
    from sync.store.leases import Lease
    from sync.store.said import Due

_T = TypeVar("_T")

IN_A_ROW = 3
SILENT = timedelta(minutes=30)  # what is no matter for a person may pass by itself so long
_OWNER, _REFUSED = "sync/barred", "sync/refused"
TILL_LOOKED_AT = timedelta(minutes=15)
# What no server said of everyone: we did not ask it, or it plainly meant one person or mailbox.
_THEIR_OWN = {
    "address_invalid",
    "address_unsupported",
    "handset_unreachable",
    "landline",
    "mailbox_full",
    "not_on_whatsapp",
    "opted_out",
}


class Barred(NamedTuple):
    """Why a notifier is not used, since when, and when it is tried again."""

    reason: str
    since: datetime
    until: datetime

    @property
    def needs_person(self) -> bool:
        """Whether somebody has to mend it; else it may well pass by itself."""
        return reason(self.reason).ours

    def is_red(self, now: datetime) -> bool:
        """Whether a person is to look: to mend it, or as it has sent nothing for half an hour."""
        return self.needs_person or now - self.since >= SILENT


class Refused(NamedTuple):
    """People who got one and the same refusal in a row, nobody else being accepted meanwhile.

    `messages` are the numbers of those that were refused, in the order of the people.
    """

    answer: str
    people: tuple[str, ...]
    messages: tuple[int, ...] = ()

    @property
    def everyone(self) -> bool:
        return len(self.people) >= IN_A_ROW

    @property
    def by_person(self) -> dict[str, int]:
        """The messages by whom they were for; 0 where an older program did not note it."""
        return {one: self.messages[n] if self.messages else 0 for n, one in enumerate(self.people)}

    def reason(self, why: str) -> str:
        """Return for what reason all wait, by the reason of the refusals."""
        return f"refuses_everyone({why})"


class Breaker(NamedTuple):
    """What is known of notifiers by name: who is not used, and whom they refused in a row."""

    barred: Mapping[str, Barred] = {}
    refused: Mapping[str, Refused] = {}


def after(
    before: Breaker,
    name: str,
    recipient: str,
    result: SendResult,
    *,
    now: datetime,
    message: int = 0,
) -> Breaker:
    """Return what is known once an attempt at a message (its number) has ended."""
    refused = _in_a_row(before.refused.get(name), recipient, message, result)
    barred = _barred(before.barred.get(name), refused, result, now)
    return Breaker(_with(before.barred, name, barred), _with(before.refused, name, refused))


def _in_a_row(
    before: Refused | None, recipient: str, message: int, result: SendResult
) -> Refused | None:
    if result.outcome is Outcome.ACCEPTED:
        return None
    if result.outcome is not Outcome.REJECTED or result.reason in _THEIR_OWN:
        return before
    answer = f"{result.reason} {result.detail}"
    known = before.by_person if before is not None and before.answer == answer else {}
    known = {**known, recipient: message}
    return Refused(answer, tuple(known)[-IN_A_ROW:], tuple(known.values())[-IN_A_ROW:])


def _barred(
    before: Barred | None, refused: Refused | None, result: SendResult, now: datetime
) -> Barred | None:
    since = before.since if before else now
    if result.pause is not None:
        # Of this message nobody knows the end; the others only wait for a server that answers.
        why = "unreachable" if result.outcome is Outcome.UNKNOWN else result.reason
        return Barred(why, since, now + result.pause)
    if result.outcome is Outcome.REJECTED and refused and refused.everyone:
        return Barred(refused.reason(result.reason), since, now + TILL_LOOKED_AT)
    return None


def _with(before: Mapping[str, _T], name: str, one: _T | None) -> dict[str, _T]:
    others = {other: known for other, known in before.items() if other != name}
    return others if one is None else {**others, name: one}


# --- kept ----------------------------------------------------------------------------------------


def known(connection: Connection, clinic: str) -> Breaker:
    """Return what runs before found out."""
    refused = memory.recall(connection, clinic, _REFUSED)
    rows = {
        name: Refused(one["answer"], tuple(one["people"]), tuple(one.get("messages", ())))
        for name, one in refused.items()
    }
    return Breaker(barred(connection, clinic), rows)


def barred(connection: Connection, clinic: str) -> dict[str, Barred]:
    """Return the notifiers that sent nothing when they were last tried, by name."""
    remembered = memory.recall(connection, clinic, _OWNER)
    return {name: _read(value) for name, value in remembered.items()}


def note(
    clinic: Clinic, lease: Lease, before: Breaker, name: str, due: Due, result: SendResult
) -> Breaker:
    """Note what an attempt says of its notifier; return what is known from now on."""
    who = due.say.recipient
    found = after(before, name, who, result, now=clinic.now, message=due.id)
    if found != before:
        with clinic.store.write() as connection:
            lease.fence(connection)
            _keep(connection, clinic.store.clinic, before, found)
    return found


def lift(clinic: Clinic, name: str) -> None:
    """Let a notifier be used again that somebody has just seen to work, and what waited for it leave."""
    store = clinic.store.clinic
    with clinic.store.write() as connection:
        before = known(connection, store)
        works = Breaker(_with(before.barred, name, None), _with(before.refused, name, None))
        _keep(connection, store, before, works)
        if name in before.barred:
            said.hurry(connection, store, before.barred[name].reason)


def _keep(connection: Connection, clinic: str, before: Breaker, now: Breaker) -> None:
    old, new = _written(before.barred), _written(now.barred)
    memory.remember(connection, clinic, _OWNER, old, new)
    old, new = ({n: r._asdict() for n, r in b.refused.items()} for b in (before, now))
    memory.remember(connection, clinic, _REFUSED, old, new)


def _written(all_: Mapping[str, Barred]) -> dict[str, Any]:
    return {
        name: {"reason": one.reason, "since": iso(one.since), "until": iso(one.until)}
        for name, one in all_.items()
    }


def _read(value: Mapping[str, str]) -> Barred:
    since, until = (datetime.fromisoformat(value[key]) for key in ("since", "until"))
    return Barred(value["reason"], since, until)
