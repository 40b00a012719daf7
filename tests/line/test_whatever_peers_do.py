"""The source lies, Google is moody, the provider forgets, runs are killed: the line stays true.

After every run: no event is there twice and none went that nobody asked to go, nobody heard the same
twice or what nobody said. In the end, when all are well, calendars show the book, every visit of
tomorrow is accounted for, and one more run does nothing. CLINICRELAY_TEST_EXAMPLES=500 looks longer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path

import pytest
from google_peer.peer import GooglePeer
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import create_engine, text
from sqlalchemy.engine.default import DefaultDialect

from calendars.google.wire import Wire
from clinicrelay.contracts import Absent
from clinicrelay.testing import Fault, HttpServer
from connectors.rest import Rest
from notifiers._twilio import TwilioNotifier
from tests.line.axe import Axe
from tests.line.chaos import DOCTORS, EDITS, MINUTE, RAN, TWILIO, WAITS, Chaos, Scene, instant
from tests.line.conftest import Line
from tests.line.google.conftest import ROBOT, settings_for
from tests.line.liar import MAPPING, SOURCE, Liar
from tests.notifiers.peers import Peer

EXAMPLES = int(os.environ.get("CLINICRELAY_TEST_EXAMPLES", "4"))
STEPS = 12 if EXAMPLES < 100 else 50


@contextmanager
def scene(house: Callable[..., Line], folder: Path, axe: Axe) -> Iterator[Scene]:
    """Open a clinic with three peers of its own."""
    liar, peer = Liar(), Peer(TWILIO)
    server = HttpServer(liar.answer)
    server.start()
    mapping = folder.parent / "liar.yaml"
    mapping.write_text(MAPPING)
    with GooglePeer(seed=7) as google:
        for doctor in DOCTORS:
            google.calendar(doctor, shared={ROBOT: "writer"})
        line = house(
            store=f"sqlite:///{folder}/store.db",
            sources={"ehr": {**SOURCE, "base_url": server.url, "mapping": str(mapping)}},
            calendars=settings_for(google),
            notifiers={"twilio": {**TWILIO.options, "base_url": peer.door(), "timeout": "2s"}},
            channels=TWILIO.channels,
            **EDITS[2],
        )
        line.at_work_again = lambda: _let_leases_expire(line)  # type: ignore[attr-defined]
        try:
            yield line, liar, google, peer, axe
        finally:
            peer.close()
            server.stop()


def _let_leases_expire(line: Line) -> None:
    engine = create_engine(line.loaded.settings.store_url)
    with engine.connect() as connection:
        connection.execute(text("UPDATE leases SET until = 0"))
        assert connection.connection.dbapi_connection is not None
        connection.connection.dbapi_connection.commit()
    engine.dispose()


ANY_STORE = pytest.mark.parametrize("store_url", ["sqlite:///made/anew/each/time"])


@pytest.fixture
def machine(
    house: Callable[..., Line], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> type[Chaos]:
    """The machine, with a clinic and peers of its own each time."""
    numbers, axe = count(), Axe()
    monkeypatch.setattr(
        DefaultDialect,
        "do_commit",
        lambda self, conn: axe.commit(self, conn),  # noqa: PLW0108
    )

    monkeypatch.setattr(Rest, "sleep", staticmethod(lambda seconds: None))
    monkeypatch.setattr(Wire, "_sleep", lambda self, seconds, why: None)  # a run waits for a minute

    class One(Chaos):
        def __init__(self) -> None:
            super().__init__()
            folder = tmp_path / str(next(numbers))
            folder.mkdir()
            self.opened = scene(house, folder, axe)
            self.made = self.opened.__enter__()

        def teardown(self) -> None:
            try:
                super().teardown()
            finally:
                axe.raised(0, after=False)
                self.opened.__exit__(None, None, None)

    return One


@ANY_STORE
def test_whatever_peers_do_the_line_stays_true(machine: type[Chaos]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(dict(RAN))


# --- that it sees --------------------------------------------------------------------------------


@pytest.fixture
def begun(machine: type[Chaos]) -> Iterator[Chaos]:
    """A clinic of the machine's whose import is over; it is not judged in the end."""
    made = machine()
    made.begin(6)
    yield made
    made.opened.__exit__(None, None, None)  # type: ignore[attr-defined]


@ANY_STORE
@pytest.mark.parametrize("flaw", [True, False])
def test_a_message_sent_again_unasked_is_seen(
    begun: Chaos, flaw: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if flaw:
        monkeypatch.setattr(TwilioNotifier, "lookup", lambda self, attempt: Absent())
    begun.a_run([(0, "move")], WAITS[0], fates=[Fault.ANSWER_LOST])
    with pytest.raises(AssertionError, match="heard twice") if flaw else nullcontext():
        begun.a_run_among_the_healthy([], 5 * MINUTE)
    assert len(begun.peer.taken) == 1 + flaw


@ANY_STORE
def test_an_event_that_goes_unasked_is_seen(begun: Chaos) -> None:
    engine = create_engine(begun.line.loaded.settings.store_url)
    with engine.begin() as connection:
        ((visit,),) = connection.execute(text("SELECT MIN(appointment) FROM events")).all()
        connection.execute(text(f"UPDATE events SET state = 'remove' WHERE appointment = {visit}"))
    engine.dispose()
    with pytest.raises(AssertionError, match="went"):
        begun.a_run_among_the_healthy([], 5 * MINUTE)


@ANY_STORE
def test_a_message_that_nobody_said_is_seen(begun: Chaos) -> None:
    begun.a_run_among_the_healthy([(0, "move")], 5 * MINUTE)
    told = begun.peer.taken[-1:]
    begun.heard.clear()
    begun.what_was_said_is_true(told)
    begun.heard.clear()
    for rows in begun.liar.claims.values():
        rows[:] = [{**row, "start": "2026-12-24T09:00:00+01:00"} for row in rows]
    with pytest.raises(AssertionError, match="nobody said so"):
        begun.what_was_said_is_true(told)


@ANY_STORE
def test_a_visit_that_is_planned_no_more_is_seen(begun: Chaos) -> None:
    begun.a_run_among_the_healthy([(0, "book")], 5 * MINUTE)
    key = max(begun.liar.book)
    for doctor in DOCTORS:
        for event in begun.google.dump(doctor, live=True):
            if instant(event["start"]["dateTime"]) == instant(begun.liar.book[key]["start"]):
                begun.google.doctor(doctor).delete(event["id"])
    with pytest.raises(AssertionError, match=key):
        begun.what_no_doctor_touched_is_shown()
