"""The folder that files are dropped into, and the way each takes: in, processing, processed.

Every step is a rename inside one file system, so a file is always in exactly one place, and the
place says what happened to it. What lies beside a file (its done file or manifest) goes with it.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from clinicrelay.errors import Refused
from connectors.csv.options import Options
from connectors.csv.rejects import is_named
from connectors.csv.text import sha256_of

# Names that transfer programs, browsers and office programs give to what is not finished.
_UNFINISHED = ("*.tmp", "*.part", "*.filepart", "*.crdownload", "~$*", ".*", "*.inprogress")
_INSIDE = ("processing", "processed", "quarantine")
# After this long an empty file stays empty, and a manifest that does not fit never will.
GIVEN_UP_SECONDS = 3600
_WRITTEN_THERE_SECONDS = 2
_BY_HAND = timedelta(seconds=60)  # what a person drops settles, where the rule is another

_NAME_DATE = re.compile(
    r"(?<!\d)(20\d\d)[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])"
    r"(?:[-_T. ]?([01]\d|2[0-3])[-_.:h]?([0-5]\d)[-_.:]?([0-5]\d)?)?(?!\d)"
)
_NAME_DATE_DMY = re.compile(r"(?<!\d)(0[1-9]|[12]\d|3[01])\.(0[1-9]|1[0-2])\.(20\d\d)(?!\d)")


class Drop(NamedTuple):
    """A file to be read. `stamp` is when its content was true, `by` how we know: name or mtime."""

    path: Path
    stamp: str
    by: str
    modified: str

    @property
    def name(self) -> str:
        return self.path.name


class Look(NamedTuple):
    """One file as the inbox shows it now; `why` it is not ready, and for how long if time helps."""

    path: Path
    why: str = ""
    seconds: float | None = None


class Strangers(NamedTuple):
    """What lies in an inbox and is not taken: `others` are files whose names do not fit the pattern,
    `odd` what has such a name and is no file of its own."""

    others: int
    odd: list[str]

    @property
    def note(self) -> str:
        """What is said of the odd ones; links are not followed, wherever they point."""
        if not self.odd:
            return ""
        names = ", ".join(self.odd[:3]) + (" …" if len(self.odd) > 3 else "")
        be = "is a link, a folder" if len(self.odd) == 1 else "are links, folders"
        return f"{names} {be} or no file at all: not taken"


class Inbox:
    """One inbox with its three folders; `clock` is the real one, as files carry real times."""

    def __init__(self, folder: Path, options: Options, clock: Callable[[], float]) -> None:
        self.folder = folder
        self.processing = folder / "processing"
        self._options = options
        self._clock = clock

    def looks(self) -> list[Look]:
        """Return every file that matches the pattern, ready or not."""
        return [self._look(path, info) for path, info in self._files(self.folder)]

    def strangers(self) -> Strangers:
        """Return what nobody will take: the scan of the folder knows, no file is looked at."""
        others, odd = 0, []
        for entry in _finished(self.folder):
            plain, ours = entry.is_file(follow_symlinks=False), self._is_ours(entry.name)
            others += plain and not ours
            if ours and not plain and entry.name not in _INSIDE:
                odd.append(entry.name)
        return Strangers(others, odd)

    @property
    def is_used(self) -> bool:
        """Whether any of the folders is there that are made inside it when the first file is taken."""
        return any((self.folder / name).is_dir() for name in _INSIDE)

    def waiting_inside(self) -> list[Drop]:
        """Return what lies in processing: claimed now, or by a run that did not end."""
        return _oldest_first(path for path, _ in self._files(self.processing))

    def ready(self) -> list[Drop]:
        """Return the files in the inbox that may be taken, oldest first."""
        return _oldest_first(look.path for look in self.looks() if not look.why)

    def claim(self, drops: Iterable[Drop]) -> None:
        """Move files into processing. Raises Refused."""
        with _refusing(self.folder):
            for name in _INSIDE:
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            self._fetch_left_behind()
            for drop in drops:
                # One of that name is still inside: it goes first, this one is taken next time.
                if not (self.processing / drop.name).exists():
                    _move(drop.path, self.processing / drop.name)
                    self._move_beside(drop.name, self.folder, self.processing)

    def give_back(self, drop: Drop) -> None:
        """Put a claimed file back where it was, unless a new one of its name lies there."""
        if drop.path.parent == self.processing and not (self.folder / drop.name).exists():
            with _refusing(self.folder):
                self._move_beside(drop.name, self.processing, self.folder)
                _move(drop.path, self.folder / drop.name)

    def claimed(self, name: str, sha256: str) -> Drop | None:
        """Return a claimed file if it is still there and still that one. Raises Refused."""
        source = self.processing / Path(name).name
        with _refusing(self.folder):
            return drop_of(source) if source.is_file() and sha256_of(source) == sha256 else None

    def target(self, name: str, place: str) -> Path:
        """Return where `archive` will put a file: nothing that lies there is overwritten."""
        return _free(self.folder / place / Path(name).name)

    def archive(self, name: str, sha256: str, place: str) -> None:
        """Move a claimed file to `place` (processed/2026-11, quarantine) if it is still that one.

        What lies beside it goes first: a done file left in the inbox would call the next file of
        that name finished while it is being written. Does nothing the second time. Raises Refused.
        """
        drop = self.claimed(name, sha256)
        if drop is None:
            return
        with _refusing(self.folder):
            target = self.folder / place
            target.mkdir(parents=True, exist_ok=True)
            self._move_beside(drop.name, self.processing, target)
            _move(drop.path, self.target(name, place))

    def put_away(self, since: datetime) -> list[Path] | None:
        """Return the files that were processed since a moment, oldest first; None: there never were.

        A rename leaves a file's own time as it is and notes the moment, so that is what counts.
        """
        archive = self.folder / "processed"
        if not archive.is_dir():
            return None
        months = [archive, *sorted(path for path in archive.iterdir() if path.is_dir())]
        moved = [
            path
            for month in months
            for path, info in self._files(month)
            if info.st_ctime >= since.timestamp() and not _is_only_offered(path, info)
        ]
        return [drop.path for drop in _oldest_first(moved)]

    def take_back(self, paths: Iterable[Path]) -> None:
        """Move processed files to where the next run ends what another began. Raises Refused."""
        with _refusing(self.folder):
            self.processing.mkdir(parents=True, exist_ok=True)
            for path in paths:
                self._move_beside(path.name, path.parent, self.processing)
                _move(path, _free(self.processing / path.name))

    def refusing(self) -> AbstractContextManager[None]:
        """Turn what the file system says no to into a Refused that names this folder."""
        return _refusing(self.folder)

    def manifest_of(self, path: Path) -> dict[str, Any] | None:
        """Return the manifest beside a file, {} for one that cannot be read, None without one."""
        if not self._options.ready.manifest:
            return None
        try:
            content = json.loads(self._beside(path).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _beside(self, path: Path) -> Path:
        if self._options.ready.manifest:
            return path.with_name(f"{path.name}.manifest.json")
        done = self._options.ready.done_file or "{name}.done"
        return path.with_name(done.replace("{name}", path.name).replace("{stem}", path.stem))

    def _has_beside(self) -> bool:
        return bool(self._options.ready.manifest or self._options.ready.done_file)

    def _move_beside(self, name: str, source: Path, target: Path) -> None:
        beside = self._beside(source / name)
        if self._has_beside() and beside.is_file():
            _move(beside, _free(target / beside.name))

    def _fetch_left_behind(self) -> None:
        """Finish the claim of a run that was killed between a file and what lay beside it."""
        for path, _ in self._files(self.processing):
            if not (self.folder / path.name).exists():
                self._move_beside(path.name, self.folder, self.processing)

    def _files(self, folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
        for path, info in _plain_files(folder):
            if self._is_ours(path.name):
                yield path, info

    def _is_ours(self, name: str) -> bool:
        # A reject file comes back under the name we gave it, whatever the pattern.
        ours = is_named(name) or _fits(name.lower(), self._options.pattern.lower())
        return ours and not self._is_beside(name)

    def _is_beside(self, name: str) -> bool:
        """Whether a name is that of a done file or manifest, should the pattern match those too."""
        ready = self._options.ready
        if ready.manifest:
            return name.endswith(".manifest.json")
        end = re.split(r"\{name\}|\{stem\}", ready.done_file)[-1] if ready.done_file else ""
        return bool(end) and name.endswith(end)

    def _look(self, path: Path, info: os.stat_result) -> Look:
        ready, age = self._options.ready, _age(info, self._clock())
        if is_named(path.name):  # a person drops it, without a done file or manifest
            settle = _BY_HAND if ready.settle is None else ready.settle
            return _settled(path, info, age, settle)
        if self._has_beside() and not self._beside(path).is_file():
            return Look(path, f"{path.name} waits for {self._beside(path).name}")
        if ready.manifest and age < GIVEN_UP_SECONDS and not self._fits(path):
            return Look(path, f"{path.name} does not match its manifest, so it is still waited for")
        return Look(path) if ready.settle is None else _settled(path, info, age, ready.settle)

    def _fits(self, path: Path) -> bool:
        try:
            return manifest_fits(self.manifest_of(path) or {}, sha256_of(path))
        except FileNotFoundError:
            return False  # taken away between two looks


def _is_only_offered(path: Path, info: os.stat_result) -> bool:
    """Whether a reject file is the one that we wrote there, and none that came back mended."""
    return is_named(path.name) and info.st_ctime - info.st_mtime < _WRITTEN_THERE_SECONDS


def _settled(path: Path, info: os.stat_result, age: float, settle: timedelta) -> Look:
    if not info.st_size and age < GIVEN_UP_SECONDS:
        return Look(path, f"{path.name} is empty, so it is still waited for")
    seconds = settle.total_seconds()
    if age < seconds:
        why = f"{path.name} is {age:.0f} s old, taken once it is {seconds:.0f} s old"
        return Look(path, why, seconds - age)
    return Look(path)


def manifest_fits(manifest: dict[str, Any], sha256: str) -> bool:
    """Whether a manifest says something, and its hash (when it has one) is the file's.

    Its number of rows is compared when they have been read.
    """
    said = manifest.get("sha256")
    if said is None:
        return isinstance(manifest.get("rows"), int)
    return str(said).lower() == sha256


def _plain_files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield plain finished files; links are not followed, wherever they point."""
    for entry in _finished(folder):
        with suppress(FileNotFoundError):  # taken away between two looks
            info = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(info.st_mode):
                yield Path(entry.path), info


