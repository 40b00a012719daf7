"""A stranger's first day, typed command by command: from nothing to a clinic that is live.

Real processes, a mail server of our own that counts as outside, and an export in a layout that no
mapping of ours knows.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiosmtpd.controller import Controller

SCRIPT = Path(sys.executable).parent / "clinicrelay"
MAPPING = """\
version: 1
header: [[start], [key]]
fields:
  key: {path: Vorgang, required: true}
  start: {path: Wann, type: datetime, zone: clinic, required: true}
  duration: {path: Lange, type: minutes}
  status: {path: Stand, table: {fest: booked, abgesagt: cancelled}, unknown: set_aside}
  patient.key: {path: Karteinr, required: true}
  patient.name: {path: Wer kommt, swap: ","}
  patient.phone: {path: Handynr, type: phone}
  patient.email: {path: Postfach, type: email}
  practitioner.key: {path: Behandler}
tests:
  - in: {Vorgang: V-1, Wann: 2030-05-14 09:30, Karteinr: K1, Stand: fest}
    out: {key: V-1, start: "2030-05-14T07:30:00Z", status: booked}
"""


class Ran(NamedTuple):
    code: int
    out: str
    err: str


class Server:
    """A mail server that takes everything."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(BytesParser(policy=policy.default).parsebytes(envelope.content))
        return "250 taken"

    def to(self) -> list[str]:
        """Whom the mails that arrived are for, and what they are about."""
        return [f"{mail['To']}: {mail['Subject']}" for mail in self.mails]


TODAY = datetime.now(UTC)  # once: a midnight within the walk moves no visit


