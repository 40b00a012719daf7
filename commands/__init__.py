"""What a person types: one file a command, found by its name; `clinicrelay` starts here.

Only the command that was asked for is imported, so that a cron line that finds nothing to do costs
next to nothing. Every mistake ends in a sentence and an exit code, never in a traceback.
"""

from __future__ import annotations

import atexit
import gc
import keyword
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

# When garbage is looked for: a command makes some 200,000 objects before it begins its work.
GARBAGE = (500_000, 20, 100)

# In the order of the help page.
GROUPS = {
    "Begin": ("demo", "init", "check", "doctors", "plan", "sync", "try", "live"),
    "Every day": ("status", "why", "appointments", "messages", "metrics"),
    "Repair": ("quarantine", "held", "contacts", "verify", "pause", "resume", "replay", "log"),
    "Rarely": (
        *("send", "run", "worker", "map", "probe", "plugins", "schema", "keys", "store"),
        *("rehearse", "forget", "purge", "audit"),
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code."""
    # Start-up makes many objects and no garbage, and the end frees them all: looking for garbage
    # before the first import and after the last word costs a fifth of an idle run.
    gc.set_threshold(*GARBAGE)
    atexit.register(gc.freeze)
    os.umask(0o077)  # what is written here is about patients: for this user only

    from clinicrelay.rooms import refuse_strangers
    from commands._ending import guarded

    words = list(sys.argv[1:] if arguments is None else arguments)

    def work() -> None:
        refuse_strangers()
        app(_named(words))(words)

    sys.exit(guarded(work))


def app(names: Sequence[str]) -> Callable[[Sequence[str]], object]:
    """Return the program with these commands in it."""
    import typer

    from commands._call import version
    from commands._help import Grouped

    program = typer.Typer(
        name="clinicrelay",
        cls=Grouped,
        help="Appointments from a clinic's systems into doctors' calendars, and the right message "
        "to each patient, once.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    program.callback(invoke_without_command=True)(version)
    for name in names:
        import_module(f"commands.{_module(name)}").add(program)
    return typer.main.get_command(program)


def names() -> list[str]:
    """Return every command, in the order of the help page."""
    here = Path(__file__).parent
    there = {file.stem.rstrip("_") for file in here.glob("[!_]*.py")}
    listed = [name for group in GROUPS.values() for name in group]
    return [name for name in listed if name in there] + sorted(there - set(listed))


def _module(name: str) -> str:
    """The file of a command; one that Python keeps for itself ends in an underscore."""
    return f"{name}_" if keyword.iskeyword(name) else name


def _named(words: Sequence[str]) -> list[str]:
    """The one command that is meant; all of them where help is wanted or none is recognised."""
    meant = next((word for word in words if not word.startswith("-")), "")
    return [meant] if meant in names() else names()
