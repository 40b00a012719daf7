"""`clinicrelay run`: as a service: a cycle every five minutes, and each minute what is due."""

from __future__ import annotations

import gc
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clinicrelay.errors import SettingsError
from commands import _stopping
from commands._call import Call, shared
from commands._ending import SETTINGS, finding_text, gravest, guarded
from commands._rhythm import rhythm as read_rhythm

if TYPE_CHECKING:
    from clinicrelay.settings import Broken, Loaded
    from commands._run.servers import Servers
    from commands._run.telling import Teller
    from sync.runners.service import Service

_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(days=1)
_A_MOMENT = 1.0  # seconds
# A command makes objects and ends; a service would keep its garbage for long.
GARBAGE = (20_000, 10, 10)


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("run")(shared(run))


def run(
    call: Call,
    every: Annotated[
        str, typer.Option("--every", metavar="5m", help="How often each clinic's sources are read.")
    ] = "5m",
) -> int:
    """Do what `sync` does every five minutes and `send` every minute, as a service, until told to end.

    SIGTERM ends it within 10 seconds, a second one at once; SIGHUP has it read its settings again.
    """
    rhythm = read_rhythm(every, "--every", _SHORTEST, _LONGEST)
    if call.now is not None:
        raise typer.BadParameter("a service goes by the clock; leave it out", param_hint="--now")
    return _Run(call, rhythm).until_told()


