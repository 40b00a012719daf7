"""A clinic whose real runs are killed at a chosen commit or file move, and run again."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from google_peer.peer import GooglePeer
from ruamel.yaml import YAML
from sqlalchemy import create_engine, text

from clinicrelay.settings import load
from commands._call import Call
from commands._frame import clinic
from sync.runners import once
from sync.store.tables import metadata

if TYPE_CHECKING:
    from sync.clinic import Clinic

ROOT = Path(__file__).resolve().parents[2]
KILLER = Path(__file__).parent / "killer"
IMPORTED = "2026-11-23T09:00"
CHANGED = "2026-11-24T18:05"  # after the digest's hour, with reminders of a day and a half due
ROBOT = "relay@riverside.example"  # the account that doctors share their calendars with
_WRITTEN_FIRST = 1_790_000_000

# What may differ: numbers that a database gives, which run it was, and how often something was tried.
_VOLATILE = {
    *("run", "first_run", "id", "tries", "times", "told_by", "wish", "begun_at", "audit_head"),
}
_NOT_COMPARED = {"runs", "leases", "audit"}


class Point(NamedTuple):
    """A moment in a run at which it can be killed: before or after its n-th commit or file move."""

    number: int
    kind: str
    when: str
    site: str
    target: str

    @property
    def at(self) -> str:
        return f"{self.number}:{self.when}"


class Ended(NamedTuple):
    """How a process ended, and how far it came."""

    code: int
    points: list[Point]
    said: str


@dataclass
class Scene:
    """One clinic's folder and database, for real processes to work on."""

    folder: Path
    store_url: str
    moved: Counter[str] = field(default_factory=Counter)
    logs: dict[int, Path] = field(default_factory=dict)
    runs: int = 0
    environ: dict[str, str] = field(default_factory=dict)  # what its settings take from there

    def sync(self, now: str, *, kill: Point | None = None) -> Ended:
        """Run `clinicrelay sync` in a process of its own; `kill` it there."""
        return self.end(self.start(now, **({"KILLER_AT": kill.at} if kill else {})))

    def start(self, now: str, *words: str, **killer: str) -> subprocess.Popen[str]:
        """Start `sync`, or another command, and tell the killer in it what to do."""
        self.runs += 1
        log = self.folder / f"killer{self.runs}.log"
        log.unlink(missing_ok=True)  # a copied folder has those of the base
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{KILLER}{os.pathsep}{ROOT}",
            "STORE_URL": self.store_url,
            "KILLER_LOG": str(log),
            **self.environ,
            **killer,
        }
        program = [sys.executable, "-c", "import commands; commands.main()"]
        command = [*program, *(words or ["sync"]), "--now", now]
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        run = subprocess.Popen(command, cwd=self.folder, env=environment, **output)  # type: ignore[call-overload]
        self.logs[run.pid] = log
        started: subprocess.Popen[str] = run
        return started

    def end(self, run: subprocess.Popen[str]) -> Ended:
        """Wait for a run to end; return how, and how far it came."""
        said, _ = run.communicate(timeout=60)
        log = self.logs[run.pid]
        points = [_point(line) for line in log.read_text().splitlines()] if log.exists() else []
        self.moved.update(p.target for p in points if p.kind == "move" and p.when == "after")
        return Ended(run.returncode, points, said)

    def sync_here(self, now: str) -> int:
        """Run once more, without the half second that a process takes; return the exit code."""
        with self.opened(now) as at_work:
            return once.sync(at_work).exit

    @contextmanager
    def opened(self, now: str) -> Iterator[Clinic]:
        """Open the clinic as a command opens it."""
        call = Call(self.folder / "settings.yaml", now=now)
        loaded = load(call.settings, environ={"STORE_URL": self.store_url, **self.environ})
        with clinic(call, loaded) as at_work:
            yield at_work

    def told(self, now: str, *words: str) -> Any:
        """Return what a command says to programs."""
        run = self.start(now, *words, "--json")
        said, _ = run.communicate(timeout=60)
        return json.loads(said)

    def let_leases_expire(self) -> None:
        """Let the time pass after which an owner that shows no sign of life is given up."""
        engine = create_engine(self.store_url)
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
            elif engine.dialect.name == "mysql":
                connection.exec_driver_sql("SET SESSION innodb_lock_wait_timeout = 5")
            connection.execute(text("UPDATE leases SET until = 0"))
        engine.dispose()

    def drop(self, rows: list[dict[str, str]], hour: int) -> None:
        """Put an export into the inbox."""
        written = io.StringIO()
        writer = csv.DictWriter(written, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        path = self.folder / "drops" / "reception" / f"visits-{hour}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written.getvalue())
        os.utime(path, (_WRITTEN_FIRST + 3600 * hour,) * 2)

    def result(self) -> dict[str, Any]:
        """Return all that is kept and all that was written, without what may differ."""
        engine = create_engine(self.store_url)
        with engine.connect() as connection:
            tables = {
                name: [
                    dict(row._mapping) for row in connection.execute(text(f"SELECT * FROM {name}"))
                ]
                for name in metadata.tables
            }
        engine.dispose()
        names = {row["id"]: row["source_key"] for row in tables["appointments"]}
        ledger = {row["id"]: row["dedupe"] for row in tables["messages"]}
        kept = {
            name: sorted(
                (_stable(row, names, ledger) for row in rows if not _restored(row)), key=repr
            )
            for name, rows in tables.items()
            if name not in _NOT_COMPARED
        }
        return {"tables": kept, "files": self._files()}

    def undisturbed(
        self, now: str, well: Sequence[int] = (0, 3)
    ) -> tuple[list[Point], dict[str, Any]]:
        """Run twice without a kill; return every point of the first run, and the result."""
        ended = self.sync(now)
        assert {ended.code, self.sync_here(now)} <= {*well}, ended.said
        return ended.points, self.result()

    def said_twice(self) -> list[str]:
        """Return the messages that were put into the outbox more than once by all runs together."""
        return [name for name, n in self.moved.items() if n > 1 and name.endswith((".eml", ".txt"))]

    def _files(self) -> dict[str, str]:
        there = [p for place in ("var", "drops") for p in (self.folder / place).rglob("*")]
        return {
            str(path.relative_to(self.folder)): _content(path)
            for path in sorted(there)
            if path.is_file() and not _is_our_own(path.name)
        }


def _point(line: str) -> Point:
    number, kind, when, site, *target = line.split(" ", 4)
    return Point(int(number), kind, when, site, target[0] if target else "")


def _restored(row: dict[str, Any]) -> bool:
    """Whether a row is what a restore notes of itself."""
    return row.get("owner") == "sync/gap"


def _stable(row: dict[str, Any], names: dict[int, str], ledger: dict[int, str]) -> dict[str, Any]:
    stable = {name: value for name, value in row.items() if name not in _VOLATILE}
    for name in ("appointment", "replaces", "replaced_by"):
        if stable.get(name) is not None:
            stable[name] = names[stable[name]]
    if "message" in stable:
        stable["message"] = ledger[stable["message"]]
    if "visits" in stable and "digests" in stable:  # a page of what the source said last
        numbers = array("q", bytes(stable["visits"]))
        stable["visits"] = [names[number] if number > 0 else number for number in numbers]
    return stable


def _content(path: Path) -> str:
    return re.sub(r"={10,}\d+==", "=boundary=", path.read_text(errors="replace"))


def _is_our_own(name: str) -> bool:
    """The store and the log are compared elsewhere; a half-written file never counts as written."""
    # The key is random where a store is made anew; everything that is made of it is compared. The
    # note of the last lease is one of how many runs it took.
    own = ("store.db", "instance.key", "last-sent")
    return name.startswith(own) or name.endswith((".jsonl", ".part"))


# --- what reception exports ----------------------------------------------------------------------


def visit(number: int, start: datetime, **cells: str) -> dict[str, str]:
    doctor = ("acar", "braun")[number % 2]
    return {
        "appointment_id": str(number),
        "start": f"{start:%Y-%m-%d %H:%M}",
        "status": "scheduled",
        "patient_id": f"P{number}",
        "patient_name": f"Pat {number} Sample",
        "mobile": f"+491515550{number:04}",
        "email": f"p{number}@mail.example",
        "doctor_id": doctor,
        "doctor": f"Dr. {doctor.title()}",
        "doctor_email": f"{doctor}@riverside.example",
        "location": "Uferstrasse",
        **cells,
    }


def first_export() -> list[dict[str, str]]:
    """Return 40 visits: most of them far ahead, some that are to be reminded of by the next day."""
    monday = datetime(2026, 11, 23, 9, 30)
    soon = [visit(n, monday + timedelta(days=1 + n // 2, hours=n)) for n in range(8)]
    return soon + [
        visit(n, monday + timedelta(days=10 + n // 3, hours=n % 7)) for n in range(8, 40)
    ]


def second_export() -> list[dict[str, str]]:
    """Return the same a day later: moved, cancelled, changed, new, gone, moved under a new id, bad."""
    rows = {row["appointment_id"]: row for row in first_export()}
    rows["10"]["start"] = rows["11"]["start"] = "2026-12-15 16:00"
    rows["12"]["doctor_id"] = "braun"
    rows["13"]["status"] = rows["14"]["status"] = "cancelled"
    rows["15"]["location"] = "Seeblick"
    rows["16"]["mobile"] = "+491515559999"
    rows["17"]["status"] = "XQ"
    rows["18"]["status"] = "cancelled"
    del rows["19"]
    new = [visit(n, datetime(2026, 12, 16, 8 + n % 10)) for n in (50, 51)]
    same = ("patient_id", "patient_name", "mobile", "email", "doctor_id", "doctor", "doctor_email")
    again = visit(52, datetime(2026, 12, 17, 11), **{name: rows["18"][name] for name in same})
    return [*rows.values(), *new, again]


def write_settings(folder: Path, sources: dict[str, Any] | None = None) -> None:
    """Write the settings that we ship, with the store's address from the environment."""
    settings: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "settings.yaml")
    settings["store"] = {"url": "${STORE_URL}"}
    settings["sources"]["reception"]["ready"] = {"settle": "0s"}
    settings["sources"] = sources or settings["sources"]
    (folder / "settings.yaml").write_text(json.dumps(settings))


def in_google(scene: Scene, google: GooglePeer) -> Scene:
    """Let a clinic's doctors have their calendars in Google; return it."""
    file = scene.folder / "settings.yaml"
    settings = json.loads(file.read_text())
    key = json.dumps(google.service_account(ROBOT))
    settings["calendars"] = {
        "google": {"type": "google", "credentials": key, "base_url": google.url}
    }
    file.write_text(json.dumps(settings))
    return scene
