"""`clinicrelay send`: what is due now, and nothing else."""

from __future__ import annotations

import typer

from commands._frame import (
    AsJson,
    Call,
    Now,
    Quiet,
    SettingsPath,
    Verbose,
    clinic,
    headline,
    log_of,
    print_json,
)


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("send")(send)


def send(
    settings: SettingsPath = None,
    as_json: AsJson = False,
    now: Now = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Send what is due: messages, retries, unknowns. Reads no source; cheap enough for each minute."""
    from commands._shown import run_lines
    from commands.sync import write_log
    from sync.runners import once

    call = Call(settings, as_json, now, verbose, quiet)
    loaded = call.load()
    with clinic(call, loaded) as at_work:
        report = once.send(at_work)
        write_log(log_of(at_work, call), at_work, report)
        if as_json:
            print_json(report.json())
        elif report.changed or report.exit or not quiet:
            print("\n".join([headline(at_work, loaded), *run_lines(at_work, report)]))
    raise typer.Exit(report.exit)
