"""What the next run will owe: of visits whose hour has come, or that changed, since plan last looked.

A reminder is no row until plan has looked at its visit. Where nothing ran for a while, the ledger has
nothing due although much is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from clinicrelay.actions import Role
from sync import seeing
from sync.due import reminders
from sync.plan import dedupe_key, owed
from sync.store import counting, wakes

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic
    from sync.plan import Seen

_MOST = 500  # visits that are looked at: 20 ms
_COUNTED = 10_000  # of a million, 70 ms would pass


class Outstanding(NamedTuple):
    """How many messages the next run will owe; or of how many visits that was too much to find out.

    More than 10,000 visits are 10,000.
    """

    messages: int = 0
    visits: int = 0

    @property
    def waiting(self) -> str:
        """How many visits nobody has looked at, in words."""
        return f"{self.visits} or more" if self.visits == _COUNTED else str(self.visits)


def outstanding(clinic: Clinic, connection: Connection) -> Outstanding:
    """Decide about the visits that woke as plan will; of too many only count them."""
    store = clinic.store.clinic
    awake = wakes.woken(connection, store, now=clinic.now, limit=_MOST + 1)
    if len(awake) > _MOST:
        many = counting.awake(connection, store, now=clinic.now, at_most=_COUNTED)
        return Outstanding(visits=many)
    seen = seeing.look(clinic, connection, awake)
    keys = {key for one in awake for key in _keys(clinic, one.source, seen[one.id])}
    return Outstanding(len(keys) - counting.in_ledger(connection, store, keys))


def _keys(clinic: Clinic, source: str, seen: Seen) -> Iterator[str]:
    """Yield the ledger's keys of what is to be said of a visit now."""
    rules, now = clinic.settings.reminders, clinic.now
    both = ((Role.PATIENT, rules.patient), (Role.DOCTOR, rules.doctor))
    steps = [(role, some.steps) for role, some in both if some is not None and some.steps]
    due = reminders(seen, steps, now=now, quiet=clinic.settings.quiet_hours).due
    for say in (*owed(seen, rules, now=now), *due):
        if say.skip is None:
            told = seen.told.get(say.recipient)
            yield dedupe_key(source, seen.appointment.key, say, told)
