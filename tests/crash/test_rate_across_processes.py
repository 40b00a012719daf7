"""Four processes that send by one provider keep its limits together: hardly a 429, and all arrives."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from clinicrelay.testing import Reply
from tests.crash.killing import Post, post
from tests.crash.scene import visit
from tests.crash.storm import DONE, TRY_AGAIN
from tests.notifiers.peers import PROVIDERS, Fate, Provider

if TYPE_CHECKING:
    from tests.crash.scenes import Scenes

pytestmark = pytest.mark.crash

AT_ONCE = 4
IMPORTED, DUE = "2026-11-23T09:00", "2026-11-23T12:05"
TWILIO, SENDGRID, _ = PROVIDERS
TOO_FAST = Reply({"code": 20429, "errors": []}, 429, {"Retry-After": "1"})


class Limit:
    """A provider's own: so many in any second of its clock, and a 429 for each that is too many."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken: deque[float] = deque()
        self.refused = 0

    def __call__(self) -> Fate:
        now = time.monotonic()
        while self.taken and now - self.taken[0] >= 1:
            self.taken.popleft()
        if len(self.taken) >= self.most:
            self.refused += 1
            return TOO_FAST
        self.taken.append(now)
        return None


@pytest.mark.parametrize("base", ["sqlite", "postgres"], indirect=True)
@pytest.mark.parametrize(("provider", "most"), [(TWILIO, 5), (SENDGRID, 10)])
def test_four_processes_keep_the_limit_of_their_provider(
    scenes: Scenes, provider: Provider, most: int
) -> None:
    people = 20 * most
    limited = {**provider.options, "base_url": "${PROVIDER_URL}", "rate": f"{most}/s"}
    with post(scenes, provider, doors=AT_ONCE, notifiers={"post": limited}) as clinic:
        for old in (clinic.scene.folder / "drops" / "reception").iterdir():
            old.unlink()
        rows = [visit(n, datetime(2026, 11, 24, 12)) for n in range(people)]
        clinic.scene.drop(rows, 1)
        assert clinic.scene.sync_here(IMPORTED) == DONE
        clinic.peer.fate = limit = Limit(most)
        began = time.monotonic()
        runs = [clinic.start(DUE, "send")]
        clinic.wait_until_taken(1)  # what is due is known by now; the others find it
        runs += [clinic.start(DUE, "send", door=door) for door in range(1, AT_ONCE)]
        codes = [clinic.end(run) for run in runs]
        lasted = time.monotonic() - began
        assert set(codes) <= {DONE, TRY_AGAIN}
        with clinic.scene.opened(DUE) as at_work, at_work.store.read() as connection:
            sent = "SELECT run, count(*) FROM attempts WHERE state = 'accepted' GROUP BY run"
            shares = sorted(number for _, number in connection.exec_driver_sql(sent))
        print(f"{people} in {lasted:.1f} s, {limit.refused} refused, shares {shares}")
        assert len(shares) > 1
        assert len(clinic.peer.taken) / lasted > most / 2, "the limit is used"
        clinic.minutes_later(DUE, 1, 2)
        assert len({one.to for one in clinic.peer.taken}) == len(clinic.peer.taken) == people
        assert limit.refused <= max(2, people // 100)


@pytest.mark.parametrize("base", ["sqlite", "postgres"], indirect=True)
def test_while_one_process_sends_the_others_leave_the_rest_to_it(scenes: Scenes) -> None:
    limited = {**TWILIO.options, "base_url": "${PROVIDER_URL}", "at_once": 1}
    people = 40
    with post(scenes, TWILIO, doors=AT_ONCE, notifiers={"post": limited}) as clinic:
        for old in (clinic.scene.folder / "drops" / "reception").iterdir():
            old.unlink()
        clinic.scene.drop([visit(n, datetime(2026, 11, 24, 12)) for n in range(people)], 1)
        assert clinic.scene.sync_here(IMPORTED) == DONE
        clinic.peer.answers.clear()
        first = clinic.start(DUE, "send")
        clinic.wait_until_taken(1)  # and it waits for the answer
        others = [clinic.start(DUE, "send", door=door) for door in range(1, AT_ONCE)]
        codes = [clinic.end(run) for run in others]
        meanwhile = {run for run, _ in shares(clinic)}
        clinic.peer.answers.set()
        codes.append(clinic.end(first))
        assert set(codes) <= {DONE, TRY_AGAIN}
        assert len(meanwhile) == 1
        assert len(clinic.peer.taken) == people
        clinic.minutes_later(DUE, 1, 2)
        assert len({one.to for one in clinic.peer.taken}) == len(clinic.peer.taken) == people


def shares(clinic: Post) -> list[tuple[str, int]]:
    """Return how many messages each run has tried."""
    with clinic.scene.opened(DUE) as at_work, at_work.store.read() as connection:
        rows = connection.exec_driver_sql("SELECT run, count(*) FROM attempts GROUP BY run")
        return [(run, number) for run, number in rows]
