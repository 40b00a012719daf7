"""Every point at which one sync of one clinic can be killed or disturbed, and what came of it there."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import create_engine, text

from tests.crash.ehr import MAPPING, rest_source, visit
from tests.crash.scene import ROBOT, Point, Scene
from tests.crash.scenes import Base, Scenes
from tests.crash.wires import DOCTORS, FAULTS, KILLS, Peers, Strike, peers
from tests.notifiers import test_twilio as twilio

IMPORTED, CHANGED, SETTLED = "2026-11-23T09:00", "2026-11-24T18:05", "2026-11-24T18:45"
# Whoever runs it again waits a little longer each time, as cron does.
AGAIN = ("2026-11-24T18:05", "2026-11-24T18:08", "2026-11-24T18:20")
KEY = "5a" * 32  # by another one people fall into other shards, and there are other points
DONE, KILLED = 0, -signal.SIGKILL
Result: TypeAlias = dict[str, Any]

# When something was done, and how often it was tried, tells how many runs it took.
_WHEN_IT_WAS = {
    *("first_seen_at", "changed_at", "replaced_at", "settled_at", "created_at", "told_at"),
    *("started_at", "finished_at", "begun_at", "nothing_since", "look_at", "next_try_at"),
    *("since", "done_at", "looked_at", "retry_at", "detail", "memo", "cursor_json", "touched_at"),
    *("last_read_at", "last_complete_at", "imported_at", "believed_at", "seen_at", "gone_at"),
    *("reason", "wake_at", "sequence"),
}
_NOT_COMPARED = {"attempts"}  # what came of them is: messages, told, and what peers have
_SPARES_WORK = (
    "sightings"  # which words need not be mapped again: how much it knows changes no visit
)
_FRESHNESS = {"looked_at", "look_at", "cursor_json", "last_read_at", "last_complete_at"}


class Case(NamedTuple):
    """One thing that goes wrong: at a commit or file move, or at a request."""

    at: Point | Strike

    @property
    def kills(self) -> bool:
        return isinstance(self.at, Point) or self.at.when in KILLS

    @property
    def name(self) -> str:
        if isinstance(self.at, Point):
            target = f" {self.at.target}" if self.at.target else ""
            return f"{self.at.kind} {self.at.number} {self.at.when}, {self.at.site}{target}"
        return f"{self.at.peer} request {self.at.number}, {self.at.when}"


class Found(NamedTuple):
    """What came of a case: `wrong` is empty where all is as if nothing had happened."""

    case: Case
    reached: bool
    wrong: str


@dataclass
class Lab:
    """One clinic on one database, as it stood before the sync that is struck again and again."""

    scenes: Scenes
    peers: Peers
    before: Scene
    cases: list[Case]
    expected: Result
    flaw: str = ""
    looks: int = 0  # points left out: before and after a look at the store nothing lasts

    def some(self, count: int, seed: object) -> list[Case]:
        """Return cases drawn by a seed."""
        return Random(str(seed)).sample(self.cases, min(count, len(self.cases)))

    def try_(self, case: Case) -> Found:
        """Let it go wrong there, run until all is well, and compare."""
        with self._copy() as scene:
            return self._tried(scene, case)

    def _tried(self, scene: Scene, case: Case) -> Found:
        code = self.run(scene, CHANGED, case.at)
        reached = code == KILLED if case.kills else bool(self.peers.wire.struck)
        codes = [code]
        for now in AGAIN if code != DONE or not settled(scene) else ():
            codes.append(self.again(scene, now))
            if codes[-1] == DONE and settled(scene):
                break
        else:
            if code != DONE or not settled(scene):
                return Found(case, reached, f"runs ended with {codes}, and it was not settled")
        return Found(case, reached, self._compared(scene))

    def _compared(self, scene: Scene) -> str:
        """Let it run once more, which is to change nothing; return what is not as it should be."""
        writes, rows = self.peers.writes, kept(scene)
        code = self.again(scene, SETTLED)
        if code != DONE:
            return f"one more run ended with {code}"
        if (more := self.peers.writes - writes) != 0:
            return f"one more run changed {more} things at the peers"
        if changed := differences(kept(scene), rows):
            return f"one more run changed rows: {changed[0]}"
        wrong = differences(result(scene, self.peers), self.expected)
        return "; ".join(wrong[:3])

    def run(self, scene: Scene, now: str, at: Point | Strike | None = None) -> int:
        """Run `sync` in a process of its own, to be struck there; return how it ended."""
        wire, killer = self.peers.wire, {"KILLER_FLAW": self.flaw} if self.flaw else {}
        wire.arm(at if isinstance(at, Strike) else None)
        self.peers.ehr.now = _utc(now)
        if isinstance(at, Point):
            killer["KILLER_AT"] = at.at
        process = wire.process = scene.start(now, **killer)
        return scene.end(process).code

    def again(self, scene: Scene, now: str) -> int:
        """Run undisturbed; in this process, which is twice as fast, unless a mistake is to be made."""
        if self.flaw:
            return self.run(scene, now)
        self.peers.wire.arm(None)
        self.peers.ehr.now = _utc(now)
        return scene.sync_here(now)

    @contextmanager
    def _copy(self) -> Iterator[Scene]:
        own = Scenes(self.scenes.base, self.scenes.folder / f"c{self.scenes.made}")
        own.folder.mkdir()
        self.scenes.made += 1
        self.peers.restore()
        try:
            yield own.copy_of(self.before)
        finally:
            own.close()


@contextmanager
def lab(folder: Path, server: str) -> Iterator[Lab]:
    """Import the clinic, let a day pass, and find every point of the sync that is due then."""
    scenes = Scenes(Base(folder / "base", server), folder)
    with peers() as three:
        try:
            yield _enumerated(Lab(scenes, three, clinic(scenes, three), [], {}))
        finally:
            scenes.close()


def _enumerated(made: Lab) -> Lab:
    made.peers.ehr.visits = at_first()
    assert made.run(made.before, IMPORTED) == DONE
    made.peers.ehr.visits = a_day_later()
    made.peers.keep()
    with made._copy() as whole:
        made.peers.wire.arm(None)
        made.peers.ehr.now = _utc(CHANGED)
        ended = whole.sync(CHANGED)
        assert ended.code == DONE, ended.said
        assert settled(whole)
        asked = made.peers.wire.asked.copy()
        assert made.peers.twilio.messages
        assert made.run(whole, SETTLED) == DONE
        made.expected = result(whole, made.peers)
    strikes = [
        Strike(peer, number, when)
        for peer, count in sorted(asked.items())
        for number in range(1, count + 1)
        for when in (*KILLS, *FAULTS)
    ]
    lasting = [point for point in ended.points if point.target != "look"]
    made.looks = len(ended.points) - len(lasting)
    made.cases = [*map(Case, lasting), *map(Case, strikes)]
    return made


# --- the clinic ----------------------------------------------------------------------------------


def clinic(scenes: Scenes, three: Peers) -> Scene:
    """Return a clinic that has never run: visits by HTTP, Google, and SMS by Twilio."""
    source = rest_source(three.ehr.url) | {
        "request": {"path": "/bookings", "params": {"since": "{watermark}"}},
        "cursor": "updated",
        "clock": "now",
    }
    scene = scenes.reading({"ehr": source})
    (scene.folder / "ours.yaml").write_text(MAPPING)
    file = scene.folder / "settings.yaml"
    key = json.dumps(three.google.service_account(ROBOT))
    sms = {"type": "twilio_sms", "account_sid": twilio.SID, "auth_token": twilio.TOKEN}
    google = {"type": "google", "credentials": key, "base_url": three.google.url}
    settings = json.loads(file.read_text()) | {
        "store": {"url": "${STORE_URL}", "instance_key": KEY},
        "calendars": {"google": google},
        "notifiers": {"twilio": {**sms, "from": twilio.SENDER, "base_url": three.server.url}},
        "channels": {"order": ["sms"], "consent": {"sms": "implied"}},
        "reminders": {
            "patient": {"confirmation": {"channels": ["sms"]}, "steps": [{"before": "1d"}]}
        },
    }
    file.write_text(json.dumps(settings))
    return scene


def _visit(number: int, start: datetime, **said: str) -> dict[str, Any]:
    doctor, phone = DOCTORS[number % 2], f"+491515550{number:04}"
    made = {"doctor": doctor, "phone": phone, "updated": _utc(IMPORTED)}
    return {**visit(number, start), **made, **said}


def at_first() -> dict[str, dict[str, Any]]:
    """Return 16 visits; of the first, some are to be reminded of a day later."""
    soon = [_visit(n, datetime(2026, 11, 25, 8 + 3 * n, tzinfo=UTC)) for n in range(3)]
    far = [_visit(n, datetime(2026, 12, 1 + n, 9, tzinfo=UTC)) for n in range(3, 16)]
    return {one["id"]: one for one in (*soon, *far)}


def a_day_later() -> dict[str, dict[str, Any]]:
    """Return the same with visits that were moved, cancelled, given away, deleted and booked."""
    visits, later = at_first(), {"updated": _utc("2026-11-24T12:00")}
    visits["v004"] |= {"start": datetime(2026, 12, 20, 16, tzinfo=UTC).isoformat(), **later}
    visits["v005"] |= {"status": "cancelled", **later}
    visits["v006"] |= {"doctor": DOCTORS[1], **later}
    del visits["v007"]
    new = [_visit(n, datetime(2026, 12, 21, 8 + n % 10, tzinfo=UTC), **later) for n in (50, 51)]
    return visits | {one["id"]: one for one in new}


def _utc(clock: str) -> str:
    """Return a moment of Berlin's winter as the clinic's system writes it."""
    return f"{datetime.fromisoformat(clock) - timedelta(hours=1):%Y-%m-%dT%H:%M:%S}Z"


# --- looking -------------------------------------------------------------------------------------


def settled(scene: Scene) -> bool:
    """Whether nothing is on its way any more, and nothing in doubt."""
    engine = create_engine(scene.store_url)
    open_ = (
        "SELECT (SELECT COUNT(*) FROM messages WHERE state IN ('planned', 'sending', 'unknown')) "
        "+ (SELECT COUNT(*) FROM events WHERE state IN ('put', 'remove') OR doubt <> '') "
        "+ (SELECT COUNT(*) FROM incoming)"
    )
    with engine.connect() as connection:
        left = connection.execute(text(open_)).scalar_one()
    engine.dispose()
    return not left


def rows_of(scene: Scene) -> Result:
    """Return all rows that say anything of visits, events and messages.

    Not: how often peers were asked, a few ids that a read met last, and which notifier rested once.
    """
    tables: Result = scene.result()["tables"]
    tables.pop(_SPARES_WORK)
    memory = [
        row
        for row in tables["memory"]
        if not row["owner"].startswith(("pace/", "sync/barred")) and row["name"] != "listed"
    ]
    return tables | {"memory": memory}


def kept(scene: Scene) -> Result:
    """Return all rows, but for how fresh they are."""
    tables = rows_of(scene)
    return {
        name: [{k: v for k, v in row.items() if k not in _FRESHNESS} for row in rows]
        for name, rows in tables.items()
    }


def result(scene: Scene, three: Peers) -> Result:
    """Return what is kept without what tells how many runs it took, and what the peers have."""
    tables = {
        name: sorted((_timeless(row) for row in rows), key=repr)
        for name, rows in rows_of(scene).items()
        if name not in _NOT_COMPARED
    }
    return tables | {f"peers: {name}": shown for name, shown in three.show().items()}


def _timeless(row: dict[str, Any]) -> dict[str, Any]:
    return {n: v is not None if n in _WHEN_IT_WAS else v for n, v in row.items()}


def differences(found: Result, expected: Result) -> list[str]:
    """Say what differs, one sentence a table or peer."""
    return [
        f"{name}: {_only(found.get(name), expected.get(name))} "
        f"instead of {_only(expected.get(name), found.get(name))}"
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    ]


def _only(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: said for name, said in one.items() if other.get(name) != said}
    if isinstance(one, list) and isinstance(other, list):
        return [row for row in one if row not in other][:2] or f"{len(one)} rows"
    return one
