"""A clinic or a folder of them that a real `clinicrelay run` works for, and what can be done to it."""

from __future__ import annotations

import csv
import email
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.policy import default
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0  # seconds until a test gives up waiting; none of them is a promise


def until(happened: Callable[[], Any], what: Callable[[], str] = str) -> Any:
    """Wait for something to be so, and return it."""
    give_up = time.monotonic() + PATIENCE
    while not (found := happened()):
        assert time.monotonic() < give_up, f"it never came that far: {what()}"
        time.sleep(0.02)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Place:
    """One clinic's settings and what lies beside them, by the id of the clinic."""

    folder: Path
    id: str = "riverside"
    said: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, str]] = field(default_factory=list)
    drops: int = 0

    @property
    def file(self) -> Path:
        return self.folder / f"{self.id}.yaml"

    @property
    def data(self) -> Path:
        return self.folder / self.id

    def write(self, **said: Any) -> None:
        """Write the settings; `said` are sections that are other than usual from now on."""
        self.said |= said
        settings = {
            "version": 1,
            "clinic": {
                "id": self.id,
                "name": self.id.title(),
                "timezone": "Europe/Berlin",
                "country": "DE",
                "language": "en",
                "phone": "+493012345678",
            },
            "data": self.id,
            "sources": {"reception": self.reception},
            "calendars": {"files": {"type": "ics"}},
            "notifiers": {"outbox": {"type": "outbox"}},
            "reminders": {"patient": {"confirmation": {"channels": ["email"]}, "steps": ["1h"]}},
            "quiet_hours": "off",
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps({**settings, **self.said}))
        (self.folder / "drops" / self.id).mkdir(parents=True, exist_ok=True)

    @property
    def reception(self) -> dict[str, Any]:
        """The folder that exports are dropped into, as a source."""
        inbox = f"drops/{self.id}"
        ready = {"settle": "0s"}
        return {"type": "csv", "contents": "snapshot", "inbox": inbox, "ready": ready}

    def book(self, number: int) -> None:
        """Enter a visit in ten days; `drop` exports all of them."""
        start = datetime.now(UTC) + timedelta(days=10, minutes=20 * number)
        self.rows.append(
            {
                "appointment_id": str(number),
                "date": f"{start:%Y-%m-%d}",
                "time": f"{start:%H:%M}",
                "status": "scheduled",
                "patient_id": f"P{number}",
                "patient_name": f"Pat {number}",
                "email": f"p{number}@mail.example",
                "doctor_id": "acar",
                "doctor_email": "acar@riverside.example",
            }
        )

    def drop(self) -> None:
        """Export all visits, as a file that appears at once."""
        written = io.StringIO()
        writer = csv.DictWriter(written, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        self.drops += 1
        hidden = self.folder / "drops" / f".{self.id}"
        hidden.write_text(written.getvalue())
        os.utime(hidden, (1_790_000_000 + 3600 * self.drops,) * 2)
        hidden.rename(self.folder / "drops" / self.id / f"visits-{self.drops:03}.csv")

    def told(self) -> Counter[str]:
        """Return how often each address was written to."""
        found: Counter[str] = Counter()
        for mail in (self.data / "outbox").glob("*.eml"):
            found[str(email.message_from_bytes(mail.read_bytes(), policy=default)["To"])] += 1
        return found

    def shown(self) -> int:
        """Return how many visits stand in calendars."""
        files = (self.data / "calendars").glob("*.ics")
        return sum(len(re.findall("BEGIN:VEVENT", file.read_text())) for file in files)


@dataclass
class Running:
    """A `clinicrelay run`. `said` is what stands on its stderr so far."""

    process: subprocess.Popen[bytes]
    err: Path
    out: Path

    @property
    def said(self) -> str:
        return self.err.read_text()

    def says(self, words: str, times: int = 1) -> None:
        """Wait until it has said something so often."""
        until(lambda: self.said.count(words) >= times or self._gone(words), lambda: self.said)

    def _gone(self, words: str) -> bool:
        assert self.process.poll() is None, f"it ended and never said {words!r}: {self.said}"
        return False

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ends(self) -> int:
        """Wait for its end; return the exit code."""
        return self.process.wait(timeout=PATIENCE)


@contextmanager
def service(settings: Path, *words: str, every: str = "1s", **environ: str) -> Iterator[Running]:
    """Start `clinicrelay run` in a process of its own; kill it in the end if it still runs."""
    folder = settings if settings.is_dir() else settings.parent
    number = len([*folder.glob("run-*.err")])
    err, out = folder / f"run-{number}.err", folder / f"run-{number}.out"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ}
    program = [sys.executable, "-c", "import commands; commands.main()", "run", "--every", every]
    with err.open("wb") as err_file, out.open("wb") as out_file:
        process = subprocess.Popen(
            [*program, "--settings", str(settings), *words],
            cwd=folder,
            env=environment,
            stdout=out_file,
            stderr=err_file,
        )
    try:
        yield Running(process, err, out)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def command(settings: Path, *words: str) -> tuple[int, str]:
    """Run another command; return its code and what it said."""
    program = [sys.executable, "-c", "import commands; commands.main()", *words]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*program, "--settings", str(settings)],
        cwd=settings.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def asked(port: int, path: str) -> tuple[int, Any]:
    """Return the status and the JSON that monitoring gets; 0 where nobody listens."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        body = error.read()
        return error.code, json.loads(body) if body.startswith(b"{") else body.decode()
    except (URLError, ConnectionError):
        return 0, None
