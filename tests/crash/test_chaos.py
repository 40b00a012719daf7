"""Three workers in a storm: nothing lost, nothing doubled, nothing stale (R-010).

A storm of some seconds is part of the suite. CLINICRELAY_TEST_CHAOS_SECONDS=60 lets longer ones blow,
CLINICRELAY_TEST_CHAOS_SEEDS="1 2 3" as many; then the workers calm down by their own sweeps, and what
has to be asked about twice is waited for. With -rP the figures are shown.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.crash import chaos, fleet
from tests.crash.house import REMINDED
from tests.crash.scenes import answers

pytestmark = pytest.mark.crash

SECONDS = float(os.environ.get("CLINICRELAY_TEST_CHAOS_SECONDS", "0"))
SEEDS = [int(seed) for seed in os.environ.get("CLINICRELAY_TEST_CHAOS_SEEDS", "1").split()]
STORES = ("postgres", "mysql") if SECONDS else ("postgres",)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("store", STORES)
def test_a_storm_leaves_what_a_calm_day_would_have_left(
    store: str, seed: int, tmp_path: Path
) -> None:
    fleet.refuse_absent()
    answers(store)

    found = chaos.weather(
        tmp_path,
        store,
        seed=seed,
        seconds=SECONDS or 8,
        imported=120 if SECONDS else 40,
        nudged=not SECONDS,
    )

    print(f"{store}, seed {seed}: {found}")
    assert (found.lost, found.doubled, found.stale) == ([], [], [])
    assert found.figures["messages"] > REMINDED
    if SECONDS:
        assert found.unproven == 0
