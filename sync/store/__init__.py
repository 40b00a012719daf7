"""The store: one SQL database that holds all truth. `Store` is one clinic's view of it.

The modules beside this one each keep one matter (visits, what was said, events …) as functions over
a connection; transactions are opened here, by the step that knows what belongs together.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from clinicrelay.errors import SettingsError, StoreBusy
from sync.store import dialects, schema

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


class Store:
    """One clinic's rows. Use `write()` for a transaction, `read()` for a look."""

    def __init__(self, engine: Engine, clinic: str, scratch: Connection | None = None) -> None:
        self.engine = engine
        self.clinic = clinic
        self._scratch = scratch
        self.instance_key = b""
        self.mode = "rehearsal"

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction; what it did is there afterwards, all of it or nothing.

        Raises StoreBusy when the database does not answer or stays locked.
        """
        try:
            if self._scratch is not None:
                with self._scratch.begin_nested():
                    yield self._scratch
            else:
                with self.engine.begin() as connection:
                    yield connection
        except DBAPIError as error:
            raise _busy(error) from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a consistent look at the store that changes nothing."""
        try:
            if self._scratch is not None:
                yield self._scratch
            else:
                with self.engine.connect().execution_options(reading=True) as connection:
                    yield connection
        except DBAPIError as error:
            raise _busy(error) from error

    def close(self) -> None:
        self.engine.dispose()


def open_store(url: str, clinic: str, *, now: datetime) -> Store:
    """Open (and if need be create) the store and introduce the clinic to it.

    Raises StoreBusy when the database does not answer, SettingsError when it is newer than we are.
    """
    file = dialects.file_of(url)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    engine = dialects.connect(url)
    try:
        schema.prepare(engine)
        store = Store(engine, clinic)
        _introduce(store, now)
    except DBAPIError as error:
        engine.dispose()
        raise _busy(error) from error
    except SettingsError:
        engine.dispose()
        raise
    if file is not None and os.name == "posix":
        _keep_private(str(file))
    return store


def exists(url: str) -> bool:
    """Whether there is a store already; looking does not make one."""
    file = dialects.file_of(url)
    if file is not None and not file.exists():
        return False
    engine = dialects.connect(url)
    try:
        return schema.version_of(engine) is not None
    except DBAPIError as error:
        raise _busy(error) from error
    finally:
        engine.dispose()


@contextmanager
def scratch(url: str, clinic: str, *, now: datetime) -> Iterator[Store]:
    """Open a store whose every write vanishes at the end: what `plan` runs the line on.

    A SQLite file is copied into memory; on a server all happens in one transaction that is rolled
    back. A store that does not exist yet is not created.
    """
    if dialects.file_of(url) is not None or not exists(url):
        engine = dialects.copy_in_memory(url if exists(url) else None)
        schema.prepare(engine)
        store = Store(engine, clinic)
        _introduce(store, now)
        try:
            yield store
        finally:
            engine.dispose()
        return
    engine = dialects.connect(url)
    with engine.connect() as connection:
        transaction = connection.begin()
        dialects.may_take_long(connection)
        try:
            store = Store(engine, clinic, scratch=connection)
            _introduce(store, now)
            yield store
        finally:
            transaction.rollback()
    engine.dispose()


def _introduce(store: Store, now: datetime) -> None:
    known = "SELECT instance_key, mode FROM clinics WHERE clinic = :clinic"
    with store.read() as connection:
        row = connection.execute(text(known), {"clinic": store.clinic}).fetchone()
    if row is None:
        with store.write() as connection:
            connection.execute(
                text(
                    "INSERT INTO clinics (clinic, mode, instance_key, created_at, policy) "
                    "VALUES (:clinic, 'rehearsal', :key, :now, '') ON CONFLICT DO NOTHING"
                ),
                {"clinic": store.clinic, "key": secrets.token_bytes(32), "now": seconds(now)},
            )
            row = connection.execute(text(known), {"clinic": store.clinic}).one()
    store.instance_key, store.mode = bytes(row[0]), row[1]


def _keep_private(file: str) -> None:
    """The store holds patients' data: nobody else on the machine may read it."""
    for name in (file, f"{file}-wal", f"{file}-shm"):
        if os.path.exists(name) and os.stat(name).st_mode & 0o077:  # noqa: PTH110, PTH116
            os.chmod(name, 0o600)  # noqa: PTH101 - plain os: this runs at every start


def _busy(error: DBAPIError) -> Exception:
    """Turn "locked" and "no answer" into StoreBusy; anything else is a bug and stays what it is."""
    reason = str(error.orig).splitlines()[0] if error.orig else type(error).__name__
    if error.connection_invalidated or type(error).__name__ in ("OperationalError",):
        return StoreBusy(f"the store does not answer: {reason}")
    return error


def seconds(instant: datetime) -> int:
    """Return an instant as the store keeps it."""
    return int(instant.timestamp())
