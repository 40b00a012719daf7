"""`clinicrelay run`, for real: signals, kills, a second one beside it, and systems that hang."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clinicrelay.testing.http_server import Asked, HttpServer, Reply, serving
from tests.crash.serving import Place, asked, command, free_port, service, until

pytestmark = pytest.mark.crash

DONE, SETTINGS, HELD, TRY_AGAIN = 0, 2, 4, 75
PROMISED = 10.0  # seconds


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A clinic that has never run, with a visit in its inbox."""
    made = Place(tmp_path)
    made.write()
    made.book(1)
    made.drop()
    return made


@pytest.fixture
def silent() -> Iterator[HttpServer]:
    """An EHR that takes every question and answers none."""
    released = threading.Event()

    def answer(_question: Asked) -> Reply:
        released.wait(120)
        return Reply({"visits": []})

    with serving(answer) as server:
        try:
            yield server
        finally:
            released.set()


def hanging(server: HttpServer) -> dict[str, object]:
    return {
        "type": "rest",
        "base_url": server.url,
        "timeout": "60s",
        "auth": {"type": "none"},
        "request": {"path": "/visits"},
        "records": "visits",
        "mapping": "clinic_csv",
    }


def leases(place: Place) -> list[str]:
    """Return what somebody holds in the store."""
    with sqlite3.connect(place.data / "clinicrelay.db") as store:
        clock = "(julianday('now') - 2440587.5) * 86400.0"
        return [name for (name,) in store.execute(f"SELECT name FROM leases WHERE until > {clock}")]


# --- told to end -----------------------------------------------------------------------------------


def test_told_to_end_it_does_not_wait_for_a_source_that_hangs(
    place: Place, silent: HttpServer
) -> None:
    place.write(sources={"ehr": hanging(silent), "reception": place.reception})
    with service(place.file) as run:
        until(lambda: silent.log, lambda: run.said)
        began = time.monotonic()
        run.signal(signal.SIGTERM)
        code = run.ends()
        assert time.monotonic() - began < PROMISED
    assert code == DONE, run.said
    assert "stopped: exit 0" in run.said
    assert leases(place) == []
    place.write(sources={"reception": place.reception})
    assert command(place.file, "sync")[0] == DONE
    assert place.shown() == 1


def test_told_twice_it_ends_at_once(place: Place, silent: HttpServer) -> None:
    place.write(sources={"ehr": hanging(silent)})
    with service(place.file) as run:
        until(lambda: silent.log, lambda: run.said)
        run.signal(signal.SIGINT)
        run.signal(signal.SIGTERM)
        assert run.ends() == TRY_AGAIN
    assert "stopped" not in run.said


def test_it_ends_with_the_code_that_its_last_cycle_deserves(place: Place) -> None:
    with service(place.file, "--json") as run:
        until(lambda: place.shown() == 1, lambda: run.said)
        place.rows[0]["status"] = "XQ"
        for number in range(2, 12):
            place.book(number)
        place.drop()
        run.says("needs a person: 1 set aside")
        run.signal(signal.SIGTERM)
        assert run.ends() == 3
    lines = [json.loads(line) for line in run.out.read_text().splitlines()]
    assert [line["exit"] for line in lines] == [0, 3]
    assert {line["clinic"] for line in lines} == {place.id}


# --- killed, and not alone -------------------------------------------------------------------------


def test_killed_and_started_again_beside_another_it_tells_everybody_once(place: Place) -> None:
    def exports(first: int, last: int) -> None:
        for number in range(first, last):
            place.book(number)
        place.drop()

    with service(place.file) as one, service(place.file) as other:
        until(lambda: place.shown() == 1, lambda: one.said + other.said)
        exports(2, 8)
        until(lambda: len(place.told()) >= 2, lambda: one.said + other.said)
        one.signal(signal.SIGKILL)
        exports(8, 14)
        until(lambda: len(place.told()) >= 8, lambda: other.said)
        other.signal(signal.SIGKILL)
        exports(14, 20)
    with service(place.file) as last:
        until(lambda: len(place.told()) == 18, lambda: last.said)
        last.signal(signal.SIGTERM)
        assert last.ends() == DONE
    assert set(place.told().values()) == {1}, place.told()


# --- told to read its settings again ---------------------------------------------------------------


