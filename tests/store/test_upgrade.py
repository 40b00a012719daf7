"""A store of an older program: upgraded with a copy kept, by whoever comes first, killed or not."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import stat
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text

from clinicrelay.errors import SettingsError, StoreBusy
from sync.store import dialects, exists, open_store, opened, restore, schema, scratch, upgrade
from sync.store.leases import lease

Fill = Callable[..., None]
Held = Callable[[str], dict[str, list[tuple[Any, ...]]]]

TODAY = schema.VERSIONS
ON_SERVERS = pytest.mark.parametrize("store_url", ["postgresql", "mysql"], indirect=True)
ON_SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


def described(url: str) -> dict[str, Any]:
    with opened(url) as engine:
        found = inspect(engine)
        return {
            table: (
                [(c["name"], repr(c["type"]), c["nullable"]) for c in found.get_columns(table)],
                plain_indexes(found, table),
            )
            for table in found.get_table_names()
        }


def plain_indexes(found: Any, table: str) -> list[tuple[str, Any]]:
    """Return the indexes of a table; some databases list its unique constraints among them."""
    return sorted(
        (str(i["name"]), i["column_names"]) for i in found.get_indexes(table) if not i["unique"]
    )


def upgraded(url: str, folder: Path | None, now: datetime) -> upgrade.Upgraded | None:
    with opened(url) as engine:
        return upgrade.upgrade(engine, folder=folder, now=now)


@pytest.fixture
def old(store_url: str, fill: Fill, now: datetime) -> str:
    """A store that today's program made."""
    fill(store_url, now)
    return store_url


@pytest.fixture
def _newer_program(old: str, newer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "VERSIONS", newer)


after_release = pytest.mark.usefixtures("_newer_program")


@after_release
def test_what_an_upgrade_would_do_is_told_and_not_done(old: str, now: datetime) -> None:
    before = described(old)
    with opened(old) as engine:
        found = upgrade.outlook(engine)
    assert [step.says for step in found.steps] == ["Shades are grey now."]
    assert found.steps[0].title == "Gives people a shade."
    assert (found.version, found.head) == (schema.known()[-2], schema.known()[-1])
    assert found.rows > 100
    assert described(old) == before


