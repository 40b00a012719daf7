"""What a live store is asked when it is opened: whether it is where it was, and as far as it was."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sync.store import high_water, places, standings

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.store.standings import LiveRow


def look_around(clinic: Clinic) -> str | None:
    """Keep in mind where a live store is, and pause it where its file was put back from a copy.

    Returns what a person has to be told of that.
    """
    with clinic.store.read() as connection:
        live = standings.live(connection, clinic.store.clinic)
    if not live:
        return None
    _complete(clinic, live)
    return _stop_if_put_back(clinic)


def _complete(clinic: Clinic, live: list[LiveRow]) -> None:
    """Note anew what tells this place from a copy, where one thing of it has changed."""
    known = {one.place for one in live}
    if known != {clinic.place} and all(places.same(place, clinic.place) for place in known):
        with clinic.store.write() as connection:
            standings.move_here(connection, clinic.store.clinic, clinic.place)


def _stop_if_put_back(clinic: Clinic) -> str | None:
    data, name = clinic.settings.data, clinic.store.clinic
    noted = high_water.noted(data)
    if noted is None:
        return None
    with clinic.store.read() as connection:
        reached = high_water.reached(connection, name)
    if reached >= noted:
        return None
    with clinic.store.write() as connection:
        standings.pause_restored(connection, name, now=datetime.now(UTC), who="clinicrelay")
    high_water.note(data, reached)  # after the pause is there for good
    return (
        "The store was put back from a copy: what was sent since the copy was made is not known "
        "here, so everything is paused. Look at `clinicrelay plan`, then: clinicrelay resume"
    )
