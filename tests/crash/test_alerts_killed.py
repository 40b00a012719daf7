"""`kill -9` at every moment of an alert: whoever is to be told hears of it, and once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.crash.killing import Moment, Post, post
from tests.crash.telling import FAR_AHEAD, imported
from tests.notifiers.peers import PROVIDERS

if TYPE_CHECKING:
    from tests.crash.scenes import Scenes

pytestmark = pytest.mark.crash

STALE = "2026-11-23T12:05"  # three hours after the only export
LATER = (1, 4, 10, 15)  # minutes
IT = "it@riverside.example"
_, TELLING, SILENT = PROVIDERS


def short(moment: Moment) -> str:
    return moment.name.lower()


@pytest.fixture
def clinic(scenes: Scenes, request: pytest.FixtureRequest) -> Iterator[Post]:
    monitoring = {"alerts": {"to": [IT], "via": "post"}}
    reception = {"type": "csv", "contents": "snapshot", "ready": {"settle": "0s"}}
    sources = {"reception": {**reception, "stale_after": "30m"}}
    with post(scenes, request.param, monitoring=monitoring, sources=sources) as made:
        imported(made.scene, FAR_AHEAD)
        yield made


def alerts(clinic: Post) -> list[str]:
    assert {one.to for one in clinic.peer.taken} <= {IT}
    return [one.text.partition(".")[0] for one in clinic.peer.taken]


@pytest.mark.parametrize("clinic", [TELLING], indirect=True, ids=["sendgrid"])
@pytest.mark.parametrize("moment", Moment, ids=short)
def test_an_alert_arrives_once_where_its_provider_can_be_asked(
    clinic: Post, moment: Moment
) -> None:
    assert clinic.killed(STALE, moment) == -signal.SIGKILL
    clinic.minutes_later(STALE, *LATER)
    assert alerts(clinic) == ["reception was not read completely for too long"]


@pytest.mark.parametrize("clinic", [SILENT], indirect=True, ids=["sendgrid_silent"])
@pytest.mark.parametrize("moment", Moment, ids=short)
def test_an_alert_that_nobody_can_prove_is_repeated_once(clinic: Post, moment: Moment) -> None:
    assert clinic.killed(STALE, moment) == -signal.SIGKILL
    clinic.minutes_later(STALE, *LATER)
    took = moment in (Moment.TAKEN, Moment.ANSWERED)
    assert len(alerts(clinic)) == (2 if took else 1)
    assert len({one.said["custom_args"]["attempt"] for one in clinic.peer.taken}) == 1
