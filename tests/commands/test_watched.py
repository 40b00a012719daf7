"""Monitoring hears of each run: a heartbeat when it begins and ends, and the numbers in a file."""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

import commands
from clinicrelay.errors import StoreBusy
from clinicrelay.testing.http_server import HttpServer, Reply, serving
from clinicrelay.testing.kits import CANARY_EMAIL, CANARY_NAME, CANARY_PHONE
from commands import worker
from commands._call import Call
from commands._frame import clinic, one_of
from sync import steps, store
from sync.runners import jobs, once
from sync.runners.jobs import Job

if TYPE_CHECKING:
    from tests.commands.conftest import Desk

Row = Callable[..., dict[str, Any]]
SECRET = "f0e1d2c3-secret-of-the-check"


@pytest.fixture
def watcher() -> Iterator[HttpServer]:
    with serving(lambda _asked: Reply(b"OK")) as server:
        yield server


@pytest.fixture
def watched(desk: Desk, watcher: HttpServer, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The clinic with a heartbeat for both jobs, and a file for the numbers."""
    monkeypatch.setenv("HEARTBEAT_URL", f"{watcher.url}/{SECRET}")
    (desk.folder / "collected").mkdir()
    desk.write(
        desk.settings.read_text() + "monitoring:\n"
        "  textfile: collected/clinicrelay.prom\n"
        '  heartbeat: {sync: "${HEARTBEAT_URL}/sync", send: "${HEARTBEAT_URL}/send"}\n'
    )
    return desk


def told(server: HttpServer) -> list[tuple[str, str]]:
    """Return what was pinged, without the secret, and what was said; the ids belong together."""
    ids = {asked.one("rid") for asked in server.log}
    assert len(ids) <= 1
    assert all(UUID(one).version == 5 for one in ids if one)
    found = [(a.path.removeprefix(f"/{SECRET}/"), a.body.decode()) for a in server.log]
    server.log.clear()
    return found


def numbers(desk: Desk) -> str:
    return (desk.folder / "collected" / "clinicrelay.prom").read_text()


def test_each_job_has_its_own_heartbeat_and_a_file_that_others_may_read(
    watched: Desk, watcher: HttpServer, row: Row
) -> None:
    before = os.umask(0o077)
    try:
        assert watched.sync(row(1)).code == 0
    finally:
        os.umask(before)
    assert told(watcher) == [("sync/start", ""), ("sync", "")]
    file = watched.folder / "collected" / "clinicrelay.prom"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert 'run_last_exit_code{clinic="riverside",command="sync"} 0.0' in numbers(watched)
    assert 'command="send"' not in numbers(watched)

    assert watched.run("send").code == 0
    assert told(watcher) == [("send/start", ""), ("send", "")]
    assert 'run_last_exit_code{clinic="riverside",command="send"} 0.0' in numbers(watched)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_run_with_something_for_a_person_is_a_success_with_a_word(
    watched: Desk, watcher: HttpServer, row: Row
) -> None:
    assert watched.sync(row(1), row(2, status="nobody knows")).code == 3
    assert told(watcher) == [("sync/start", ""), ("sync", "exit 3 needs_person")]


def test_a_held_run_fails_and_leaves_its_numbers(
    watched: Desk, watcher: HttpServer, row: Row
) -> None:
    watched.sync(*(row(n) for n in range(20)))
    told(watcher)
    assert watched.sync(row(1), now="2026-11-23T09:00:00Z").code == 4
    assert told(watcher) == [("sync/start", ""), ("sync/fail", "exit 4 held")]
    assert "clinicrelay_guard_held{" in numbers(watched)


def round_of_workers(desk: Desk) -> None:
    """Do what a fleet of workers does once in a round."""
    call = Call(desk.settings, now="2026-11-23T09:30:00Z")
    with clinic(call, one_of(call)) as at_work, worker._watched(call, at_work):
        jobs.do(at_work, Job(jobs.STOCK))


def test_workers_tell_once_in_a_round_how_the_clinic_stands(
    watched: Desk, watcher: HttpServer, row: Row
) -> None:
    watched.sync(*(row(n) for n in range(20)))
    told(watcher)
    (watched.folder / "collected" / "clinicrelay.prom").unlink()
    round_of_workers(watched)
    assert sorted(told(watcher)) == [
        (one, "") for one in ("send", "send/start", "sync", "sync/start")
    ]
    assert "clinicrelay_store_readable" in numbers(watched)

    watched.sync(row(1), now="2026-11-23T09:00:00Z")
    told(watcher)
    round_of_workers(watched)
    assert told(watcher)[2:] == [("sync/fail", "exit 4 held"), ("send/fail", "exit 4 held")]


def until(happened: Callable[[], object]) -> None:
    for _ in range(1000):
        if happened():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def test_a_round_of_workers_that_a_mistake_of_ours_ends_is_told_by_its_silence(
    watched: Desk, watcher: HttpServer, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_(*_any: object) -> None:
        raise LookupError(CANARY_NAME)

    watched.sync(row(1))
    told(watcher)
    monkeypatch.setattr(steps, "take_stock", break_)
    with pytest.raises(LookupError):
        round_of_workers(watched)
    until(lambda: len(watcher.log) == 2)
    assert {path for path, _ in told(watcher)} == {"sync/start", "send/start"}


def test_a_mistake_of_ours_fails_and_leaves_its_numbers(
    watched: Desk, watcher: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_(*_any: object) -> None:
        raise LookupError(CANARY_NAME)

    monkeypatch.setattr(once, "sync", break_)
    ran = watched.run("sync")
    assert ran.code == 1
    assert told(watcher) == [("sync/start", ""), ("sync/fail", "exit 1 our_mistake")]
    assert "clinicrelay_store_readable" in numbers(watched)


def test_a_log_that_cannot_be_written_is_said_and_costs_nothing_else(desk: Desk, row: Row) -> None:
    desk.write(desk.settings.read_text() + "logging: {file: /dev/full}\n")
    ran = desk.sync(row(1))
    assert ran.code == 0
    assert "reception" in ran.out
    assert "Nothing is logged in /dev/full: No space left on device" in ran.err


def test_a_file_of_another_user_is_named_and_is_no_mistake_of_ours(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_any: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/srv/backup/x.zip")

    monkeypatch.setattr(once, "sync", closed)
    ran = desk.run("sync", "--json")
    assert ran.code == 2
    assert "/srv/backup/x.zip may not be read or written by the user that runs this" in ran.err
    assert "mistake of ours" not in ran.err
    assert json.loads(ran.out)["findings"][0]["code"] == "not_permitted"


def test_a_store_that_does_not_open_fails_and_the_file_says_that_it_was_not_read(
    watched: Desk, watcher: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_any: object, **_more: object) -> None:
        raise StoreBusy("the store is locked")

    monkeypatch.setattr(store, "open_store", busy)
    assert watched.run("sync").code == 75
    assert told(watcher) == [("sync/fail", "exit 75 store_does_not_answer")]
    assert 'clinicrelay_store_readable{clinic="riverside"} 0.0' in numbers(watched)


BROKEN = {
    "a mistyped key": ("steps: [", "stepz: ["),
    "no YAML at all": ("sources:", "sources: [["),
    "a zone that is none": ("Europe/Berlin", "Europe/Nowhere"),
    "a variable that is not set": ("{type: outbox}", '{type: outbox, folder: "${NOWHERE_SET}"}'),
}


@pytest.mark.parametrize("mistake", BROKEN)
def test_settings_that_are_broken_fail_as_long_as_the_address_can_be_made_out(
    watched: Desk, watcher: HttpServer, mistake: str
) -> None:
    watched.change(*BROKEN[mistake])
    for job in ("sync", "send"):
        assert watched.run(job).code == 2
        assert told(watcher) == [(f"{job}/fail", "exit 2 settings")]


def test_one_address_is_that_of_sync_and_an_empty_one_is_none(
    watched: Desk, watcher: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = watched.settings.read_text().splitlines()[-1]
    watched.change(two, "  heartbeat: ${HEARTBEAT_URL:-}")
    assert watched.run("send").code == 0
    assert told(watcher) == []
    assert watched.run("sync").code == 0
    assert told(watcher) == [("start", ""), (f"/{SECRET}", "")]

    monkeypatch.setenv("HEARTBEAT_URL", "")
    assert watched.run("sync").code == 0
    assert told(watcher) == []


def test_under_now_nothing_but_this_machine_is_pinged(
    watched: Desk, watcher: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARTBEAT_URL", f"https://watcher.example/{SECRET}")
    ran = watched.run("sync")
    assert ran.code == 0
    assert "not told: under --now" in ran.err
    assert told(watcher) == []


def test_a_watcher_that_is_away_changes_nothing_but_a_line_without_the_address(
    watched: Desk, watcher: HttpServer
) -> None:
    watcher.answer = lambda _asked: Reply(b"", 500)
    ran = watched.run("sync")
    assert ran.code == 0
    assert ran.err.count("The heartbeat of sync was not told (http_500)") == 1
    assert watched.run("sync", "-q").err == ""


def test_a_folder_that_is_not_there_is_told_and_not_made(watched: Desk) -> None:
    watched.change("collected/clinicrelay.prom", "elsewhere/clinicrelay.prom")
    ran = watched.run("sync")
    assert ran.code == 0
    assert "there is no folder" in ran.err
    assert not (watched.folder / "elsewhere").exists()


def test_neither_secret_nor_patient_is_in_the_pings_the_file_the_log_or_on_the_screen(
    watched: Desk, watcher: HttpServer, row: Row
) -> None:
    said = [watched.sync(row(1), row(2, status=CANARY_NAME), row(3, time=CANARY_PHONE))]
    said += [watched.sync(row(1, time="18:30"), now="2026-11-23T09:00:00Z"), watched.run("send")]
    said += [watched.run("check", "--explain", now=None)]
    pings = repr([(a.path.replace(SECRET, ""), a.query, a.body) for a in watcher.log])
    log = (watched.folder / "var" / "log" / "clinicrelay.jsonl").read_text()
    screen = "".join(ran.out + ran.err for ran in said)
    for place in (pings, numbers(watched), log, screen):
        assert SECRET not in place
    for place in (pings, numbers(watched)):
        for canary in (CANARY_NAME, CANARY_PHONE, CANARY_EMAIL, "acar", "p1"):
            assert canary.lower() not in place.lower()


def test_a_broken_clinic_of_a_folder_fails_by_its_own_heartbeat(
    watched: Desk, watcher: HttpServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, folder = watched.settings.read_text(), tmp_path / "clinics"
    folder.mkdir()
    for name in ("north", "south"):
        mine = text.replace("id: riverside", f"id: {name}").replace("/sync", f"/{name}")
        mine = mine.replace("contents: snapshot", f"contents: snapshot, inbox: in_{name}")
        mine = mine.replace("collected/", f"{tmp_path}/collected/{name}-") + f"data: {name}\n"
        (folder / f"{name}.yaml").write_text(mine)
    broken = (folder / "south.yaml").read_text().replace("steps: [", "stepz: [")
    (folder / "south.yaml").write_text(broken)

    with pytest.raises(SystemExit) as end:
        commands.main(["sync", "--settings", str(folder), "--now", "2026-11-23T09:00"])

    assert end.value.code == 2, capsys.readouterr()
    paths = [asked.path.removeprefix(f"/{SECRET}/") for asked in watcher.log]
    assert paths == ["north/start", "north", "south/fail"]
