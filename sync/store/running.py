"""The settings that the last run decided by, as far as they say who is told what; and since when.

They are kept in pieces, as some databases end a text at 64 kB and a clinic may have many doctors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sync.store import instant, memory, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

_OWNER = "sync/running"
_PIECE = 10_000  # characters
_FINGERPRINT, _SINCE, _STEPS = "fingerprint", "since", "steps"


class Running(NamedTuple):
    """What runs: a fingerprint of it, since when, the parts of the settings, and each step's age.

    `steps` has for each step (`patient/1d`) since when it holds with its present hours, in seconds.
    """

    fingerprint: str
    since: datetime
    parts: Mapping[str, Any]
    steps: Mapping[str, int]


def fingerprint(connection: Connection, clinic: str) -> str | None:
    """Return the fingerprint of what ran last; None: nothing ever did, or nobody kept it."""
    text = memory.text_of(connection, clinic, _OWNER, _FINGERPRINT)
    return None if text is None else str(json.loads(text))


def running(connection: Connection, clinic: str) -> Running | None:
    """Return what ran last; None: nothing ever did, or nobody kept it."""
    found = memory.recall(connection, clinic, _OWNER)
    if _FINGERPRINT not in found:
        return None
    pieces = sorted(int(name) for name in found if name.isdigit())
    return Running(
        found[_FINGERPRINT],
        instant(found[_SINCE]),
        json.loads("".join(found[str(number)] for number in pieces)),
        found[_STEPS],
    )


def keep(connection: Connection, clinic: str, one: Running) -> None:
    """Note what runs from now on."""
    text = json.dumps(one.parts, sort_keys=True)
    pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
    now = {
        _FINGERPRINT: one.fingerprint,
        _SINCE: seconds(one.since),
        _STEPS: dict(one.steps),
        **{str(number): piece for number, piece in enumerate(pieces)},
    }
    memory.remember(connection, clinic, _OWNER, memory.recall(connection, clinic, _OWNER), now)


def bring_back(connection: Connection, clinic: str, *, now: datetime) -> None:
    """Let nothing have begun later than now: a rehearsal's clock may have been set ahead."""
    one = running(connection, clinic)
    if one is not None:
        steps = {name: min(since, seconds(now)) for name, since in one.steps.items()}
        keep(connection, clinic, one._replace(since=min(one.since, now), steps=steps))
