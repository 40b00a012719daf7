"""The looks into the store say the same on every database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from clinicrelay.model import Appointment, Guardian, Patient, Status
from sync.store import (
    Store,
    counting,
    digests,
    looking,
    open_store,
    opened,
    schema,
    upgrade,
    visits,
    wakes,
)


def visit(key: str, start: datetime | None, **changes: object) -> Appointment:
    patient = Patient(f"p-{key}", f"Zoë Müller {key}", "+4915155501234", f"{key}@mail.example")
    return Appointment(
        "ehr", key, Status.BOOKED, "Europe/Berlin", start, patients=(patient,), **changes
    )  # type: ignore[arg-type]


@pytest.fixture
def store(store_url: str, now: datetime) -> Iterator[Store]:
    """Three visits: tomorrow, the day after, and one without a time."""
    opened = open_store(store_url, "riverside", now=now)
    day = timedelta(days=1)
    kept = [visit("a", now + day), visit("b", now + 2 * day), visit("c", None)]
    with opened.write() as connection:
        starts = [one.start and int(one.start.timestamp()) for one in kept]
        visits.insert(connection, "riverside", "ehr", kept, starts, run="run-1", now=now)
        visits.keep_people(connection, "riverside", kept, set())
    yield opened
    opened.close()


def test_visits_are_listed_by_their_start(store: Store, now: datetime) -> None:
    def keys(**limits: datetime | None) -> list[str]:
        with store.read() as connection:
            found = looking.appointments(
                connection, "riverside", **{"first": None, "end": None, **limits}
            )
            return [one.content.split('"key":"')[1][0] for one in found]

    assert sorted(keys()) == ["a", "b", "c"]
    assert keys(first=now) == ["a", "b"]
    assert keys(first=now, end=now + timedelta(days=2)) == ["a"]
    assert sorted(keys(end=now + timedelta(days=2))) == ["a", "c"]


def test_people_are_found_by_phone_mail_and_name(store: Store) -> None:
    with store.read() as connection:
        by_phone = looking.people_at(connection, "riverside", phone="+4915155501234")
        by_mail = looking.people_at(connection, "riverside", email="b@mail.example")
        by_name = list(looking.people_like(connection, "riverside", "%m%"))
        none = looking.people_at(connection, "elsewhere", phone="+4915155501234")
        found = looking.by_patient(connection, "riverside", by_mail)
        same = looking.by_key(connection, "riverside", ["other", "ehr"], "b")

    assert sorted(by_phone) == [("ehr", "p-a"), ("ehr", "p-b"), ("ehr", "p-c")]
    assert by_mail == [("ehr", "p-b")]
    assert len(by_name) == 3
    assert none == []
    assert found == same != []


CHILD = Patient(
    "p-child",
    "Mia Sample",
    "+4915155507777",
    guardian=Guardian("Eva Sample", "+4915155509999", "eva@mail.example"),
)


def at_guardians(store: Store) -> list[list[tuple[str, str]]]:
    with store.read() as connection:
        return [
            looking.people_at(connection, "riverside", phone="+4915155509999"),
            looking.people_at(connection, "riverside", email="eva@mail.example"),
            looking.people_at(connection, "riverside", email="a@mail.example"),
        ]


def keep(store: Store, one: Appointment, now: datetime) -> None:
    with store.write() as connection:
        visits.insert(connection, "riverside", "ehr", [one], [None], run="run-2", now=now)
        visits.keep_people(connection, "riverside", [one], set())


def test_patients_are_found_by_what_their_guardians_have(store: Store, now: datetime) -> None:
    keep(store, replace(visit("d", None), patients=(CHILD,)), now)
    child = [("ehr", "p-child")]
    assert at_guardians(store) == [child, child, [("ehr", "p-a")]]


def test_a_store_of_before_knows_the_guardians_of_its_visits_after_the_upgrade(
    store_url: str, now: datetime
) -> None:
    with opened(store_url) as engine, engine.begin() as connection:
        schema.migrate(connection, "0010")
        old = replace(visit("d", None), patients=(CHILD, *visit("a", None).patients))
        visits.insert(connection, "riverside", "ehr", [old], [None], run="run-1", now=now)
        for key in ("p-child", "p-a"):
            connection.exec_driver_sql(
                "INSERT INTO people (clinic, source, source_key, email) "
                f"VALUES ('riverside', 'ehr', '{key}', '{key[2:]}@mail.example')"
            )
    with opened(store_url) as engine:
        upgrade.upgrade(engine, folder=None, now=now)
    store = open_store(store_url, "riverside", now=now)
    child = [("ehr", "p-child")]
    assert at_guardians(store) == [child, child, [("ehr", "p-a")]]
    store.close()


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)  # servers choose by statistics
def test_a_guardian_is_found_without_a_look_at_every_patient(store: Store) -> None:
    with store.read() as connection:
        for column in ("phone", "email"):
            plan = connection.exec_driver_sql(
                "EXPLAIN QUERY PLAN SELECT source_key FROM people "
                f"WHERE clinic = ? AND guardian_{column} = ?",
                ("riverside", "x"),
            )
            assert f"guardian_{column}=?" in plan.fetchone().detail


def test_counts_are_of_this_clinic_and_these_days(store: Store, now: datetime) -> None:
    with store.read() as connection:
        end = now + timedelta(hours=36)
        coming = wakes.of_day(connection, "riverside", first=now, end=end)
        later, long = now + timedelta(seconds=1), now - timedelta(seconds=1)
        changed = digests.changed(connection, "riverside", since=long, now=now)
        none = digests.changed(connection, "riverside", since=later, now=now)
        sent = digests.last_sent(connection, "riverside", ["a" * 32, "b" * 32])
        said = list(counting.said_about(connection, "riverside", first=now, end=end))
        by_state = counting.messages_by_state(connection, "riverside", now=now)
        kept = counting.kept(connection, "riverside", "ehr")
        reads = list(counting.complete_reads(connection, "riverside"))

    assert [one.source_key for one in coming] == ["a"]
    assert sorted(one.source_key for one in changed) == ["a", "b", "c"]
    assert none == []
    assert sent is None
    assert said == reads == []
    assert set(by_state.values()) == {0}
    assert kept == 3


def test_a_life_without_events_is_a_short_one(store: Store) -> None:
    with store.read() as connection:
        (number,) = looking.by_key(connection, "riverside", ["ehr"], "a")
        assert looking.first_run(connection, number) == "run-1"
        assert looking.runs_of_versions(connection, number) == {}
        assert looking.messages_of(connection, number) == []
        assert looking.attempts_of(connection, [1, 2]) == {}
        assert looking.events_of(connection, number) == []
        assert looking.waiting_of(connection, "riverside", "ehr", "a") is None
        assert looking.set_aside_of(connection, "riverside", "ehr", "a") == []
        assert list(looking.set_aside_raw(connection, "riverside")) == []
        assert looking.by_message(connection, "riverside", "cr1") == []
        since = datetime(2026, 1, 1, tzinfo=UTC)
        assert looking.messages_to(connection, "riverside", ["x", "y"], since=since, most=9) == []
        assert looking.by_event(connection, "riverside", "cr1") == []
        assert looking.hold_of(connection, "riverside", 1) is None
        assert looking.messages_held(connection, "riverside", 1) == []


@pytest.mark.parametrize("step", [1, 3])  # a cluster's servers give out each third number
def test_a_share_of_a_day_is_of_its_visits(store: Store, now: datetime, step: int) -> None:
    day = [visit(f"d{n}", now + timedelta(hours=2, minutes=n)) for n in range(60)]
    with store.write() as connection:
        starts = [one.start and int(one.start.timestamp()) for one in day]
        visits.insert(connection, "riverside", "ehr", day, starts, run="run-1", now=now)
        connection.exec_driver_sql(f"UPDATE appointments SET id = 100000 - {step} * id")
    around = {"first": now, "end": now + timedelta(hours=12)}
    with store.read() as connection:
        number, one = counting.coming(connection, "riverside", **around)
        share = wakes.Share.of(number, 10, one)
        some = wakes.of_day(connection, "riverside", **around, share=share)
        again = wakes.of_day(connection, "riverside", **around, share=share)
    assert number == 60
    assert share.every == 6
    assert 10 <= len(some) <= 30
    assert some == again
