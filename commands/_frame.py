"""What every command shares: its options, its clinic, its first line, and how it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from clinicrelay.errors import SettingsError, StoreBusy
from clinicrelay.ids import ulid

if TYPE_CHECKING:
    from clinicrelay.contracts import Finding
    from clinicrelay.log import Log
    from clinicrelay.settings import Loaded
    from sync.clinic import Clinic

DONE, BUG, SETTINGS, NEEDS_PERSON, HELD, TRY_AGAIN = 0, 1, 2, 3, 4, 75

SettingsPath: TypeAlias = Annotated[
    Path | None,
    typer.Option("--settings", help="The settings file.", show_default="./settings.yaml"),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
Now: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--now", help="Run as if it were this date or instant; nothing leaves this machine."
    ),
]
Verbose: TypeAlias = Annotated[bool, typer.Option("-v", "--verbose", help="Show the log as well.")]
Quiet: TypeAlias = Annotated[
    bool, typer.Option("-q", "--quiet", help="Print only what is new; for cron.")
]


@dataclass(frozen=True, slots=True)
class Call:
    """How a command was called."""

    settings: Path | None = None
    as_json: bool = False
    now: str | None = None
    verbose: bool = False
    quiet: bool = False

    def load(self) -> Loaded:
        """Read the settings. Raises SettingsError."""
        from clinicrelay.settings import load

        return load(self.settings)

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


@contextmanager
def clinic(call: Call, loaded: Loaded | None = None, *, scratch: bool = False) -> Iterator[Clinic]:
    """Open the clinic that the settings describe; `scratch`: on a copy whose writes vanish.

    Raises SettingsError or StoreBusy.
    """
    from sync import store as stores
    from sync.clinic import Clinic

    settings = (loaded or call.load()).settings
    now = call.moment(settings.clinic.timezone)
    run = ulid(datetime.now(UTC))

    def at_work(store: stores.Store) -> Clinic:
        return Clinic(
            settings=settings,
            store=store,
            run=run,
            now=now,
            rehearsed=call.now is not None,
            dry=scratch,
            watched=call.on_terminal,
        )

    if scratch:
        with stores.scratch(settings.store_url, settings.clinic.id, now=now) as store:
            yield at_work(store)
        return
    store = stores.open_store(settings.store_url, settings.clinic.id, now=now)
    try:
        yield at_work(store)
    finally:
        store.close()


def version(
    version: bool = typer.Option(
        False, "--version", is_eager=True, help="Print the version and exit."
    ),
) -> None:
    if version:
        from clinicrelay import __version__

        print(__version__)
        raise typer.Exit


def log_of(clinic: Clinic, call: Call) -> Log:
    """Return the log of a clinic, echoed on stderr with -v."""
    from clinicrelay.log import Log

    settings = clinic.settings
    echo = sys.stderr if call.verbose else None
    return Log(settings.log_file, level=settings.logging.level, echo=echo)


def headline(clinic: Clinic, loaded: Loaded) -> str:
    """Return the first line of every command: the mode, the clinic, the file, the run."""
    name = clinic.settings.clinic.name
    return f"{clinic.store.mode.upper()} · {name} · {loaded.file} · run {clinic.run}"


def print_json(value: Any) -> None:
    """Print JSON for other programs."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def guarded(work: Callable[[], object]) -> int:  # noqa: PLR0911 - one line an ending
    """Run a command to its exit code; whatever goes wrong ends in a sentence."""
    try:
        work()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else DONE
    except SettingsError as error:
        print_findings(error.findings)
        return SETTINGS
    except StoreBusy as error:
        say(f"Nothing was done, try again: {error}.")
        return TRY_AGAIN
    except KeyboardInterrupt:
        say("Stopped. What was kept is kept; the next run goes on from there.")
        return 130
    except BrokenPipeError:
        return DONE
    except Exception as error:  # noqa: BLE001 - the one place where a bug of ours ends
        return _our_bug(error)
    return DONE


def say(sentence: str) -> None:
    """Print a sentence for a person where it does not disturb JSON."""
    print(sentence, file=sys.stderr)


def print_findings(findings: Sequence[Finding]) -> None:
    """Print mistakes one by one: where, what, and how to mend it."""
    for finding in findings:
        say(finding_text(finding))
    errors = sum(f.severity == "error" for f in findings)
    if errors:
        say(f"{errors} {'mistake' if errors == 1 else 'mistakes'}. Nothing was done.")


def finding_text(finding: Finding) -> str:
    """Return a finding as `file:line:column: path: message` and its fix below."""
    place = finding.file
    if place and finding.line:
        place += f":{finding.line}:{finding.column}"
    parts = [part for part in (place, finding.severity, finding.path) if part]
    fix = f"\n    {finding.fix}" if finding.fix else ""
    return f"{': '.join(parts)}: {finding.message}{fix}"


def _our_bug(error: Exception) -> int:
    """Keep the traceback where IT can find it, without the values in it, and name its reference."""
    import tempfile
    import traceback

    reference = ulid(datetime.now(UTC))
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{type(error).__name__} at {reference}"]
    lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    file = Path(tempfile.gettempdir()) / f"clinicrelay-{reference}.txt"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    file.chmod(0o600)
    say(
        f"A mistake of ours, not yours ({type(error).__name__}). What was kept is kept. "
        f"Please report {reference}; the place in the program is in {file}, without your data."
    )
    return BUG
