"""Attempts: each is written down before it can be accepted, and what became of it afterwards."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import structs

from clinicrelay.contracts import Message, SendResult
from clinicrelay.model import Channel
from sync.store import bulk, dialects, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.store.said import Due


class _Address(msgspec.Struct):
    """Whom a message went to; the rest of it is not looked at."""

    to: str
    channel: str


_decode_address = msgspec.json.Decoder(_Address).decode


class Tried(NamedTuple):
    """An attempt that did not reach the person, or of which nobody will ever know."""

    id: str
    state: str
    reason: str
    notifier: str
    channel: Channel
    address: str


def begin(
    connection: Connection,
    clinic: str,
    due: Due,
    message: Message,
    notifier: str,
    *,
    contact: str,
    run: str,
    now: datetime,
) -> None:
    """Write an attempt down before it can be accepted; `contact` is a person at an address."""
    dialects.run(
        connection,
        "UPDATE messages SET state = 'sending', channel = ?, notifier = ?, tries = tries + 1 "
        "WHERE id = ?",
        (message.channel.value, notifier, due.id),
    )
    bulk.write(
        connection,
        "attempts",
        (
            "id",
            "clinic",
            "message",
            "notifier",
            "state",
            "reason",
            "detail",
            "body",
            "started_at",
            "run",
            "begun_at",
            "nothing_since",
            "delivery",
            "look_at",
            "contact",
        ),
        [
            (
                message.id,
                clinic,
                due.id,
                notifier,
                "sending",
                "",
                "",
                _kept(message),
                seconds(now),
                run,
                seconds(min(now, datetime.now(UTC))),
                None,
                None,
                None,
                contact,
            )
        ],
        update=(
            "state",
            "notifier",
            "body",
            "started_at",
            "run",
            "begun_at",
            "nothing_since",
            "delivery",
            "look_at",
            "contact",
        ),
    )


def _kept(message: Message) -> str:
    """Return a message as it is remembered: an e-mail's page says no more than its text does."""
    return msgspec.json.encode(structs.replace(message, html=None)).decode()


def end(
    connection: Connection,
    attempt: str,
    result: SendResult,
    *,
    now: datetime,
    look_at: datetime | None = None,
) -> None:
    """Write down what became of an attempt, and when to ask how far it came."""
    dialects.run(
        connection,
        "UPDATE attempts SET state = ?, reason = ?, detail = ?, provider_id = ?, finished_at = ?, "
        "look_at = ? WHERE id = ?",
        (
            result.outcome.value,
            result.reason,
            result.detail,
            result.provider_id,
            seconds(now),
            seconds(look_at) if look_at else None,
            attempt,
        ),
    )


def take_back(connection: Connection, message: int, notifier: str, reason: str) -> None:
    """Count refusals of a message by a notifier as if it had not been tried there."""
    dialects.run(
        connection,
        "UPDATE attempts SET state = 'not_sent' "
        "WHERE message = ? AND notifier = ? AND state = 'rejected' AND reason = ?",
        (message, notifier, reason),
    )


def tried(connection: Connection, messages: Sequence[int]) -> dict[int, list[Tried]]:
    """Return the attempts at messages that failed, the oldest first."""
    found: dict[int, list[Tried]] = {}
    for start in range(0, len(messages), 900):
        some = tuple(messages[start : start + 900])
        rows = connection.exec_driver_sql(
            "SELECT message, id, state, reason, notifier, body FROM attempts "
            f"WHERE message IN ({dialects.marks(connection, len(some))}) "
            "AND state IN ('rejected', 'undelivered', 'abandoned') AND body IS NOT NULL "
            "ORDER BY started_at, id",
            some,
        )
        for message, attempt, state, reason, notifier, body in rows:
            to = _decode_address(body)
            one = Tried(attempt, state, reason, notifier, Channel(to.channel), to.to)
            found.setdefault(message, []).append(one)
    return found


def said_to(
    connection: Connection,
    contacts: Collection[str],
    *,
    kinds: Collection[str],
    since: datetime,
) -> dict[str, list[datetime]]:
    """Return when each person was sent messages of some kinds, those that did not arrive aside."""
    found: dict[str, list[datetime]] = {}
    marks, known = dialects.marks(connection, len(kinds)), sorted(contacts)
    for start in range(0, len(known), 900):
        some = known[start : start + 900]
        rows = connection.exec_driver_sql(
            "SELECT a.contact, a.started_at FROM attempts a JOIN messages m ON m.id = a.message "
            f"WHERE a.contact IN ({dialects.marks(connection, len(some))}) "
            f"AND a.started_at > {dialects.marks(connection, 1)} "
            "AND a.state NOT IN ('rejected', 'not_sent', 'undelivered') "
            f"AND m.kind IN ({marks})",
            (*some, seconds(since), *kinds),
        )
        for contact, at in rows:
            found.setdefault(contact, []).append(datetime.fromtimestamp(at, UTC))
    return found