@after_release
def test_an_upgrade_keeps_a_copy_that_can_be_restored(
    old: str, tmp_path: Path, now: datetime, monkeypatch: pytest.MonkeyPatch, held: Held
) -> None:
    done = upgraded(old, tmp_path / "backups", now)
    assert done is not None
    assert done.copy is not None
    assert stat.S_IMODE(done.copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(done.copy.parent.stat().st_mode) == 0o700
    assert [path.name for path in done.copy.parent.iterdir()] == [done.copy.name]
    with opened(old) as engine, engine.connect() as connection:
        shades = connection.exec_driver_sql("SELECT DISTINCT shade FROM people").scalars().all()
    assert shades == ["grey"]
    assert upgraded(old, tmp_path / "backups", now) is None  # and once is enough
    if done.copy.suffix == ".zip":
        monkeypatch.setattr(
            schema, "VERSIONS", Path(schema.__file__).parent / "migrations/versions"
        )
        url = f"sqlite:///{tmp_path}/again.db"
        with opened(url) as engine:
            restore.restore(engine, done.copy, clinic="riverside", replace=False, now=now)
    else:
        url = f"sqlite:///{done.copy}"
    assert {len(rows) for name, rows in held(url).items() if name != "clinics"} == {7}


@after_release
@ON_SQLITE
def test_a_sqlite_store_is_upgraded_by_the_next_who_opens_it(
    old: str, tmp_path: Path, now: datetime
) -> None:
    told: list[str] = []
    open_store(old, "riverside", now=now, tell=told.append).close()
    (copy,) = (tmp_path / "backups").iterdir()
    assert told == [
        f"The store was upgraded from schema {schema.known()[-2]} to {schema.head()}; "
        f"as it was before: {copy}."
    ]
    with sqlite3.connect(copy) as look:
        assert look.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert look.execute("SELECT version_num FROM alembic_version").fetchone() == (
            schema.known()[-2],
        )
    open_store(old, "riverside", now=now, tell=told.append).close()
    assert len(told) == 1


@after_release
@ON_SERVERS
def test_a_store_on_a_server_waits_for_a_person_to_upgrade_it(old: str, now: datetime) -> None:
    before = described(old)
    with pytest.raises(SettingsError) as refused:
        open_store(old, "riverside", now=now)
    assert "clinicrelay store upgrade" in refused.value.findings[0].fix
    with pytest.raises(SettingsError), scratch(old, "riverside", now=now):
        pass
    assert described(old) == before
    upgraded(old, None, now)
    open_store(old, "riverside", now=now).close()


@after_release
@ON_SQLITE
def test_plan_looks_at_an_older_store_without_upgrading_it(old: str, now: datetime) -> None:
    before = described(old)
    with scratch(old, "riverside", now=now) as store, store.read() as connection:
        assert connection.exec_driver_sql("SELECT DISTINCT shade FROM people").scalar() == "grey"
    assert described(old) == before


def test_no_older_program_touches_a_store_that_a_newer_one_upgraded(
    old: str, newer: Path, tmp_path: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        later.setattr(schema, "VERSIONS", newer)
        upgraded(old, None, now)
    with opened(old) as engine:
        for work in (
            lambda: upgrade.outlook(engine),
            lambda: upgrade.upgrade(engine, folder=None, now=now),
            lambda: open_store(old, "riverside", now=now),
            lambda: scratch(old, "riverside", now=now).__enter__(),
        ):
            with pytest.raises(SettingsError, match="this program knows"):
                work()
    assert exists(old)


@after_release
@pytest.mark.parametrize("after", [1, 2, 3, 4, 5, 6, 7])
def test_an_upgrade_that_is_cut_off_anywhere_is_finished_by_the_next(
    old: str, now: datetime, cut_off: Callable[..., type[Exception]], after: int, tmp_path: Path
) -> None:
    engine = dialects.connect(old)
    with pytest.raises(cut_off(engine, after)):
        upgrade.upgrade(engine, folder=None, now=now)
    engine.dispose()
    done = upgraded(old, None, now)
    assert done is not None
    whole = described(old)
    with opened(f"sqlite:///{tmp_path}/straight.db") as straight, straight.begin() as connection:
        schema.migrate(connection, schema.head())
        found = inspect(connection)
        for table in found.get_table_names():
            columns = [c["name"] for c in found.get_columns(table)]
            assert [name for name, _, _ in whole[table][0]] == columns
            assert whole[table][1] == plain_indexes(found, table)


def test_a_store_of_the_first_version_reaches_this_one_though_each_statement_is_the_last(
    store_url: str, now: datetime, cut_off: Callable[..., type[Exception]], tmp_path: Path
) -> None:
    """Cut off after one statement, then after two, and so on: every state between is gone on from."""
    with opened(store_url) as engine, engine.begin() as connection:
        schema.migrate(connection, schema.known()[0])
        _fill_the_first(connection)
    for after in range(1, 400):
        engine = dialects.connect(store_url)
        cut = cut_off(engine, after)
        try:
            upgrade.upgrade(engine, folder=None, now=now)
            break
        except cut:
            continue
        finally:
            engine.dispose()
    assert after > 5
    assert upgraded(store_url, None, now) is None
    with opened(f"sqlite:///{tmp_path}/straight.db") as straight, straight.begin() as connection:
        schema.migrate(connection, schema.head())
    whole, expected = described(store_url), described(f"sqlite:///{tmp_path}/straight.db")
    assert whole.keys() == expected.keys()
    for table, (columns, indexes) in expected.items():
        assert [name for name, _, _ in whole[table][0]] == [name for name, _, _ in columns]
        assert whole[table][1] == indexes
    with opened(store_url) as engine, engine.connect() as connection:
        look = "SELECT guardian_phone FROM people ORDER BY source_key"
        assert [*connection.exec_driver_sql(look).scalars()] == [f"+49301{n:03}" for n in range(9)]
        dedupes = connection.exec_driver_sql("SELECT dedupe FROM messages ORDER BY id").scalars()
        assert [*dedupes] == [f"6927fae0{n:024}" for n in range(9)]


def _fill_the_first(connection: Any) -> None:
    """Put a few visits with their people and messages into a store of the first version."""
    rows = {"appointments": [], "people": [], "messages": []}  # type: dict[str, list[dict[str, Any]]]
    for n in range(9):
        guardian = {"phone": f"+49301{n:03}", "email": None}
        visit = {"patients": [{"key": f"p{n}", "guardian": guardian}]}
        rows["appointments"].append({"source_key": str(n), "content": json.dumps(visit)})
        rows["people"].append({"source_key": f"p{n}"})
        say = json.dumps({"facts": {"on": True, "start": "2025-11-27T07:16:48Z"}})
        rows["messages"].append({"dedupe": f"{n:024}{0:08}", "say": say})
    tables = inspect(connection)
    for table, some in rows.items():
        columns = {column["name"]: column for column in tables.get_columns(table)}
        for number, row in enumerate(some, 1):
            wanted = {
                name: 0 if "INT" in str(column["type"]).upper() else "x"
                for name, column in columns.items()
                if not column["nullable"]
            }
            wanted |= {"id": number} if "id" in columns else {}
            wanted |= {"clinic": "riverside", "source": "a", **row}
            wanted = {name: value for name, value in wanted.items() if name in columns}
            marks = ", ".join(f":{name}" for name in wanted)
            connection.execute(
                text(f"INSERT INTO {table} ({', '.join(wanted)}) VALUES ({marks})"), wanted
            )


@after_release
def test_an_upgrade_waits_for_whoever_is_at_work(
    old: str, newer: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(schema, "VERSIONS", TODAY)
        store = open_store(old, "riverside", now=now)
    before = described(old)
    with lease(store, "source:a", timedelta(seconds=60)):
        with pytest.raises(StoreBusy, match="at work"):
            upgraded(old, None, now)
        assert described(old) == before
    assert upgraded(old, None, now) is not None
    store.close()


def _upgrade_there(url: str, versions: str, folder: str, at: str, told: Any) -> None:
    schema.VERSIONS = Path(versions)
    try:
        done = upgraded(url, Path(folder), datetime.fromisoformat(at))
    except StoreBusy:
        told.put("busy")
    else:
        told.put("upgraded" if done else "nothing to do")


@after_release
def test_of_two_upgrades_at_once_one_upgrades(
    old: str, newer: Path, tmp_path: Path, now: datetime
) -> None:
    spawn = multiprocessing.get_context("spawn")
    told = spawn.Queue()
    given = (old, str(newer), str(tmp_path / "backups"), now.isoformat(), told)
    both = [spawn.Process(target=_upgrade_there, args=given) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(timeout=60)
    assert sorted(told.get(timeout=5) for _ in both) == ["nothing to do", "upgraded"]
    assert len(list((tmp_path / "backups").iterdir())) == 1