class _Run:
    """One service from its first to its last word."""

    def __init__(self, call: Call, every: timedelta) -> None:
        from commands._run.servers import Servers
        from commands._run.telling import Teller
        from sync.runners.service import Service

        self._call, self._every = call, every
        self._teller: Teller = Teller(call)
        self._service: Service = Service(self._teller, every=every, ending=_stopping.told)
        self._servers: Servers = Servers(self._service)
        self._rereading = threading.Lock()
        self._unheard: list[str] = []  # files that name an address at which nothing can listen

    def until_told(self) -> int:
        """Work until a signal comes; return the code that what was done deserves."""
        with _stopping.heeds(self._service.wake, lambda: self._service.soon(self._reread)):
            try:
                self._begin()
                self._service.run()
            finally:
                self._servers.close()
        return self._end()

    def _begin(self) -> None:
        """Read the settings. Raises SettingsError where there is no clinic to work for."""
        clinics = self._call.clinics()
        whole, broken = _sorted(clinics)
        if not whole:
            raise SettingsError([finding for one in broken for finding in one.findings])
        for one in broken:
            self._teller.broken(one)
        self._service.follow(whole)
        self._servers.broken = [one.file.name for one in broken]
        if wrong := self._servers.follow({one.file: one.settings for one in whole}):
            raise SettingsError(wrong)
        _more_files()
        gc.freeze()
        gc.set_threshold(*GARBAGE)
        self._log("service.started")
        at = f", monitoring at {self._servers}" if str(self._servers) else ""
        self._teller.note(f"started: {_counted(whole)}, a cycle every {_words(self._every)}{at}")

    def _end(self) -> int:
        codes = [unit.exit for unit in self._service.units.values()]
        broken = self._still_broken()
        code = gravest(codes + [SETTINGS] * bool(broken))
        self._log("service.stopped", exit=code)
        left = len(self._service.running)
        late = f", not waiting for {left} that had no answer yet" if left else ""
        wrong = f", not taken: {', '.join(broken)}" if broken else ""
        self._teller.note(f"stopped: exit {code}{late}{wrong}")
        return code

    def _still_broken(self) -> list[str]:
        """Return the files that would not be taken now either: one may be mended, and nobody said so.

        Whatever is not known in a moment counts as it did: a service that is told to end does not wait.
        """
        known = [*dict.fromkeys(self._servers.broken)]
        if not known:
            return []
        found = [known]
        look = threading.Thread(target=guarded, args=(lambda: self._look(found),), daemon=True)
        look.start()
        look.join(_A_MOMENT)
        return [name for name in known if name in {*found[-1], *self._unheard}]

    def _look(self, found: list[list[str]]) -> None:
        with suppress(SettingsError, typer.BadParameter):  # none can be taken
            found.append([file.name for file in self._sorted_out()[2]])

    # --- new settings ----------------------------------------------------------------------------

    def _reread(self) -> None:
        """Read the settings again beside the loop, which goes on meanwhile."""
        read = threading.Thread(target=guarded, args=(self._read,), name="settings", daemon=True)
        guarded(read.start)

    def _read(self) -> None:
        with self._rereading:
            try:
                good, broken, bad = self._sorted_out()
            except SettingsError as error:
                self._refused([finding_text(one) for one in error.findings])
                return
            except typer.BadParameter as error:  # the clinic that --clinic names is gone
                self._refused([error.message])
                return
            for one in broken:
                self._teller.broken(one)
            self._service.soon(lambda: self._taken(good, bad))

    def _sorted_out(self) -> tuple[list[Loaded], list[Broken], list[Path]]:
        """Read all settings; return those that hold, those that are none, and the files of the rest.

        Raises SettingsError and typer.BadParameter.
        """
        whole, broken = _sorted(self._call.clinics())
        known = {file: unit.kept.loaded for file, unit in list(self._service.units.items())}
        good = [one for one in whole if self._holds(one, known.get(one.file))]
        bad = [one.file for one in broken] + [one.file for one in whole if one not in good]
        return good, broken, bad

    def _holds(self, loaded: Loaded, before: Loaded | None) -> bool:
        """Whether new settings pass `check`; those that are what they were are not checked again."""
        from commands.check import mistakes

        if before is not None and before.settings == loaded.settings:
            return True
        wrong = mistakes(self._call, loaded)
        self._teller.findings([finding_text(one) for one in wrong])
        return not wrong

    def _taken(self, good: Sequence[Loaded], bad: Sequence[Path]) -> None:
        guarded(
            lambda: self._apply(good, bad)
        )  # a mistake of ours in here must not end the service

    def _apply(self, good: Sequence[Loaded], bad: Sequence[Path]) -> None:
        changed = self._service.follow(good, also=bad)
        units = self._service.units
        self._servers.broken = [file.name for file in bad]
        wrong = self._servers.follow({f: u.kept.loaded.settings for f, u in units.items()})
        self._teller.findings([finding_text(one) for one in wrong])
        self._unheard = [Path(one.file).name for one in wrong if one.file]
        self._servers.broken += self._unheard
        said = [f"{what} {', '.join(names)}" for what, names in changed.items() if names]
        self._log("service.reloaded")
        if said or not bad:
            self._teller.note(f"reloaded: {'; '.join(said) or 'nothing changed'}")
        if self._servers.broken:
            self._refused([f"not taken: {', '.join(dict.fromkeys(self._servers.broken))}"])

    def _refused(self, texts: Sequence[str]) -> None:
        self._teller.findings([*texts, "the settings that were read before go on"])
        self._log("service.settings_refused", wrong=True)

    def _log(self, event: str, *, wrong: bool = False, **fields: object) -> None:
        for unit in self._service.units.values():
            self._teller.log(unit.kept.loaded.settings, event, wrong=wrong, **fields)


def _sorted(clinics: Sequence[Loaded | Broken]) -> tuple[list[Loaded], list[Broken]]:
    from clinicrelay.settings import Broken

    whole = [one for one in clinics if not isinstance(one, Broken)]
    return whole, [one for one in clinics if isinstance(one, Broken)]


def _counted(clinics: Sequence[Loaded]) -> str:
    return clinics[0].settings.clinic.id if len(clinics) == 1 else f"{len(clinics)} clinics"


def _words(rhythm: timedelta) -> str:
    seconds = int(rhythm.total_seconds())
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _more_files() -> None:
    """Have as many files and connections open as the system lets us, as clinics may wait at once."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
