"""What a piece of work costs this process."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Spent(NamedTuple):
    """CPU and wall-clock seconds."""

    cpu: float
    wall: float


@contextmanager
def spending() -> Iterator[list[Spent]]:
    """Measure what this process spends in the block."""
    gc.collect()
    found: list[Spent] = []
    cpu, wall = time.process_time(), time.perf_counter()
    yield found
    found.append(Spent(time.process_time() - cpu, time.perf_counter() - wall))
