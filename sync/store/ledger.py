"""The ledger as a list for people: what was said, what was not, and why; never to which address."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from sync.store import seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

STATES = ("planned", "sending", "sent", "skipped", "failed", "unknown", "unproven", "held")

# When a message was settled, else when it is due: the moment that people mean by "when".
_WHEN = "COALESCE(m.settled_at, m.next_try_at, m.due_at)"


class Entry(NamedTuple):
    """A line of the ledger. `recipient` is `patient/KEY` or `doctor/KEY`; `step` may be empty.

    `attempt` is the id that left the house with it, empty where nothing was tried.
    """

    number: int
    when: datetime
    due: datetime
    kind: str
    step: str
    recipient: str
    channel: str | None
    notifier: str | None
    state: str
    reason: str | None
    setting: str
    source: str | None
    source_key: str | None
    attempt: str


class Wanted(NamedTuple):
    """Which entries are asked for: of a stretch of time (half open), and by their columns."""

    since: datetime | None = None
    until: datetime | None = None
    state: str | None = None
    kind: str | None = None
    channel: str | None = None


def entries(
    connection: Connection, clinic: str, wanted: Wanted, *, most: int | None
) -> Iterator[Entry]:
    """Yield entries of the ledger, the newest first; `most` None: all of them.

    The rows that are shown are chosen before anything is joined to them, so that a long ledger is
    read once and nothing is looked up for what is left out.
    """
    where, values = _conditions(wanted)
    limit = "" if most is None else "LIMIT :most"
    rows = connection.execute(
        text(
            "SELECT c.id, c.moment, m.due_at, m.kind, m.step, m.recipient, m.channel, m.notifier, "
            "m.state, m.reason, m.setting, a.source, a.source_key, "
            "(SELECT max(t.id) FROM attempts t WHERE t.message = m.id) AS attempt "
            f"FROM (SELECT m.id, {_WHEN} AS moment FROM messages m WHERE {where} "
            f"ORDER BY moment DESC, m.id DESC {limit}) c "
            "JOIN messages m ON m.id = c.id LEFT JOIN appointments a ON a.id = m.appointment "
            "ORDER BY c.moment DESC, c.id DESC"
        ),
        {"clinic": clinic, "most": most, **values} if limit else {"clinic": clinic, **values},
    )
    for row in rows:
        when, due = (datetime.fromtimestamp(int(at), UTC) for at in row[1:3])
        yield Entry._make((row[0], when, due, *row[3:13], row[13] or ""))


def _conditions(wanted: Wanted) -> tuple[str, dict[str, Any]]:
    where, values = ["m.clinic = :clinic"], {}
    if wanted.since is not None:
        where.append(f"{_WHEN} >= :since")
        values["since"] = seconds(wanted.since)
    if wanted.until is not None:
        where.append(f"{_WHEN} < :until")
        values["until"] = seconds(wanted.until)
    for column in ("state", "kind", "channel"):
        if (value := getattr(wanted, column)) is not None:
            where.append(f"m.{column} = :{column}")
            values[column] = value
    return " AND ".join(where), values
