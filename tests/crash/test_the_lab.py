"""The crash lab itself: a few of its points each day, and that it sees mistakes made on purpose.

`make crashlab` tries all points; CLINICRELAY_TEST_KILLED_RUNS says how many a store are tried here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import DBAPIError

from tests.crash.enumeration import Case, Lab, lab
from tests.crash.lab import Tally, ended
from tests.crash.scene import Point
from tests.crash.scenes import REQUIRED
from tests.crash.wires import Strike, When

pytestmark = pytest.mark.crash

FEW = int(os.environ.get("CLINICRELAY_TEST_KILLED_RUNS", "4"))
SEED = os.environ.get("CLINICRELAY_TEST_SEED", f"{datetime.now(UTC):%Y-%m-%d}")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A clinic and every point of its next sync; no test leaves a trace in it."""
    try:
        with lab(tmp_path_factory.mktemp("lab"), request.param) as opened:
            yield opened
    except DBAPIError:
        if request.param in REQUIRED:
            raise
        pytest.skip(f"no {request.param} answers")


def test_some_points_drawn_by_the_date_end_as_if_nothing_had_happened(made: Lab) -> None:
    """The same seed (CLINICRELAY_TEST_SEED) draws the same points again."""
    made.flaw = ""
    print(f"seed {SEED}: {FEW} of {len(made.cases)} points")
    assert len(made.cases) > 200
    for case in made.some(FEW, SEED):
        found = made.try_(case)
        assert not found.wrong, f"seed {SEED}, {case.name}: {found.wrong}"


def request(peer: str, number: int, when: When) -> Callable[[Case], bool]:
    return lambda case: case.at == Strike(peer, number, when)


def commit(site: str, when: str) -> Callable[[Case], bool]:
    def there(case: Case) -> bool:
        at = case.at
        return isinstance(at, Point) and at.site.startswith(site) and at.when == when

    return there


# A point at which each mistake of `killer/flaws.py` does harm.
HARM = {
    "sent_first": request("twilio", 1, When.BEFORE),
    "resent_blindly": request("twilio", 1, When.APPLIED),
    "cursor_first": commit("sync/keep.py", "after"),
    "mark_cleared_first": commit("sync/planner.py", "after"),
}


@pytest.mark.parametrize("made", ["sqlite"], indirect=True)
@pytest.mark.parametrize("flaw", HARM)
def test_a_mistake_made_on_purpose_is_seen(made: Lab, flaw: str) -> None:
    case = next(case for case in made.cases if HARM[flaw](case))
    made.flaw = flaw
    assert made.try_(case).wrong, f"nobody saw {flaw} at {case.name}"


def test_the_command_fails_where_there_is_a_bad_case_or_a_mistake_is_not_seen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from tests.crash.enumeration import Found

    good = Found(Case(Strike("ehr", 1, When.BUSY)), True, "")
    bad = good._replace(wrong="a message was sent twice")

    def tally(program: str, *tried: Found) -> Tally:
        return Tally("sqlite", program, len(tried), [*tried], 1.0)

    assert ended([tally("as it is", good), tally("sent_first", good, bad)]) == 0
    assert ended([tally("as it is", good, bad)]) == 1
    assert ended([tally("sent_first", good)]) == 1
    assert "nobody saw the mistake" in capsys.readouterr().out
