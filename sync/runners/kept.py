"""What the service keeps of a clinic between two cycles, and what it makes anew for each.

Kept: the settings as they were read (secrets are taken anew as soon as a file of theirs is another
one), and the engine of the store with what it has compiled, one for all clinics of a store. Made anew
for each cycle: `Clinic` with its clock, its plugins and everything that it looks up: that is right
within one run and wrong in the next. Asked each time: whether the store is still the same file, of
the version that we know, and where it went live.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from clinicrelay.errors import SettingsError, StoreRefused
from clinicrelay.ids import ulid
from sync import opening, outward, whereabouts
from sync import store as stores
from sync.clinic import Clinic
from sync.store import dialects

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clinicrelay.settings import Loaded, Settings
    from sync.store import Store

# Files whose connections are kept: each takes three descriptors and half a megabyte.
_WARM = 50

Mark: TypeAlias = "tuple[int, ...] | None"
Tell: TypeAlias = "Callable[[str], None]"


class Stores:
    """The stores of all clinics of a service, opened when they are first needed."""

    def __init__(self) -> None:
        self._engines: dict[str, Engine] = {}
        self._known: dict[tuple[str, str], Store] = {}
        self._marks: dict[str, Mark] = {}
        self._users: Counter[str] = Counter()
        self._opening: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @contextmanager
    def lend(self, settings: Settings, *, now: datetime, tell: Tell) -> Iterator[Store]:
        """Give a clinic's store to one thread. Raises StoreBusy and SettingsError."""
        url = settings.store_url
        with self._opening[url]:
            store = self._store(settings, url, now=now, tell=tell).beside()
            self._users[url] += 1
        try:
            stores.look_again(store)
            yield store
        except StoreRefused:
            self._forget(url)  # whatever a person does about it, the next one finds it so
            raise
        finally:
            store.rest()
            with self._opening[url]:
                self._users[url] -= 1
                self._rest(url)

    def keep(self, urls: Collection[str]) -> None:
        """Let go of the others: no clinic names them any more."""
        for url in list(self._engines):
            if url not in urls:
                self._forget(url)

    def close(self) -> None:
        """Let all of them go."""
        self.keep(())

    def _store(self, settings: Settings, url: str, *, now: datetime, tell: Tell) -> Store:
        if url in self._engines and self._marks[url] != _mark_of(dialects.file_of(url)):
            self._forget(url)  # another file is in its place, and ours is in nobody's
        who = url, settings.clinic.id
        if who not in self._known:
            engine = self._engines.get(url)
            opened = opening.open_store(settings, now=now, tell=tell, on=engine)
            opened.rest()  # from now on it only lends
            self._known[who], self._engines[url] = opened, opened.engine
            self._marks[url] = _mark_of(dialects.file_of(url))
        return self._known[who]

    def _rest(self, url: str) -> None:
        """Close the connections to a file that nobody uses now, where there are many files."""
        engine = self._engines.get(url)
        if engine is not None and not self._users[url] and len(self._engines) > _WARM:
            engine.dispose()

    def _forget(self, url: str) -> None:
        for who in [who for who in list(self._known) if who[0] == url]:
            self._known.pop(who, None)
        if (engine := self._engines.pop(url, None)) is not None:
            engine.dispose()  # who still has a connection of it keeps that one to the end


class Kept:
    """One clinic of a service. `loaded` are the settings that its next cycle goes by."""

    def __init__(self, loaded: Loaded, engines: Stores, ending: threading.Event) -> None:
        self.loaded = loaded
        self._stores, self._ending = engines, ending
        self._reading = threading.Lock()
        self._secrets = self._tried = _marks_of(loaded)

    @property
    def name(self) -> str:
        return self.loaded.settings.clinic.id

    def replace(self, loaded: Loaded) -> None:
        """Go by other settings from the next cycle on."""
        with self._reading:
            self.loaded, self._secrets = loaded, _marks_of(loaded)
            self._tried = self._secrets

    @contextmanager
    def at_work(self, tell: Tell) -> Iterator[Clinic]:
        """Make the clinic for one cycle; `tell` hears sentences for a person.

        Raises StoreBusy, and SettingsError where nothing may be done with it.
        """
        settings, now = self._with_secrets(tell).settings, datetime.now(UTC)
        with self._stores.lend(settings, now=now, tell=tell) as store:
            clinic = Clinic(
                settings,
                store,
                run=ulid(now),
                now=now.replace(microsecond=0),
                file=self.loaded.file,
                ending=self._ending,
            )
            try:
                if told := whereabouts.look_around(clinic):
                    tell(told)
                if wrong := outward.not_to_be_worked_on(clinic):
                    raise SettingsError([wrong])
                yield clinic
            finally:
                clinic.close()

    def release(self) -> None:
        """Give back the leases of a cycle that this process does not wait for. Raises StoreBusy."""
        from sync.store import leases

        settings = self.loaded.settings
        with (
            self._stores.lend(settings, now=datetime.now(UTC), tell=lambda _: None) as store,
            store.write() as connection,
        ):
            leases.release_ours(connection, store.clinic)

    def _with_secrets(self, tell: Tell) -> Loaded:
        """Take the secrets anew where a file of theirs has changed; what cannot be read waits."""
        from clinicrelay.settings.load import with_secrets_anew

        with self._reading:
            if (marks := _marks_of(self.loaded)) not in (self._secrets, self._tried):
                self._tried = marks
                try:
                    self.loaded, self._secrets = with_secrets_anew(self.loaded), marks
                except SettingsError as error:
                    wrong = next(one for one in error.findings if one.severity == "error")
                    tell(f"{wrong.message}; until then what was read before holds")
            return self.loaded


def _marks_of(loaded: Loaded) -> dict[Path, Mark]:
    """Return what tells the files that secrets came from from what they were before."""
    found = {file: _stat(file) for file in loaded.followed}
    return {
        file: one and (one.st_dev, one.st_ino, one.st_mtime_ns, one.st_size)
        for file, one in found.items()
    }


def _mark_of(file: Path | None) -> Mark:
    """Return which file of a store it is; its content is another one all the time."""
    found = _stat(file) if file is not None else None
    return found and (found.st_dev, found.st_ino)


def _stat(file: Path) -> os.stat_result | None:
    try:
        return os.stat(file)  # noqa: PTH116 - at each cycle
    except OSError:
        return None
