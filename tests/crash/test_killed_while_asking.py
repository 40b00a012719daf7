"""`kill -9` at any page of a FHIR server or JSON interface: the next run ends as if it had not been."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from clinicrelay.testing import Asked, Reply, serving

if TYPE_CHECKING:
    from tests.crash.scene import Scene
    from tests.crash.scenes import Scenes

pytestmark = pytest.mark.crash

IMPORTED, CHANGED, SETTLED = "2026-11-23T09:00", "2026-11-24T18:05", "2026-11-24T18:40"
DONE = 0
PAGE = 6
# The time at which pages were read, and what of them is fresh, differ from run to run.
_COMPARED = ("appointments", "versions", "told", "messages", "events", "held", "quarantine")
_THAT_MATTER = ("start_at", "due_at", "wake_at", "useless_after")


@dataclass
class Ehr:
    """A server with visits in a few pages. It kills whoever asks for the n-th time, if told so."""

    visits: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: int = 0
    kill_at: int | None = None
    after: bool = False  # when the answer is out, not before
    process: subprocess.Popen[str] | None = None
    url: str = ""

    def answer(self, asked: Asked) -> Reply:
        self.asked += 1
        struck = self.asked == self.kill_at and self.process is not None
        if struck and not self.after and self.process:
            os.kill(self.process.pid, signal.SIGKILL)
        reply = self.fhir(asked) if asked.path.startswith("/r4") else self.rest(asked)
        if struck and self.after and self.process:
            threading.Timer(0.03, self.process.kill).start()  # when the page is being kept
        return reply

    def page_of(self, asked: Asked, name: str) -> tuple[list[dict[str, Any]], int | None]:
        at = int(asked.one(name) or 0)
        some = sorted(self.visits.values(), key=lambda one: one["id"])
        left = at + PAGE < len(some)
        return some[at : at + PAGE], at + PAGE if left else None

    def rest(self, asked: Asked) -> Reply:
        found = asked.path.rpartition("/")[2]
        if found != "bookings":
            known = self.visits.get(found)
            return Reply(known) if known else Reply({"error": "unknown"}, 404)
        some, left = self.page_of(asked, "after")
        return Reply({"items": some, "next": None if left is None else str(left)})

    def fhir(self, asked: Asked) -> Reply:
        found = asked.path.removeprefix("/r4/")
        if found == "metadata":
            return Reply(CAPABLE)
        if found != "Appointment":
            known = self.visits.get(found.rpartition("/")[2])
            return Reply(as_fhir(known)[0]) if known else Reply(NOT_THERE, 404)
        some, left = self.page_of(asked, "_page")
        links = [{"relation": "self", "url": f"{self.url}/r4/Appointment?{query(asked)}"}]
        if left is not None:
            more = f"{self.url}/r4/Appointment?{query(asked, left)}"
            links.append({"relation": "next", "url": more})
        entries = [
            {"resource": one, "search": {"mode": "match" if n == 0 else "include"}}
            for visit in some
            for n, one in enumerate(as_fhir(visit))
        ]
        return Reply(
            {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries}
        )


def query(asked: Asked, page: int | None = None) -> str:
    from urllib.parse import urlencode

    pairs = [(name, value) for name, value in asked.query if name != "_page"]
    return urlencode([*pairs, *([("_page", str(page))] if page is not None else [])])


NOT_THERE = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "not-found"}],
}
CAPABLE = {
    "resourceType": "CapabilityStatement",
    "fhirVersion": "4.0.1",
    "rest": [
        {
            "mode": "server",
            "resource": [
                {
                    "type": "Appointment",
                    "interaction": [{"code": "read"}, {"code": "search-type"}],
                    "searchInclude": ["Appointment:patient", "Appointment:practitioner"],
                    "searchParam": [{"name": "date", "type": "date"}],
                }
            ],
        }
    ],
}


def as_fhir(visit: dict[str, Any]) -> list[dict[str, Any]]:
    number = visit["id"]
    start = datetime.fromisoformat(visit["start"])
    return [
        {
            "resourceType": "Appointment",
            "id": number,
            "status": visit["status"],
            "start": visit["start"],
            "end": (start + timedelta(minutes=30)).isoformat(),
            "participant": [
                {"actor": {"reference": f"Patient/p{number}"}, "status": "accepted"},
                {"actor": {"reference": "Practitioner/acar"}, "status": "accepted"},
            ],
        },
        {
            "resourceType": "Patient",
            "id": f"p{number}",
            "name": [{"text": f"Pat {number} Sample"}],
            "telecom": [{"system": "email", "value": f"p{number}@mail.example"}],
        },
        {
            "resourceType": "Practitioner",
            "id": "acar",
            "name": [{"text": "Dr. Acar"}],
            "telecom": [{"system": "email", "value": "acar@riverside.example"}],
        },
    ]


def fhir_source(url: str) -> dict[str, Any]:
    return {"type": "fhir", "base_url": f"{url}/r4", "strategy": "window", "slice": "200d"}


def rest_source(url: str) -> dict[str, Any]:
    return {
        "type": "rest",
        "base_url": url,
        "request": {"path": "/bookings"},
        "records": "items",
        "key": "id",
        "paging": {"type": "cursor", "next": "next", "param": "after"},
        "read_by_id": {"path": "/bookings/{id}"},
        "mapping": "ours.yaml",
    }


MAPPING = """
version: 1
fields:
  key: {path: id, required: true}
  start: {path: start, type: datetime, required: true}
  status: {path: status}
  patient.key: {path: patient}
  patient.email: {path: email, type: email}
  practitioner.email: {literal: acar@riverside.example}
