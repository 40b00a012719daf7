"""Who may work on what: a row with an end, the database's clock, and a token that fences off ghosts."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from clinicrelay.errors import ClinicrelayError, StoreBusy
from sync.store import dialects

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.store import Store


EVERY = "every:"  # begins the names of turns: whoever has one of them is not at work for it
# Leases (store, clinic, name, token) that could not be given back, as the store did not answer: nobody
# works under them any more, and this process may take them again although it lives.
_left: set[tuple[str, str, str, int]] = set()

_MOMENT, _MOMENTS = 0.05, 40  # seconds, and how many of them to wait for a lease
_ENOUGH = 0.9  # of its length is left to a lease that need not be renewed


class LeaseLost(StoreBusy):
    """Somebody else has taken over: what this owner still wanted to write is void, the rest stands."""

    so_far = "What was done until then stands"


@dataclass(frozen=True, slots=True)
class Lease:
    """Leave to work on `name`; call `fence` inside every transaction that relies on it."""

    clinic: str
    name: str
    token: int
    length: timedelta

    def fence(self, connection: Connection, patience: timedelta = timedelta(0)) -> None:
        """Hold the lease through this transaction, and for `patience` at least until the next one.

        Raises LeaseLost when it is no longer ours, so that the transaction is rolled back. This is
        in every transaction of every message, so the row is written only where a tenth of its time
        has passed, or where it would hold longer than is wanted now; nobody can take it meanwhile.
        """
        now, row = dialects.MOMENT[connection.dialect.name], (self.clinic, self.name, self.token)
        mine = "WHERE clinic = ? AND name = ? AND token = ?"
        found = dialects.locked(connection, f"SELECT until - {now} FROM leases {mine}", row)
        if not found:
            raise LeaseLost(f"another run has taken over ({self.name})")
        wanted = max(self.length, patience)
        enough, left = max(patience, wanted * _ENOUGH), timedelta(seconds=found[0][0])
        if not enough <= left <= wanted:
            renewed = f"UPDATE leases SET until = {now} + ? {mine}"
            dialects.run(connection, renewed, (wanted.total_seconds(), *row))


@contextmanager
def lease(store: Store, name: str, length: timedelta) -> Iterator[Lease | None]:
    """Hold the lease `name`, or give None at once when another owner has it.

    A killed owner blocks for `length` at most, or as long as it had patience with somebody's answer;
    one of this host whose process is gone, not at all.
    """
    with store.write() as connection:
        held = _take(connection, store.clinic, name, length)
    if held is None:
        yield None
        return
    try:
        yield held
    finally:
        try:
            with store.write() as connection:
                _release(connection, held)
        except ClinicrelayError:
            _left.add((str(store.engine.url), held.clinic, held.name, held.token))
            raise


@contextmanager
def soon(
    store: Store, name: str, length: timedelta, ending: threading.Event
) -> Iterator[Lease | None]:
    """Hold a lease that others hold for moments only; None when one is not, or all is to end."""
    for _ in range(_MOMENTS):
        with lease(store, name, length) as held:
            if held is not None:
                yield held
                return
        ending.wait(_MOMENT)
    yield None


def take_turn(store: Store, name: str, length: timedelta) -> bool:
    """Say whether it is this process's turn, and nobody's again for so long.

    For what many processes could do and one is to do once in a while: nothing is written while it is
    nobody's turn.
    """
    with store.read() as connection:
        if _is_held(connection, store.clinic, name):
            return False
    with store.write() as connection:
        return _take(connection, store.clinic, name, length) is not None


@contextmanager
def renewed(store: Store, held: Lease, *, at_most: timedelta) -> Iterator[None]:
    """Renew a lease in the background, as its owner may wait long for somebody else's answer.

    Not for ever: an owner that hangs must not keep everybody else away.
    """
    ended = threading.Event()
    until = time.monotonic() + at_most.total_seconds()

    def renew() -> None:
        while not ended.wait(held.length.total_seconds() / 3) and time.monotonic() < until:
            try:
                with store.write() as connection:
                    held.fence(connection)
            except ClinicrelayError:
                return  # the owner finds out when it writes

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def release_ours(connection: Connection, clinic: str) -> None:
    """Give back what this very process holds: it ends, and does not wait for its threads."""
    ours = f"{_host()}|{os.getpid()}|{_started(os.getpid())}|"
    held = [
        name for of, name, owner in _held(connection) if of == clinic and owner.startswith(ours)
    ]
    for name in held:
        dialects.run(
            connection,
            "UPDATE leases SET until = 0 WHERE clinic = ? AND name = ?",
            (clinic, name),
        )


def anyone_at_work(connection: Connection) -> bool:
    """Whether anybody alive holds any lease of any clinic of this store."""
    return any(not _is_dead(owner) for _, _, owner in _held(connection))


def of_the_dead(connection: Connection) -> list[tuple[str, str]]:
    """Return the leases (clinic, name) that processes of this machine held when they were killed."""
    return [(clinic, name) for clinic, name, owner in _held(connection) if _is_dead(owner)]


def _held(connection: Connection) -> list[tuple[str, str, str]]:
    held = text("SELECT clinic, name, owner FROM leases WHERE until > :now")
    rows = connection.execute(held, {"now": _clock(connection)})
    return [(row.clinic, row.name, row.owner) for row in rows if not row.name.startswith(EVERY)]


def _is_held(connection: Connection, clinic: str, name: str) -> bool:
    row, now = _row(connection, clinic, name), _clock(connection)
    return row is not None and row[2] > now and not _is_dead(row[0])


def _row(connection: Connection, clinic: str, name: str) -> tuple[Any, ...] | None:
    wanted = "SELECT owner, token, until FROM leases WHERE clinic = ? AND name = ?"
    return next(iter(dialects.fetch(connection, wanted, (clinic, name))), None)


def _take(connection: Connection, clinic: str, name: str, length: timedelta) -> Lease | None:
    now = _clock(connection)
    row = _row(connection, clinic, name)
    if row is not None and row[2] > now and not _is_dead(row[0]):
        left = str(connection.engine.url), clinic, name, row[1]
        if left not in _left:
            return None
        _left.discard(left)
    until = now + length.total_seconds()
    if row is None:
        token = 1
        values = {"clinic": clinic, "name": name, "owner": _owner(), "token": 1, "until": until}
        taken = dialects.insert_once(connection, "leases", values)
    else:
        token = row[1] + 1
        renewed = dialects.run(
            connection,
            "UPDATE leases SET owner = ?, token = ?, until = ? "
            "WHERE clinic = ? AND name = ? AND token = ?",
            (_owner(), token, until, clinic, name, row[1]),
        )
        taken = renewed == 1
    return Lease(clinic, name, token, length) if taken else None


def _release(connection: Connection, held: Lease) -> None:
    dialects.run(
        connection,
        "UPDATE leases SET until = 0 WHERE clinic = ? AND name = ? AND token = ?",
        (held.clinic, held.name, held.token),
    )


def _clock(connection: Connection) -> float:
    """The database's clock: workers' own may differ, and would steal from one another."""
    ((now,),) = dialects.fetch(connection, dialects.CLOCK[connection.dialect.name])
    return float(now)


def _owner() -> str:
    """Host, process, when it started, and chance: a forked child or a reused pid is another owner."""
    return f"{_host()}|{os.getpid()}|{_started(os.getpid())}|{secrets.token_hex(4)}"


def _is_dead(owner: str) -> bool:
    host, pid, started, _ = owner.split("|")
    if host != _host():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _started(int(pid)) != started


@cache
def _host() -> str:
    """This host as no other container of the same name is: pids mean something only within one."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    space = Path("/proc/self/ns/pid")
    parts = [socket.gethostname()[:60]]
    if boot.exists():
        parts.append(boot.read_text().strip()[:8])
    if space.exists():
        parts.append(str(space.stat().st_ino))
    return "/".join(parts).replace("|", "")


def _started(pid: int) -> str:
    """When a process started, where the system says so; it tells a reused pid from the old one."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else fields[18]  # a zombie works on nothing
