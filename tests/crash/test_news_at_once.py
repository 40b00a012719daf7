"""Three processes at once, killed by chance, while visits are booked, moved and cancelled.

Everybody is told each thing once, in the order in which it came about, and the last word is true.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from random import Random
from typing import TYPE_CHECKING

import pytest

from clinicrelay.times import iso, parse_instant
from tests.crash.killing import ZONE, Moment, Post, post
from tests.crash.scene import visit
from tests.crash.storm import ENDS, MINUTE, RUNS, STORES, TILL_SETTLED, Storm
from tests.notifiers.peers import PROVIDERS, Provider

if TYPE_CHECKING:
    from tests.crash.scenes import Scenes

pytestmark = pytest.mark.crash

IMPORTED, BEGUN = "2026-11-23T09:00", "2026-11-23T11:58"
KNOWN = 8 * RUNS
FIRST = datetime(2026, 12, 7, 8)
DONE = 0
IN_ORDER = ["confirmation", "change", "cancellation"]


class Reception:
    """Books two visits a minute, moves one and cancels two; each is moved and cancelled once at most."""

    def __init__(self, clinic: Post) -> None:
        self.clinic = clinic
        self.rows = {n: visit(n, FIRST + timedelta(minutes=10 * n)) for n in range(KNOWN)}
        self.exports = 0
        self.export()

    def export(self) -> None:
        self.exports += 1
        self.clinic.scene.drop(list(self.rows.values()), self.exports)

    def work(self) -> None:
        known, new = 3 * self.exports, KNOWN + 2 * self.exports
        for n in (new, new + 1):
            self.rows[n] = visit(n, FIRST + timedelta(days=20, minutes=10 * n))
        for n in (known, new - 1):
            if n in self.rows:
                self.rows[n]["start"] = (
                    f"{FIRST + timedelta(days=40, minutes=10 * n):%Y-%m-%d %H:%M}"
                )
        for n in (known, known + 1, new - 2, new - 5):
            if n in self.rows and self.exports % 2:
                self.rows[n]["status"] = "cancelled"
        self.export()


@pytest.fixture
def clinic(scenes: Scenes, provider: Provider) -> Iterator[Post]:
    told = {"patient": {"confirmation": {"channels": [provider.channel]}}}
    with post(scenes, provider, doors=3, reminders=told) as made:
        for old in (made.scene.folder / "drops" / "reception").iterdir():
            old.unlink()
        yield made


@pytest.mark.parametrize("base", STORES, indirect=True)
@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_news_that_three_at_once_tell_come_once_in_order_and_true(clinic: Post) -> None:
    reception = Reception(clinic)
    assert clinic.scene.sync_here(IMPORTED) == DONE
    storm, now = Storm(clinic, Random(8)), parse_instant(BEGUN, ZONE)
    for _ in range(RUNS):
        now += MINUTE
        reception.work()
        clinic.killed(iso(now), Moment.BEGUN)  # so that the three find all of it planned
        storm.blow(iso(now))
    storm.end()
    at = clinic.minutes_later(iso(now), *TILL_SETTLED)

    ledger = clinic.scene.told(at, "messages", "list")
    unproven = {key_of(one["appointment"]) for one in ledger if one["state"] == "unproven"}
    times = Counter((one.to, one.text) for one in clinic.peer.taken)
    doubled = [one for one, number in times.items() if number > 1]
    kinds = dict(Counter(one["kind"] for one in ledger if one["state"] == "sent"))
    storm.say(f"{times.total()} arrived, {len(doubled)} twice, {len(unproven)} unproven; {kinds}")
    assert set(storm.codes) <= ENDS
    assert {one["state"] for one in ledger} <= {"sent", "skipped", "unproven"}
    # What nobody can prove is repeated once, where a patient would stand in front of a closed door.
    assert max(times.values()) <= (1 if clinic.peer.provider.tells else 2), doubled
    told = by_visit(clinic)
    for number, row in reception.rows.items():
        in_order_and_true(told[number], row, known=number < KNOWN, unproven=number in unproven)


def in_order_and_true(
    told: list[tuple[str, str]], row: dict[str, str], *, known: bool, unproven: bool
) -> None:
    # A move that crosses a confirmation is told as one more of them: nobody knew of the first yet.
    said = [kind for kind, _ in dict.fromkeys(told)]
    kinds = [kind for kind, _ in groupby(said)]
    assert kinds == [kind for kind in IN_ORDER if kind in kinds], (row, said)
    assert said.count("cancellation") <= 1, (row, said)
    off = row["status"] == "cancelled"
    if unproven:
        return
    if not told:
        # Nobody tells of what was over before it was said, nor of what was known all along.
        assert off or known, row
    elif off:
        assert kinds[-1] == "cancellation", row
    else:
        assert row["start"][-5:] in told[-1][1], row


def by_visit(clinic: Post) -> dict[int, list[tuple[str, str]]]:
    """Return kind and text of what arrived, by the number of the visit."""
    told: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for one in clinic.peer.taken:
        number = int(one.to.partition("@")[0].lstrip("p")[-4:])
        told[number].append((kind_of(one.text), one.text))
    return told


def kind_of(text: str) -> str:
    words = {"abgesagt": "cancellation", "verlegt": "change"}
    return next((kind for word, kind in words.items() if word in text), "confirmation")


def key_of(appointment: str) -> int:
    return int(appointment.partition("/")[2])
