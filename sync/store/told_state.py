"""What everybody was last told of each visit, by which message or silently."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from clinicrelay.actions import Facts, MessageKind, Say, Told
from clinicrelay.model import Channel
from sync.store import bulk, dialects, instant, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

_CHANNELS: dict[str | None, Channel] = {channel.value: channel for channel in Channel}
_KINDS: dict[str | None, MessageKind] = {kind.value: kind for kind in MessageKind}

_COLUMNS = (
    *("clinic", "appointment", "recipient", "facts", "told_at", "told_by", "channel", "kind"),
)

_decode_facts = msgspec.json.Decoder(Facts).decode


def tell(
    connection: Connection,
    clinic: str,
    appointment: int,
    say: Say,
    *,
    by: str | None,
    kind: MessageKind | None,
    channel: Channel | None,
    now: datetime,
) -> None:
    """Note what a person knows from now on; `kind` None: what they may know, where nothing proves it.

    That is what later news are measured by, but it is no kind of message, so no reminder is spared
    for its sake. `by` None: they know it, and not from us (see `Told`).
    """
    bulk.write(
        connection,
        "told",
        _COLUMNS,
        [
            (
                clinic,
                appointment,
                say.recipient,
                msgspec.json.encode(say.facts).decode(),
                seconds(now),
                by,
                channel.value if channel else None,
                kind.value if kind else None,
            )
        ],
        update=("facts", "told_at", "told_by", "channel", "kind"),
    )


def reword(
    connection: Connection, clinic: str, appointment: int, recipient: str, told: Told, facts: Facts
) -> None:
    """Note what a person was told in other words; when and by what stays as it was."""
    bulk.write(
        connection,
        "told",
        _COLUMNS,
        [
            (
                clinic,
                appointment,
                recipient,
                msgspec.json.encode(facts).decode(),
                seconds(told.at),
                told.by,
                told.channel.value if told.channel else None,
                told.kind.value if told.kind else None,
            )
        ],
        update=("facts",),
    )


def rows_of(connection: Connection, appointments: Sequence[int]) -> list[tuple[Any, ...]]:
    """Return what people were told of visits, as it stands in the store; the visit comes first."""
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(appointments), 900):
        some = tuple(appointments[start : start + 900])
        found += dialects.fetch(
            connection,
            "SELECT appointment, recipient, facts, told_at, told_by, channel, kind FROM told "
            f"WHERE appointment IN ({dialects.marks(connection, len(some))})",
            some,
        )
    return found


def as_told(rows: Iterable[tuple[Any, ...]]) -> dict[int, dict[str, Told]]:
    """Return who was told what, by visit and recipient."""
    found: dict[int, dict[str, Told]] = {}
    for appointment, recipient, facts, at, by, channel, kind in rows:
        found.setdefault(appointment, {})[recipient] = Told(
            _decode_facts(facts),
            instant(at),
            by,
            _CHANNELS.get(channel),
            _KINDS.get(kind),
        )
    return found
