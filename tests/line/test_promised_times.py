"""When messages leave, as it was promised: case by case, with the instants written down."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clinicrelay.times import local, parse_instant
from sync.runners import once
from sync.words.templates import languages
from tests.line.conftest import export

if TYPE_CHECKING:
    from tests.line.conftest import Line

MINUTES = timedelta(minutes=5)
BOTH = {"patient": {"confirmation": {"channels": ["email"]}, "steps": ["3d", "1d", "1h"]}}


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


def clinic(house: Callable[..., Line], zone: str, **said: object) -> Line:
    """Return a clinic in a zone that tells patients only, long before anything happens."""
    line = house(calendars={}, reminders=BOTH, **said)
    line.set(clinic={**line.settings["clinic"], "timezone": zone})
    line.now = datetime(2026, 1, 1, tzinfo=UTC)
    return line


def drop(line: Line, **columns: dict[str, str]) -> None:
    """Drop the book, with more columns: of each a cell by visit."""
    head, *rows = export(line.rows.values()).splitlines()
    more = [[cells.get(key, "") for cells in columns.values()] for key in line.rows]
    sheet = [",".join([head, *columns])]
    sheet += [",".join([row, *cells]) for row, cells in zip(rows, more, strict=True)]
    line.drop("\n".join(sheet) + "\n")


def at(line: Line, when: str | datetime) -> None:
    """Sync at an instant, or at a time on the clinic's clock."""
    zone = line.settings["clinic"]["timezone"]
    line.now = parse_instant(when, zone) if isinstance(when, str) else when
    line.sync(timedelta(0))


def pass_by(line: Line, until: str, every: timedelta = MINUTES) -> None:
    """Let `send` run until a time on the clinic's clock."""
    end = parse_instant(until, line.settings["clinic"]["timezone"])
    while line.now < end:
        line.now += every
        line.at_work(once.send)


def said(line: Line, key: int | str) -> list[tuple[str, str]]:
    """Return what the patient of a visit was told, each with the time on the clinic's clock."""
    row, zone = line.rows[str(key)], line.settings["clinic"]["timezone"]
    return [
        (f"{local(call.written_at, zone):%a %d %H:%M}", call.kind)
        for call in line.calls
        if call.to in (row["mobile"], row["email"])
    ]


def reasons(line: Line, key: int | str) -> dict[str, str]:
    """Return why steps of a visit were not said."""
    rows = line.query(
        "SELECT step, reason FROM messages m JOIN appointments a ON a.id = m.appointment "
        f"WHERE a.source_key = '{key}' AND state = 'skipped'"
    )
    return dict(rows)


# --- late bookings (N14) -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "booked", "start", "reminded"),
    [
        ("Europe/Madrid", "2026-03-28 13:00", "2026-03-29 10:00", "Sun 29 09:00"),
        ("America/New_York", "2026-10-31 13:00", "2026-11-01 10:00", "Sun 01 09:00"),
        ("Australia/Lord_Howe", "2026-10-03 13:30", "2026-10-04 10:00", "Sun 04 09:00"),
        ("Europe/Berlin", "2026-11-23 14:00", "2026-11-24 10:00", "Tue 24 09:00"),
    ],
)
def test_twenty_hours_ahead_there_is_a_confirmation_and_the_last_reminder(
    house: Callable[..., Line], zone: str, booked: str, start: str, reminded: str
) -> None:
    line = clinic(house, zone)
    line.book(9, "2026-12-24 10:00")
    line.drop()
    at(line, datetime.fromisoformat(booked).strftime("%Y-%m-%d 08:00"))
    line.book(1, start)
    line.drop()
    at(line, booked)
    pass_by(line, start, every=timedelta(minutes=15))
    first = f"{datetime.fromisoformat(booked):%a %d %H:%M}"
    assert said(line, 1) == [(first, "confirmation"), (reminded, "reminder")]
    assert reasons(line, 1) == {"3d": "late_booking", "1d": "late_booking"}


