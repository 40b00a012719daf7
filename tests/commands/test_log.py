"""What the runs wrote down, read back by a person, a pipe and a program."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from clinicrelay.testing.kits import canaries_in
from commands import log as command
from commands._call import Call

Row = Callable[..., dict[str, Any]]
NOON = "2026-11-23T11:00:00Z"


@pytest.fixture
def ran(desk: Any, row: Row) -> Any:
    """Two runs that did something, the second of which set a record aside."""
    desk.sync(row(1))
    desk.sync(row(1), row(2), row(3, status="XQ"), now=NOON)
    return desk


def lines(desk: Any, *words: str) -> list[dict[str, Any]]:
    said = desk.run("log", "--json", *words, now=None)
    assert said.code == 0, said
    return [json.loads(line) for line in said.out.splitlines()]


def runs(desk: Any) -> list[str]:
    return list(dict.fromkeys(one["run"] for one in lines(desk)))


def test_a_pipe_gets_plain_lines_without_a_person_in_them(ran: Any) -> None:
    said = ran.run("log", now=None)

    assert said.code == 0
    events = [line.split()[2] for line in said.out.splitlines()]
    assert events == ["source.read", "run.finished"] * 2
    assert "set_aside=1" in said.out
    assert canaries_in(said.out) == []


def test_a_program_gets_the_lines_as_they_stand_in_the_file(ran: Any) -> None:
    file = ran.folder / "var" / "log" / "clinicrelay.jsonl"

    assert ran.run("log", "--json", now=None).out == file.read_text("utf-8")
    assert len(lines(ran, "-n", "3")) == 3


def test_a_person_gets_the_clinics_own_clock(ran: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Call, "on_terminal", property(lambda call: True))

    said = ran.run("log", now=None)

    assert "Riverside Family Clinic · " in said.out
    assert "run.finished" in said.out
    assert "exit=3" in said.out


def test_level_and_number_narrow_the_lines(ran: Any) -> None:
    assert lines(ran, "--level", "error") == []
    assert [one["event"] for one in lines(ran, "-n", "1")] == ["run.finished"]
    assert "There is nothing in " in ran.run("log", "--level", "error", now=None).out


def test_a_run_is_shown_with_its_record_from_the_store(ran: Any) -> None:
    first, second = runs(ran)

    said = ran.run("log", "--run", second, now=None)
    record, *rest = lines(ran, "--run", second.lower())

    assert f"run {second}  sync  " in said.out
    assert "exit 3" in said.out
    assert "  reception   state ok  read 3" in said.out
    assert first not in said.out
    assert (record["event"], record["exit"]) == ("run.record", 3)
    assert record["report"]["sources"]["reception"]["set_aside"] == 1
    assert {one["run"] for one in rest} == {second}
    assert canaries_in(said.out) == []


def test_a_run_that_did_nothing_left_no_line_but_has_a_record(ran: Any, row: Row) -> None:
    said = ran.sync(row(1), row(2), now="2026-11-23T12:00:00Z")
    assert said.code == 0, said
    quiet = ran.run("sync", "--json", now="2026-11-23T13:00:00Z")
    run = json.loads(quiet.out)["run"]

    (record,) = lines(ran, "--run", run)
    told = ran.run("log", "--run", run, now=None)

    assert record["run"] == run
    assert "No line of it is in " in told.out


def test_a_run_that_there_was_not_is_told_as_such(ran: Any) -> None:
    said = ran.run("log", "--run", "01ZZZZ", now=None)

    assert said.code == 2
    assert "no run of this clinic begins with 01ZZZZ" in " ".join(said.err.split())
    assert ran.run("log", "--run", "%", now=None).code == 2


def test_a_store_that_does_not_answer_hides_no_line(ran: Any) -> None:
    run = runs(ran)[0]
    ran.write(ran.settings.read_text() + "store: {url: 'postgresql+psycopg://127.0.0.1:1/none'}\n")

    said = ran.run("log", "--run", run, now=None)

    assert said.code == 0
    assert "source.read" in said.out
    assert "The run's record cannot be read: the store does not answer" in said.err


def test_a_clinic_that_never_ran_has_an_empty_log_and_gets_no_store(desk: Any) -> None:
    said = desk.run("log", now=None)

    assert said.code == 0
    assert "There is nothing in " in said.out
    assert not (desk.folder / "var").exists()


def test_what_another_hand_wrote_into_the_log_moves_no_cursor_and_shows_no_contact(
    ran: Any,
) -> None:
    file = ran.folder / "var" / "log" / "clinicrelay.jsonl"
    strange = {"event": "x\u001b[2J", "level": "info", "name": "Quenby", "place": "a\nb@c.example"}
    file.write_text(json.dumps(strange) + '\n{"event": "cut o', encoding="utf-8")

    said = ran.run("log", now=None)

    assert said.code == 0
    assert said.out.count("\n") == 1
    assert "\u001b" not in said.out
    assert "Quenby" not in said.out
    assert "c.example" not in said.out


def test_following_shows_what_comes_and_ends_cleanly(
    ran: Any, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ran.folder / "var" / "log" / "clinicrelay.jsonl"
    happens = iter([True, False])

    def wait() -> None:
        if not next(happens):
            raise KeyboardInterrupt
        with file.open("a", encoding="utf-8") as opened:
            opened.write('{"event": "run.started", "level": "info"}\n')

    monkeypatch.setattr(command, "_wait", wait)

    said = ran.run("log", "--follow", "-n", "1", now=None)

    assert said.code == 0
    assert [line.split()[2] for line in said.out.splitlines()] == ["run.finished", "run.started"]
    assert said.err == ""


def test_of_several_clinics_one_has_to_be_named(ran: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    other = ran.folder / "harbour.yaml"
    text = ran.settings.read_text("utf-8")
    other.write_text(text.replace("id: riverside", "id: harbour") + "data: other\n", "utf-8")
    other.write_text(other.read_text("utf-8").replace("{type: csv", "{inbox: x, type: csv"))
    monkeypatch.setattr(type(ran), "settings", ran.folder)

    both, one = (ran.run("log", *words, now=None) for words in ([], ["--clinic", "riverside"]))

    assert both.code == 2
    assert "name one with --clinic: harbour, riverside" in both.err
    assert "source.read" in one.out


@pytest.mark.parametrize("words", [["--level", "loud"], ["--run", "a b"], ["-n", "-1"]])
def test_what_cannot_be_meant_is_refused(ran: Any, words: list[str]) -> None:
    assert ran.run("log", *words, now=None).code == 2