def _finished(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, in the order of its names, but for what is still being sent."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _refused(folder, error) from error
    return [
        entry
        for entry in entries
        if not any(fnmatch(entry.name.lower(), pattern) for pattern in _UNFINISHED)
    ]


def _fits(name: str, pattern: str) -> bool:
    """Whether a file is taken: by its own name, or by that of the one that is packed in it."""
    if fnmatch(name, pattern):
        return True
    bare, end = Path(name).stem, Path(name).suffix
    forms = {".gz": (bare,), ".zip": (bare, f"{bare}.csv")}.get(end, ())
    return any(fnmatch(form, pattern) for form in forms)


def _age(info: os.stat_result, now: float) -> float:
    """Seconds since the file was written; where its own time lies ahead, since it came here."""
    written = info.st_mtime if info.st_mtime <= now else info.st_ctime
    return max(0.0, now - written)


def _oldest_first(paths: Iterable[Path]) -> list[Drop]:
    drops = []
    for path in paths:
        with suppress(FileNotFoundError):
            drops.append(drop_of(path))
    return sorted(drops, key=lambda drop: (drop.stamp, drop.modified, drop.name))


def drop_of(path: Path) -> Drop:
    moment = datetime.fromtimestamp(path.stat(follow_symlinks=False).st_mtime, UTC)
    modified = moment.isoformat(timespec="microseconds")
    dated = _date_in(path.name)
    return Drop(path, dated, "name", modified) if dated else Drop(path, modified, "mtime", modified)


def _date_in(name: str) -> str | None:
    """Return the date (and time) that a file name carries, as ISO text that sorts."""
    if found := _NAME_DATE.search(name):
        year, month, day, *clock = found.groups()
        hour, minute, second = (part or "00" for part in clock)
        return f"{year}-{month}-{day}T{hour}:{minute}:{second}"
    if found := _NAME_DATE_DMY.search(name):
        return f"{found[3]}-{found[2]}-{found[1]}T00:00:00"
    return None


def _free(path: Path) -> Path:
    """Return a name that nothing has yet: visits.csv, visits-2.csv, visits-3.csv …"""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def _move(source: Path, target: Path) -> None:
    with suppress(FileNotFoundError):
        source.rename(target)


class _refusing(AbstractContextManager[None]):  # noqa: N801  # reads as the word it is: with _refusing(folder)
    """Turn what the file system says no to into a Refused that names the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise _refused(self._folder, error) from error


def _refused(folder: Path, error: OSError) -> Refused:
    return Refused(
        f"files in {folder} cannot be moved or read: {error.strerror}",
        fix="let the user that runs clinicrelay write there; all of it must be one file system",
    )
