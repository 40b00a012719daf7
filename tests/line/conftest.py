"""The whole line in-process: a clinic of its own, exports dropped in, time passing, and what came."""

from __future__ import annotations

import csv
import io
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import policy
from email.parser import BytesParser
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import icalendar
import pytest
from ruamel.yaml import YAML
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

import mappings
from calendars.ics import Ics
from clinicrelay import plugins
from clinicrelay.contracts import EventResult, EventWrite, Message, SendResult
from clinicrelay.model import decode
from clinicrelay.settings import Loaded, load
from clinicrelay.testing.diary import Diary, World
from clinicrelay.times import iso, local, parse_instant
from commands._call import Call
from commands._frame import clinic, log_of
from commands._visits import visit_json
from commands.sync import write_log
from notifiers.outbox import Outbox
from sync import accounting
from sync.clinic import Clinic
from sync.report import RunReport
from sync.runners import once
from sync.store import looking, open_store, quarantine
from sync.store.tables import metadata

ZONE = "Europe/Berlin"
MONDAY = "2026-11-23 09:00"
INSTANCE_KEY = b"the same in every test of a line"
Row = dict[str, str]
T = TypeVar("T")
_DROPPED_FIRST = 1_790_000_000  # files carry times of their own, an hour apart

SHIPPED = Path(__file__).resolve().parents[2] / "settings.yaml"


def visit(key: str | int, start: str = "2026-12-07 10:00", **cells: str) -> Row:
    """Return a row of an export: a booked visit of a patient of its own with doctor acar."""
    number = f"{key:>03}"
    return {
        "appointment_id": str(key),
        "start": start,
        "minutes": "30",
        "status": "scheduled",
        "patient_id": f"P{key}",
        "patient_name": f"Pat {key} Sample",
        "mobile": f"+49151555{number[-4:]:0>5}",
        "email": f"p{key}@mail.example",
        "language": "de",
        "doctor_id": "acar",
        "doctor": "Dr. Acar",
        "doctor_email": "acar@riverside.example",
        "location": "Uferstrasse",
        "modality": "",
        "service": "",
        "notes": "",
        **cells,
    }


