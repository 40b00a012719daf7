"""What the tests that kill real runs begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.practice import Practice
from tests.crash.scenes import Base, Scenes


@pytest.fixture
def practice(tmp_path: Path) -> Practice:
    return Practice(tmp_path / "practice.db")


@pytest.fixture(scope="session", params=["sqlite", "postgres", "mysql"])
def base(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Base]:
    """A clinic that was imported, and has the next export in its inbox; to be copied, not used."""
    made = Base(tmp_path_factory.mktemp("base"), request.param)
    try:
        made.build()
        yield made
    finally:
        made.close()


@pytest.fixture
def scenes(base: Base, tmp_path: Path) -> Iterator[Scenes]:
    """Make copies of the base, or empty clinics, each with a database of its own."""
    made = Scenes(base, tmp_path)
    yield made
    made.close()
