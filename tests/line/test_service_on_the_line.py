"""The service beside a store that fails, files that are exchanged, and threads that never end."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from clinicrelay.errors import SettingsError, StoreBusy
from clinicrelay.settings import Loaded, load_all
from clinicrelay.testing.http_server import Reply, serving
from clinicrelay.testing.kits import CANARY_EMAIL, CANARY_NAME
from commands._call import Call
from commands._run.telling import Teller
from sync import steps
from sync.clinic import Clinic
from sync.report import RunReport
from sync.runners import looks, once
from sync.runners.kept import Kept
from sync.runners.service import Service, Turn, Unit
from sync.runners.watch import Watch
from sync.store import dialects, schema
from tests.conftest import empty_database
from tests.line.conftest import export, visit

SETTINGS: dict[str, Any] = {
    "version": 1,
    "clinic": {
        "id": "riverside", "name": "Riverside", "timezone": "Europe/Berlin", "country": "DE",
        "language": "en", "phone": "+493012345678",
    },
    "sources": {"reception": {"type": "csv", "contents": "snapshot", "ready": {"settle": "0s"}}},
    "calendars": {"files": {"type": "ics"}},
    "notifiers": {"outbox": {"type": "outbox"}},
    "reminders": {"patient": {"confirmation": {"channels": ["email"]}}},
    "quiet_hours": "off",
}  # fmt: skip


@dataclass
class Heard:
    """Keeps what it hears."""

    reports: list[tuple[str, RunReport]] = field(default_factory=list)
    failures: list[tuple[str, BaseException]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    worked: list[str] = field(default_factory=list)

    def over(self, clinic: Clinic, command: str) -> AbstractContextManager[None]:
        return nullcontext()

    def ended(self, clinic: Clinic, report: RunReport, command: str) -> None:
        self.reports.append((command, report))

    def failed(self, kept: Kept, command: str, error: BaseException) -> int:
        self.failures.append((command, error))
        return 75 if isinstance(error, StoreBusy) else 1

    def says(self, kept: Kept, sentence: str) -> None:
        self.said.append(sentence)

    def works(self, kept: Kept, command: str) -> None:
        self.worked.append(command)


@dataclass
class Room:
    """One clinic that a service works for, turn by turn, by a clock that a test sets."""

    folder: Path
    url: str
    now: float = 1000.0
    drops: int = 0
    heard: Heard = field(default_factory=Heard)

    def __post_init__(self) -> None:
        self.service = Service(
            self.heard,
            every=timedelta(minutes=5),
            ending=threading.Event(),
            clock=lambda: self.now,
        )

    def write(self, **said: Any) -> None:
        file = self.folder / "settings.yaml"
        file.write_text(json.dumps({**SETTINGS, "store": {"url": self.url}, **said}))

    def follow(self) -> None:
        found = load_all(self.folder / "settings.yaml", environ={})
        self.service.follow([one for one in found if isinstance(one, Loaded)])

    @property
    def unit(self) -> Unit:
        return next(iter(self.service.units.values()))

    def turn(self, command: Any = "sync") -> Turn:
        return Turn(self.unit, command, 300.0, self.now)

    def work(self, command: Any = "sync") -> None:
        """Take a turn as the service does, in this thread."""
        self.service._work(self.turn(command))

    def cycle(self) -> RunReport:
        """Take a turn that has to do its work; return what it did."""
        before = len(self.heard.reports)
        self.work()
        assert len(self.heard.reports) == before + 1, self.heard.failures
        return self.heard.reports[-1][1]

    def drop(self, *keys: int) -> None:
        inbox = self.folder / "drops" / "reception"
        inbox.mkdir(parents=True, exist_ok=True)
        self.drops += 1
        file = inbox / f"visits-{self.drops}.csv"
        file.write_text(export(visit(key, "2031-12-07 10:00") for key in keys))
        os.utime(file, (1_790_000_000 + 3600 * self.drops,) * 2)

    def watch(self) -> Watch:
        return Watch(self.service, lambda: {"riverside"}, tuple)

    def codes(self, question: str) -> list[str]:
        answer = getattr(self.watch(), question)()
        return [one["code"] for one in answer.json["reasons"]]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path, "sqlite:///clinicrelay.db")
    made.write()
    made.follow()
    yield made
    made.service.stores.close()


# --- the store -------------------------------------------------------------------------------------


def test_a_locked_store_is_told_and_the_next_turn_goes_on(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialects, "_BUSY_SECONDS", 0.1)
    room.drop(1)
    room.cycle()
    room.drop(1, 2)
    with sqlite3.connect(room.folder / "var" / "clinicrelay.db") as other:
        other.execute("BEGIN EXCLUSIVE")
        room.work()
    assert isinstance(room.heard.failures[-1][1], StoreBusy)
    assert room.unit.exit == 75
    other.close()
    assert room.cycle().sources["reception"].changes == {"booked": 1}
    assert room.unit.exit == 0


def test_a_server_that_ends_our_connections_is_asked_anew_at_the_next_turn(tmp_path: Path) -> None:
    with empty_database("postgresql", tmp_path / "unused") as url:
        name = f"clinicrelay-test-{os.getpid()}"
        room = Room(tmp_path, f"{url}&application_name={name}")
        room.write()
        room.follow()
        room.drop(1)
        room.cycle()
        engine = create_engine(url)
        for keys in ((1, 2), (1, 2, 3)):
            with engine.begin() as connection:
                ended = connection.exec_driver_sql(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    f"WHERE application_name = '{name}'"
                ).scalar_one()
            assert ended > 0
            room.drop(*keys)
            assert room.cycle().sources["reception"].changes == {"booked": 1}
        assert room.heard.failures == []
        room.service.stores.close()
        engine.dispose()


def test_a_connection_that_is_ended_in_the_middle_of_a_cycle_costs_that_cycle_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with empty_database("postgresql", tmp_path / "unused") as url:
        room = Room(tmp_path, url)
        room.write()
        room.follow()
        room.drop(1)

        def cut(clinic: Clinic) -> int:
            with clinic.store.write() as connection:
                connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
            return 0

        with monkeypatch.context() as at_the_cut:
            at_the_cut.setattr(steps, "plan", cut)
            room.work()
        assert isinstance(room.heard.failures[-1][1], StoreBusy)
        report = room.cycle()
        assert report.calendars["files"].written == 1
        room.service.stores.close()


def test_a_store_that_was_put_back_from_a_copy_is_taken_as_it_is_now(room: Room) -> None:
    room.drop(1)
    room.cycle()
    room.service.stores.close()
    assert not list((room.folder / "var").glob("*-wal")), "some connection is still open"
    store = room.folder / "var" / "clinicrelay.db"
    shutil.copy(store, room.folder / "copy.db")
    room.drop(1, 2)
    assert room.cycle().sources["reception"].changes == {"booked": 1}
    (room.folder / "copy.db").rename(store)
    for rest in ("-wal", "-shm"):
        Path(f"{store}{rest}").unlink(missing_ok=True)
    room.drop(1, 2)
    assert room.cycle().sources["reception"].changes == {"booked": 1}
    with sqlite3.connect(store) as opened:
        assert opened.execute("SELECT count(*) FROM appointments").fetchone() == (2,)


def test_a_store_that_a_newer_program_has_upgraded_is_left_alone(room: Room) -> None:
    room.cycle()
    with sqlite3.connect(room.folder / "var" / "clinicrelay.db") as opened:
        opened.execute("UPDATE alembic_version SET version_num = '9999'")
    room.work()
    error = room.heard.failures[-1][1]
    assert isinstance(error, SettingsError)
    assert error.findings[0].code == "store_newer"
    assert room.codes("ready") == ["store_newer"]
    with sqlite3.connect(room.folder / "var" / "clinicrelay.db") as opened:
        opened.execute(f"UPDATE alembic_version SET version_num = '{schema.head()}'")
    room.cycle()
    room.now += 60
    assert room.codes("ready") == []


def test_clinics_of_one_store_share_an_engine(tmp_path: Path) -> None:
    rooms = Room(tmp_path, "sqlite:////" + str(tmp_path / "all.db").lstrip("/"))
    for name in ("one", "two"):
        text = {**SETTINGS, "clinic": {**SETTINGS["clinic"], "id": name}, "data": name}
        text["sources"] = {"r": {**SETTINGS["sources"]["reception"], "inbox": f"drops/{name}"}}
        (tmp_path / f"{name}.yaml").write_text(json.dumps({**text, "store": {"url": rooms.url}}))
    found = load_all(tmp_path, environ={})
    rooms.service.follow([one for one in found if isinstance(one, Loaded)])
    for unit in rooms.service.units.values():
        rooms.service._work(Turn(unit, "sync", 300.0, 0.0))
    assert [report.exit for _, report in rooms.heard.reports] == [0, 0]
    assert len(rooms.service.stores._engines) == 1
    rooms.service.stores.close()


# --- what is due -----------------------------------------------------------------------------------


def test_a_look_writes_nothing_when_nothing_is_due(room: Room) -> None:
    room.drop(1)
    room.cycle()

    def runs() -> Any:
        with sqlite3.connect(room.folder / "var" / "clinicrelay.db") as opened:
            return opened.execute("SELECT command, count(*) FROM runs GROUP BY command").fetchall()

    before = runs()
    room.work("send")
    assert runs() == before == [("sync", 1)]
    assert room.heard.worked == ["sync", "send"]


def test_a_look_sends_what_is_due(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.drop(1)
    room.cycle()
    room.drop(1, 2)
    with monkeypatch.context() as before_sending:
        before_sending.setattr(steps, "deliver_messages", lambda *_: True)
        room.cycle()
    room.work("send")
    command, report = room.heard.reports[-1]
    assert (command, report.messages.sent) == ("send", 1)


# --- settings --------------------------------------------------------------------------------------


def test_a_secret_that_is_exchanged_holds_from_the_next_turn_on(room: Room) -> None:
    secret = room.folder / "token"
    secret.write_text("first")
    secret.chmod(0o600)
    smtp = {"type": "smtp", "host": "127.0.0.1", "port": 2525, "security": "none",
            "username": "u", "password": "${file:token}", "from": "a@clinic.example"}  # fmt: skip
    room.write(notifiers={"smtp": smtp})
    room.follow()
    used: list[str] = []

    def note(clinic: Clinic) -> bool:
        options: Any = clinic.settings.notifiers["smtp"].options
        used.append(options.password.get_secret_value())
        return False

    def look() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(steps, "due", note)
            room.work("send")

    look()
    room.write(notifiers={})  # an edit that nobody has asked to be read
    secret.with_name("new").write_text("second")
    secret.with_name("new").rename(secret)
    look()
    secret.unlink()
    look()
    look()
    secret.write_text("third")
    look()
    assert used == ["first", "second", "second", "second", "third"], room.heard.failures
    assert len(room.heard.said) == 1
    assert "token" in room.heard.said[0]
    assert "second" not in room.heard.said[0]


def test_a_file_that_names_another_clinic_is_another_clinic(room: Room) -> None:
    room.write(clinic={**SETTINGS["clinic"], "id": "lakeside"}, data="lake")
    found = load_all(room.folder / "settings.yaml", environ={})
    changed = room.service.follow([one for one in found if isinstance(one, Loaded)])
    assert changed == {"added": ["lakeside"], "changed": [], "removed": ["riverside"]}


# --- what monitoring is told -----------------------------------------------------------------------


def test_a_cycle_that_hangs_turns_the_clinic_red_and_restarts_nobody(room: Room) -> None:
    room.drop(1)
    room.cycle()
    assert room.codes("healthy") == []
    hanging = room.turn()
    hanging.began, hanging.wrote = room.now, (0, room.now)
    room.service.running.add(hanging)
    room.now += 3 * 300 + 31
    room.service.beat = room.now
    assert room.codes("healthy") == ["cycle_late"]
    assert room.codes("live") == []
    room.now += 1800
    room.service.beat = room.now
    assert room.codes("live") == ["thread_stuck"]


def test_a_thread_that_still_writes_is_not_stuck(room: Room) -> None:
    at_work = room.turn()
    with room.unit.kept.at_work(room.heard.said.append) as clinic:
        at_work.began, at_work.store, at_work.wrote = room.now, clinic.store, (0, room.now)
        room.service.running.add(at_work)
        for _ in range(5):
            room.now += 1000
            with clinic.store.write():
                pass
            at_work.watch(room.now)
        room.service.beat = room.now
        assert room.codes("live") == []


def test_a_loop_that_turns_no_more_is_neither_alive_nor_healthy(room: Room) -> None:
    room.drop(1)
    room.cycle()
    room.now += 31
    assert room.codes("live") == ["loop_stopped"]
    assert room.codes("healthy") == ["loop_stopped"]


def test_a_source_that_cannot_be_read_is_red_although_the_loop_turns(room: Room) -> None:
    ehr = {"type": "sql", "url": "sqlite:///nowhere.db", "query": "SELECT 1 AS appointment_id",
           "key": "appointment_id", "mapping": "reception_sql"}  # fmt: skip
    room.write(sources={"ehr": ehr})
    room.follow()
    room.cycle()
    assert room.watch().healthy().json == {
        "healthy": False,
        "reasons": [{"clinic": "riverside", "code": "source_failed", "name": "ehr"}],
    }
    assert room.codes("ready") == room.codes("live") == []


def test_a_store_that_is_busy_is_not_ready(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.drop(1)
    room.cycle()
    room.now += 60
    room.service.beat = room.now
    with monkeypatch.context() as patch:
        patch.setattr(Kept, "at_work", _busy)
        assert room.codes("ready") == ["store_busy"]
        assert room.codes("healthy") == ["store_busy"]
        assert room.codes("live") == []
    room.now += 60
    room.service.beat = room.now
    assert room.codes("ready") == room.codes("healthy") == []


def _busy(*_: object) -> Any:
    raise StoreBusy("another program has the store locked")


def test_a_store_that_does_not_answer_keeps_nobody_waiting(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def waits(*_: object) -> Any:
        released.wait(30)
        raise StoreBusy("the store does not answer")

    monkeypatch.setattr(looks, "_WITHIN", 0.0)
    monkeypatch.setattr(Kept, "at_work", waits)
    try:
        assert room.codes("ready") == ["store_silent"]
        assert room.codes("ready") == ["store_silent"]
        asking = [one for one in threading.enumerate() if one.name.startswith("look")]
        assert len(asking) == 1  # who asks again asks no second time
    finally:
        released.set()


# --- the loop --------------------------------------------------------------------------------------


def test_a_mistake_of_ours_in_one_clinic_ends_no_other(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(_clinic: Clinic) -> RunReport:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(once, "sync", wrong)
        room.work()
    assert isinstance(room.heard.failures[-1][1], ZeroDivisionError)
    assert room.unit.exit == 1
    room.cycle()
    assert room.unit.exit == 0


def test_without_a_thread_to_be_had_a_turn_is_taken_later(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        room.service._tick()
    assert [command for command, _ in room.heard.failures] == ["sync"]
    assert room.service.running == set()
    assert min(turn.due for turn in room.service._turns) > room.now


def run_until(room: Room, happened: Callable[[], bool]) -> None:
    """Let the loop turn in a thread of its own until something is so."""
    thread = threading.Thread(target=room.service.run)
    thread.start()
    try:
        for _ in range(600):
            if happened():
                return
            threading.Event().wait(0.05)
        raise AssertionError("it never came that far")
    finally:
        room.service.ending.set()
        room.service.wake()
        thread.join()


def test_the_loop_gives_turns_until_it_is_told_to_end(room: Room) -> None:
    room.drop(1)
    run_until(room, lambda: bool(room.heard.reports))
    assert [command for command, _ in room.heard.reports] == ["sync"]
    assert room.service.running == set()


def test_metrics_tell_how_each_clinic_stands_and_of_which_nothing_can_be_read(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.drop(1)
    room.cycle()
    found = room.watch().metrics().decode()
    assert 'clinicrelay_store_readable{clinic="riverside"} 1.0' in found
    assert 'clinicrelay_mode{clinic="riverside",mode="rehearsal"} 1.0' in found
    monkeypatch.setattr(Kept, "at_work", _busy)
    found = room.watch().metrics().decode()
    assert 'clinicrelay_store_readable{clinic="riverside"} 0.0' in found
    assert "clinicrelay_mode" not in found


def test_monitoring_is_told_no_name_no_address_and_no_secret(room: Room) -> None:
    rows = [visit(1, "2031-12-07 10:00", status="XQ", patient_name=CANARY_NAME, email=CANARY_EMAIL)]
    rows += [visit(key, "2031-12-07 10:00") for key in range(2, 12)]
    inbox = room.folder / "drops" / "reception"
    inbox.mkdir(parents=True)
    (inbox / "visits.csv").write_text(export(rows))
    room.cycle()
    answers = [getattr(room.watch(), page)() for page in ("live", "ready", "healthy")]
    assert not answers[2].well
    said = json.dumps([answer.json for answer in answers])
    for secret in (CANARY_NAME, CANARY_EMAIL, str(room.folder)):
        assert secret not in said


def test_each_turn_is_told_to_who_watches_from_outside_and_leaves_its_numbers(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda _asked: Reply(b"OK")) as watcher:
        jobs = {job: f"{watcher.url}/{job}" for job in ("sync", "send")}
        file = room.folder / "numbers.prom"
        room.write(monitoring={"heartbeat": jobs, "textfile": str(file)})
        room.service.herald = Teller(Call(settings=room.folder / "settings.yaml"))
        room.follow()

        def paths() -> list[str]:
            found = [asked.path for asked in watcher.log]
            watcher.log.clear()
            return found

        room.work("sync")
        assert paths() == ["/sync/start", "/sync"]
        assert "clinicrelay_store_readable" in file.read_text()
        room.work("send")  # nothing is due, and the job lives
        assert paths() == ["/send/start", "/send"]

        def break_(*_any: object) -> None:
            raise LookupError

        monkeypatch.setattr(once, "sync", break_)
        room.work("sync")
        assert paths() == ["/sync/start", "/sync/fail"]

        def busy(*_any: object, **_more: object) -> None:
            raise StoreBusy("the store is locked")

        monkeypatch.setattr(room.unit.kept, "at_work", busy)
        room.work("sync")
        assert paths() == ["/sync/fail"]
