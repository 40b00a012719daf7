"""What a service says: JSON lines in each clinic's log, short lines for people; nothing if idle."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clinicrelay.errors import SettingsError, StoreBusy, StoreRefused
from clinicrelay.log import Log
from commands._ending import (
    BUG,
    DONE,
    SETTINGS,
    TRY_AGAIN,
    finding_json,
    finding_text,
    our_bug,
)
from commands._watched import Watched

if TYPE_CHECKING:
    from clinicrelay.settings import Broken, Settings
    from commands._call import Call
    from sync.clinic import Clinic
    from sync.report import RunReport
    from sync.runners.kept import Kept
    from sync.runners.service import Command

_JOBS: tuple[Command, ...] = ("sync", "send")


class Teller:
    """Tells what the clinics of a service do; of each trouble when it begins and when it is over."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._watched = {job: Watched(call, job) for job in _JOBS}
        self._printing = threading.Lock()
        self._troubles: dict[tuple[str, str], str] = {}

    # --- the service itself ----------------------------------------------------------------------

    def note(self, sentence: str) -> None:
        """Say what the service does, unless only news are wanted."""
        if not self._call.quiet:
            self._print(sentence)

    def log(self, settings: Settings, event: str, *, wrong: bool = False, **fields: Any) -> None:
        """Write a line into a clinic's log; a disk that is full stops nobody."""
        log = Log(
            settings.log_file,
            level=settings.logging.level,
            echo=sys.stderr if self._call.verbose else None,
        )
        with suppress(OSError):
            (log.error if wrong else log.info)(event, clinic=settings.clinic.id, **fields)

    def broken(self, one: Broken) -> None:
        """Say what is wrong with a clinic's settings."""
        self.findings([finding_text(finding) for finding in one.findings])
        for watched in self._watched.values():
            watched.ended(one, SETTINGS, {})

    def findings(self, texts: Sequence[str]) -> None:
        for text in texts:
            self._print(text)

    # --- what the service hears (see sync.runners.service.Herald) --------------------------------

    def over(self, clinic: Clinic, command: Command) -> AbstractContextManager[None]:
        """Tell whoever watches the clinic from outside that a run begins, and leave its numbers."""
        return self._watched[command].over(clinic)

    def ended(self, clinic: Clinic, report: RunReport, command: Command) -> None:
        """Log a run, and say what it found that is new."""
        self._watched[command].heard(clinic, report)
        from commands._frame import log_of
        from commands._shown import brief, new_needs
        from commands.sync import write_log

        with suppress(OSError):
            write_log(log_of(clinic, self._call), clinic, report)
        for bug in report.bugs:
            self._trouble(clinic.store.clinic, f"{command} {type(bug).__name__}", bug)
        needs = new_needs(clinic, report) if report.needs else []
        if not report.changed and not needs:
            return
        name = clinic.store.clinic
        if self._call.as_json:
            self._json({"clinic": name, "command": command, **report.json()})
        elif report.changed and not self._call.quiet:
            self._print(f"{name}: {brief(report)}")
        for need in needs:
            self._print(f"{name}: needs a person: {need.what}   {need.command}")

    def failed(self, kept: Kept, command: Command, error: BaseException) -> int:
        """Say once that a clinic's runs cannot be done, and go on saying so in its log."""
        code, reason = _ending(error)
        with suppress(Exception):  # whoever tells of a failure must not be one
            self.log(
                kept.loaded.settings,
                "run.failed",
                wrong=True,
                command=command,
                exit=code,
                reason=reason,
                error_type=type(error).__name__,
            )
            self._trouble(kept.name, command, _placed(error, kept))
        found = error.findings if isinstance(error, SettingsError) else ()
        self._watched[command].ended(kept.loaded, code, {"findings": [*map(finding_json, found)]})
        return code

    def works(self, kept: Kept, command: Command) -> None:
        """Say that what was told before is over."""
        self._watched[command].ended(kept.loaded, DONE, {})
        if self._troubles.pop((kept.name, command), None) is not None:
            self._print(f"{kept.name}: {command} works again")

    def says(self, kept: Kept, sentence: str) -> None:
        """Pass a sentence on."""
        self._print(f"{kept.name}: {sentence}")

    # --- how -------------------------------------------------------------------------------------

    def _trouble(self, name: str, command: str, error: BaseException) -> None:
        said = _sentence(error)
        if self._troubles.get((name, command)) == said:
            return
        self._troubles[name, command] = said
        code, _ = _ending(error)
        if code == BUG and isinstance(error, Exception):
            said = our_bug(error)
        else:
            self._print(f"{name}: {command}: {said}")
        if self._call.as_json:
            self._json({"clinic": name, "command": command, "exit": code, "error": said})

    def _print(self, sentence: str) -> None:
        with self._printing, suppress(OSError):
            print(f"{datetime.now():%H:%M:%S} {sentence}", file=sys.stderr, flush=True)  # noqa: DTZ005 - a screen's own time

    def _json(self, value: Mapping[str, Any]) -> None:
        with self._printing, suppress(OSError):
            print(json.dumps(value, ensure_ascii=False), flush=True)


def _placed(error: BaseException, kept: Kept) -> BaseException:
    """Give what is wrong with a store its place in the settings file."""
    if not isinstance(error, StoreRefused):
        return error
    from clinicrelay.settings.tree import placed

    return StoreRefused([placed(finding, kept.loaded.file) for finding in error.findings])


def _ending(error: BaseException) -> tuple[int, str]:
    if isinstance(error, SettingsError):
        return SETTINGS, error.findings[0].code
    if isinstance(error, StoreBusy):
        return TRY_AGAIN, "store_busy"
    return BUG, "our_mistake"


def _sentence(error: BaseException) -> str:
    if isinstance(error, SettingsError):
        return "; ".join(finding_text(finding) for finding in error.findings)
    if isinstance(error, StoreBusy):
        return f"{error}; tried again at the next turn"
    return f"a mistake of ours ({type(error).__name__})"
