"""All connections to the database are cut again and again under a sync: nothing is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from random import Random

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from tests.crash.scene import Scene, visit
from tests.crash.scenes import SERVERS, Scenes
from tests.crash.test_a_killed_run import differences, without_ids

pytestmark = pytest.mark.crash

NOW = "2026-11-23T09:00"
DONE, TRY_AGAIN = 0, 75
RECORDS, DISTURBED = 2000, 5  # runs
CONNECTED = {
    "postgres": "SELECT pid FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()",
    "mysql": "SELECT id FROM information_schema.processlist WHERE db = :name",
}
CUT = {"postgres": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}


@contextmanager
def cut_again_and_again(server: str, scene: Scene) -> Iterator[list[int]]:
    """End every connection to a clinic's database, every few tenths of a second."""
    name, over, cut = make_url(scene.store_url).database, threading.Event(), list[int]()
    engine = create_engine(SERVERS[server], isolation_level="AUTOCOMMIT", poolclass=NullPool)

    def work() -> None:
        chance = Random(5)
        while not over.wait(chance.uniform(0.1, 1.0)):
            with engine.connect() as connection:
                for (number,) in connection.execute(text(CONNECTED[server]), {"name": name}).all():
                    try:
                        connection.exec_driver_sql(CUT[server].format(number))
                    except DBAPIError:
                        continue  # it has ended by itself
                    cut.append(number)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield cut
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("base", ["postgres", "mysql"], indirect=True)
def test_a_sync_whose_connections_are_cut_again_and_again_ends_as_if_they_had_not_been(
    scenes: Scenes,
) -> None:
    monday = datetime(2026, 12, 7, 8)
    rows = [visit(n, monday + timedelta(hours=n % 9, days=n // 40)) for n in range(RECORDS)]
    whole, scene = scenes.reading({}), scenes.reading({})
    for one in (whole, scene):
        one.drop(rows, 1)
        with one.opened(NOW):
            pass  # makes its tables
    assert whole.sync(NOW).code == DONE
    said, codes = "", []
    with cut_again_and_again(scenes.base.server, scene) as cut:
        while len(codes) < DISTURBED and DONE not in codes:
            ended = scene.sync(NOW)
            codes.append(ended.code)
            said += ended.said
    print(f"{scenes.base.server}: runs ended with {codes}, {len(cut)} connections cut")
    assert cut, "it was to be disturbed"
    assert set(codes) <= {DONE, TRY_AGAIN}, said
    assert "Traceback" not in said
    scene.let_leases_expire()
    assert scene.sync(NOW).code == DONE
    assert scene.sync(NOW).code == DONE
    assert len(scene.result()["tables"]["appointments"]) == RECORDS
    found, expected = (without_ids(one.result()) for one in (scene, whole))
    assert differences(found, expected) == []
