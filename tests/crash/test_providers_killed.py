"""`kill -9` at every moment of a message, for each provider: it arrives once, or somebody is told."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from clinicrelay import plugins
from tests.crash.killing import Moment, Post, post
from tests.crash.telling import DONE, FAR_AHEAD, TOMORROW, Told, imported, told, visit
from tests.notifiers.peers import ALL, Provider

if TYPE_CHECKING:
    from tests.crash.scenes import Scenes

pytestmark = pytest.mark.crash

KILLED = "2026-11-23T12:05"
NOTHING_TAKEN = (Moment.BEGUN, Moment.ASKED)
SOON, LATER = (1, 4), (1, 4, 10, 15)  # minutes
TAKEN = (Moment.TAKEN, Moment.ANSWERED)
TELLING = [one for one in ALL if one.tells]
SILENT = [one for one in ALL if not one.tells]


def name_of(provider: Provider) -> str:
    return provider.name


def short(moment: Moment) -> str:
    return moment.name.lower()


@pytest.fixture
def clinic(scenes: Scenes, provider: Provider) -> Iterator[Post]:
    with post(scenes, provider) as made:
        yield made


def killed(clinic: Post, moment: Moment) -> None:
    assert clinic.killed(KILLED, moment) == -signal.SIGKILL, moment
    stands = moment is not Moment.BEGUN or not hands_over(clinic)
    assert told(clinic.scene, KILLED).unknown == stands, moment


def hands_over(clinic: Post) -> bool:
    """Whether nothing is written down of a message before its bytes leave."""
    kind = plugins.find("notifiers", clinic.peer.provider.options["type"])
    return bool(kind.hands_over)  # type: ignore[union-attr]


def cancelled(clinic: Post) -> None:
    imported(clinic.scene, FAR_AHEAD)
    clinic.scene.drop([visit(FAR_AHEAD, status="cancelled")], 2)


@pytest.mark.parametrize("provider", TELLING, ids=name_of)
@pytest.mark.parametrize("moment", NOTHING_TAKEN, ids=short)
@pytest.mark.parametrize("news", ["reminder", "cancellation"])
def test_what_its_provider_had_not_taken_arrives_once(
    clinic: Post, moment: Moment, news: str
) -> None:
    cancelled(clinic) if news == "cancellation" else imported(clinic.scene, TOMORROW)
    killed(clinic, moment)
    assert not clinic.peer.taken
    at = clinic.minutes_later(KILLED, *LATER)
    assert len(clinic.peer.taken) == 1
    well(told(clinic.scene, at))


@pytest.mark.parametrize("provider", TELLING, ids=name_of)
@pytest.mark.parametrize("moment", TAKEN, ids=short)
def test_what_its_provider_took_is_not_repeated_though_lists_lag_and_is_known_by_its_id(
    clinic: Post, moment: Moment
) -> None:
    imported(clinic.scene, TOMORROW)
    clinic.peer.lag = timedelta(seconds=55)
    killed(clinic, moment)
    at = clinic.minutes_later(KILLED, 0.5, *LATER)
    (taken,) = clinic.peer.taken
    assert clinic.ids_kept() == [taken.id]
    well(told(clinic.scene, at))


def well(seen: Told) -> None:
    assert (seen.state, seen.reason, seen.unknown, seen.needs) == ("sent", None, 0, [])


LEASE = 1.0


@pytest.mark.parametrize("base", ["sqlite"], indirect=True)
@pytest.mark.parametrize("provider", ALL, ids=name_of)
def test_a_sender_that_waits_for_a_slow_provider_is_not_overtaken(
    scenes: Scenes, provider: Provider
) -> None:
    store = {"url": "${STORE_URL}", "lease": f"{LEASE:.0f}s"}
    with post(scenes, provider, store=store) as clinic:
        imported(clinic.scene, TOMORROW)
        clinic.peer.answers.clear()
        first = clinic.start(KILLED)
        clinic.wait_until_taken(1)
        time.sleep(1.5 * LEASE)  # the database's clock is what is waited for
        at = clinic.minutes_later(KILLED, *LATER)
        assert len(clinic.peer.taken) == 1
        clinic.peer.answers.set()
        assert clinic.end(first) == DONE
        assert len(clinic.peer.taken) == 1
        well(told(clinic.scene, at))


@pytest.mark.parametrize("provider", SILENT, ids=name_of)
@pytest.mark.parametrize("moment", [Moment.ASKED, *TAKEN], ids=short)
def test_a_reminder_that_nobody_can_prove_is_not_repeated_and_everybody_says_so(
    clinic: Post, moment: Moment
) -> None:
    imported(clinic.scene, TOMORROW)
    killed(clinic, moment)
    at = clinic.minutes_later(KILLED, *SOON)
    assert len(clinic.peer.taken) == (moment in TAKEN)
    seen = told(clinic.scene, at)
    assert (seen.state, seen.reason, seen.unknown) == ("unproven", "unproven_not_repeated", 1)
    assert "nobody can find out whether they arrived" in seen.needs[0]
    assert "Nobody can find out whether the reminder 1d" in seen.answer
    (listed,) = clinic.scene.told(at, "messages", "list", "--state", "unproven")
    assert listed["appointment"] == "reception/7"
    assert listed["reason"] == "unproven_not_repeated"


@pytest.mark.parametrize("provider", SILENT, ids=name_of)
def test_what_had_not_left_yet_is_sent_though_nobody_can_be_asked(clinic: Post) -> None:
    imported(clinic.scene, TOMORROW)
    killed(clinic, Moment.BEGUN)
    at = clinic.minutes_later(KILLED, *SOON)
    assert len(clinic.peer.taken) == 1
    well(told(clinic.scene, at))


@pytest.mark.parametrize("provider", SILENT, ids=name_of)
def test_a_cancellation_that_nobody_can_prove_is_repeated_once_and_mails_as_the_same(
    clinic: Post,
) -> None:
    cancelled(clinic)
    killed(clinic, Moment.TAKEN)
    at = clinic.minutes_later(KILLED, *SOON)
    first, again = clinic.peer.taken
    assert (first.to, first.text) == (again.to, again.text)
    if clinic.peer.provider.channel == "email":
        assert first.said["headers"]["Message-ID"] == again.said["headers"]["Message-ID"]
    seen = told(clinic.scene, at)
    assert (seen.state, seen.reason, seen.unknown) == ("sent", "unproven_repeated", 0)


@pytest.mark.parametrize("provider", SILENT, ids=name_of)
def test_a_cancellation_whose_repetition_is_killed_too_is_left_to_a_person(clinic: Post) -> None:
    cancelled(clinic)
    killed(clinic, Moment.TAKEN)
    killed(clinic, Moment.TAKEN)
    at = clinic.minutes_later(KILLED, *SOON)
    assert len(clinic.peer.taken) == 2
    seen = told(clinic.scene, at)
    assert (seen.state, seen.reason, seen.unknown) == ("unproven", "unproven_twice", 1)
    assert len(seen.needs) == 1
