"""How durations, times, shares and the like are read."""

from __future__ import annotations

from datetime import time, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic_core import PydanticCustomError

from clinicrelay.settings import values
from clinicrelay.settings.telling import default_latest
from clinicrelay.times import parse_span


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (values.read_duration, "15m", timedelta(minutes=15)),
        (values.read_duration, "1h30m", timedelta(minutes=90)),
        (values.read_duration, "30d", timedelta(days=30)),
        (values.read_clock, "21:00", time(21)),
        (values.read_clock, "9:05", time(9, 5)),
        (values.read_share, "5%", 0.05),
        (values.read_share, 0.05, 0.05),
        (values.read_share, "100%", 1.0),
        (values.read_factor, "5x", 5.0),
        (values.read_factor, 2.5, 2.5),
        (values.read_rate, "5/s", values.Rate(5, "s")),
        (values.read_rate, "2000/run", values.Rate(2000, "run")),
        (values.read_zone, "America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        (values.read_country, "NO", "NO"),
        (values.read_country, "no", "NO"),
        (values.read_language, "zh-Hans-CN", "zh-Hans-CN"),
        (values.read_language, "pt-BR", "pt-BR"),
        (values.read_name, "main_ehr-2", "main_ehr-2"),
    ],
)
def test_values_are_read_as_people_write_them(read: Any, text: Any, value: Any) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (values.read_duration, "15"),
        (values.read_duration, True),
        (values.read_duration, "9999999999999999h"),
        (values.read_duration, "999999999999999999999d"),
        (values.read_span, "101000w"),
        (values.read_clock, "24:00"),
        (values.read_clock, values.Plain("08:00")),
        (values.read_clock, 99999),
        (values.read_clock, True),
        (values.read_share, 1),
        (values.read_share, "101%"),
        (values.read_factor, "1x"),
        (values.read_factor, True),
        (values.read_rate, "0/s"),
        (values.read_rate, "5/fortnight"),
        (values.read_zone, "EST"),
        (values.read_zone, "Etc/GMT+1"),
        (values.read_language, "german"),
        (values.read_name, "Main EHR"),
        (values.read_name, "../etc"),
        (values.read_email, "a@b"),
    ],
)
def test_what_can_be_misread_is_refused_with_a_remedy(read: Any, value: Any) -> None:
    with pytest.raises(PydanticCustomError) as refused:
        read(value)

    context = refused.value.context
    assert context
    assert context["fix"] or refused.value.type == "unquoted"


@pytest.mark.parametrize(
    ("country", "written", "proper"),
    [("DE", "030 12345678", "+493012345678"), ("GB", "020 7946 0018", "+442079460018")],
)
def test_a_local_number_is_answered_with_its_international_form(
    country: str, written: str, proper: str
) -> None:
    with pytest.raises(PydanticCustomError) as refused:
        values.read_number(written, SimpleNamespace(context={"country": country}))  # type: ignore[arg-type]

    assert (refused.value.context or {})["fix"] == f'write "{proper}"'


def test_an_unquoted_time_of_yaml_1_1_is_recognised_with_and_without_seconds() -> None:
    for number in (1260, 75600):
        with pytest.raises(PydanticCustomError, match="unquoted 21:00"):
            values.read_clock(number)


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (0, 'write "00:00"'),
        (8, 'write "08:00"'),
        (24, 'write "00:00"'),
        (2100, 'write "21:00"'),
        (1320, 'write "22:00" or "13:20"'),
    ],
)
def test_a_number_for_a_time_is_answered_with_each_time_it_may_mean(number: int, fix: str) -> None:
    with pytest.raises(PydanticCustomError) as refused:
        values.read_clock(number)

    assert (refused.value.context or {})["fix"] == fix


@pytest.mark.parametrize(
    ("before", "latest"),
    [
        ("3d", timedelta(hours=36)),
        ("2d", timedelta(days=1)),
        ("1d", timedelta(hours=3)),
        ("12h", timedelta(minutes=90)),
        ("1h", timedelta(minutes=15)),
        ("20m", timedelta(minutes=10)),
    ],
)
def test_a_late_reminder_is_worth_sending_until_a_fair_part_of_its_lead_is_gone(
    before: str, latest: timedelta
) -> None:
    assert default_latest(parse_span(before)) == latest


def test_a_rate_knows_its_period_unless_that_is_a_run() -> None:
    assert values.Rate(5, "m").period == timedelta(minutes=1)
    assert values.Rate(5, "run").period is None
    assert str(values.Rate(600, "m")) == "600/m"