@pytest.mark.parametrize(
    ("booked", "start", "told", "skipped"),
    [
        # The confirmation of the night and the step of 1h come in the same minute.
        ("2026-11-23 22:00", "2026-11-24 09:00", [("Tue 24 08:00", "confirmation")], "1h"),
        ("2026-11-23 14:00", "2026-11-23 17:30", [("Mon 23 14:00", "confirmation")], "1h"),
        ("2026-11-23 10:00", "2026-11-24 12:00", [
            ("Mon 23 10:00", "confirmation"), ("Tue 24 11:00", "reminder")], "1d"),
        ("2026-11-23 20:00", "2026-11-27 12:00", [
            ("Mon 23 20:00", "confirmation"), ("Thu 26 12:00", "reminder"),
            ("Fri 27 11:00", "reminder")], "3d"),
    ],
)  # fmt: skip
def test_a_confirmation_is_not_followed_by_a_reminder_that_repeats_it(
    house: Callable[..., Line], booked: str, start: str, told: list[tuple[str, str]], skipped: str
) -> None:
    line = clinic(house, "Europe/Berlin")
    line.book(9, "2026-12-24 10:00")
    line.drop()
    at(line, "2026-11-23 09:00")
    line.book(1, start)
    line.drop()
    at(line, booked)
    pass_by(line, start, every=timedelta(minutes=15))
    assert said(line, 1) == told
    assert reasons(line, 1)[skipped] == "told_recently"


# --- outages (N17, N18) ------------------------------------------------------------------------------


def test_after_three_days_offline_each_visit_has_one_useful_reminder_at_most(
    house: Callable[..., Line],
) -> None:
    line = clinic(house, "Europe/Berlin")
    start = datetime(2026, 11, 23, 9, 0)
    for n in range(40):
        line.book(n, f"{start + timedelta(hours=3 * n):%Y-%m-%d %H:%M}")
    line.drop()
    at(line, "2026-11-23 08:00")
    before = len(line.calls)
    at(line, "2026-11-26 14:00")
    back = line.calls[before:]
    told = {call.to for call in back}
    assert len(told) == len(back)
    begins = {
        row["mobile"]: parse_instant(row["start"], "Europe/Berlin") for row in line.rows.values()
    }
    assert all(begins[to] > line.now for to in told)
    missed = [to for to, begin in begins.items() if begin <= line.now]
    assert len(missed) == 26
    ahead = {(begins[to] - line.now) // timedelta(hours=1) for to in told}
    # That of 1h; those of 1d, until three hours before; those of 3d, until a day and a half before.
    assert ahead == {1, *range(4, 24, 3), 37, 40}
    rows = line.query("SELECT state, reason FROM messages WHERE state NOT IN ('sent')")
    assert {state for state, _ in rows} == {"skipped"}


def test_a_step_that_came_while_nothing_ran_is_said_two_hours_later(
    house: Callable[..., Line],
) -> None:
    line = clinic(house, "Europe/Berlin")
    line.book(1, "2026-11-27 10:00")
    line.drop()
    at(line, "2026-11-24 10:00")  # that of 3d came in the very minute of the import
    at(line, "2026-11-26 09:55")
    at(line, "2026-11-26 12:00")
    at(line, "2026-11-26 12:05")
    assert said(line, 1) == [("Thu 26 12:00", "reminder")]


# --- quiet hours (N19) -------------------------------------------------------------------------------


def test_nobody_is_disturbed_at_night_where_they_are(house: Callable[..., Line]) -> None:
    line = clinic(house, "Europe/Berlin")
    zones = {"1": "", "2": "", "3": "America/New_York", "4": "America/New_York", "5": "Asia/Tokyo"}
    for key in zones:
        line.book(key, f"2026-11-26 {'07:30' if int(key) % 2 else '08:30'}")
    drop(line, patient_timezone=zones)
    at(line, "2026-11-24 12:00")
    pass_by(line, "2026-11-26 08:35")
    told = {key: [at for at, _ in said(line, key)] for key in zones}
    assert told == {
        "1": ["Wed 25 08:00", "Wed 25 20:55"],  # there is no morning left for the step of 1h
        "2": ["Wed 25 08:30", "Thu 26 08:00"],
        "3": ["Wed 25 14:00", "Thu 26 02:55"],  # 08:00 and 20:55 in New York
        "4": ["Wed 25 14:00", "Thu 26 02:55"],
        "5": ["Wed 25 07:30", "Thu 26 06:30"],  # 15:30 and 14:30 in Tokyo
    }


def test_at_a_branch_in_another_zone_it_is_the_branchs_night(house: Callable[..., Line]) -> None:
    line = clinic(house, "Europe/Berlin")
    line.book(1, "2026-11-26 16:30")
    line.book(2, "2026-11-26 07:30")
    drop(line, timezone=dict.fromkeys(line.rows, "America/New_York"))
    at(line, "2026-11-25 12:00")
    pass_by(line, "2026-11-26 22:30")
    assert said(line, 1) == [("Wed 25 22:30", "reminder"), ("Thu 26 21:30", "reminder")]
    assert said(line, 2) == [("Wed 25 14:00", "reminder"), ("Thu 26 02:55", "reminder")]


# --- changes of clocks (N20) -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "start", "reminded"),
    [
        ("Europe/Madrid", "2026-03-29 09:00", "26T08:00 28T08:00 29T06:00"),
        ("Europe/Madrid", "2026-10-25 09:15", "22T07:15 24T07:15 25T07:15"),
        ("America/New_York", "2026-03-08 09:15", "05T14:15 07T14:15 08T12:15"),
        ("America/New_York", "2026-11-01 09:15", "29T13:15 31T13:15 01T13:15"),
        ("Australia/Lord_Howe", "2026-10-04 09:15", "30T22:45 02T22:45 03T21:15"),
        ("Australia/Lord_Howe", "2026-04-05 09:15", "01T22:15 03T22:15 04T21:45"),
    ],
)
def test_days_before_are_the_same_time_on_the_clock_and_hours_are_hours(
    house: Callable[..., Line], zone: str, start: str, reminded: str
) -> None:
    line = clinic(house, zone)
    line.book(1, start)
    line.drop()
    begin = parse_instant(start, zone)
    at(line, begin - timedelta(days=5))
    line.now = begin - timedelta(hours=80)
    pass_by(line, start, every=timedelta(minutes=15))
    assert " ".join(f"{call.written_at:%dT%H:%M}" for call in line.calls) == reminded


