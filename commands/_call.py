"""How a command was called: the options that all commands share."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands import _stopping
from commands._ending import DONE, guarded, nowhere

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clinicrelay.settings import Broken, Loaded


@dataclass(frozen=True, slots=True)
class Call:
    """How a command was called."""

    settings: Path | None = None
    clinic: str | None = None
    as_json: bool = False
    now: str | None = None
    ok: tuple[int, ...] = ()
    verbose: bool = False
    quiet: bool = False

    def clinics(self, *, secrets: bool = True) -> Sequence[Loaded | Broken]:
        """Read the settings: of one clinic, or of each in a folder.

        Without `secrets` what `${…}` leads to is neither read nor missed. Raises SettingsError.
        """
        from clinicrelay.settings import load_all

        found = load_all(self.settings, secrets=secrets)
        return found if self.clinic is None else [_named(found, self.clinic)]

    @property
    def on_terminal(self) -> bool:
        """Whether a person is watching: tables and progress, else plain lines."""
        return not self.as_json and sys.stdout.isatty()

    def moment(self, zone: str) -> datetime:
        """Return business time: what `--now` says, else the clock. Raises typer.BadParameter."""
        from clinicrelay.times import parse_instant

        if self.now is None:
            return datetime.now(UTC).replace(microsecond=0)
        try:
            return parse_instant(self.now, zone).replace(microsecond=0)
        except ValueError as error:
            raise typer.BadParameter(
                "write a date or an instant, such as 2026-12-01T08:00 or 2026-12-01T07:00:00Z",
                param_hint="--now",
            ) from error


def _named(clinics: Sequence[Loaded | Broken], name: str) -> Loaded:
    from clinicrelay.settings import Loaded

    there = {one.settings.clinic.id: one for one in clinics if isinstance(one, Loaded)}
    if name in there:
        return there[name]
    broken = [one.file.name for one in clinics if not isinstance(one, Loaded)]
    known = f"there are: {', '.join(there) or 'none'}"
    more = f"; {', '.join(broken)} cannot be read (clinicrelay check)" if broken else ""
    raise typer.BadParameter(f"no clinic {name!r}; {known}{more}", param_hint="--clinic")


def shared(function: Callable[..., int | None]) -> Callable[..., None]:
    """Give a command the options that all commands share; it gets them as its first argument.

    What it returns is its exit code.
    """
    own = [*inspect.signature(function, eval_str=True).parameters.values()][1:]
    common = inspect.signature(_options, eval_str=True).parameters

    def command(**given: Any) -> None:
        call = _called(**{name: given.pop(name) for name in common})
        code = guarded(lambda: function(call, **given), _print_json if call.as_json else nowhere)
        code = DONE if code in call.ok else code
        if _stopping.told.is_set():
            _stopping.leave_behind(code)
        raise typer.Exit(code)

    functools.update_wrapper(command, function)
    del command.__wrapped__  # type: ignore[attr-defined]
    options = [*own, *common.values()]
    command.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    command.__annotations__ = {option.name: option.annotation for option in options}
    return command


def _print_json(ending: dict[str, Any]) -> None:
    from commands._frame import print_json

    print_json(ending)


def _options(
    settings: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            help="The settings file; a folder of them is one clinic a file.",
            show_default="./settings.yaml",
        ),
    ] = None,
    clinic: Annotated[
        str | None, typer.Option("--clinic", metavar="ID", help="Only this clinic of a folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
    now: Annotated[
        str | None,
        typer.Option(
            "--now", help="Run as if it were this date or instant; nothing leaves this machine."
        ),
    ] = None,
    ok: Annotated[str, typer.Option("--ok", help="Exit codes that end as 0, such as 3,4,75.")] = "",
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show the log as well.")] = False,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Print only what is new; for cron.")
    ] = False,
) -> None:
    """The options of every command; nobody calls this."""


SHARED = frozenset(inspect.signature(_options).parameters)


def _called(*, ok: str, **given: Any) -> Call:
    try:
        codes = tuple(int(code) for code in ok.split(",") if code.strip())
    except ValueError as error:
        raise typer.BadParameter("write numbers, such as 3,4,75", param_hint="--ok") from error
    return Call(ok=codes, **given)


def version(
    version: bool = typer.Option(
        False, "--version", is_eager=True, help="Print the version and exit."
    ),
) -> None:
    if version:
        from clinicrelay import __version__

        print(__version__)
        raise typer.Exit
