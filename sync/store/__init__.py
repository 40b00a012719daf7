"""The store: one SQL database that holds all truth. `Store` is one clinic's view of it.

The modules beside this one each keep one matter (visits, what was said, events …) as functions over
a connection; transactions are opened here, by the step that knows what belongs together.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import text

from clinicrelay.errors import ClinicrelayError
from sync.store import dialects, schema, troubles

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection, Engine


class Store:
    """One clinic's rows. Use `write()` for a transaction, `read()` for a look.

    `made` says that there was no store before this one was opened; `writes` counts the transactions
    that were begun, by which somebody watching sees that work goes on.
    """

    def __init__(self, engine: Engine, clinic: str, scratch: Connection | None = None) -> None:
        self.engine = engine
        self.clinic = clinic
        self._scratch = scratch
        self._writing: list[Connection] = []  # that nobody uses at the moment
        self._reading: list[Connection] = []
        self.instance_key = b""
        self.made = False
        self.writes = 0

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction; what it did is there afterwards, all of it or nothing.

        Raises StoreBusy when the database does not answer or stays locked, StoreRefused when it
        never will until a person mends something.
        """
        self.writes += 1
        with troubles.understood(self.engine):
            if self._scratch is not None:
                with self._scratch.begin_nested():
                    yield self._scratch
            else:
                with self._begun(self._writing) as connection:
                    yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a consistent look at the store that changes nothing."""
        with troubles.understood(self.engine):
            if self._scratch is not None:
                yield self._scratch
            elif dialects.is_in_memory(self.engine):  # one connection, and nobody else changes it
                with self.engine.connect().execution_options(reading=True) as connection:
                    yield connection
            else:
                with self._begun(self._reading, reading=True) as connection:
                    yield connection

    @contextmanager
    def _begun(self, kept: list[Connection], **options: bool) -> Iterator[Connection]:
        """Begin a transaction, in a file on the connection that had the last one of its kind.

        To ask a pool for one costs a message a twentieth of its time. A server may have ended it
        meanwhile, which the pool finds out.
        """
        try:
            connection = kept.pop()
        except IndexError:
            connection = self.engine.connect().execution_options(**options)
        try:
            with connection.begin():
                yield connection
        except BaseException:
            connection.close()
            raise
        if kept or self.engine.dialect.name != "sqlite":
            connection.close()
        else:
            kept.append(connection)

    def beside(self) -> Store:
        """Return another view of the same clinic on the same engine, for one more thread's work."""
        other = Store(self.engine, self.clinic)
        other.instance_key = self.instance_key
        return other

    def rest(self) -> None:
        """Give back the connections that are kept for the next transaction."""
        for kept in (self._writing, self._reading):
            while kept:
                kept.pop().close()

    def close(self) -> None:
        self.rest()
        self.engine.dispose()


def open_store(
    url: str,
    clinic: str,
    *,
    now: datetime,
    key: bytes | None = None,
    tell: Callable[[str], None] = lambda _sentence: None,
    on: Engine | None = None,
    who: Callable[[], str] = lambda: "clinicrelay",
) -> Store:
    """Open (and if need be create) the store and introduce the clinic to it.

    `key` is the instance key of a clinic that the store does not know yet, else a new one. `tell`
    hears in a sentence when a store in a file was upgraded, and `who` opened it is noted. `on` is an
    engine of the same URL that other clinics use as well. Raises StoreBusy when the database does not
    answer, SettingsError when it is newer than we are, or older on a server.
    """
    upgraded: list[str] = []
    with _opening(url, on) as engine:
        made = schema.prepare(engine, now=now, tell=upgraded.append)
        store = Store(engine, clinic)
        store.made = made
        _introduce(store, now, key)
        for sentence in upgraded:
            tell(sentence)
            _note_upgraded(store, who())
    return store


def look_again(store: Store) -> None:
    """Raise SettingsError where another program has meanwhile made another version of a store."""
    with store.read() as connection:
        schema.refuse_other(schema.version_in(connection))


def _note_upgraded(store: Store, who: str) -> None:
    from sync.store import audit

    with store.write() as connection:
        audit.note_everywhere(connection, audit.Deed(who, "store.upgrade", "store"))