def test_told_to_read_its_settings_it_takes_those_that_hold_and_leaves_the_others(
    tmp_path: Path,
) -> None:
    one, two = Place(tmp_path, "one"), Place(tmp_path, "two")
    for place in (one, two):
        place.write()
        place.book(1)
        place.drop()
    two.file.rename(two.file.with_suffix(".off"))
    with service(tmp_path) as run:
        until(lambda: one.shown() == 1, lambda: run.said)
        one.write(sources={"reception": {**one.reception, "type": "csvv"}})
        run.signal(signal.SIGHUP)
        run.says("the settings that were read before go on")
        assert "one.yaml:1:" in run.said
        one.book(2)
        one.drop()
        until(lambda: one.shown() == 2, lambda: run.said)

        one.write(sources={"reception": one.reception}, calendars={})
        two.file.with_suffix(".off").rename(two.file)
        run.signal(signal.SIGHUP)
        run.says("reloaded: added two; changed one")
        until(lambda: two.shown() == 1, lambda: run.said)

        two.file.unlink()
        run.signal(signal.SIGHUP)
        run.says("reloaded: removed two")
        run.signal(signal.SIGTERM)
        assert run.ends() == DONE


def test_it_ends_well_where_what_it_did_not_take_is_mended_by_then(place: Place) -> None:
    with service(place.file) as run:
        until(lambda: place.shown() == 1, lambda: run.said)
        place.write(sources={"reception": {**place.reception, "type": "csvv"}})
        run.signal(signal.SIGHUP)
        run.says("the settings that were read before go on")
        place.write(sources={"reception": {**place.reception, "stale_after": "2d"}})
        run.signal(signal.SIGTERM)
        assert run.ends() == DONE, run.said
    assert "stopped: exit 0" in run.said


def test_it_says_at_its_end_what_it_could_not_take_and_still_cannot(place: Place) -> None:
    with service(place.file) as run:
        until(lambda: place.shown() == 1, lambda: run.said)
        place.write(sources={"reception": {**place.reception, "type": "csvv"}})
        run.signal(signal.SIGHUP)
        run.says("the settings that were read before go on")
        run.signal(signal.SIGTERM)
        assert run.ends() == SETTINGS, run.said
    assert "stopped: exit 2, not taken: riverside.yaml" in run.said


# --- others that hang ------------------------------------------------------------------------------


def test_clinics_that_hang_keep_no_other_from_its_cycles(
    tmp_path: Path, silent: HttpServer
) -> None:
    for number in range(12):  # more than may compute at once
        Place(tmp_path, f"hangs{number:02}").write(sources={"ehr": hanging(silent)})
    well, port = Place(tmp_path, "well"), free_port()
    well.write(monitoring={"metrics": f"127.0.0.1:{port}"})
    well.book(1)
    well.drop()
    with service(tmp_path) as run:
        until(lambda: len(silent.log) == 12, lambda: run.said)
        until(lambda: well.shown() == 1, lambda: run.said)
        well.book(2)
        well.drop()
        until(lambda: well.shown() == 2, lambda: run.said)
        assert asked(port, "/livez") == (200, {"alive": True, "reasons": []})
        status, said = asked(port, "/healthz")
        assert status == 503
        assert {one["clinic"] for one in said["reasons"]} == {f"hangs{n:02}" for n in range(12)}


# --- monitoring ------------------------------------------------------------------------------------


def test_monitoring_sees_a_clinic_turn_red_and_green_again(tmp_path: Path) -> None:
    port, place = free_port(), Place(tmp_path)
    place.write(monitoring={"metrics": f"127.0.0.1:{port}"})
    for number in range(1, 11):
        place.book(number)
    place.drop()
    with service(place.file) as run:
        until(lambda: asked(port, "/healthz")[0] == 200, lambda: run.said)
        assert asked(port, "/readyz") == (200, {"ready": True, "reasons": []})
        gone, place.rows = place.rows[2:], place.rows[:2]
        place.drop()
        until(lambda: asked(port, "/healthz")[0] == 503, lambda: run.said)
        reason = {"clinic": "riverside", "code": "held_gone", "name": "reception"}
        assert asked(port, "/healthz")[1]["reasons"] == [reason]
        assert asked(port, "/livez")[0] == asked(port, "/readyz")[0] == 200
        place.rows += gone
        place.drop()
        until(lambda: asked(port, "/healthz")[0] == 200, lambda: run.said)
        assert asked(port, "/nothing")[0] == 404


def test_an_address_that_is_taken_is_a_mistake_in_the_settings(
    place: Place, silent: HttpServer
) -> None:
    place.write(monitoring={"metrics": silent.url.removeprefix("http://")})
    code, said = command(place.file, "run")
    assert code == SETTINGS
    assert "monitoring.metrics: nothing can listen at 127.0.0.1:" in said
    assert str(place.file) in said


def test_it_goes_by_the_clock(place: Place) -> None:
    code, said = command(place.file, "run", "--now", "2026-11-23")
    assert code == SETTINGS
    assert "--now" in said
