"""What all commands share: a folder of clinics, codes that end as 0, only what is new, four groups."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import commands
from clinicrelay.errors import StoreBusy
from commands import GROUPS
from commands._ending import gravest, guarded
from sync.store.leases import LeaseLost

Row = Callable[..., dict[str, Any]]
MONDAY = "2026-11-23T08:00:00Z"


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Type a whole command line."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            commands.main([*words])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        assert isinstance(end.value.code, int)
        return end.value.code, said.out, said.err

    return run


# --- the help page -------------------------------------------------------------------------------


def test_help_has_four_groups_and_every_command_is_in_one(
    typed: Callable[..., tuple[int, str, str]],
) -> None:
    _, out, _ = typed("--help")
    headings = [line.rstrip(":") for line in out.splitlines() if line.endswith(":")]
    assert headings[-4:] == [*GROUPS]
    assert sorted(name for group in GROUPS.values() for name in group) == sorted(commands.names())


@pytest.mark.parametrize("name", commands.names())
def test_every_command_takes_what_all_take(
    name: str, typed: Callable[..., tuple[int, str, str]]
) -> None:
    _, out, _ = typed(name, "--help")
    if "COMMAND [ARGS]" in out:
        inner = out.partition("Commands:")[2].split()[0]
        _, out, _ = typed(name, inner, "--help")
    for option in ("--settings", "--clinic", "--json", "--now", "--ok", "--verbose", "--quiet"):
        assert option in out, (name, option)


@pytest.mark.parametrize(
    "line", ["status --jsn", "status --now yesterday", "frobnicate", "why", "status --ok red"]
)
def test_who_asks_for_json_gets_it_of_a_wrong_command_line_too(
    typed: Callable[..., tuple[int, str, str]], desk: Any, line: str
) -> None:
    code, out, err = typed(*line.split(), "--settings", str(desk.settings), "--json")
    told = json.loads(out)
    assert (code, told["exit"]) == (2, 2)
    (found,) = told["findings"]
    assert found["code"] == "command_line"
    assert found["message"] in err


# --- codes that end as 0 -------------------------------------------------------------------------


def test_a_code_that_is_named_ends_as_0_and_no_other(desk: Any, row: Row) -> None:
    assert desk.sync(row(1), row(2, status="XQ")).code == 3
    assert desk.run("sync", "--ok", "4,75").code == 0  # nothing new was read
    assert desk.run("status").code == 3
    assert desk.run("status", "--ok", "3").code == 0
    assert desk.run("status", "--ok", "4,75").code == 3


def test_codes_that_are_no_numbers_are_refused(desk: Any) -> None:
    assert desk.run("status", "--ok", "red").code == 2


@pytest.mark.parametrize(
    ("codes", "together"),
    [([], 0), ([0, 0], 0), ([0, 75], 75), ([75, 3], 3), ([3, 4], 4), ([4, 2], 2), ([2, 1], 1)],
)
def test_of_several_clinics_the_gravest_code_counts(codes: list[int], together: int) -> None:
    assert gravest(codes) == together
    assert gravest(reversed(codes)) == together


# --- only what is new ----------------------------------------------------------------------------


def test_a_run_that_was_overtaken_does_not_say_that_it_did_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def overtaken() -> None:
        raise LeaseLost("another run has taken over (send)")

    assert guarded(overtaken) == 75
    said = capsys.readouterr().err
    assert said == (
        "What was done until then stands, try again: another run has taken over (send).\n"
    )


def test_quietly_a_run_says_what_it_changed_and_then_nothing(desk: Any, row: Row) -> None:
    desk.drop(row(1), row(2, status="XQ"))
    first = desk.run("sync", "-q")
    assert "booked 1" in first.out
    assert "Needs a person" in first.out
    again = desk.run("sync", "-q")
    assert (again.code, again.out) == (0, "")


def test_quietly_the_same_trouble_is_said_once(desk: Any, row: Row) -> None:
    desk.drop(row(1), row(2, status="XQ"))
    assert "set aside" in desk.run("sync", "-q").out
    desk.drop(row(2, status="XQ"), row(1))  # the same rows, in another file
    same = desk.run("sync", "-q")
    assert (same.code, same.out) == (3, "")
    desk.drop(row(1), row(2, status="XQ"), row(3, status="YQ"))
    assert "2 set aside from reception" in desk.run("sync", "-q").out


def test_quietly_a_green_clinic_has_nothing_to_say(desk: Any, row: Row) -> None:
    desk.sync(row(1))
    assert desk.run("status", "-q").out == ""
    assert desk.run("held", "list", "-q").out == ""
    assert desk.run("quarantine", "list", "-q").out == ""


# --- ends, as JSON -------------------------------------------------------------------------------


def test_broken_settings_are_told_as_json_by_every_command(
    desk: Any, typed: Callable[..., tuple[int, str, str]]
) -> None:
    desk.change("timezone: Europe/Berlin", "timezone: Berlin")
    commands_ = (
        *(["sync"], ["status"], ["plan"], ["appointments"], ["why", "1"], ["doctors"], ["send"]),
        *(["held", "list"], ["quarantine", "show", "1"], ["store", "check"], ["messages", "list"]),
    )
    for words in commands_:
        code, out, err = typed(*words, "--json", "--settings", str(desk.settings))
        ended = json.loads(out)
        assert (code, ended["exit"]) == (2, 2), words
        [finding] = ended["findings"]
        assert finding["path"] == "clinic.timezone"
        assert finding["line"] == 3
        assert "clinic.timezone" in err


def test_a_store_that_is_locked_is_told_as_json(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **_more: object) -> None:
        raise StoreBusy("another program has the store locked")

    monkeypatch.setattr("sync.store.open_store", busy)
    ran = desk.run("sync", "--json")

    assert json.loads(ran.out) == {"exit": 75, "error": "another program has the store locked"}
    assert ran.code == 75
    assert "try again: another program has the store locked." in ran.err


def test_a_mistake_of_ours_is_told_as_json(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object, **_more: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("sync.store.open_store", wrong)
    ran = desk.run("sync", "--json")

    assert json.loads(ran.out)["exit"] == ran.code == 1


# --- several clinics -----------------------------------------------------------------------------


@pytest.fixture
def folder(desk: Any, row: Row, tmp_path: Path) -> Path:
    """A folder with two clinics that are whole, a third that is broken, and a visit for each."""
    place = tmp_path / "clinics"
    place.mkdir()
    for name in ("lakeside", "riverside"):
        text = desk.settings.read_text(encoding="utf-8")
        text = text.replace("id: riverside", f"id: {name}").replace(
            "contents: snapshot", f"contents: snapshot, inbox: {name}/drops"
        )
        (place / f"{name}.yaml").write_text(f"data: {name}/var\n{text}", encoding="utf-8")
        desk.drop(row(1, appointment_id=name))
        dropped = sorted((desk.folder / "drops" / "reception").glob("*.csv"))[-1]
        (place / name / "drops").mkdir(parents=True)
        dropped.rename(place / name / "drops" / "visits.csv")
    (place / "torn.yaml").write_text("version: 1\nclinic: {id: torn}\n", encoding="utf-8")
    return place


def test_each_clinic_of_a_folder_is_synced_and_a_broken_one_stops_no_other(
    folder: Path, typed: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = typed("sync", "--settings", str(folder), "--now", MONDAY)
    assert code == 2
    assert out.count("booked 1") == 2
    assert "torn.yaml" in err
    code, out, _ = typed("appointments", "--json", "--settings", str(folder), "--now", MONDAY)
    told = json.loads(out)
    assert [one["key"] for one in told["lakeside"]] == ["lakeside"]
    assert [one["key"] for one in told["riverside"]] == ["riverside"]
    assert told["torn.yaml"]["exit"] == 2


def test_one_clinic_of_a_folder_can_be_named(
    folder: Path, typed: Callable[..., tuple[int, str, str]]
) -> None:
    there = ("--settings", str(folder), "--now", MONDAY)
    code, out, _ = typed("sync", "--json", "--clinic", "lakeside", *there)
    assert code == 0
    assert json.loads(out)["sources"]["reception"]["changes"] == {"booked": 1}
    code, _, err = typed("status", "--clinic", "hillside", *there)
    assert code == 2
    assert "lakeside, riverside" in " ".join(err.split())


def test_what_acts_on_one_clinic_asks_which(
    folder: Path, typed: Callable[..., tuple[int, str, str]]
) -> None:
    typed("sync", "--settings", str(folder), "--now", MONDAY)
    code, _, err = typed("held", "release", "h1", "--settings", str(folder))
    assert code == 2
    assert "--clinic: lakeside, riverside" in " ".join(err.split())


def test_of_several_clinics_one_that_knows_it_is_enough(
    folder: Path, typed: Callable[..., tuple[int, str, str]]
) -> None:
    there = ("--settings", str(folder), "--now", MONDAY)
    typed("sync", *there)
    assert typed("why", "reception/lakeside", *there)[0] == 0
    assert typed("why", "reception/nowhere", *there)[0] != 0


def test_every_clinic_of_a_folder_can_be_paused_at_once(
    folder: Path, typed: Callable[..., tuple[int, str, str]]
) -> None:
    there = ("--settings", str(folder))
    typed("sync", *there, "--now", MONDAY)
    typed("pause", *there)
    _, out, _ = typed("status", *there, "--now", MONDAY)
    assert out.count("PAUSED · ") == 2
