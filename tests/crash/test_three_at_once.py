"""Three processes at once around a due time, killed again and again by chance: every reminder once.

CLINICRELAY_TEST_KILLED_RUNS says how many runs there are, each of three processes; 50 take minutes.
With -rP the figures are shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.times import iso, parse_instant
from sync.explain import stories
from tests.crash.killing import ZONE, Post, post
from tests.crash.scene import visit
from tests.crash.storm import AT_ONCE, DONE, ENDS, FEW, MINUTE, RUNS, STORES, TILL_SETTLED, Storm
from tests.notifiers.peers import ALL, Provider

if TYPE_CHECKING:
    from tests.crash.scenes import Scenes

pytestmark = pytest.mark.crash

PER_MINUTE = 4  # reminders that become due
IMPORTED, BEGUN = "2026-11-23T09:00", "2026-11-23T11:58"


@pytest.fixture
def clinic(scenes: Scenes, provider: Provider) -> Iterator[Post]:
    with post(scenes, provider, doors=AT_ONCE) as made:
        inbox = made.scene.folder / "drops" / "reception"
        for old in inbox.iterdir():
            old.unlink()
        first = datetime(2026, 11, 24, 12)
        rows = [
            visit(n, first + timedelta(minutes=n // PER_MINUTE)) for n in range(RUNS * PER_MINUTE)
        ]
        made.scene.drop(rows, 1)
        assert made.scene.sync_here(IMPORTED) == DONE
        yield made


@pytest.mark.parametrize("base", STORES[: 2 if RUNS <= FEW else 3], indirect=True)
@pytest.mark.parametrize("provider", ALL, ids=lambda provider: provider.name)
def test_three_at_once_that_are_killed_by_chance_remind_everybody_once(clinic: Post) -> None:
    storm = Storm(clinic, Random(7))
    now = parse_instant(BEGUN, ZONE)
    for _ in range(RUNS):
        now += MINUTE
        storm.blow(iso(now))
    storm.end()
    at = clinic.minutes_later(iso(now), *TILL_SETTLED)

    arrived = Counter(one.to for one in clinic.peer.taken)
    ledger = clinic.scene.told(at, "messages", "list", "--kind", "reminder")
    doubled = [to for to, times in arrived.items() if times > 1]
    unproven = [one for one in ledger if one["state"] == "unproven"]
    sent = [one for one in ledger if one["state"] == "sent"]
    storm.say(
        f"{len(ledger)} reminders, {len(arrived)} arrived, {len(doubled)} twice, "
        f"{len(sent)} sent, {len(unproven)} unproven"
    )
    assert set(storm.codes) <= ENDS
    assert storm.killed > 0
    assert doubled == []
    assert len(ledger) == RUNS * PER_MINUTE == len(sent) + len(unproven)
    assert len(sent) <= len(arrived) <= len(ledger)
    if clinic.peer.provider.tells:
        assert unproven == []
    everybody_says_so(clinic, at, unproven)


def everybody_says_so(clinic: Post, at: str, unproven: list[dict[str, Any]]) -> None:
    """Whatever nobody can prove is counted by `status` and told by `why`."""
    status = clinic.scene.told(at, "status")
    assert status["messages"]["unknown"] == len(unproven)
    keys = [one["appointment"].partition("/")[2] for one in unproven]
    with clinic.scene.opened(at) as at_work:
        with at_work.store.read() as connection:
            rows = connection.exec_driver_sql("SELECT source_key, id FROM appointments").fetchall()
        ids = [number for key, number in rows if key in keys]
        answers = [story.answer for story in stories(at_work, ids)]
    assert len(answers) == len(unproven)
    assert all("Nobody can find out whether the reminder" in one for one in answers)
