"""A store is put back from a copy: what left since the copy was made does not leave again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.testing import Reply
from sync.store import backup as backups
from sync.store import gap, opened
from sync.store import restore as restores
from tests.notifiers.peers import ALL, Peer, Provider

if TYPE_CHECKING:
    from tests.line.conftest import Line

KNOWN = [one for one in ALL if one.tells]
SMS = next(one for one in ALL if one.name == "twilio")
MAIL = next(one for one in ALL if one.name == "sendgrid")
MUTE = next(one for one in ALL if one.name == "aws_eum")  # nobody can ask it afterwards
MINUTE = timedelta(minutes=1)


def name_of(provider: Provider) -> str:
    return provider.name


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """What providers are asked is the same on every store."""
    return f"sqlite:///{tmp_path}/store.db"


class Ward:
    """A clinic with one provider, whose store is copied and put back."""

    def __init__(self, line: Line, folder: Path, provider: Provider, **reminders: Any) -> None:
        self.line, self.copy, self.peer = line, folder / "copy.zip", Peer(provider)
        line.set(
            calendars={},
            channels=provider.channels,
            notifiers={"post": {**provider.options, "base_url": self.peer.door()}},
            reminders={
                "patient": {"confirmation": {}, "steps": ["1d"], "on_gone": True, **reminders}
            },
        )

    def run(self, after: timedelta = 5 * MINUTE) -> list[str]:
        """Drop the whole book where it changed, and run; return to whom what was sent."""
        before = len(self.peer.taken)
        self.peer.now = self.line.now + after
        self.line.sync(after)
        return sorted(one.to for one in self.peer.taken[before:])

    def booked(self, *numbers: int, start: str = "2026-12-07 10:00") -> list[str]:
        for number in numbers:
            self.line.book(number, start)
        self.line.drop()
        return self.run()

    def back_up(self) -> None:
        self.copy.unlink(missing_ok=True)
        with opened(self.line.store_url) as engine:
            backups.backup(engine, self.copy, now=self.line.now)

    def put_back(self, after: timedelta = 5 * MINUTE) -> None:
        self.line.now += after
        with opened(self.line.store_url) as engine:
            restores.restore(
                engine, self.copy, clinic=self.line.id, replace=True, now=self.line.now
            )

    def told(self) -> dict[str, tuple[Any, ...]]:
        """Return what became of each message, by visit and kind."""
        rows = self.line.query(
            "SELECT a.source_key, m.kind, m.state, m.reason FROM messages m "
            "JOIN appointments a ON a.id = m.appointment"
        )
        return {f"{key} {kind}": (state, reason) for key, kind, state, reason in rows}


@pytest.fixture
def ward(line: Line, tmp_path: Path) -> Iterator[Callable[..., Ward]]:
    made: list[Ward] = []

    def build(provider: Provider, **reminders: Any) -> Ward:
        made.append(Ward(line, tmp_path, provider, **reminders))
        made[-1].booked(1)  # the first read is news to nobody
        return made[-1]

    yield build
    for one in made:
        one.peer.close()


@pytest.mark.parametrize("provider", ALL, ids=name_of)
def test_what_left_since_the_copy_does_not_leave_again_and_what_is_new_does(
    ward: Callable[..., Ward], provider: Provider
) -> None:
    clinic = ward(provider)
    clinic.back_up()
    sent = clinic.booked(*range(2, 22))
    assert len(sent) == len(set(sent)) == 20
    clinic.put_back()
    assert clinic.run() == clinic.run() == clinic.run(10 * MINUTE) == []
    ends = set(clinic.told().values())
    known = ("sent", "restored_found") if provider.tells else ("unproven", "restored_unproven")
    assert ends == {known}
    assert len(clinic.booked(50)) == 1
    assert clinic.told()["50 confirmation"] == ("sent", None)


@pytest.mark.parametrize("provider", KNOWN, ids=name_of)
def test_what_had_not_left_when_the_store_was_lost_leaves(
    ward: Callable[..., Ward], provider: Provider
) -> None:
    clinic = ward(provider)
    clinic.back_up()
    clinic.line.book(2)
    clinic.line.book(3)
    fates = [None, Reply(status=429)]  # the second is not taken, and nobody sends it again
    clinic.peer.fate = lambda: fates.pop(0) if fates else None
    clinic.line.drop()
    (first,) = clinic.run()
    clinic.put_back()
    (second,) = [one for _ in range(3) for one in clinic.run()]
    assert first != second
    assert sorted(clinic.told().values(), key=str) == [
        ("sent", "restored_found"),
        ("sent", None),
    ]


def test_a_reminder_that_left_since_the_copy_is_no_less_told(ward: Callable[..., Ward]) -> None:
    clinic = ward(SMS, steps=["1d", "1h"])
    clinic.booked(2, start="2026-11-25 12:00")
    clinic.line.drop()
    clinic.run(timedelta(hours=26))
    clinic.back_up()
    assert len(clinic.run(timedelta(hours=1))) == 1  # a day before
    clinic.put_back()
    assert clinic.run() == []
    assert clinic.told()["2 reminder"] == ("sent", "restored_found")
    clinic.line.drop()
    assert len(clinic.run(timedelta(hours=23))) == 1  # the hour before


def test_news_that_may_have_been_told_are_what_later_ones_are_measured_by(
    ward: Callable[..., Ward],
) -> None:
    clinic = ward(MUTE)
    clinic.booked(2)
    clinic.back_up()
    clinic.line.change(2, start="2026-12-08 10:00")
    clinic.line.drop()
    assert len(clinic.run()) == 1
    clinic.put_back()
    assert clinic.run() == []
    assert clinic.told()["2 change"] == ("unproven", "restored_unproven")
    clinic.line.change(2, start="2026-12-07 10:00")  # as it was in the copy
    clinic.line.drop()
    assert len(clinic.run()) == 1
    clinic.line.cancel(2)
    clinic.line.drop()
    assert len(clinic.run()) == 1


@pytest.mark.parametrize("provider", [SMS, MAIL], ids=name_of)
def test_what_left_with_another_text_counts_as_untold_and_does_not_leave_again(
    ward: Callable[..., Ward], provider: Provider
) -> None:
    clinic = ward(provider)
    clinic.back_up()
    clinic.booked(2)
    clinic.line.change(2, start="2026-12-08 10:00")
    clinic.line.drop()
    assert len(clinic.run()) == 1  # a confirmation and a change, and the copy knows of no visit
    clinic.put_back()
    assert clinic.run() == clinic.run(10 * MINUTE) == []
    assert clinic.told() == {"2 confirmation": ("unproven", "restored_unproven")}


def test_a_provider_that_does_not_answer_is_asked_again_before_anything_leaves(
    ward: Callable[..., Ward], monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic = ward(SMS)
    clinic.back_up()
    clinic.booked(2)
    clinic.put_back()
    answer = clinic.peer.exchange.answer
    monkeypatch.setattr(clinic.peer.exchange, "answer", lambda asked: Reply(status=503))
    assert clinic.run() == clinic.run() == []
    assert clinic.told() == {"2 confirmation": ("unknown", "restored")}
    monkeypatch.setattr(clinic.peer.exchange, "answer", answer)
    assert clinic.run(10 * MINUTE) == []
    assert clinic.told() == {"2 confirmation": ("sent", "restored_found")}


def test_what_nobody_can_tell_about_leaves_once_more_where_a_person_wants_it(
    ward: Callable[..., Ward],
) -> None:
    clinic = ward(MUTE)
    clinic.back_up()
    clinic.booked(2, 3)
    clinic.put_back()
    assert clinic.run() == []

    def again(at_work: Any) -> int:
        with at_work.store.write() as connection:
            return gap.send_unproven(connection, clinic.line.id, now=at_work.now)

    assert clinic.line.at_work(again) == 2
    assert len(clinic.run()) == 2
    assert clinic.run() == []
    assert set(clinic.told().values()) == {("sent", "unproven_repeated")}
