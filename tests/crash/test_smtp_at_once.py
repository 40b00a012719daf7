"""Three processes at once that send mails, killed again and again by chance: every reminder once.

As in test_three_at_once, but for a mail server: there is nobody to ask what became of a mail.
"""

from __future__ import annotations

import signal
import threading
from collections import Counter
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest

from clinicrelay.times import iso, parse_instant
from tests.crash.killing import ZONE
from tests.crash.scene import visit
from tests.crash.storm import AT_ONCE, DONE, ENDS, FEW, MINUTE, RUNS, STORES
from tests.crash.test_smtp_killed import (
    BEFORE_THE_DOT,
    NOBODY_KNOWS,
    PATHS,
    relay,  # noqa: F401 - a fixture
    scene,  # noqa: F401 - a fixture
)

if TYPE_CHECKING:
    from tests.crash.scene import Scene
    from tests.crash.test_smtp_killed import Relay

pytestmark = pytest.mark.crash

PER_MINUTE = 4  # reminders that become due
IMPORTED, BEGUN = "2026-11-23T09:00", "2026-11-23T11:58"
TILL_SETTLED = (1, 3, 8)  # minutes


def killed_somewhere(chance: Random) -> dict[str, str]:
    """Return what lets one process of three end at a moment of its first delivery."""
    if chance.random() < 0.6:
        return {}
    moment = chance.choice(BEFORE_THE_DOT + NOBODY_KNOWS)
    return {"PYTHONPATH": PATHS, "SMTP_KILL_AT": moment}


@pytest.mark.parametrize("base", STORES[: 2 if RUNS <= FEW else 3], indirect=True)
def test_three_at_once_that_are_killed_by_chance_mail_everybody_once(
    scene: Scene,  # noqa: F811
    relay: Relay,  # noqa: F811
) -> None:
    for old in (scene.folder / "drops" / "reception").iterdir():
        old.unlink()
    first = datetime(2026, 11, 24, 12)
    scene.drop(
        [visit(n, first + timedelta(minutes=n // PER_MINUTE)) for n in range(RUNS * PER_MINUTE)], 1
    )
    assert scene.sync_here(IMPORTED) == DONE
    chance, codes, now = Random(11), Counter[int](), parse_instant(BEGUN, ZONE)
    for _ in range(RUNS):
        now += MINUTE
        runs = [scene.start(iso(now), "send", **killed_somewhere(chance)) for _ in range(AT_ONCE)]
        by_chance = threading.Timer(chance.uniform(0.3, 1.5), chance.choice(runs).kill)
        by_chance.start()
        codes.update(scene.end(run).code for run in runs)
        by_chance.cancel()
    for later in TILL_SETTLED:
        scene.sync_here(iso(now + later * MINUTE))

    at = iso(now + TILL_SETTLED[-1] * MINUTE)
    arrived = Counter(mail.to for mail in relay.mails)
    ledger = scene.told(at, "messages", "list", "--kind", "reminder")
    states = Counter(one["state"] for one in ledger)
    store = scene.store_url.partition(":")[0]
    print(f"smtp on {store}: {codes.total()} processes, {codes[-signal.SIGKILL]} killed; "
          f"{len(ledger)} reminders, {len(arrived)} arrived, {dict(states)}")  # fmt: skip
    assert set(codes) <= ENDS
    assert codes[-signal.SIGKILL] > 0
    assert [to for to, times in arrived.items() if times > 1] == []
    assert len(ledger) == RUNS * PER_MINUTE == states["sent"] + states["unproven"]
    assert states["sent"] <= len(arrived) <= len(ledger)
    assert scene.told(at, "status")["messages"]["unknown"] == states["unproven"]