def export(rows: Iterable[Row]) -> str:
    """Return rows as the file that reception exports."""
    rows, written = list(rows), io.StringIO()
    columns = dict.fromkeys(name for row in (visit("1"), *rows) for name in row)
    writer = csv.DictWriter(written, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


class Sent(NamedTuple):
    """A message in the outbox."""

    kind: str
    channel: str
    to: str
    text: str
    at: str


class Event(NamedTuple):
    """An event in a doctor's file, on the clinic's clock."""

    uid: str
    start: str
    end: str
    title: str
    location: str
    sequence: int


@dataclass
class Line:
    """One clinic. Every `sync` is a run with all but the mapping built anew, as in a process."""

    folder: Path
    store_url: str
    id: str = "riverside"
    said: Mapping[str, Any] = field(default_factory=dict)
    now: datetime = field(default_factory=lambda: parse_instant(MONDAY, ZONE))
    rows: dict[str, Row] = field(default_factory=dict)
    calls: list[Message] = field(default_factory=list)
    writes: list[EventWrite] = field(default_factory=list)
    drops: int = 0
    real_clock: bool = False  # as if nobody had set the time by hand
    _read: int = 0
    _loaded: Loaded | None = None
    _engine: Engine | None = None

    # --- reception's side ----------------------------------------------------------------------

    def book(self, key: str | int, start: str = "2026-12-07 10:00", **cells: str) -> None:
        """Enter a visit into reception's book; `drop` exports it."""
        self.rows[str(key)] = visit(key, start, **cells)

    def book_many(self, count: int, *, first: int = 100) -> None:
        """Enter visits of the next three weeks, far enough ahead that no reminder is due."""
        monday = datetime(2026, 12, 7, 8, 0)
        for n in range(count):
            start = monday + timedelta(days=n % 12, minutes=20 * (n // 12))
            self.book(first + n, f"{start:%Y-%m-%d %H:%M}")

    def change(self, key: str | int, **cells: str) -> None:
        """Change cells of a visit in reception's book."""
        self.rows[str(key)] = {**self.rows[str(key)], **cells}

    def cancel(self, key: str | int) -> None:
        self.change(key, status="cancelled")

    def drop(
        self,
        content: str | None = None,
        *,
        name: str = "visits.csv",
        source: str = "reception",
    ) -> Path:
        """Put an export into a source's inbox: the whole book unless something else is given."""
        path = self.folder / "drops" / source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(export(self.rows.values()) if content is None else content)
        self.drops += 1
        os.utime(path, (_DROPPED_FIRST + 3600 * self.drops,) * 2)
        return path

    # --- ours ----------------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that we ship, but for the store, and that files need not settle."""
        shipped: dict[str, Any] = YAML(typ="safe", pure=True).load(SHIPPED)
        shipped["clinic"]["id"] = self.id
        shipped["sources"]["reception"]["ready"] = {"settle": "0s"}
        return {**shipped, "store": {"url": self.store_url}, **self.said}

    @property
    def file(self) -> Path:
        return self.folder / "settings.yaml"

    @property
    def loaded(self) -> Loaded:
        if self._loaded is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            # JSON is YAML.
            self.file.write_text(json.dumps(self.settings, indent=1))
            self._loaded = load(self.file, environ={})
        return self._loaded

    def set(self, **said: Any) -> None:
        """Edit settings.yaml."""
        self.said, self._loaded = {**self.said, **said}, None

    def sync(self, when: str | timedelta = timedelta(minutes=5), *sources: str) -> RunReport:
        """Run `sync` at a wall-clock time, or that long after the last run."""
        self._pass(when)
        before = set(self._mails()), len(self.calls)
        report = self.at_work(lambda at_work: self._sync(at_work, sources))
        new = set(self._mails()) - before[0]
        assert len(new) == len(self.calls) - before[1], "a message was written over another"
        again = [m for m, n in Counter(message.id for message in self.calls).items() if n > 1]
        assert not again, "an attempt was made twice"
        return report

    def _sync(self, at_work: Clinic, sources: Iterable[str]) -> RunReport:
        report = once.sync(at_work, list(sources))
        write_log(log_of(at_work, self.call), at_work, report)
        return report

    def at_work(self, work: Callable[[Clinic], T], *, scratch: bool = False) -> T:
        """Do something with the clinic opened as a command opens it."""
        loaded = self.loaded
        self._introduce()
        with clinic(self.call, loaded, scratch=scratch) as at_work:
            at_work.rehearsed = not self.real_clock
            at_work.ending = (
                threading.Event()
            )  # not the one of this process, which would end with it
            return work(at_work)

    @property
    def call(self) -> Call:
        return Call(settings=self.file, now=iso(self.now))

    def _pass(self, when: str | timedelta) -> None:
        then = parse_instant(when, ZONE) if isinstance(when, str) else self.now + when
        assert then >= self.now, "time goes on"
        self.now = then

    def _introduce(self) -> None:
        """Give the clinic the one instance key of all tests, so that results can be compared."""
        if not self._read:
            store = open_store(self.loaded.settings.store_url, self.id, now=self.now)
            with store.write() as connection:
                connection.execute(
                    text("UPDATE clinics SET instance_key = :key WHERE clinic = :clinic"),
                    {"key": INSTANCE_KEY, "clinic": self.id},
                )
            store.close()
            self._read = 1

    # --- what came -----------------------------------------------------------------------------

    @property
    def data(self) -> Path:
        return self.folder / "var"

    def _mails(self) -> list[Path]:
        return sorted((self.data / "outbox").glob("*.*"))

    def outbox(self) -> list[Sent]:
        """Return all messages, the oldest first."""
        return sorted((_sent(path) for path in self._mails()), key=lambda sent: (sent.at, sent))

    def said_since(self, before: list[Sent]) -> list[tuple[str, str]]:
        """Return kind and recipient of what was said since."""
        left = list(before)
        new = []
        for sent in self.outbox():
            if sent in left:
                left.remove(sent)
            else:
                new.append((sent.kind, sent.to))
        return sorted(new)

    def after(self, when: str | timedelta = timedelta(minutes=5)) -> list[tuple[str, str]]:
        """Drop the whole book, sync, and return kind and recipient of what was said."""
        before = self.outbox()
        self.drop()
        self.sync(when)
        return self.said_since(before)

    def quietly(self, when: str | timedelta = timedelta(minutes=5)) -> list[tuple[str, str]]:
        """Sync without an export; return kind and recipient of what was said."""
        before = self.outbox()
        self.sync(when)
        return self.said_since(before)

    def rehearsed(self) -> list[Sent]:
        """Return all messages that were only rehearsed, the oldest first."""
        files = sorted((self.data / "rehearsal").glob("*.*"))
        return sorted((_sent(path) for path in files), key=lambda sent: (sent.at, sent))

    def events(self, doctor: str = "acar") -> list[Event]:
        """Return a doctor's events by their start."""
        path = self.data / "calendars" / f"{doctor}.ics"
        if not path.exists():
            return []
        found = icalendar.Calendar.from_ical(path.read_bytes())
        return sorted((_event(one) for one in found.walk("VEVENT")), key=lambda e: (e.start, e.uid))

    def starts(self, doctor: str = "acar") -> list[str]:
        return [event.start for event in self.events(doctor)]

    def visits(self) -> dict[str, dict[str, Any]]:
        """Return every kept visit by source/key, as `appointments --all --json` shows it."""

        def look(at_work: Clinic) -> dict[str, dict[str, Any]]:
            with at_work.store.read() as connection:
                found = looking.appointments(connection, self.id, first=None, end=None, gone=True)
                return {
                    f"{one.source}/{visit.key}": visit_json(
                        visit, version=one.version, gone=one.gone_at is not None
                    )
                    for one in found
                    for visit in [decode(one.content)]
                }

        return self.at_work(look)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Look into the store."""
        return self.queries([statement])[0]

    def queries(self, statements: Iterable[str]) -> list[list[tuple[Any, ...]]]:
        """Look into the store several times at one moment; rows come in no order of the store's."""
        if self._engine is None:
            self._engine = create_engine(self.loaded.settings.store_url, poolclass=NullPool)
        with self._engine.connect() as connection:
            return [
                sorted((tuple(row) for row in connection.execute(text(one))), key=repr)
                for one in statements
            ]

    def unaccounted(self) -> list[accounting.Wrong]:
        """Return the steps of which the ledger does not say exactly once what became of them."""
        return self.at_work(lambda at_work: accounting.check(at_work).wrong)

    def set_aside(self) -> list[dict[str, Any]]:
        def look(at_work: Clinic) -> list[dict[str, Any]]:
            with at_work.store.read() as connection:
                return quarantine.listed(connection, self.id)

        return self.at_work(look)

    def state(self) -> dict[str, Any]:
        """Return everything that matters, without what differs from run to run."""
        of_visits = "JOIN appointments a ON a.id = x.appointment"
        ours = f"x.clinic = '{self.id}'"
        return {
            "visits": self.visits(),
            "told": self.query(
                "SELECT a.source, a.source_key, x.recipient, x.facts, x.told_at, x.told_by, "
                f"x.channel, x.kind FROM told x {of_visits} WHERE {ours}"
            ),
            "ledger": self.query(
                "SELECT a.source, a.source_key, x.recipient, x.kind, x.step, x.state, x.reason, "
                f"x.due_at, x.useless_after FROM messages x LEFT {of_visits} WHERE {ours}"
            ),
            "events": self.query(
                "SELECT a.source, a.source_key, x.calendar, x.ref, x.state, x.sequence "
                f"FROM events x {of_visits} WHERE {ours}"
            ),
            "held": self.query(f"SELECT guard, visits, known, state FROM held x WHERE {ours}"),
            "aside": self.query(
                f"SELECT source, source_key, place, field, reason, raw FROM quarantine x WHERE {ours}"
            ),
            "calendars": {path.name: path.read_text() for path in self._files("calendars")},
            "outbox": self.outbox(),
        }

    def _files(self, folder: str) -> list[Path]:
        return sorted(path for path in (self.data / folder).glob("*") if path.is_file())

    def rewrite(self, statement: str) -> int:
        """Change the store behind the program's back; return how many rows that were."""
        engine = create_engine(self.loaded.settings.store_url, poolclass=NullPool)
        with engine.begin() as connection:
            return connection.execute(text(statement)).rowcount

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every row of every table, but for runs, leases and how fresh a source is."""
        fresh = {"last_read_at", "last_complete_at", "cursor_json"}
        tables = {
            name: ", ".join(
                f"{name}.{c.name}"
                for c in table.columns
                if name != "sources" or c.name not in fresh
            )
            for name, table in metadata.tables.items()
            if name not in ("runs", "leases")
        }
        found = self.queries(f"SELECT {columns} FROM {name}" for name, columns in tables.items())
        return dict(zip(tables, found, strict=True))

    def files(self) -> dict[str, tuple[bytes, int]]:
        """Return content and time of every file in `data` but the store's own and the log."""
        return {
            str(path.relative_to(self.data)): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in sorted(self.data.rglob("*"))
            if path.is_file() and not path.name.startswith("store.db") and path.suffix != ".jsonl"
        }


def _sent(path: Path) -> Sent:
    at, kind, channel, _ = path.name.split("-", 3)
    if path.suffix == ".txt":
        head, _, body = path.read_text().partition("\n\n")
        return Sent(kind, channel, head.splitlines()[0].removeprefix("To: "), body, at)
    mail = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
    plain = mail.get_body(("plain",))
    assert plain is not None
    words = f"{mail['Subject']}\n{plain.get_content()}"
    return Sent(kind, channel, str(mail["To"]), words, at)


def _event(one: Any) -> Event:
    return Event(
        str(one["UID"]),
        f"{local(one['DTSTART'].dt, ZONE):%Y-%m-%d %H:%M}",
        f"{local(one['DTEND'].dt, ZONE):%Y-%m-%d %H:%M}",
        str(one["SUMMARY"]),
        str(one.get("LOCATION", "")),
        int(one.get("SEQUENCE", 0)),
    )


@pytest.fixture
def house(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Line]:
    """Make clinics on one database; calls to notifiers and calendars are counted."""
    return houses(store_url, tmp_path, monkeypatch)


def houses(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Line]:
    """Return what makes clinics in a folder, for as long as the patches last."""
    made: list[Line] = []
    _count_calls(monkeypatch, made)
    monkeypatch.setattr(mappings, "find", lambda name, folder: _mapping(name))

    def build(name: str = "riverside", *, store: str = store_url, **said: Any) -> Line:
        line = Line(tmp_path / f"{name}{len(made)}", store, name, said)
        made.append(line)
        return line

    return build


# Reading the mapping's YAML takes longer than all the rest of a run with a few visits.
_find = mappings.find


@cache
def _mapping(name: str) -> mappings.Mapping:
    return _find(name, Path())


def _count_calls(monkeypatch: pytest.MonkeyPatch, made: list[Line]) -> None:
    send, apply = Outbox.send, Ics.apply

    def line_of(plugin: Any) -> Line:
        return next(one for one in made if one.data == plugin.kit.folder)

    def counted(self: Outbox, message: Message) -> SendResult:
        if self.kit.name != "rehearsal":
            line_of(self).calls.append(message)
        return send(self, message)

    def noted(self: Ics, calendar: str, writes: list[EventWrite]) -> Iterator[EventResult]:
        line_of(self).writes.extend(writes)
        return apply(self, calendar, writes)

    monkeypatch.setattr(Outbox, "send", counted)
    monkeypatch.setattr(Ics, "apply", noted)


@pytest.fixture
def line(house: Callable[..., Line]) -> Line:
    """One clinic with the shipped settings."""
    return house()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Doctors' calendars in memory, for settings that say `type: diary`."""
    find = plugins.find

    def found(room: str, name: str) -> Any:
        return Diary if (room, name) == ("calendars", "diary") else find(room, name)

    made = World()
    monkeypatch.setattr(Diary, "world", made)
    monkeypatch.setattr(plugins, "find", found)
    return made