def refuse_absent(url: str) -> None:
    """Raise SettingsError where there is no store yet; looking does not make one."""
    if not exists(url):
        raise troubles.refused(
            "no_store", "there is no store yet", "the first clinicrelay sync makes it"
        )


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """Connect to a database for a while. Raises StoreBusy and StoreRefused."""
    with _opening(url) as engine:
        try:
            yield engine
        finally:
            engine.dispose()


@contextmanager
def _opening(url: str, on: Engine | None = None) -> Iterator[Engine]:
    """Connect to a database, and stay so unless something goes wrong; its file is for us alone."""
    file = dialects.file_of(url)
    if file is not None:
        _make_folder(file)
    engine = on or dialects.connect(url)
    try:
        with troubles.understood(engine):
            yield engine
    except ClinicrelayError:
        engine.dispose()
        raise
    if file is not None and os.name == "posix":
        _keep_private(str(file))


def exists(url: str) -> bool:
    """Whether there is a store already; looking does not make one."""
    file = dialects.file_of(url)
    if file is not None and not file.exists():
        return False
    engine = dialects.connect(url)
    try:
        with troubles.understood(engine):
            return schema.version_of(engine) is not None
    finally:
        engine.dispose()


@contextmanager
def scratch(url: str, clinic: str, *, now: datetime) -> Iterator[Store]:
    """Open a store whose every write vanishes at the end: what `plan` runs the line on.

    A SQLite file is copied into memory; on a server all happens in one transaction that is rolled
    back. A store that does not exist yet is not created.
    """
    there = exists(url)
    engine = dialects.connect(url)
    try:
        if dialects.file_of(url) is None and there:
            with _rolled_back(engine, clinic, now=now) as store:
                yield store
            return
        with troubles.understood(engine):
            copy = dialects.copy_in_memory(url if there else None)
        with _in_memory(copy, clinic, now=now) as store:
            yield store
    finally:
        engine.dispose()


@contextmanager
def _in_memory(engine: Engine, clinic: str, *, now: datetime) -> Iterator[Store]:
    try:
        schema.prepare(engine, now=now, tell=lambda _sentence: None)
        store = Store(engine, clinic)
        _introduce(store, now)
        yield store
    finally:
        engine.dispose()


@contextmanager
def _rolled_back(engine: Engine, clinic: str, *, now: datetime) -> Iterator[Store]:
    with troubles.understood(engine):
        schema.refuse_other(schema.version_of(engine))
        with engine.connect() as connection:
            transaction = connection.begin()
            dialects.may_take_long(connection)
            try:
                store = Store(engine, clinic, scratch=connection)
                _introduce(store, now)
                yield store
            finally:
                transaction.rollback()


def _introduce(store: Store, now: datetime, key: bytes | None = None) -> None:
    known = "SELECT instance_key FROM clinics WHERE clinic = :clinic"
    with store.read() as connection:
        row = connection.execute(text(known), {"clinic": store.clinic}).fetchone()
    if row is None:
        with store.write() as connection:
            new = {
                "clinic": store.clinic,
                "instance_key": key or secrets.token_bytes(32),
                "created_at": seconds(now),
                "policy": "",
            }
            dialects.insert_once(connection, "clinics", new)
            row = connection.execute(text(known), {"clinic": store.clinic}).one()
    store.instance_key = bytes(row[0])


def _keep_private(file: str) -> None:
    """The store holds patients' data: nobody else on the machine may read it."""
    for name in (file, f"{file}-wal", f"{file}-shm"):
        if os.path.exists(name) and os.stat(name).st_mode & 0o077:  # noqa: PTH110, PTH116
            os.chmod(name, 0o600)  # noqa: PTH101 - plain os: this runs at every start


def _make_folder(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        raise troubles.as_error(troubles.FULL if full else troubles.unwritable(file)) from error


def seconds(instant: datetime) -> int:
    """Return an instant as the store keeps it."""
    return int(instant.timestamp())


@lru_cache(maxsize=1024)  # what came with one import was first seen at one moment
def instant(second: int) -> datetime:
    """Return an instant that the store keeps."""
    return datetime.fromtimestamp(second, UTC)