# --- what a text says of the time (N21) --------------------------------------------------------------

# On the Sunday on which Madrid's clocks change, and how that is told where clocks show another time.
SAID = {
    "ar": ("الأحد، 29 مارس، 4:30 م", "(بتوقيت مدريد)"),
    "de": ("So., 29. März, 16:30 Uhr", "(Ortszeit Madrid)"),
    "en": ("Sun, 29 Mar, 16:30", "(Madrid time)"),
    "es": ("dom 29 mar a las 16:30", "(hora de Madrid)"),
    "fr": ("dim. 29 mars à 16:30", "(heure locale : Madrid)"),
    "hi": ("रवि, 29 मार्च, 4:30 pm", "(मैड्रिड समय)"),
    "it": ("dom 29 mar, ore 16:30", "(ora di Madrid)"),
    "nl": ("zo 29 mrt om 16:30 uur", "(tijd in Madrid)"),
    "pl": ("niedz., 29 mar, godz. 16:30", "(czas lokalny: Madryt)"),
    "pt": ("dom., 29 de mar., às 16:30", "(hora de Madri)"),
    "ru": ("вс, 29 мар., 16:30", "(время: Мадрид)"),
    "tr": ("29 Mar Paz, saat 16:30", "(Madrid saati)"),
    "uk": ("нд, 29 бер., 16:30", "(час: Мадрид)"),
    "vi": ("CN, 29 thg 3", "(giờ Madrid)"),
    "zh": ("3月29日周日16:30", "（马德里时间）"),
}


@pytest.mark.parametrize(
    ("lives", "leaves", "elsewhere"),
    [("Europe/Paris", "2026-03-28 16:30", False), ("Asia/Tokyo", "2026-03-29 00:00", True)],
)
def test_a_text_says_the_time_of_the_clinics_clock_and_whose_it_is_to_who_has_another(
    house: Callable[..., Line], lives: str, leaves: str, elsewhere: bool
) -> None:
    line = clinic(house, "Europe/Madrid")
    for n, language in enumerate(SAID):
        line.book(n, "2026-03-29 16:30", language=language)
    drop(line, patient_timezone=dict.fromkeys(line.rows, lives))
    at(line, "2026-03-27 12:00")
    at(line, leaves)  # in Tokyo it is eight in the morning
    texts = {call.language.partition("-")[0]: call.text for call in line.calls}
    assert set(texts) == set(SAID) == set(languages())
    for language, (time, zone) in SAID.items():
        assert time in texts[language]
        assert "16:30" in texts[language] or "4:30" in texts[language]
        assert (zone in texts[language]) is elsewhere, texts[language]
        assert "23:30" not in texts[language]
