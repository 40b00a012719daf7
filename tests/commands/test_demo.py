"""The first thing anyone types, and an inbox with nothing in it."""

from __future__ import annotations

import io
import re
import shlex
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

import commands
from clinicrelay.phones import read_phone
from commands._sample import week as weeks
from commands._sample.diary import Diary
from commands._sample.export import export
from commands._sample.folder import rebuild
from commands._sample.play import play

ROOT = Path(__file__).resolve().parents[2]
MONDAY = date(2026, 11, 16)
SATURDAY = "2026-11-21T10:00"


class Ran(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


def run(*words: str) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        commands.main(words)
    assert isinstance(end.value.code, int)
    return Ran(end.value.code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    folder = tmp_path_factory.mktemp("sample") / "clinic"
    return folder, run("demo", str(folder), "--now", SATURDAY)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with the settings that the repository ships."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLINICRELAY_SETTINGS", raising=False)
    shutil.copy(ROOT / "settings.yaml", tmp_path)
    return tmp_path


# --- the demo ----------------------------------------------------------------------------------


def test_the_demo_shows_what_it_should(played: tuple[Path, Ran]) -> None:
    _, ran = played

    assert ran.err == ""
    assert ran.code == 0


def test_the_demo_shows_rows_that_were_set_aside_and_a_read_that_was_held(
    played: tuple[Path, Ran],
) -> None:
    out = played[1].out

    assert "set aside 5 (5 new)" in out
    assert "reception HELD:" in out
    assert "Exit 4" in out
    assert "1 dissolved by a better export, 0 open" in out
    assert re.search(r"^set aside 4 +termine-\S+:\d+  duplicate_key$", out, re.MULTILINE)


def test_every_demo_ends_with_a_file_that_changes_nothing(played: tuple[Path, Ran]) -> None:
    _, _, last = played[1].out.partition("a second time.")

    assert last.lstrip().startswith("nothing changed, nothing sent.")


def test_a_demo_in_a_pipe_names_no_patient(played: tuple[Path, Ran]) -> None:
    out = played[1].out
    people = {visit.patient for visit in Diary(MONDAY).visits.values()}

    assert "@mail.example" not in out
    assert not any(p.phone and p.phone in out for p in people)
    assert not any(f"{p.first} {p.last}" in out or f"{p.last}, {p.first}" in out for p in people)


def test_the_places_that_the_demo_names_are_there(played: tuple[Path, Ran]) -> None:
    folder, ran = played
    named = re.findall(rf"{re.escape(str(folder))}\S+", ran.out.partition("Where to look")[2])

    assert len({Path(name).suffix for name in named}) >= 5
    assert all(Path(name).is_file() for name in named)


def test_the_commands_that_the_demo_proposes_work(played: tuple[Path, Ran]) -> None:
    _, ran = played
    lines = ran.out.partition("What to type next")[2].splitlines()
    proposed = [shlex.split(line)[1:] for line in lines if " --settings " in line]

    assert len(proposed) == 5
    for words in proposed:
        assert run(*words).code in (0, 3), words


def test_a_second_demo_begins_anew(tmp_path: Path) -> None:
    first = run("demo", str(tmp_path / "clinic"), "--now", SATURDAY)
    second = run("demo", str(tmp_path / "clinic"), "--now", SATURDAY)

    assert second.code == 0
    assert _without_ids(second.out) == _without_ids(first.out)


def test_the_demo_writes_nowhere_but_into_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert run("demo", "--now", SATURDAY).code == 0

    assert [path.name for path in tmp_path.iterdir()] == ["var"]
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["demo"]


def test_no_variable_leads_the_demo_to_another_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLINICRELAY__STORE__URL", f"sqlite:///{tmp_path}/real.db")

    assert run("demo", str(tmp_path / "clinic"), "--now", SATURDAY).code == 0

    assert not (tmp_path / "real.db").exists()


def test_a_folder_that_the_demo_did_not_make_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "data" / "clinicrelay.db"
    precious.parent.mkdir()
    precious.write_text("a real clinic")
    (tmp_path / "settings.yaml").write_text("version: 1\n")

    ran = run("demo", str(tmp_path), "--now", SATURDAY)

    assert ran.code == 2
    assert "left alone" in ran.err
    assert precious.read_text() == "a real clinic"


def test_a_demo_that_does_not_show_what_it_should_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = weeks.week(MONDAY)
    import_ = sample.moments[0]
    wrong = replace(import_.expected, messages={"confirmation": 7})
    spoiled = replace(sample, moments=[replace(import_, expected=wrong)])
    monkeypatch.setattr(weeks, "week", lambda monday: spoiled)

    ran = run("demo", str(tmp_path / "clinic"), "--now", SATURDAY)

    assert ran.code == 1
    assert "Mon 16 Nov 08:15: confirmation messages: 7 expected, 0 came" in ran.err


def test_what_is_set_aside_is_compared_line_by_line(tmp_path: Path) -> None:
    import_ = weeks.week(MONDAY).moments[0]
    lines = import_.expected.lines
    wrong = replace(import_, expected=replace(import_.expected, lines=[*lines[1:], 300]))
    folder = tmp_path / "clinic"

    missing = play(folder, rebuild(folder), wrong).missing

    assert missing == [f"lines set aside: {sorted(wrong.expected.lines)} expected, {[*lines]} came"]


@pytest.mark.parametrize(
    "now",
    [
        pytest.param("2026-10-23T10:00", id="clocks go back within the month"),
        pytest.param("2026-03-20T10:00", id="clocks go forward within the month"),
        pytest.param("2024-02-16T10:00", id="a leap day"),
        pytest.param("2025-12-27T10:00", id="the turn of the year"),
        pytest.param("2031-05-16T10:00", id="a week still to come"),
    ],
)
def test_the_demo_works_in_any_week(tmp_path: Path, now: str) -> None:
    ran = run("demo", str(tmp_path / "clinic"), "--now", now)

    assert ran.err == ""
    assert ran.code == 0


# --- the sample clinic -------------------------------------------------------------------------


def test_the_same_week_is_the_same_clinic() -> None:
    first, second = weeks.week(MONDAY), weeks.week(MONDAY)

    assert first == second


@pytest.mark.parametrize("hours", range(0, 8 * 24, 5))
def test_the_week_of_the_demo_is_over_and_not_long_ago(hours: int) -> None:
    now = datetime(2026, 11, 16, 3, tzinfo=UTC) + timedelta(hours=hours)

    last = weeks.week(weeks.last_week(now)).moments[-1].at

    assert now - timedelta(days=8) < last <= now


def test_every_number_in_the_sample_is_a_mobile_that_can_be_read() -> None:
    phones = {visit.patient.phone for visit in Diary(MONDAY).visits.values()} - {""}

    assert len(phones) > 100
    assert {read_phone(phone, "DE").issue for phone in phones} == {None}


def test_a_flawed_row_stands_on_the_line_that_the_export_says() -> None:
    diary = Diary(MONDAY)
    made = export([*diary.visits.values(), diary.flawed("quote"), diary.flawed("status")])
    lines = made.content.decode("cp1252").split("\n")

    flawed = [lines[number - 1] for number in made.flawed_lines]

    assert sorted("Warteraum B" in line for line in flawed) == [False, True]
    assert sorted('"Kommt "wenn' in line for line in flawed) == [False, True]


@pytest.mark.parametrize("month", range(1, 13))
def test_the_impossible_date_is_impossible_in_every_month(month: int) -> None:
    monday = date(2027, month, 1) + timedelta(days=-date(2027, month, 1).weekday() % 7)
    content = export([Diary(monday).flawed("date")]).content.decode("cp1252")
    (text,) = re.findall(r"\d\d\.\d\d\.\d{4}", content)

    with pytest.raises(ValueError, match=r"day|month"):
        datetime.strptime(text, "%d.%m.%Y")  # noqa: DTZ007 - a day, not an instant


# --- an inbox with nothing in it ---------------------------------------------------------------


def test_a_sync_with_an_empty_inbox_says_which_file_to_drop_where(elsewhere: Path) -> None:
    ran = run("sync")

    assert ran.code == 0
    assert "drops/reception" in ran.out
    assert "*.csv" in ran.out


def _without_ids(out: str) -> str:
    """Return what was said without what differs in every store: ids, in no fixed order by name."""
    return re.sub(r"-cr[0-9a-v]+\.", ".", out)
