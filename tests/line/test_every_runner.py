"""A week under every runner: whoever turns the crank, the same is kept, told and shown (R-053)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from clinicrelay.settings.running import Runner
from commands._frame import clinic
from sync.runners import celery, kept, once
from sync.runners.celery import Work, program
from sync.runners.service import Service, Turn
from tests.line.test_service_on_the_line import Heard
from tests.line.test_the_same_everywhere import differing
from tests.line.weeks import WEEKS, Book, Passing, eventful, ordinary

if TYPE_CHECKING:
    from clinicrelay.settings import Loaded
    from sync.clinic import Clinic
    from tests.line.conftest import Line

Crank = Callable[["Line"], object]


def by_cron(line: Line) -> None:
    line.at_work(once.sync)


@dataclass
class Workers:
    """Does what Celery's workers are woken for, one wake-up after the other, as JSON took it there."""

    line: Line
    monkeypatch: pytest.MonkeyPatch

    def __post_init__(self) -> None:
        self.waiting: list[str] = []
        self.wrong: list[Exception] = []
        self.said: list[str] = []
        runner = Runner(broker=SecretStr("amqp://nobody.example"))
        work = Work(
            fleet=self,  # type: ignore[arg-type]
            every=timedelta(minutes=5),
            say=self.said.append,
            told=lambda clinic, report: None,
            wrong=self.wrong.append,
            over=lambda clinic, job: nullcontext(),
        )
        self.app = program(runner, work)
        self.monkeypatch.setattr(celery, "publish", self.publish)

    def publish(self, app: Any, task: str, **told: str) -> None:
        wake_up = json.dumps({"task": task, "told": told}, sort_keys=True)
        if wake_up not in self.waiting:
            self.waiting.append(wake_up)

    def clinics(self) -> list[Loaded]:
        return [self.line.loaded]

    @contextmanager
    def clinic(self, name: str, *, ending: Event) -> Iterator[Clinic]:
        assert name == self.line.id
        with clinic(self.line.call, self.line.loaded) as at_work:
            at_work.ending = ending
            yield at_work

    def __call__(self, line: Line) -> None:
        let_turns_pass(line)
        line.at_work(lambda at_work: None)  # the instance key of all tests
        self.publish(self.app, celery.SWEEP)
        while self.waiting:
            wake_up = json.loads(self.waiting.pop(0))
            self.app.tasks[wake_up["task"]](**wake_up["told"])
        assert self.wrong == []
        assert self.said == []


class OneService:
    """A service that keeps what it keeps between two cycles; its clock is the line's."""

    def __init__(self, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return line.now.astimezone(tz)

        monkeypatch.setattr(kept, "datetime", Clock)
        self.heard = Heard()
        self.service = Service(self.heard, every=timedelta(minutes=5), ending=Event())

    def __call__(self, line: Line) -> None:
        let_turns_pass(line)
        line.at_work(lambda at_work: None)  # the instance key of all tests
        self.service.follow([line.loaded])
        unit = next(iter(self.service.units.values()))
        self.service._work(Turn(unit, "sync", 300.0, 0.0))
        assert self.heard.failures == []


def let_turns_pass(line: Line) -> None:
    """Leases go by the database's clock, in which a week of a test takes seconds."""
    engine = create_engine(line.loaded.settings.store_url)
    with engine.begin() as connection:
        if engine.dialect.has_table(connection, "leases"):
            connection.execute(text("UPDATE leases SET until = 0"))
    engine.dispose()


RUNNERS: Mapping[str, Callable[[Line, pytest.MonkeyPatch], Crank]] = {
    "cron": lambda line, monkeypatch: by_cron,
    "workers": Workers,
    "service": OneService,
}


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def a_week(house: Callable[..., Line], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Line]:
    """Let a week pass, three hours at a time, under a runner."""

    def passes(runner: str) -> Line:
        line = house(store=f"sqlite:///{house().folder.parent}/{runner}.db")
        line.set(clinic={**line.settings["clinic"], "timezone": WEEKS[1].zone})
        line.now = datetime(2026, 1, 1, tzinfo=UTC)
        book = Book(WEEKS[1])
        ordinary(book)
        eventful(book)
        passing, turn = Passing(line, book), RUNNERS[runner](line, monkeypatch)
        for now in passing.moments():
            if now.minute == 0 and now.hour % 3 == 0:
                line.now = now
                passing.export(now)
                turn(line)
        return line

    return passes


@pytest.mark.parametrize("runner", [name for name in RUNNERS if name != "cron"])
def test_a_week_ends_the_same_under_every_runner(
    a_week: Callable[[str], Line], runner: str
) -> None:
    expected = a_week("cron").state()
    assert differing(a_week(runner).state(), expected) == {}
    assert {row[3] for row in expected["ledger"]} >= {
        *("confirmation", "change", "cancellation", "reminder", "digest")
    }
