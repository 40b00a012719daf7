"""Sources that tell changes only: nothing is taken for deleted because it is not mentioned."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from sync import release
from sync.store import incoming
from tests.line.planted import typed

if TYPE_CHECKING:
    from sync.clinic import Clinic

HEAD = "op,appointment_id,date,time,status,patient_id,patient_name,email,doctor_id"
FIRST = [
    "I,1,2026-12-07,09:00,booked,P1,Ada Roe,ada@mail.example,acar",
    "I,2,2026-12-08,09:00,booked,P2,Bob Roe,bob@mail.example,acar",
]
DELTA = {"reception": {"type": "csv", "contents": "delta", "ready": {"settle": "0s"}}}


def lines(*rows: str) -> str:
    return "\n".join([HEAD, *rows]) + "\n"


def test_a_delta_changes_what_it_names_and_leaves_the_rest(house: Callable[..., Any]) -> None:
    line = house(sources=DELTA)
    line.drop(lines(*FIRST), name="1.csv")
    assert line.sync().exit == 0
    line.drop(lines("U,1,2026-12-07,11:00,booked,P1,Ada Roe,ada@mail.example,acar"), name="2.csv")
    report = line.sync()
    assert (report.exit, report.sources["reception"].state) == (0, "ok")
    assert report.sources["reception"].changes == {"rescheduled": 1}
    assert len(line.starts()) == 2


def test_a_deletion_that_names_only_its_key_is_enough(house: Callable[..., Any]) -> None:
    line = house(sources=DELTA)
    line.drop(lines(*FIRST), name="1.csv")
    line.sync()
    line.drop(lines("D,2,,,,,,,"), name="2.csv")
    report = line.sync()
    assert report.sources["reception"].changes == {"gone": 1}
    assert len(line.starts()) == 1
    assert line.outbox() == []
    line.drop(lines("I,2,2026-12-08,09:00,booked,P2,Bob Roe,bob@mail.example,acar"), name="3.csv")
    assert line.sync().sources["reception"].changes == {"reinstated": 1}
    assert len(line.starts()) == 2


@pytest.mark.parametrize("moved_next", [range(11, 21), [20]], ids=["held too", "not held"])
def test_a_delta_that_is_held_is_not_lost_to_the_next(
    house: Callable[..., Any], moved_next: Sequence[int]
) -> None:
    line = house(sources=DELTA)
    line.drop(lines(*(at(n, "2026-12-07", "09:00") for n in range(1, 21))), name="1.csv")
    assert line.sync().exit == 0
    line.drop(lines(*(at(n, "2026-12-08", "09:00", "U") for n in range(1, 11))), name="2.csv")
    assert line.sync().exit == 4
    line.drop(lines(*(at(n, "2026-12-09", "09:00", "U") for n in moved_next)), name="3.csv")
    assert line.sync().exit == 4

    line.at_work(release_all)

    assert line.sync().exit == 0
    days = Counter(visit["start"][:10] for visit in line.visits().values())
    assert (days["2026-12-08"], days["2026-12-09"]) == (10, len(moved_next))


def at(number: int, day: str, time: str, op: str = "I") -> str:
    mail = f"p{number}@mail.example"
    return f"{op},{number},{day},{time},booked,P{number},Ada Roe,{mail},acar"


def release_all(at_work: Clinic) -> None:
    with at_work.store.read() as connection:
        for hold in incoming.open_holds(connection, at_work.store.clinic):
            assert release.release(at_work, hold)


@pytest.mark.parametrize("contents", ["delta", "append"])
def test_a_row_that_is_set_aside_leaves_the_rest_whole(
    house: Callable[..., Any], contents: str
) -> None:
    line = house(sources={"reception": {**DELTA["reception"], "contents": contents}})
    line.drop(lines(*FIRST), name="1.csv")
    line.sync()
    bad = "U,1,2026-12-32,11:00,booked,P1,Ada Roe,ada@mail.example,acar"
    line.drop(lines(bad, at(3, "2026-12-09", "10:00")), name="2.csv")
    report = line.sync()
    assert (report.exit, report.sources["reception"].state) == (3, "ok")
    assert [need.what for need in report.needs] == ["1 set aside from reception"]
    (aside,) = json.loads(typed(line, "quarantine", "list", "--json"))
    typed(line, "quarantine", "discard", str(aside["id"]))
    assert json.loads(typed(line, "status", "--json"))["sources"]["reception"]["state"] == "ok"
    assert line.sync().exit == 0


def test_changes_of_which_nothing_can_be_understood_are_no_whole_read(
    house: Callable[..., Any],
) -> None:
    line = house(sources=DELTA)
    line.drop(lines(*FIRST), name="1.csv")
    line.sync()
    line.drop(lines("U,1,2026-12-32,11:00,booked,P1,Ada Roe,ada@mail.example,acar"), name="2.csv")
    assert line.sync().sources["reception"].state == "partial"


def test_what_is_appended_never_removes(house: Callable[..., Any]) -> None:
    append = {"reception": {**DELTA["reception"], "contents": "append"}}
    line = house(sources=append)
    line.drop(lines(*FIRST), name="1.csv")
    line.sync()
    line.drop(lines(FIRST[0]), name="2.csv")
    report = line.sync()
    assert (report.exit, report.sources["reception"].changes) == (0, {})
    assert len(line.starts()) == 2
