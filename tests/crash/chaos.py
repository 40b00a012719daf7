"""What chance does to three workers of one clinic, and whether all comes out as without it.

Workers are killed (whole, the main process, a child), frozen for longer than a lease, wake-ups are
thrown away and doubled, connections to the store are cut, all by chance every one to three seconds,
while exports go on coming. Then nobody is disturbed any more, and what Google and Twilio have is
compared with what one run after the other would have made of the same exports.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from clinicrelay.times import local
from sync.runners import once
from sync.runners.celery import NOT_TAKEN
from sync.runners.jobs import Job
from sync.store.shards import SHARDS
from tests.crash.fleet import Fleet, Worker, until
from tests.crash.house import LEASE, Book, House, house
from tests.crash.scenes import create_database, drop_database, url_of

WORKERS = 3
SOON = timedelta(minutes=5)
FROZEN = LEASE + 3.0  # seconds
EVERYTHING = (
    Job("pull", "reception"),
    Job("settle"),
    Job("plan"),
    *(Job("send", str(shard)) for shard in range(SHARDS)),
    Job("push", "google"),
)


# --- the storm -----------------------------------------------------------------------------------


@dataclass
class Storm:
    """What chance does; the same seed wants the same again, though not at the same moment."""

    house: House
    fleet: Fleet
    book: Book
    chance: Random
    did: Counter[str] = field(default_factory=Counter)
    frozen: dict[int, tuple[Worker, float]] = field(default_factory=dict)

    def blow(self, seconds: float) -> None:
        """Disturb for so long, while an export comes every two seconds or so."""
        ends = time.monotonic() + seconds
        strikes = exports = 0.0
        while (now := time.monotonic()) < ends:
            if now >= exports and self.book.next():
                self.drop()
                exports = now + self.chance.uniform(1.5, 2.5)
            self._wake()
            if now >= strikes:
                self._strike(now)
                strikes = now + self.chance.uniform(1, 3)
            self._thaw(now)
            self.man()
            time.sleep(0.25)
        while self.frozen:
            self._thaw(time.monotonic())
            time.sleep(0.25)
        self.man()
        while self.book.next():  # what did not come in time
            pass
        self.drop()

    def drop(self) -> None:
        self.house.scene.drop([*self.book.rows.values()], self.book.exports + 1)

    def _wake(self) -> None:
        with suppress(*NOT_TAKEN):
            self.fleet.wake(Job("pull", "reception"))
            if self.chance.random() < 0.3:  # as if all had come twice
                self.did["wake-ups doubled"] += len(EVERYTHING)
                self.fleet.wake(*EVERYTHING)

    def _strike(self, now: float) -> None:
        strike = self.chance.choice(
            (
                self._kill,
                self._kill,
                self._kill_main,
                self._kill_child,
                self._freeze,
                self._freeze,
                self._purge,
                self._cut,
            )
        )
        able = [w for w in self._manned() if w.process.pid not in self.frozen and w.children()]
        strike(self.chance.choice(able or self._manned()), now)

    def _kill(self, worker: Worker, _now: float) -> None:
        self.did["workers killed"] += worker.lives
        worker.kill()

    def _kill_main(self, worker: Worker, _now: float) -> None:
        self.did["main processes killed"] += worker.lives
        worker.kill_main()

    def _kill_child(self, worker: Worker, _now: float) -> None:
        for child in worker.children()[:1]:
            self.did["children killed"] += 1
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(_handle(child), signal.SIGKILL)

    def _freeze(self, worker: Worker, now: float) -> None:
        if worker.lives and not self.frozen:
            self.did["freezes"] += 1
            worker.signal(signal.SIGSTOP)
            self.frozen[worker.process.pid] = worker, now + FROZEN

    def _thaw(self, now: float) -> None:
        for pid, (worker, at) in list(self.frozen.items()):
            if now >= at:
                worker.signal(signal.SIGCONT)
                del self.frozen[pid]

    def _purge(self, _worker: Worker, _now: float) -> None:
        with suppress(*NOT_TAKEN):
            self.did["wake-ups purged"] += self.fleet.purge()
            self.did["purges"] += 1

    def _cut(self, _worker: Worker, _now: float) -> None:
        """End every connection to the store, as a restart of the database does."""
        url = make_url(self.house.scene.store_url)
        engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                ended = connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
                self.did["connections cut"] += len(ended.fetchall())
                return
            theirs = connection.execute(
                text(
                    "SELECT id FROM information_schema.processlist "
                    "WHERE db = DATABASE() AND id <> CONNECTION_ID()"
                )
            ).fetchall()
            for (one,) in theirs:
                with suppress(Exception):
                    connection.execute(text(f"KILL {one}"))
                    self.did["connections cut"] += 1

    def _manned(self) -> list[Worker]:
        return [worker for worker in self.fleet.workers if worker.lives]

    def man(self) -> None:
        """Start as many anew as have ended, as a supervisor does."""
        for _ in range(WORKERS - len(self._manned())):
            self.fleet.start()


def _handle(pid: int) -> int:
    return os.pidfd_open(pid)


# --- the verdict ---------------------------------------------------------------------------------


@dataclass
class Verdict:
    """What differs from a run that nobody disturbed."""

    lost: list[Any]
    doubled: list[Any]
    stale: list[Any]
    unproven: int
    figures: dict[str, Any]

    def __str__(self) -> str:
        said = ", ".join(f"{what} {n}" for what, n in self.figures.items())
        return (
            f"lost {len(self.lost)}, doubled {len(self.doubled)}, stale {len(self.stale)}, "
            f"unproven {self.unproven}; {said}"
        )


def compare(disturbed: House, calm: House, figures: dict[str, Any]) -> Verdict:
    """Compare what reached Google and Twilio."""
    owed, sent, unproven = calm.sent, disturbed.sent, disturbed.unproven()
    wanted, there = calm.events(), disturbed.events()
    lost: list[Any] = [one for one in owed if one not in sent and one[0] not in unproven]
    lost += [event for event in wanted if event not in there]
    doubled: list[Any] = [one for one, n in sent.items() if n > 1 or one not in owed]
    doubled += disturbed.google.duplicates().values()
    stale = [event for event, shows in there.items() if wanted.get(event) != shows]
    missing = len([one for one in owed if one not in sent])
    figures |= {"events": len(wanted), "messages": owed.total()}
    return Verdict(lost, doubled, stale, missing, figures)


@contextmanager
def databases(server: str) -> Iterator[list[str]]:
    names = [create_database(server) for _ in range(2)]
    try:
        yield [url_of(server, name) for name in names]
    finally:
        for name in names:
            drop_database(server, name)


def weather(
    folder: Path, server: str, *, seed: int, seconds: float, imported: int, nudged: bool
) -> Verdict:
    """Let a storm blow over a clinic, wait until all is calm, and judge.

    `nudged`: while it calms down, wake-ups come every second instead of by the workers' own sweeps,
    and nobody waits for what has to be asked about a second time.
    """
    began = time.monotonic()
    with databases(server) as (one, other), house(folder / "storm", one) as disturbed:
        now = local(datetime.now(UTC), "Europe/Berlin").replace(
            second=0, microsecond=0, tzinfo=None
        )
        due = (-SOON,) if nudged else (-SOON, SOON / 5)
        book = Book(now, imported, due)
        disturbed.imports(book)
        fleet = Fleet(disturbed.scene)
        try:
            storm = Storm(disturbed, fleet, book, Random(seed))
            storm.man()
            until(lambda: fleet.listeners() == WORKERS, 120)
            storm.blow(seconds)
            blown = time.monotonic()

            def is_over() -> bool:
                if nudged:
                    fleet.wake(*EVERYTHING)
                    time.sleep(1)
                return disturbed.is_calm() and (nudged or not disturbed.unproven())

            until(is_over, 60 if nudged else 400)
            calmed = time.monotonic() - blown
        finally:
            fleet.close()
        with disturbed.opened() as at_work:
            assert not once.sync(at_work).sources["reception"].changes
        assert disturbed.is_calm()
        with house(folder / "calm", other) as calm:
            _undisturbed(calm, Book(now, imported, due), exports=book.exports)
            figures = {
                "seconds": round(time.monotonic() - began),
                "calm after": round(calmed),
                **storm.did,
                "workers started": len(fleet.workers),
            }
            return compare(disturbed, calm, figures)


def _undisturbed(calm: House, book: Book, *, exports: int) -> None:
    calm.imports(book)
    while book.exports < exports and book.next():
        calm.scene.drop([*book.rows.values()], book.exports + 1)
        with calm.opened() as at_work:
            once.sync(at_work)
    with calm.opened() as at_work:
        once.sync(at_work)
