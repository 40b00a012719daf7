"""What monitoring hears of the runs of a command: heartbeats, and the numbers in a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from clinicrelay import heartbeat
from clinicrelay.ids import ulid
from commands import _stopping
from commands._call import Call
from commands._ending import say
from sync import beat

if TYPE_CHECKING:
    from pathlib import Path

    from clinicrelay.heartbeat import Heart
    from clinicrelay.settings import Broken, Loaded
    from clinicrelay.settings.monitoring import Job
    from sync.beat import Beat
    from sync.clinic import Clinic
    from sync.report import RunReport


class Watched:
    """The runs of one job, each of a clinic of its own, as monitoring hears of them.

    Nothing here makes a run fail: what cannot be told is said, and that is all.
    """

    def __init__(self, call: Call, job: Job) -> None:
        self._call, self._job = call, job
        self._hearts: dict[Path | None, Heart | None] = {}
        self._beats: dict[Path | None, Beat] = {}
        self._said = False

    @contextmanager
    def over(self, at_work: Clinic) -> Iterator[None]:
        """Tell that a run begins; once it has ended, however it did, leave the numbers."""
        self.begin(at_work)
        try:
            yield
        finally:
            leave_numbers(at_work)

    def begin(self, at_work: Clinic) -> None:
        """Tell that a run begins."""
        url = at_work.settings.monitoring.pinged_by(self._job)
        heart = self._hearts[at_work.file] = self._heart(url, at_work.run)
        if heart is not None:
            heart.begin()

    def stands(self, at_work: Clinic, told: Beat) -> None:
        """Tell how the job stands, in which the run that began is a part."""
        if (heart := self._hearts.pop(at_work.file, None)) is not None:
            heart.end(well=told.well, said=told.said, hurry=at_work.ending.is_set())

    def heard(self, at_work: Clinic, report: RunReport) -> None:
        """Take down what the run did."""
        self._beats[at_work.file] = beat.after(report)

    def ended(self, one: Loaded | Broken, code: int, ending: dict[str, Any]) -> None:
        """Tell how the run of a clinic ended, also where it never came to its beginning."""
        told = self._beats.pop(one.file, None) or beat.without_report(code, ending)
        if told is None:
            return
        if one.file in self._hearts:
            heart = self._hearts.pop(one.file)
        else:
            heart = self._heart(_address(one, self._job), ulid(datetime.now(UTC)))
            _leave_that_nothing_is_known(one)
        if heart is not None:
            heart.end(well=told.well, said=told.said, hurry=_stopping.told.is_set())

    def _heart(self, url: str, run: str) -> Heart | None:
        if not url or heartbeat.fault(url):
            return None
        if self._call.now is not None and not heartbeat.stays_here(url):
            say("The heartbeat is not told: under --now nothing leaves this machine.")
            return None
        self._said = False
        rid = str(uuid5(NAMESPACE_URL, f"clinicrelay:run:{run}"))
        return heartbeat.Heart(url, rid, self._missed)

    def _missed(self, why: str) -> None:
        if not self._call.quiet and not self._said:
            self._said = True  # once for both pings of a run
            say(f"The heartbeat of {self._job} was not told ({why}); the run is as it is.")


def _address(one: Loaded | Broken, job: Job) -> str:
    from clinicrelay.settings import Broken, salvage

    if isinstance(one, Broken):
        return salvage.heartbeat(one.file, job)
    return one.settings.monitoring.pinged_by(job)


# --- numbers -------------------------------------------------------------------------------------


def leave_numbers(at_work: Clinic) -> None:
    """Write the metrics of a clinic into the file that `monitoring.textfile` names, if any."""
    file = at_work.settings.monitoring.textfile
    if file is not None and not at_work.dry:
        from sync.metrics import exposition

        _write(file, exposition([at_work]))


def _leave_that_nothing_is_known(one: Loaded | Broken) -> None:
    """Write that the store could not be read, where it could not even be opened."""
    from clinicrelay.settings import Broken

    if isinstance(one, Broken) or (file := one.settings.monitoring.textfile) is None:
        return
    from sync.metrics import UNREADABLE, written

    _write(file, written({one.settings.clinic.id: UNREADABLE}))


def _write(file: Path, content: bytes) -> None:
    from clinicrelay import files

    if not file.parent.is_dir():
        say(f"No metrics were left: there is no folder {file.parent} (monitoring.textfile).")
        return
    try:
        files.replace(file, content)
        file.chmod(0o644)  # whatever the umask: the collector is another user
    except OSError as error:
        say(f"No metrics were left in {file}: {error.strerror} (monitoring.textfile).")
