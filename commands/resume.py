"""`clinicrelay resume`: ends a pause; what waited and is still of use goes out with the next run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from commands._call import Call, shared
from commands._who import actor
from commands.pause import Scope, of_each, refuse_other_clock, store_of, url_of

if TYPE_CHECKING:
    from clinicrelay.settings import Broken, Loaded


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("resume")(shared(resume))


def resume(call: Call, scope: Scope = None) -> int:
    """End a pause, or all of them. What waited and is still true and of use goes out next."""

    def resumed(loaded: Loaded | Broken) -> dict[str, Any]:
        from sync.store import audit, going_live, places, standings

        with store_of(loaded) as store, store.write() as connection:
            refuse_other_clock(call, connection, store.clinic)
            ended = standings.resume(connection, store.clinic, scope)
            going_live.open_again(connection, store.clinic)
            left = standings.pauses(connection, store.clinic)
            live = [one.place for one in standings.live(connection, store.clinic)]
            for one in ended:
                deed = audit.Deed(actor(), "resume", f"part/{one or 'everything'}")
                audit.note(connection, store.clinic, deed)
        here = places.place_of(url_of(loaded), store)
        names = [name or "everything" for name in ended]
        rest = [one.scope or "everything" for one in left]
        line = f"resumed: {', '.join(names)}." if names else "nothing of this was paused."
        line += f" Still paused: {', '.join(rest)}." if rest else ""
        if not all(places.same(place, here) for place in live):
            line += " But it went live elsewhere, and stays stopped here: clinicrelay live here"
        return {"resumed": names, "paused": rest, "line": line}

    return of_each(call, resumed)
