"""The list of what was said is the same on every database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from clinicrelay.actions import Facts, MessageKind, Role, Say
from clinicrelay.contracts import Message
from clinicrelay.model import Channel
from sync.store import Store, attempts, open_store, said
from sync.store.ledger import Wanted, entries
from sync.store.said import Pass
from sync.store.shards import shard_of

HOUR = timedelta(hours=1)


def say(number: int, due: datetime, **changes: object) -> said.Owed:
    made = Say(
        kind=MessageKind.DIGEST,
        role=Role.DOCTOR,
        recipient=f"doctor/d{number}",
        facts=Facts(on=True, start=due),
        due_at=due,
        useless_after=due + HOUR,
        setting="reminders.doctor.digest",
        **changes,  # type: ignore[arg-type]
    )
    return said.Owed(f"key{number}", None, made)


@pytest.fixture
def store(store_url: str, now: datetime) -> Iterator[Store]:
    """Three messages of one clinic an hour apart, the second skipped at once; one of another."""
    opened = open_store(store_url, "riverside", now=now)
    ours = [say(1, now - HOUR), say(2, now - 2 * HOUR, skip="no_contact"), say(3, now + HOUR)]
    with opened.write() as connection:
        for clinic, owed in (("riverside", ours), ("elsewhere", [say(1, now)])):
            said.owe(connection, clinic, owed, run="run", now=now, reopens=lambda kind, why: False)
    yield opened
    opened.close()


def recipients(store: Store, wanted: Wanted, most: int | None = None) -> list[str]:
    with store.read() as connection:
        return [one.recipient[-2:] for one in entries(connection, "riverside", wanted, most=most)]


def test_the_newest_come_first_and_no_other_clinics(store: Store) -> None:
    # The second was settled now, an hour after the first was due.
    assert recipients(store, Wanted()) == ["d3", "d2", "d1"]
    assert recipients(store, Wanted(), most=2) == ["d3", "d2"]


def test_a_stretch_of_time_is_half_open(store: Store, now: datetime) -> None:
    assert recipients(store, Wanted(since=now, until=now + HOUR)) == ["d2"]
    assert recipients(store, Wanted(since=now + HOUR)) == ["d3"]


def test_columns_narrow_the_list(store: Store) -> None:
    assert recipients(store, Wanted(state="skipped", kind="digest")) == ["d2"]
    assert recipients(store, Wanted(channel="sms")) == []


def test_of_a_mail_the_words_are_kept_and_not_the_page(store: Store, now: datetime) -> None:
    mail = Message("cr7", Channel.EMAIL, "a@mail.example", "Hello", "en", html="<p>Hello</p>")
    with store.write() as connection:
        (due,) = said.due(
            connection, "riverside", shard_of("doctor/d1"), Pass.ALL, now=now, limit=9
        )
        attempts.begin(connection, "riverside", due, mail, "smtp", contact="c", run="run", now=now)
        (begun,) = said.open_attempts(connection, "riverside", shard_of("doctor/d1"), now=now)
    assert (begun.body.text, begun.body.to, begun.body.html) == ("Hello", "a@mail.example", None)
