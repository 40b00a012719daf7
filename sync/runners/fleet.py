"""The clinics that a lasting process works for: settings as they stand now, and stores kept open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, TypeAlias

from clinicrelay.contracts import Finding
from clinicrelay.errors import ClinicrelayError, SettingsError
from clinicrelay.ids import ulid
from clinicrelay.settings import Broken, Loaded, find, load_all
from sync import opening, outward, whereabouts
from sync.clinic import Clinic

if TYPE_CHECKING:
    from sync.store import Store

Say: TypeAlias = Callable[[str], None]
Unusable: TypeAlias = Callable[[Loaded], Sequence[Finding]]
_State: TypeAlias = tuple[int, int, int] | None


class NoSuchClinic(LookupError):
    """Nobody here knows a clinic by that id."""


class Fleet:
    """Every clinic of a settings file or folder, or the one that is named.

    A file that is edited, or that a secret is in, counts from the next job on; while it cannot stand,
    what stood before does.
    `unusable` says what keeps a clinic from being worked for, if anything does.
    """

    def __init__(
        self, place: Path | None, *, only: str | None = None, unusable: Unusable, say: Say
    ) -> None:
        self._place, self._only = find(place), only
        self._unusable, self._say = unusable, say
        self._seen: dict[Path, _State] = {}
        self._clinics: dict[str, Loaded] = {}
        self._stores: dict[tuple[str, str], Store] = {}

    def clinics(self) -> Sequence[Loaded]:
        """Return the clinics by their settings as they are now."""
        if (seen := self._look()) != self._seen:
            self._read()
            self._seen = {**self._look(), **seen}  # and what was found to be followed as well
        return [*self._clinics.values()]

    @contextmanager
    def clinic(self, name: str, *, ending: Event) -> Iterator[Clinic]:
        """Open a clinic as it is now. Raises SettingsError, StoreBusy, NoSuchClinic."""
        self.clinics()
        if name not in self._clinics:
            raise NoSuchClinic
        loaded, now = self._clinics[name], datetime.now(UTC).replace(microsecond=0)
        try:
            store = self._store(loaded, now)
            run = ulid(datetime.now(UTC))
            at_work = Clinic(
                settings=loaded.settings,
                store=store,
                run=run,
                now=now,
                file=loaded.file,
                ending=ending,
            )
            try:
                if told := whereabouts.look_around(at_work):
                    self._say(f"{name}: {told}")
                if wrong := outward.not_to_be_worked_on(at_work):
                    raise SettingsError([wrong])
                yield at_work
            finally:
                at_work.close()
        except ClinicrelayError:
            self._forget(loaded)
            raise

    def close(self) -> None:
        """Let go of every store."""
        while self._stores:
            self._stores.popitem()[1].close()

    # --- settings ------------------------------------------------------------------------------------

    def _look(self) -> dict[Path, _State]:
        """Return what tells files that were edited, those of secrets too, from those that were not."""
        folder = self._place if self._place.is_dir() else self._place.parent
        files = folder.glob("*.yaml") if self._place.is_dir() else [self._place]
        secrets = {file for one in self._clinics.values() for file in one.followed}
        return {file: _state_of(file) for file in {*files, folder / ".env", *secrets}}

    def _read(self) -> None:
        try:
            found = load_all(self._place)
        except SettingsError as error:
            self._tell(error.findings)
            return
        stand: dict[str, Loaded] = {}
        unfit: set[Path] = set()
        for one in found:
            wrong = one.findings if isinstance(one, Broken) else self._unusable(one)
            if isinstance(one, Broken) or wrong:
                self._tell(wrong)
                unfit.add(one.file)
            else:
                stand[one.settings.clinic.id] = one
        before = {n: one for n, one in self._clinics.items() if one.file in unfit}
        self._clinics = {n: o for n, o in (before | stand).items() if self._only in (None, n)}

    def _tell(self, findings: Sequence[Finding]) -> None:
        for one in findings:
            if one.severity == "error":
                place = f"{one.file}:{one.line}: " if one.line else f"{one.file}: "
                self._say(f"{place if one.file else ''}{one.message}; {one.fix}")

    # --- stores --------------------------------------------------------------------------------------

    def _store(self, loaded: Loaded, now: datetime) -> Store:
        settings = loaded.settings
        at = settings.store_url, settings.clinic.id
        if at not in self._stores:
            self._stores[at] = opening.open_store(
                settings, now=now, tell=lambda told: self._say(f"{settings.clinic.id}: {told}")
            )
        return self._stores[at]

    def _forget(self, loaded: Loaded) -> None:
        """Close a store that something was wrong with: the next job opens it anew."""
        at = loaded.settings.store_url, loaded.settings.clinic.id
        if store := self._stores.pop(at, None):
            store.close()


def _state_of(file: Path) -> _State:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
