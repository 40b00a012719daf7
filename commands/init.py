"""`clinicrelay init`: a few questions, and a settings.yaml that passes `check`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError
from commands._call import Call, shared
from commands._ending import DONE, STOPPED, say
from commands._frame import print_json

if TYPE_CHECKING:
    from commands._init.asking import Asking
    from commands._init.folder import Made

_NEEDED = ("name", "country")  # what nobody should get by chance, unless --yes says so


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("init")(shared(init))


def init(  # noqa: PLR0913, PLR0917 - one option a question
    call: Call,
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Where the clinic is to live.")
    ] = Path(),
    name: Annotated[
        str | None, typer.Option(help="The clinic's name, as patients read it.")
    ] = None,
    id_: Annotated[
        str | None, typer.Option("--id", help="Its short name. [default: made from the name]")
    ] = None,
    country: Annotated[
        str | None, typer.Option(help="Its country, two letters. [default: this machine's]")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Its IANA time zone. [default: the country's]")
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="The language of its texts. [default: the country's]")
    ] = None,
    phone: Annotated[str | None, typer.Option(help="The number that patients may call.")] = None,
    contents: Annotated[
        str | None,
        typer.Option(help="What a CSV export holds: snapshot, delta or append."),
    ] = None,
    send: Annotated[
        str | None, typer.Option(help="How messages are sent: none, folder or smtp.")
    ] = None,
    steps: Annotated[
        str | None, typer.Option(help="When patients are reminded, such as 3d,1d,1h; or none.")
    ] = None,
    smtp_host: Annotated[
        str | None, typer.Option(help="The mail server; has to be named where nobody is asked.")
    ] = None,
    smtp_from: Annotated[str | None, typer.Option(help="Whom mails are from.")] = None,
    smtp_user: Annotated[
        str | None,
        typer.Option(help="The name to log in with; the password is asked for, or SMTP_PASSWORD."),
    ] = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", help="Ask nothing: take what is proposed, where that is more than a guess."
        ),
    ] = False,
) -> int:
    """Ask a few questions and write a settings.yaml that passes `check`. Overwrites nothing."""
    options = {
        "name": name,
        "id": id_,
        "country": country,
        "timezone": timezone,
        "language": language,
        "phone": phone,
        "contents": contents,
        "send": send,
        "steps": steps,
        "smtp_host": smtp_host,
        "smtp_from": smtp_from,
        "smtp_user": smtp_user,
    }
    _check_call(call)
    try:
        return _init(call, folder, options, yes=yes)
    except (typer.Abort, KeyboardInterrupt):
        say("\nStopped. Nothing was written.")
        return STOPPED


def _check_call(call: Call) -> None:
    if call.settings is not None:
        raise typer.BadParameter(
            "init writes DIR/settings.yaml: name the folder instead", param_hint="--settings"
        )


def _init(call: Call, folder: Path, options: dict[str, str | None], *, yes: bool) -> int:
    from commands._init import folder as places
    from commands._init.asking import Asking

    places.refuse(folder)
    aloud = sys.stdin.isatty() and not yes
    asking = Asking(options, aloud, needed=() if yes else _NEEDED, err=call.as_json)
    if aloud:
        typer.echo(_OPENING, err=call.as_json)
    _ask(asking, folder)
    try:
        made = places.make(folder, asking.given)
    except OSError as error:
        raise SettingsError([_not_written(folder, error)]) from error
    _tell(call, folder, made, asking.given)
    return DONE


_OPENING = """\
A few questions; Enter takes what stands in brackets. Nothing is written before the last answer.
"""


def _ask(asking: Asking, folder: Path) -> None:
    from commands._init import folder as places
    from commands._init import proposals, questions

    machine = places.environment(os.environ)
    asking.ask(questions.questions(proposals.name_for(folder), machine))
    way = asking.given["send"]
    if way == "smtp":
        _ask_about_mail(asking, folder)
    if way != questions.NOBODY:
        asking.ask([questions.about_reminders()])


def _ask_about_mail(asking: Asking, folder: Path) -> None:
    from commands._init import folder as places
    from commands._init import questions

    asking.ask(questions.about_mail())
    if asking.given["smtp_user"]:
        places.refuse_secrets(folder)
        asking.options = {**asking.options, "smtp_password": os.environ.get("SMTP_PASSWORD")}
        asking.ask([questions.password()])


def _not_written(folder: Path, error: OSError) -> Finding:
    reason = error.strerror or type(error).__name__
    message = f"{error.filename or folder} cannot be written: {reason}. Nothing was left behind"
    return Finding("error", "not_writable", message, "name a folder of yours with room in it")


# --- what was made, and what comes next ----------------------------------------------------------


def _tell(call: Call, folder: Path, made: Made, given: dict[str, str]) -> None:
    if call.as_json:
        print_json(_json(folder, made))
        return
    print("\n".join(_lines(folder, made, given)))


def _json(folder: Path, made: Made) -> dict[str, Any]:
    return {
        "settings": str(made.settings),
        "written": [str(path) for path in made.written],
        "inbox": str(made.inbox),
        "warnings": list(made.warnings),
        "next": [command for command, _ in _next(folder)],
    }


def _lines(folder: Path, made: Made, given: dict[str, str]) -> Iterator[str]:
    yield ""
    yield f"Written: {', '.join(str(path) for path in made.written)}"
    yield from (f"Please: {warning}." for warning in made.warnings)
    yield ""
    yield f"{given['name']} is in REHEARSAL: it reads, plans and writes files, and reaches nobody"
    yield "outside this machine before `clinicrelay live`. Quiet hours, guards and caps are on."
    yield ""
    yield "What to do next"
    yield f"  Put an export (CSV, one line a visit) into {made.inbox}"
    for command, why in _next(folder):
        yield f"  {command}"
        yield f"      {why}"


def _next(folder: Path) -> Iterator[tuple[str, str]]:
    here = folder.absolute() == Path.cwd()
    place = "" if here else f" --settings {shlex.quote(str(folder / 'settings.yaml'))}"
    for command, why in (
        ("check", "is everything right? all mistakes at once"),
        ("plan", "what a sync would do, and what would be said when; it writes nothing"),
        ("sync", "does it: visits into the store, calendars and messages into files"),
        ("status", "how it stands, and what needs a person"),
    ):
        yield f"clinicrelay {command}{place}", why
