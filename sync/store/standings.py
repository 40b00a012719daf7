"""What is live and what is paused, and where a live store belongs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import text

from sync.store import bulk, dialects, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection


RESTORED = "restored from a backup: what was sent since it was made is not known here"


class LiveRow(NamedTuple):
    """A part that is live. `since` is in seconds, `place` is where (see `sync.store.places`)."""

    part: str
    doctor: str
    since: int
    place: str


class PauseRow(NamedTuple):
    """A pause. `since` and `until` are in seconds."""

    scope: str
    reason: str
    until: int | None
    since: int


def live(connection: Connection, clinic: str) -> list[LiveRow]:
    """Return the parts that are live."""
    rows = dialects.fetch(
        connection,
        "SELECT part, doctor, since_at, place FROM live WHERE clinic = ? ORDER BY part, doctor",
        (clinic,),
    )
    return [LiveRow(*row) for row in rows]


def go_live(
    connection: Connection,
    clinic: str,
    part: str,
    *,
    doctor: str,
    since: datetime,
    place: str,
    who: str,
) -> None:
    """Note that a part is live from now on; once for all, it needs no entry for one doctor more."""
    if not doctor:
        connection.execute(
            text("DELETE FROM live WHERE clinic = :clinic AND part = :part AND doctor <> ''"),
            {"clinic": clinic, "part": part},
        )
    columns = ("clinic", "part", "doctor", "since_at", "place", "who")
    bulk.write(connection, "live", columns, [(clinic, part, doctor, seconds(since), place, who)])


def rehearse(connection: Connection, clinic: str) -> int:
    """Note that nothing is live any more; return how many parts were."""
    done = connection.execute(text("DELETE FROM live WHERE clinic = :clinic"), {"clinic": clinic})
    return int(done.rowcount)


def move_here(connection: Connection, clinic: str, place: str) -> None:
    """Note that the store is live where it is now."""
    connection.execute(
        text("UPDATE live SET place = :place WHERE clinic = :clinic"),
        {"clinic": clinic, "place": place},
    )


def pauses(connection: Connection, clinic: str) -> list[PauseRow]:
    """Return the pauses, those too that have run out."""
    rows = dialects.fetch(
        connection,
        "SELECT scope, reason, until_at, since_at FROM pauses WHERE clinic = ? ORDER BY scope",
        (clinic,),
    )
    return [PauseRow(*row) for row in rows]


def pause(
    connection: Connection,
    clinic: str,
    scope: str,
    *,
    reason: str,
    until: datetime | None,
    since: datetime,
    who: str,
) -> None:
    """Stop a scope, or give its pause another reason and end."""
    columns = ("clinic", "scope", "reason", "until_at", "since_at", "who")
    ends = seconds(until) if until is not None else None
    row = (clinic, scope, reason, ends, seconds(since), who)
    bulk.write(connection, "pauses", columns, [row], update=("reason", "until_at", "who"))


def pause_restored(connection: Connection, clinic: str, *, now: datetime, who: str) -> None:
    """Stop everything, for the store is not what it was when it last sent something."""
    pause(connection, clinic, "", reason=RESTORED, until=None, since=now, who=who)


def resume(connection: Connection, clinic: str, scope: str | None = None) -> list[str]:
    """End the pause of a scope, or all of them; return which there were."""
    ended = [p.scope for p in pauses(connection, clinic) if scope is None or p.scope == scope]
    if ended:
        connection.execute(
            text("DELETE FROM pauses WHERE clinic = :clinic AND scope = :scope"),
            [{"clinic": clinic, "scope": one} for one in ended],
        )
    return ended
