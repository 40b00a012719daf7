"""`python -m bench.claims [--n N] [--rounds R] [--write]`: how fast four processes share what is due.

All find the same reminders due. To claim is what a sender does before it decides about a message: take
the lease of a shard, read a hundred of its messages, and write what became of them under that lease;
here that nothing did, in one transaction. To send is the whole of it, by a provider in a process of its
own that takes everything at once. Every message has to be claimed, and sent, by one process and once.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from bench.__main__ import POSTGRES
from bench.messages import DUE, WAYS, clinic, taken
from bench.peers import apart
from bench.table import Line, show, write
from commands import GARBAGE

if TYPE_CHECKING:
    from sync.clinic import Clinic

PROCESSES = 4
TWILIO = next(iter(WAYS.values()))
_AT_ONCE = 100  # as `sync.send` reads them


class Done(NamedTuple):
    """What one process did, between two moments of the machine's clock."""

    began: float
    ended: float
    messages: list[int]


# --- one of the processes --------------------------------------------------------------------------


def work(file: Path, do: Callable[[Clinic], list[int]]) -> Done:
    """Open the clinic, wait for the others, and do it."""
    from datetime import UTC, datetime

    from clinicrelay.ids import ulid
    from clinicrelay.settings import load
    from sync.clinic import Clinic
    from sync.store import open_store

    gc.set_threshold(*GARBAGE)
    settings = load(file).settings
    store = open_store(settings.store_url, settings.clinic.id, now=DUE)
    run = ulid(datetime.now(UTC))
    opened = Clinic(settings, store, run=run, now=DUE, file=file, rehearsed=True)
    opened.notifier("peer")  # its library is imported
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.time()
    messages = do(opened)
    ended = time.time()
    opened.close()
    store.close()
    return Done(began, ended, messages)


def claim(opened: Clinic) -> list[int]:
    """Claim what is due until nothing is; return the numbers of the messages."""
    from sync.store import said
    from sync.store.leases import lease
    from sync.store.said import Pass
    from sync.store.shards import lease_of

    store, mine = opened.store, list[int]()
    while True:
        with store.read() as connection:
            shards = said.shards_with_due(connection, store.clinic, Pass.ALL, now=DUE)
        if not shards:
            return mine
        for shard in shards:
            with lease(store, lease_of(shard), opened.settings.store.lease) as held:
                while held is not None:
                    with store.read() as connection:
                        batch = said.due(
                            connection, store.clinic, shard, Pass.ALL, now=DUE, limit=_AT_ONCE
                        )
                    if not batch:
                        break
                    with store.write() as connection:
                        held.fence(connection)
                        for due in batch:
                            said.settle(connection, due.id, "skipped", now=DUE)
                    mine += [due.id for due in batch]


def send(opened: Clinic) -> list[int]:
    """Send what is due until nothing is; return the numbers of the messages."""
    from sync import steps
    from sync.send import MessageRun
    from sync.store import said
    from sync.store.said import Pass

    store = opened.store
    while True:
        steps.deliver_messages(opened, MessageRun())
        with store.read() as connection:
            if not said.shards_with_due(connection, store.clinic, Pass.ALL, now=DUE):
                break
    with store.read() as connection:
        sent = "SELECT message FROM attempts WHERE state = 'accepted' AND run = "
        rows = connection.exec_driver_sql(f"{sent}'{opened.run}'")
        return [int(number) for (number,) in rows]


# --- all of them -----------------------------------------------------------------------------------


def together(opened: Clinic, what: str, messages: int) -> float:
    """Let all do it at once; return messages a second. Raises SystemExit if one was doubled."""
    command = [sys.executable, "-m", "bench.claims", "--do", what, "--settings", str(opened.file)]
    runs = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for run in runs:
        _line_of(run.stdout)
    for run in runs:
        assert run.stdin
        run.stdin.write("go\n")
        run.stdin.flush()
    done = [Done(*json.loads(_line_of(run.stdout))) for run in runs]
    for run in runs:
        run.wait()
    each = [number for one in done for number in one.messages]
    if len(each) != messages or len({*each}) != messages:
        raise SystemExit(
            f"of {messages} messages {len(each)} were taken, {len({*each})} of them once"
        )
    if min(len(one.messages) for one in done) == 0:
        print("one process found nothing left", file=sys.stderr)
    return messages / (max(one.ended for one in done) - min(one.began for one in done))


def _line_of(output: IO[str] | None) -> str:
    assert output
    return output.readline()


@contextmanager
def on_postgresql() -> Iterator[str]:
    """Give the address of a new schema."""
    import psycopg

    name = f"bench_{os.getpid()}_claims"
    with psycopg.connect(
        POSTGRES.replace("postgresql+psycopg", "postgresql"), autocommit=True
    ) as db:
        db.execute(f'CREATE SCHEMA "{name}"')
        try:
            yield f"{POSTGRES}?options=-csearch_path%3D{name}"
        finally:
            db.execute(f'DROP SCHEMA "{name}" CASCADE')


@contextmanager
def on_sqlite() -> Iterator[str]:
    """Give the address of a store in the clinic's own folder."""
    yield "sqlite:///clinicrelay.db"


def lines(asked: argparse.Namespace) -> Iterator[Line]:
    """Yield the table."""
    for name, place in (("SQLite", on_sqlite), ("PostgreSQL", on_postgresql)):
        for what, messages, limit in (("claim", asked.n, 5_000), ("send", asked.n // 2, 100)):
            speeds = list[float]()
            for _ in range(asked.rounds if what == "claim" else 1):
                with place() as url, apart(TWILIO.peer) as there:
                    with clinic(TWILIO, there, messages, url) as opened:
                        speeds.append(together(opened, what, messages))
                    if what == "send" and taken(there) != messages:
                        raise SystemExit(f"{taken(there)} of {messages} messages arrived")
            done = "claimed" if what == "claim" else "sent by Twilio"
            label = f"{messages:,} messages {done}, {PROCESSES} processes, {name}"
            speed = statistics.median(speeds)
            yield Line(label, "", f"{speed:,.0f} a second", f"at least {limit:,} a second")


def main() -> None:
    """Print a line a figure, or be one of the processes."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims", description=__doc__)
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    parser.add_argument("--do", choices=("claim", "send"), help=argparse.SUPPRESS)
    parser.add_argument("--settings", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.do:
        print(json.dumps(work(asked.settings, claim if asked.do == "claim" else send)))
        return
    found = show(lines(asked))
    if asked.write:
        write("claims", found, asked.rounds)


if __name__ == "__main__":
    main()
