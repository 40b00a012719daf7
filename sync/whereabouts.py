"""What a live store is asked when it is opened: whether it is where it was, and as far as it was."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sync.store import gap, high_water, places, runs, standings

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.store.standings import LiveRow


def look_around(clinic: Clinic) -> str | None:
    """Keep in mind where a live store is, and pause it where its file was put back from a copy.

    Returns what a person has to be told of that.
    """
    with clinic.store.read() as connection:
        live = standings.live(connection, clinic.store.clinic)
    if live:
        _complete(clinic, live)
    return _stop_if_put_back(clinic, live=bool(live))


def _complete(clinic: Clinic, live: list[LiveRow]) -> None:
    """Note anew what tells this place from a copy, where one thing of it has changed."""
    known = {one.place for one in live}
    if known != {clinic.place} and all(places.same(place, clinic.place) for place in known):
        with clinic.store.write() as connection:
            standings.move_here(connection, clinic.store.clinic, clinic.place)


def _stop_if_put_back(clinic: Clinic, *, live: bool) -> str | None:
    data, name = clinic.settings.data, clinic.store.clinic
    noted = high_water.noted(data)
    if noted is None:
        return None
    with clinic.store.read() as connection:
        reached = high_water.reached(connection, name)
    if reached >= noted:
        return None
    now = datetime.now(UTC)
    with clinic.store.write() as connection:
        # A copy holds all that was done before the last run in it began.
        began = runs.last_started(connection, name)
        if began is not None:
            gap.note(connection, name, since=began, until=now)
        if live:
            standings.pause_restored(connection, name, now=now, who="clinicrelay")
    high_water.note(data, reached)  # after all that is there for good
    if not live:  # what reaches nobody outside goes on, and asks first what it did before
        return None
    return (
        "The store was put back from a copy: what was sent since the copy was made is not known "
        "here, so everything is paused. See what can be found out: clinicrelay resume --plan"
    )
