"""What was learned of addresses: which of them want no messages on their channel, or get none.

An address stands here under an opaque id and never as itself; a corrected one is another address.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import text

from clinicrelay.model import Channel
from sync.store import bulk, dialects, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

_COLUMNS = (
    "clinic",
    "address",
    "channel",
    "state",
    "reason",
    "notifier",
    "recipient",
    "attempt",
    "learned_at",
    "note",
)


class Learned(NamedTuple):
    """An address (its opaque id), why nothing is sent there, and which attempt taught it."""

    address: str
    channel: Channel
    reason: str
    notifier: str
    recipient: str
    attempt: str
    learned_at: datetime
    note: str | None = None
    open: bool = False


def learn(connection: Connection, clinic: str, one: Learned) -> None:
    """Note that nothing is to be sent to an address any more."""
    bulk.write(
        connection,
        "contacts",
        _COLUMNS,
        [
            (
                clinic,
                one.address,
                one.channel.value,
                "closed",
                one.reason,
                one.notifier,
                one.recipient,
                one.attempt,
                seconds(one.learned_at),
                None,
            )
        ],
        update=_COLUMNS[2:],
    )


def closed(connection: Connection, clinic: str, addresses: Collection[str]) -> dict[str, str]:
    """Return why nothing is sent to which of these addresses: opaque id to reason."""
    found: dict[str, str] = {}
    wanted = sorted(addresses)
    for start in range(0, len(wanted), 900):
        some = tuple(wanted[start : start + 900])
        rows = connection.exec_driver_sql(
            "SELECT address, reason FROM contacts "
            f"WHERE clinic = {dialects.marks(connection, 1)} AND state = 'closed' "
            f"AND address IN ({dialects.marks(connection, len(some))})",
            (clinic, *some),
        )
        found.update((row[0], row[1]) for row in rows)
    return found


def doubt(
    connection: Connection, clinic: str, notifier: str, reason: str, recipients: Sequence[str]
) -> None:
    """Forget what a notifier's refusals taught of these people: it refuses everyone."""
    connection.execute(
        text(
            "DELETE FROM contacts WHERE clinic = :clinic AND state = 'closed' "
            "AND notifier = :notifier AND reason = :reason AND recipient = :recipient"
        ),
        [
            {"clinic": clinic, "notifier": notifier, "reason": reason, "recipient": one}
            for one in recipients
        ],
    )


def reopen(connection: Connection, clinic: str, address: str, note: str, *, now: datetime) -> bool:
    """Let messages go to an address again, as a person says; return whether it was closed."""
    changed = connection.execute(
        text(
            "UPDATE contacts SET state = 'open', note = :note, learned_at = :now "
            "WHERE clinic = :clinic AND address = :address AND state = 'closed'"
        ),
        {"clinic": clinic, "address": address, "note": note, "now": seconds(now)},
    )
    return changed.rowcount == 1


def listed(connection: Connection, clinic: str) -> list[Learned]:
    """Return all that was learned and what a person reopened, the newest first."""
    rows = connection.execute(
        text(
            "SELECT address, channel, reason, notifier, recipient, attempt, learned_at, note, state "
            "FROM contacts WHERE clinic = :clinic ORDER BY learned_at DESC, address"
        ),
        {"clinic": clinic},
    )
    return [
        Learned(
            row.address,
            Channel(row.channel),
            row.reason,
            row.notifier,
            row.recipient,
            row.attempt,
            datetime.fromtimestamp(row.learned_at, UTC),
            row.note,
            row.state == "open",
        )
        for row in rows
    ]


def names_at(connection: Connection, clinic: str, phones: Collection[str]) -> dict[str, set[str]]:
    """Return the names of the patients who have each telephone number."""
    found: dict[str, set[str]] = {}
    known = sorted(phones)
    for start in range(0, len(known), 900):
        some = known[start : start + 900]
        rows = connection.exec_driver_sql(
            f"SELECT phone, name FROM people WHERE phone IN ({dialects.marks(connection, len(some))})"
            f" AND clinic = {dialects.marks(connection, 1)} AND name IS NOT NULL",
            (*some, clinic),
        )
        for phone, name in rows:
            found.setdefault(phone, set()).add(name)
    return found
