"""How every command ends: an exit code, and a sentence for whatever went wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from clinicrelay.errors import SettingsError, StoreBusy
from clinicrelay.ids import ulid

if TYPE_CHECKING:
    from clinicrelay.contracts import Finding

DONE, BUG, SETTINGS, NEEDS_PERSON, HELD, TRY_AGAIN, STOPPED = 0, 1, 2, 3, 4, 75, 130

_GRAVEST_FIRST = (STOPPED, BUG, SETTINGS, HELD, NEEDS_PERSON, TRY_AGAIN)
_FOR_TYPER = (typer.BadParameter, typer.Exit, typer.Abort)


def gravest(codes: Iterable[int]) -> int:
    """Return the code that several clinics end with together."""
    found = set(codes) - {DONE}
    return next((code for code in _GRAVEST_FIRST if code in found), max(found, default=DONE))


def nowhere(_ending: dict[str, Any]) -> None:
    """Take the JSON of an ending where nobody asked for JSON."""


def guarded(  # noqa: PLR0911 - one line an ending
    work: Callable[[], object], told: Callable[[dict[str, Any]], None] = nowhere
) -> int:
    """Run a command to its exit code; whatever goes wrong ends in a sentence.

    `told` gets the same as JSON: `exit`, and the `findings` or the `error`.
    """
    try:
        code = work()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else DONE
    except _FOR_TYPER:
        raise
    except SettingsError as error:
        print_findings(error.findings)
        told({"exit": SETTINGS, "findings": [finding_json(one) for one in error.findings]})
        return SETTINGS
    except StoreBusy as error:
        say(f"{error.so_far}, try again: {error}.")
        told({"exit": TRY_AGAIN, "error": str(error)})
        return TRY_AGAIN
    except KeyboardInterrupt:
        say("Stopped. What was kept is kept; the next run goes on from there.")
        return STOPPED
    except BrokenPipeError:
        return DONE
    except PermissionError as error:
        if error.filename is None:
            told({"exit": BUG, "error": our_bug(error)})
            return BUG
        finding = _not_permitted(error)
        say(finding_text(finding))
        told({"exit": SETTINGS, "findings": [finding_json(finding)]})
        return SETTINGS
    except Exception as error:  # noqa: BLE001 - the one place where a bug of ours ends
        told({"exit": BUG, "error": our_bug(error)})
        return BUG
    return code if isinstance(code, int) else DONE


def _not_permitted(error: PermissionError) -> Finding:
    from clinicrelay.contracts import Finding

    message = f"{error.filename} may not be read or written by the user that runs this"
    fix = "let that user do so, or name another place; what one `sudo clinicrelay` made belongs to root"
    return Finding("error", "not_permitted", message, fix)


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


def finding_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as JSON; what it does not have is null."""
    return {
        "severity": finding.severity,
        "file": finding.file or None,
        "line": finding.line or None,
        "column": finding.column or None,
        "path": finding.path or None,
        "code": finding.code,
        "message": finding.message,
        "fix": finding.fix or None,
    }


def our_bug(error: Exception) -> str:
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
    sentence = (
        f"A mistake of ours, not yours ({type(error).__name__}). What was kept is kept. "
        f"Please report {reference}; the place in the program is in {file}, without your data."
    )
    say(sentence)
    return sentence