"""


def visit(number: int, start: datetime, status: str = "booked") -> dict[str, Any]:
    return {
        "id": f"v{number:03}",
        "start": start.isoformat(),
        "status": status,
        "patient": f"p{number}",
        "email": f"p{number}@mail.example",
    }


def at_first() -> dict[str, dict[str, Any]]:
    monday = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    soon = [visit(n, monday + timedelta(days=1 + n // 2, hours=n)) for n in range(6)]
    far = [visit(n, monday + timedelta(days=10 + n // 3, hours=n % 7)) for n in range(6, 34)]
    return {one["id"]: one for one in (*soon, *far)}


def a_day_later() -> dict[str, dict[str, Any]]:
    visits = at_first()
    moved = datetime(2026, 12, 15, 16, tzinfo=UTC).isoformat()
    visits["v010"]["start"] = visits["v011"]["start"] = moved
    visits["v013"]["status"] = "cancelled"
    visits["v017"]["email"] = "other@mail.example"
    del visits["v019"]
    new = [visit(n, datetime(2026, 12, 16, 8 + n % 10, tzinfo=UTC)) for n in (50, 51)]
    return visits | {one["id"]: one for one in new}


@pytest.fixture
def ehr() -> Iterator[Ehr]:
    made = Ehr(at_first())
    with serving(made.answer) as server:
        made.url = server.url
        yield made


def sync(scene: Scene, ehr: Ehr, now: str) -> int:
    """Run once, to be struck where `ehr` says; return how it ended."""
    ehr.asked = 0
    ehr.process = None
    run = scene.start(now)
    ehr.process = run
    return scene.end(run).code


def settled(scene: Scene, ehr: Ehr) -> dict[str, Any]:
    """Run twice without a kill; return what is kept and what was said."""
    ehr.kill_at = None
    assert scene.sync_here(CHANGED) == DONE
    assert scene.sync_here(SETTLED) == DONE
    result = scene.result()
    tables = {name: [_timeless(row) for row in result["tables"][name]] for name in _COMPARED}
    return {"tables": tables, "files": sorted(result["files"])}


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Return what is in one of two results only."""
    return [
        f"{sign} {name}: {row}"
        for name in _COMPARED
        for sign, here, there in (("+", found, expected), ("-", expected, found))
        for row in here["tables"][name]
        if row not in there["tables"][name]
    ] + sorted({*found["files"]} ^ {*expected["files"]})


def _timeless(row: dict[str, Any]) -> dict[str, Any]:
    """A run that goes on where another was killed finds out a little later what is gone."""
    late = row.get("state") == "skipped"
    row = row | {"say": ""} if late else row  # what it would have said tells when it was due
    return {
        name: value is not None
        if name.endswith(("_at", "_after")) and (late or name not in _THAT_MATTER)
        else value
        for name, value in row.items()
    }


@pytest.mark.parametrize(
    "source", [pytest.param(fhir_source, id="fhir"), pytest.param(rest_source, id="rest")]
)
def test_a_run_killed_at_any_page_ends_as_if_it_had_not_been(
    scenes: Scenes, ehr: Ehr, source: Callable[[str], dict[str, Any]]
) -> None:
    imported = scenes.reading({"ehr": source(ehr.url)})
    (imported.folder / "ours.yaml").write_text(MAPPING)
    assert sync(imported, ehr, IMPORTED) == DONE
    ehr.visits = a_day_later()
    whole = scenes.copy_of(imported)
    assert sync(whole, ehr, CHANGED) == DONE
    pages = ehr.asked
    assert pages >= 6
    expected = settled(whole, ehr)
    gone = [one["source_key"] for one in expected["tables"]["appointments"] if one["gone_at"]]
    assert gone == ["v019"]
    struck = 0
    moments = [(number, after) for number in range(1, pages + 1) for after in (False, True)]
    # One server shows that every moment is right; the others, that they are no different.
    some = moments if scenes.base.server == "sqlite" else moments[::5]
    for number, after in some:
        scene = scenes.copy_of(imported)
        ehr.kill_at, ehr.after = number, after
        struck += sync(scene, ehr, CHANGED) == -signal.SIGKILL
        assert differences(settled(scene, ehr), expected) == [], f"killed at request {number}"
        assert scene.said_twice() == []
    assert struck >= len(some) // 2


@pytest.mark.parametrize(
    "source", [pytest.param(fhir_source, id="fhir"), pytest.param(rest_source, id="rest")]
)
def test_a_first_read_killed_at_any_page_is_still_the_first_when_it_is_taken_up(
    scenes: Scenes, ehr: Ehr, source: Callable[[str], dict[str, Any]]
) -> None:
    def made() -> Scene:
        scene = scenes.reading({"ehr": source(ehr.url)})
        (scene.folder / "ours.yaml").write_text(MAPPING)
        return scene

    whole = made()
    assert sync(whole, ehr, IMPORTED) == DONE
    pages = ehr.asked
    for number in range(1, pages + 1, 1 if scenes.base.server == "sqlite" else 3):
        scene = made()
        ehr.kill_at, ehr.after = number, False
        assert sync(scene, ehr, IMPORTED) == -signal.SIGKILL
        ehr.kill_at = None
        assert scene.sync_here(IMPORTED) == DONE
        kept = scene.result()["tables"]
        assert len(kept["appointments"]) == len(ehr.visits), f"killed at request {number}"
        # An import is told to nobody, however often it was cut off.
        assert [one["kind"] for one in kept["messages"] if one["kind"] == "confirmation"] == []