@dataclass
class Stranger:
    """Somebody with a terminal in an empty folder."""

    home: Path
    visits: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    drops: int = 0

    def types(self, line: str, *, expected: int = 0) -> Ran:
        """Type a command; it must end with this code, and never with a traceback."""
        words = line.split()
        assert words[0] == "clinicrelay"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("CLINICRELAY")}
        done = subprocess.run(
            [SCRIPT, *(word.replace("_", " ") for word in words[1:])],
            cwd=self.home,
            env=clean,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        assert done.returncode == expected, f"{line}\n{done.stdout}\n{done.stderr}"
        return Ran(done.returncode, done.stdout, done.stderr)

    def drops_the_export(self) -> None:
        """Export every visit as this practice's system does, a while ago."""
        self.drops += 1
        lines = ["Vorgang|Wer kommt|Karteinr|Wann|Lange|Handynr|Postfach|Behandler|Stand"]
        for key, (start, stand) in self.visits.items():
            who = f"Sample, Pat {key}|K{key}"
            contact = f"|p{key}@mail.example"  # no phone: nothing here sends SMS
            lines.append(
                f"V-{key}|{who}|{start:%Y-%m-%d %H:%M}|20{contact and '|'}{contact}|See|{stand}"
            )
        file = self.home / "drops" / "reception" / f"liste-{self.drops}.csv"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        os.utime(file, (time.time() - 300 + self.drops,) * 2)

    def edits(self, before: str, after: str) -> None:
        file = self.home / "settings.yaml"
        text = file.read_text(encoding="utf-8")
        assert before in text
        file.write_text(text.replace(before, after, 1), encoding="utf-8")

    def rehearsed(self) -> list[str]:
        """What was only rehearsed, by kind."""
        files = sorted((self.home / "var" / "rehearsal").glob("*.eml"))
        return [file.name.split("-")[1] for file in files]


def outside_address() -> str:
    """An address of this machine that is not its loopback; mail to it counts as leaving."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a test network: no packet is sent
        except OSError:
            pytest.fail("this test needs a network interface besides the loopback")
        return str(probe.getsockname()[0])


@pytest.fixture
def server() -> Iterator[tuple[Server, str, int]]:
    address, taker = outside_address(), Server()
    with socket.socket() as free:
        free.bind((address, 0))
        port = int(free.getsockname()[1])
    controller = Controller(taker, hostname=address, port=port)
    controller.start()
    try:
        yield taker, address, port
    finally:
        controller.stop()


def days_ahead(days: int) -> datetime:
    return (TODAY + timedelta(days=days)).replace(hour=11, minute=0, second=0)


def test_a_strangers_first_day(tmp_path: Path, server: tuple[Server, str, int]) -> None:
    taker, address, port = server
    me = Stranger(tmp_path)

    # Looking around.
    assert "Riverside Family Clinic" in me.types("clinicrelay demo look/around").out

    # A clinic of one's own.
    me.types(
        "clinicrelay init . --name Praxis_am_See --id see --country DE --phone +493012345678 "
        f"--contents snapshot --send smtp --smtp-host {address} --smtp-from noreply@see.example "
        "--steps 3d,1d --yes"
    )
    me.edits("    host:", f"    port: {port}\n    security: none\n    host:")
    assert "0 mistakes" in me.types("clinicrelay check").out

    # An export in a layout that nobody prepared.
    me.visits = {str(n): (days_ahead(n), "fest") for n in (2, 4, 9)}
    me.drops_the_export()
    first = me.types("clinicrelay sync", expected=3)
    assert "Vorgang, Wer kommt, Karteinr, Wann" in first.out
    assert "a mapping of your own" in first.out
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "ours.yaml").write_text(MAPPING, encoding="utf-8")
    me.drops_the_export()
    there = f"drops/reception/liste-{me.drops}.csv"
    assert "3 mapped, 0 set aside" in me.types(f"clinicrelay map mappings/ours.yaml {there}").out
    me.edits("    # mapping: clinic_csv", "    mapping: mappings/ours.yaml")
    me.types("clinicrelay check")

    # What would happen, and then it does; nobody outside hears of it.
    assert "booked 3" in me.types("clinicrelay plan --until 7d").out
    assert not (tmp_path / "var" / "clinicrelay.db-journal").exists()
    ran = me.types("clinicrelay sync")
    assert ran.out.startswith("REHEARSAL · Praxis am See")
    assert "booked 3" in ran.out
    assert "See" in me.types("clinicrelay doctors").out

    # A week in rehearsal.
    for day in range(1, 8):
        me.visits["9"] = (days_ahead(9) + timedelta(hours=1), "fest")
        me.drops_the_export()
        me.types(f"clinicrelay sync --now {days_ahead(day):%Y-%m-%dT%H:%M:%SZ}")
    assert sorted(me.rehearsed()).count("change") == 1
    assert me.rehearsed().count("reminder") == 4
    assert taker.mails == []

    # One real message to oneself.
    assert "took the email" in me.types("clinicrelay try smtp --to it@see.example").out
    [tried] = taker.to()
    assert tried.startswith("it@see.example: ")

    # Live: not before it is safe, not without being asked for by name.
    blocked = me.types("clinicrelay live patients --confirm see", expected=3)
    assert "NO    nobody has said what allows the clinic to write" in blocked.out
    assert "NO    reception was last read under a clock" in blocked.out
    me.edits("notifiers:", "channels: {order: [email], consent: {email: implied}}\n\nnotifiers:")
    me.edits("notifiers:", "quiet_hours: off  # this may run at night\nnotifiers:")
    me.drops_the_export()
    me.types("clinicrelay sync")
    me.types("clinicrelay store backup before.zip")
    assert "Type" not in me.types("clinicrelay live patients", expected=3).out
    live = me.types("clinicrelay live patients --confirm see")
    assert re.search(r"\d+ messages to \d patients: reminder \d", live.out)
    assert "ok    backup made" in live.out

    # What fell due before is never sent; what happens from now on is told, once.
    me.drops_the_export()
    ran = me.types("clinicrelay sync")
    assert ran.out.startswith("LIVE (patients; the rest in rehearsal)")
    assert len(taker.mails) == 1
    me.visits["4"] = (days_ahead(4) + timedelta(hours=2), "fest")
    me.drops_the_export()
    me.types("clinicrelay sync")
    me.drops_the_export()
    me.types("clinicrelay sync")
    _, told = taker.to()
    assert told.startswith("p4@mail.example: ")
    assert "(change)" in me.types("clinicrelay why reception/V-4").out
    me.types("clinicrelay sync --now 2031-01-01", expected=2)
    me.types("clinicrelay status --ok 3")
