"""`clinicrelay resume`: ends a pause; what waited and is still of use goes out with the next run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands._call import Call, shared
from commands._who import actor
from commands.pause import Scope, known, of_each, refuse_other_clock, store_of, url_of

if TYPE_CHECKING:
    from clinicrelay.settings import Broken, Loaded


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("resume")(shared(resume))


def resume(
    call: Call,
    scope: Scope = None,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="After a restore: say what may have been sent before, and stay paused."
        ),
    ] = False,
    resend_unproven: Annotated[
        bool,
        typer.Option(
            "--resend-unproven",
            help="After a restore: send what nobody can tell about once more, perhaps twice.",
        ),
    ] = False,
) -> int:
    """End a pause, or all of them. What waited and is still true and of use goes out next.

    After a restore the sources are read first, and providers are asked about everything that may
    have been sent since the backup: what cannot be proven is not sent again.
    """

    def resumed(loaded: Loaded | Broken) -> dict[str, Any]:
        from sync.store import audit, gap, going_live, places, standings

        with store_of(loaded) as store, store.read() as connection:
            known(loaded, scope, [one.scope for one in standings.pauses(connection, store.clinic)])
        told = _reconciled(call, loaded)
        if plan:
            line = told["line"] if told else "no restore, so there is nothing to find out."
            return {"restored": told["json"] if told else None, "line": line}
        with store_of(loaded) as store, store.write() as connection:
            refuse_other_clock(call, connection, store.clinic)
            ended = standings.resume(connection, store.clinic, scope)
            going_live.open_again(connection, store.clinic)
            again = 0
            if resend_unproven:
                again = gap.send_unproven(connection, store.clinic, now=_now(call, loaded))
                deed = audit.Deed(actor(), "resume.resend_unproven", details={"messages": again})
                audit.note(connection, store.clinic, deed)
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
        if told:
            line = f"{told['line']}\n{line}"
        if resend_unproven:
            line += f" Sent once more by the next run: {again}."
        found = {"resumed": names, "paused": rest, "line": line}
        return {**found, "restored": told["json"], "again": again} if told else found

    return of_each(call, resumed)


def _now(call: Call, loaded: Loaded | Broken) -> Any:
    from clinicrelay.settings import Loaded

    zone = loaded.settings.clinic.timezone if isinstance(loaded, Loaded) else "UTC"
    return call.moment(zone)


# --- after a restore -----------------------------------------------------------------------------


def _reconciled(call: Call, loaded: Loaded | Broken) -> dict[str, Any] | None:
    """Find out what left before the store was put back, if it was; broken settings ask nobody.

    Raises SettingsError where they are broken and somebody would have to be asked.
    """
    if not _is_to_be_asked(loaded):
        return None
    from clinicrelay.errors import SettingsError
    from clinicrelay.settings import Broken
    from commands._frame import clinic, log_of
    from commands.sync import write_log
    from sync import restored
    from sync.runners import once

    if isinstance(loaded, Broken):
        raise SettingsError(loaded.findings)
    with clinic(call, loaded, writes=True) as at_work:
        report = once.reconcile(at_work)
        write_log(log_of(at_work, call), at_work, report)
        tally, unread = restored.tally(at_work), restored.unread(at_work)
    if tally is None:
        return None
    told = {**tally._asdict(), "absent": tally.absent, "unread": unread}
    return {"json": told, "line": "\n".join(_lines(told))}


def _is_to_be_asked(loaded: Loaded | Broken) -> bool:
    """Whether the store was put back, works where it is, and nobody has resumed it since."""
    from sync.store import gap, places, standings

    with store_of(loaded) as store, store.read() as connection:
        found = gap.find(connection, store.clinic)
        pauses = standings.pauses(connection, store.clinic)
        live = [one.place for one in standings.live(connection, store.clinic)]
        if found is None or (found.is_over and all(p.reason != standings.RESTORED for p in pauses)):
            return False
    here = places.place_of(url_of(loaded), store)
    return all(places.same(place, here) for place in live)


def _lines(told: dict[str, Any]) -> list[str]:
    number = "1 message" if told["asked"] == 1 else f"{told['asked']} messages"
    lines = [f"{number} may have been sent between the backup and the restore:"]
    for name, sentence in (
        ("found", "were: their providers have them. They are not sent again"),
        ("absent", "were not: their providers never had them. They leave as usual"),
        ("unproven", "nobody can tell, so they are not sent again: "
         "clinicrelay messages list --state unproven"),
        ("open", "are still being asked about; each run asks again"),
    ):  # fmt: skip
        if told[name]:
            lines.append(f"  {told[name]:>5} {sentence}")
    if told["unread"]:
        lines.append(
            f"Not read since: {', '.join(told['unread'])}. What their next whole read brings is asked "
            "about in the same way"
        )
    return (
        lines
        if told["asked"] or told["unread"]
        else ["Nothing can have been sent since the backup."]
    )
