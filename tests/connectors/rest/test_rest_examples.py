"""The blocks of the how-to pages as they stand there, against servers that behave like those systems.

Settings, connector, mapping: from the page to the visits. Each server refuses what the real one
refuses, and has the traps that its manual speaks of.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

import mappings
from clinicrelay.contracts import Cursor, Page
from clinicrelay.errors import BadRecord, Refused
from clinicrelay.model import Appointment
from clinicrelay.settings import load
from clinicrelay.testing import NOW, WINDOW, Asked, HttpServer, Reply, kit
from connectors.rest import Rest

ROOT = Path(__file__).resolve().parents[3]
CLINIC = """
version: 1
clinic: {id: riverside, name: Riverside, timezone: Europe/Berlin, country: DE, language: de}
"""
SECRETS = {
    "CLINIKO_KEY": "MS0x-au1",
    "DRCHRONO_REFRESH_TOKEN": "r3fresh",
    "DRCHRONO_CLIENT_ID": "cid",
    "DRCHRONO_CLIENT_SECRET": "csecret",
    "OD_DEVELOPER_KEY": "dev",
    "OD_CUSTOMER_KEY": "cust",
    "BAHMNI_USER": "relay",
    "BAHMNI_PASSWORD": "p:w",
    "PMS_USER": "relay",
    "PMS_PASSWORD": "pw",
}
DATE = {"Date": "Mon, 23 Nov 2026 07:59:00 GMT"}


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the YAML blocks of a how-to page, with the file each is to be."""
    text = (ROOT / "docs" / "howto" / page).read_text("utf-8")
    found = re.findall(r"(?ms)^```yaml ?(\S*)\n(.*?)^```$", text)
    return list(found)


@dataclass
class Run:
    """What a read brought: visits by key, what was set aside or passed over, and its last page."""

    visits: dict[str, Appointment] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    set_aside: dict[str, str] = field(default_factory=dict)
    skipped: int = 0
    pages: list[Page] = field(default_factory=list)

    @property
    def last(self) -> Page:
        return self.pages[-1]

    @property
    def cursor(self) -> Cursor:
        found: Cursor = json.loads(json.dumps(self.last.cursor))
        return found


@dataclass
class Example:
    """A how-to page at work against a server on this machine."""

    page: str
    server: HttpServer
    folder: Path
    memory: dict[str, Any] = field(default_factory=dict)
    now: Any = NOW
    slept: list[float] = field(default_factory=list)

    def read(self, cursor: Cursor | None = None) -> Run:
        connector, mapper = self._made()
        run = Run()
        for page in connector.pull(cursor, WINDOW):
            run.pages.append(page)
            for record in page.records:
                if record.gone:
                    run.gone.add(str(record.key))
                    continue
                try:
                    visit = mapper(record)
                except BadRecord as wrong:
                    run.set_aside[str(record.key)] = f"{wrong.reason} ({wrong.field})"
                    continue
                if visit is None:
                    run.skipped += 1
                else:
                    run.visits[visit.key] = visit
        connector.close()
        return run

    def findings(self) -> list[str]:
        return [finding.message for finding in self._made()[0].check()]

    def reread(self, *keys: str) -> dict[str, bool]:
        pages = self._made()[0].reread(keys)
        return {str(r.key): r.gone for page in pages for r in page.records}

    def _made(self) -> tuple[Rest, mappings.Mapper]:
        for file, block in blocks(self.page):
            if file:
                (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / file).write_text(block, "utf-8")
        (block,) = (block for file, block in blocks(self.page) if "sources:" in block)
        settings = self.folder / "settings.yaml"
        settings.write_text(CLINIC + block, "utf-8")
        (name,) = re.findall(r"(?m)^  (\w+):$", block)
        parts = re.search(r"base_url: https://[^/\s]+(\S*)", block)
        assert parts
        place = f"CLINICRELAY__SOURCES__{name.upper()}__BASE_URL"
        loaded = load(settings, environ={**SECRETS, place: self.server.url + parts[1]})
        source = loaded.settings.sources[name]
        memory = kit(self.folder, name=name, memory=self.memory, now=self.now)
        connector = Rest(source.options, memory)
        connector.sleep = self.slept.append
        connector.clock = lambda: sum(self.slept)
        connector.today = lambda: NOW
        context = mappings.Context(name, "Europe/Berlin", "DE", "de")
        return connector, mappings.find(str(source.mapping), self.folder).compile(context)


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Callable[[str, Any], Example]]:
    running: list[HttpServer] = []

    def made(page: str, answer: Any) -> Example:
        server = HttpServer(answer)
        server.start()
        running.append(server)
        return Example(page, server, tmp_path)

    yield made
    for server in running:
        server.stop()
    shutil.rmtree(tmp_path, ignore_errors=True)


# --- Cliniko ---------------------------------------------------------------------------------------


class Cliniko:
    """Three lists apart; a key as name without a password; nobody anonymous; filters in q[]."""

    def __init__(self) -> None:
        self.live = {n: self._visit(n) for n in range(1, 251)}
        self.cancelled: dict[int, Any] = {}
        self.deleted: dict[int, Any] = {}
        self.url = ""

    def _visit(self, number: int) -> dict[str, Any]:
        def to(what: str, n: int) -> dict[str, Any]:
            return {"links": {"self": f"https://api.au1.cliniko.example/v1/{what}/{n}"}}

        return {
            "id": str(number),
            "starts_at": f"2026-12-{number % 28 + 1:02}T09:00:00Z",
            "ends_at": f"2026-12-{number % 28 + 1:02}T09:30:00Z",
            "updated_at": "2026-11-20T10:00:00Z",
            "cancelled_at": None,
            "deleted_at": None,
            "did_not_arrive": False,
            "patient_name": "Quenby Canary",
            "patient": to("patients", number % 5 + 1),
            "practitioner": to("practitioners", 3),
            "appointment_type": to("appointment_types", 2),
            "business": to("businesses", 1),
        }

    def move(self, number: int, to: dict[int, Any], **changes: Any) -> None:
        visit = self.live.pop(number) | changes
        to[number] = visit | {"updated_at": "2026-11-23T07:50:00Z"}

    def __call__(self, asked: Asked) -> Reply:
        name, _, password = base64.b64decode(asked.headers["authorization"][6:]).partition(b":")
        if (name, password) != (b"MS0x-au1", b""):
            return Reply({"message": "unauthorized"}, 401)
        if "@" not in asked.headers["user-agent"]:
            return Reply({"message": "say who you are"}, 400)
        path = asked.path.removeprefix("/v1")
        lists = {"": self.live, "/cancelled": self.cancelled, "/deleted": self.deleted}
        rest = path.removeprefix("/individual_appointments")
        if rest != path and rest in lists:
            return self._list(asked, lists[rest])
        if rest != path:
            found = self.live.get(int(rest[1:]))
            return Reply(found, headers=DATE) if found else Reply({}, 404)
        return self._one(*path.strip("/").split("/"))

    def _list(self, asked: Asked, rows: dict[int, Any]) -> Reply:
        found = list(rows.values())
        for q in [value for name, value in asked.query if name == "q[]"]:
            name, mark, limit = re.fullmatch(r"(\w+):(>=|<)(.*Z)", q).groups()  # type: ignore[union-attr]
            found = [r for r in found if (r[name] >= limit) == (mark == ">=")]
        size, page = int(asked.one("per_page") or 50), int(asked.one("page") or 1)
        assert size <= 100
        links = {}
        if page * size < len(found):
            query = "&".join(f"{k}={v}" for k, v in asked.query if k != "page")
            links["next"] = f"{self.url}{asked.path}?{query}&page={page + 1}"
        part = found[(page - 1) * size : page * size]
        body = {"individual_appointments": part, "total_entries": len(found), "links": links}
        return Reply(body, headers=DATE)

    def _one(self, what: str, number: str) -> Reply:
        bodies: dict[str, dict[str, Any]] = {
            "patients": {
                "first_name": "Pat",
                "last_name": f"Sample{number}",
                "email": f"p{number}@mail.example",
                "reminder_type": "None" if number == "5" else "SMS",
                "patient_phone_numbers": [
                    {"phone_type": "Mobile", "number": f"0151 5550100{number}"}
                ],
            },
            "practitioners": {"label": "Dr Bo Example"},
            "appointment_types": {"name": "Physio 30"},
            "businesses": {"business_name": "Riverside", "city": "Berlin"},
        }
        return Reply({"id": number, **bodies[what]}, headers=DATE)


def test_cliniko_by_its_page(example: Callable[[str, Any], Example]) -> None:
    cliniko = Cliniko()
    cliniko.live[250]["updated_at"] = "2026-11-23T07:40:00Z"
    at = example("connect-cliniko.md", cliniko)
    cliniko.url = at.server.url
    assert at.findings() == []
    first = at.read()
    assert (len(first.visits), first.last.complete, first.set_aside) == (250, True, {})
    visit = first.visits["7"]
    assert (visit.patients[0].name, visit.patients[0].phone) == ("Pat Sample3", "+4915155501003")
    assert first.visits["4"].patients[0].preferred_channel == "none"
    assert (visit.service, visit.practitioners[0].key) == ("Physio 30", "3")
    assert [a.path for a in at.server.log].count("/v1/patients/3") <= 2  # once by check, once here

    cliniko.move(7, cliniko.cancelled, cancelled_at="2026-11-23T07:50:00Z")
    cliniko.move(8, cliniko.deleted, deleted_at="2026-11-23T07:50:00Z")
    at.server.log.clear()
    second = at.read(first.cursor)
    changed = {key: visit.status.value for key, visit in second.visits.items()}
    assert changed == {"7": "cancelled", "250": "booked"}  # the last one known comes again
    assert second.gone == {"8"}
    assert second.last.changes
    assert len([a for a in at.server.log if "individual" in a.path]) == 3
    assert at.reread("8", "9") == {"8": True, "9": False}


def test_cliniko_with_another_key_says_so(example: Callable[[str, Any], Example]) -> None:
    at = example("connect-cliniko.md", lambda asked: Reply({}, 401))
    with pytest.raises(Refused, match="does not accept our credentials"):
        at.read()


# --- DrChrono --------------------------------------------------------------------------------------


class DrChrono:
    """Tokens that end, one of three filters required, breaks without a patient, times without a zone."""

    def __init__(self) -> None:
        self.rows = [self._visit(n) for n in range(1, 601)]
        self.url, self.tokens = "", 0

    def _visit(self, number: int) -> dict[str, Any]:
        return {
            "id": str(number),
            "scheduled_time": f"2026-12-{number % 28 + 1:02}T10:00:00",
            "duration": 20,
            "status": "",
            "patient": number % 7 + 1,
            "doctor": 17,
            "office": 4,
            "appt_is_break": False,
            "deleted_flag": False,
            "updated_at": "2026-11-20T10:00:00",
        }

    def __call__(self, asked: Asked) -> Reply:
        if asked.path == "/o/token/":
            form = {k: v[0] for k, v in parse_qs(asked.body.decode()).items()}
            assert form["grant_type"] == "refresh_token"
            assert (form["refresh_token"], form["client_secret"]) == ("r3fresh", "csecret")
            self.tokens += 1
            return Reply({"access_token": f"t{self.tokens}", "expires_in": 172800})
        if asked.headers.get("authorization") != f"Bearer t{self.tokens}":
            return Reply({"detail": "no"}, 401)
        parts = asked.path.strip("/").split("/")
        if len(parts) == 3 and parts[1] != "appointments":
            return Reply({"id": int(parts[2]), "first_name": "F", "last_name": f"L{parts[2]}"})
        return self._list(asked)

    def _list(self, asked: Asked) -> Reply:
        days, since = asked.one("date_range"), asked.one("since")
        if not days and not since:
            return Reply({"date": ["one of date, date_range, since is required"]}, 400)
        found = self.rows
        if days:
            first, last = days.split("/")
            found = [r for r in found if first <= r["scheduled_time"][:10] <= last]
        if since:
            found = [r for r in found if r["updated_at"] >= since]
        size, start = int(asked.one("page_size") or 20), int(asked.one("cursor") or 0)
        more = start + size < len(found)
        query = f"page_size={size}&" + (f"date_range={days}" if days else f"since={since}")
        link = f"{self.url}{asked.path}?{query}&cursor={start + size}" if more else None
        body = {"previous": None, "results": found[start : start + size], "next": link}
        return Reply(body, headers=DATE)


def test_drchrono_by_its_page(example: Callable[[str, Any], Example]) -> None:
    server = DrChrono()
    server.rows[0] |= {"patient": None, "appt_is_break": True}
    server.rows[1] |= {"deleted_flag": True}
    server.rows[2] |= {"status": "Pre-registered"}
    server.rows[3] |= {"status": "Rescheduled"}
    at = example("connect-drchrono.md", server)
    server.url = at.server.url
    first = at.read()
    assert (len(first.visits), first.last.complete) == (598, True)
    assert first.visits["1"].kind.value == "block"
    assert first.visits["1"].patients == ()
    assert first.gone == {"2"}
    assert first.set_aside == {"3": "unknown_status (status)"}
    assert first.visits["4"].status.value == "cancelled"
    visit = first.visits["5"]
    assert visit.start
    assert visit.end
    assert (visit.start.hour, visit.end - visit.start) == (9, timedelta(minutes=20))  # Berlin
    assert (visit.status.value, visit.patients[0].name) == ("booked", "F L6")
    assert len(at.server.log) < 20  # of five hundred an hour

    server.rows[9] |= {"status": "Cancelled", "updated_at": "2026-11-23T07:55:00"}
    at.server.log.clear()
    second = at.read(first.cursor)
    assert {v.key: v.status.value for v in second.visits.values()} == {"10": "cancelled"}
    assert [a.path for a in at.server.log] == [
        "/o/token/",
        "/api/appointments",
        "/api/patients/4",
        "/api/doctors/17",
        "/api/offices/4",
    ]


# --- Open Dental -----------------------------------------------------------------------------------


class OpenDental:
    """A hundred rows at an offset and never more; the office's clock; a list that moves under one."""

    def __init__(self) -> None:
        self.rows = [self._visit(n) for n in range(1, 231)]
        self.each_page: Callable[[], None] = lambda: None

    def _visit(self, number: int) -> dict[str, Any]:
        return {
            "serverDateTime": "2026-11-23 08:59:30",
            "AptNum": number,
            "PatNum": number % 6 + 1,
            "AptStatus": "Scheduled",
            "Pattern": "//XXXX//",
            "ProvNum": 1,
            "provAbbr": "DOC1",
            "ClinicNum": 0,
            "AptDateTime": f"2026-12-{number % 28 + 1:02} 08:30:00",
            "DateTStamp": "2026-11-20 10:00:00",
            "DateTimeArrived": "0001-01-01 00:00:00",
            "DateTimeDismissed": "0001-01-01 00:00:00",
            "ProcDescript": "Ex, PA",
        }

    def __call__(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != "ODFHIR dev/cust":
            return Reply("bad keys", 401)
        parts = asked.path.removeprefix("/api/v1").strip("/").split("/")
        if parts[0] == "patients":
            return Reply({"PatNum": int(parts[1]), "FName": "Ada", "LName": f"S{parts[1]}"})
        if parts[0] == "providers":
            return Reply({"ProvNum": int(parts[1]), "FName": "Bo", "LName": "Example"})
        if len(parts) == 2:
            found = [r for r in self.rows if r["AptNum"] == int(parts[1])]
            return Reply(found[0]) if found else Reply("not found", 404)
        return self._list(asked)

    def _list(self, asked: Asked) -> Reply:
        found = self.rows
        if since := asked.one("DateTStamp"):
            found = [r for r in found if r["DateTStamp"] > since]
        if first := asked.one("dateStart"):
            last = asked.one("dateEnd") or ""
            found = [r for r in found if first <= r["AptDateTime"][:10] <= last]
        start = int(asked.one("Offset") or 0)
        reply = Reply(found[start : start + 100], headers=DATE)
        self.each_page()
        return reply


def test_opendental_by_its_page(example: Callable[[str, Any], Example]) -> None:
    office = OpenDental()
    office.rows[0] |= {"AptStatus": "PtNote"}
    office.rows[1] |= {"AptStatus": "UnschedList", "AptDateTime": "2026-12-02 00:00:00"}
    office.each_page = lambda: office.rows.__delitem__(slice(20, 23))  # somebody is at work
    at = example("connect-opendental.md", office)
    first = at.read()
    assert (first.last.complete, first.skipped, first.set_aside) == (True, 1, {})
    left = {str(row["AptNum"]) for row in office.rows} - {"1"}
    assert left <= set(first.visits)
    visit = first.visits["9"]
    assert visit.start
    assert visit.end
    assert (visit.start.hour, visit.start.minute) == (7, 30)
    assert visit.end - visit.start == timedelta(minutes=40)
    assert (visit.patients[0].name, visit.practitioners[0].name) == ("Ada S4", "Bo Example")
    assert set(at.slept) == {5.0}
    assert first.cursor["watermark"] == "2026-11-23T07:59:30Z"

    office.each_page = lambda: None
    office.rows[-1] |= {"AptStatus": "Broken", "DateTStamp": "2026-11-23 08:58:00"}
    at.server.log.clear()
    second = at.read(first.cursor)
    assert [v.status.value for v in second.visits.values()] == ["no_show"]
    assert at.server.log[0].query == (("DateTStamp", "2026-11-23 08:44:30"), ("Offset", "0"))
    assert at.reread("230", "22") == {"230": False, "22": True}


# --- Bahmni ----------------------------------------------------------------------------------------


class Bahmni:
    """A search by POST that cuts at fifty rows without an end and a limit; the voided hide."""

    def __init__(self) -> None:
        self.rows = {f"a{n}": self._visit(n) for n in range(300)}

    def _visit(self, number: int) -> dict[str, Any]:
        start = int((NOW + timedelta(days=number % 60, hours=2)).timestamp() * 1000)
        return {
            "uuid": f"a{number}",
            "startDateTime": start,
            "endDateTime": start + 1_800_000,
            "status": "Scheduled",
            "appointmentKind": "Scheduled",
            "patient": {"uuid": f"p{number % 9}", "name": f"Pat {number % 9}"},
            "service": {"name": "Cardiology"},
            "providers": [{"uuid": "d1", "name": "Dr Bo", "response": "ACCEPTED"}],
            "voided": False,
        }

    def __call__(self, asked: Asked) -> Reply:
        if base64.b64decode(asked.headers["authorization"][6:]) != b"relay:p:w":
            return Reply({}, 401)
        path = asked.path.removeprefix("/openmrs/ws/rest/v1")
        if path == "/appointments/search":
            return self._search(asked)
        _, what, uuid = path.split("/")
        if what == "person":
            assert asked.one("v") == "full"
            mobile = {
                "attributeType": {"display": "phoneNumber"},
                "value": f"0151 5550200{uuid[1:]}",
            }
            return Reply({"uuid": uuid, "dead": uuid == "p3", "attributes": [mobile]})
        found = self.rows.get(uuid)
        return Reply(found) if found else Reply({}, 404)

    def _search(self, asked: Asked) -> Reply:
        assert asked.method == "POST"
        said = json.loads(asked.body)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z", said["startDate"])
        found = [row for row in self.rows.values() if not row["voided"]]
        found = [row for row in found if said["startDate"] <= _iso(row) < said.get("endDate", "3")]
        return Reply(found[: said.get("limit", 50)], headers=DATE)


def _iso(row: dict[str, Any]) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(row['startDateTime'] / 1000, UTC):%Y-%m-%dT%H:%M:%S.000Z}"


def test_bahmni_by_its_page(example: Callable[[str, Any], Example]) -> None:
    bahmni = Bahmni()
    at = example("connect-bahmni.md", bahmni)
    assert at.findings() == []
    first = at.read()
    assert (len(first.visits), first.last.complete, len(first.last.covers or ())) == (300, True, 9)
    visit = first.visits["a4"]
    assert (visit.start, visit.patients[0].phone) == (
        NOW + timedelta(days=4, hours=2),
        "+4915155502004",
    )
    assert first.visits["a3"].patients[0].deceased
    bahmni.rows["a5"]["voided"] = True
    del bahmni.rows["a6"]
    second = at.read(first.cursor)
    assert set(first.visits) - set(second.visits) == {"a5", "a6"}
    assert at.reread("a4", "a5", "a6") == {"a4": False, "a5": True, "a6": True}


# --- a small system with sessions ------------------------------------------------------------------


class Practice:
    """Sessions that end, errors in a 200, doctors one by one, patients by the dozen."""

    def __init__(self) -> None:
        self.sessions, self.asked, self.busy = 0, 0, 1
        self.rows = {
            doctor: [self._visit(doctor, n) for n in range(300)] for doctor in ("ba", "co")
        }

    def _visit(self, doctor: str, number: int) -> dict[str, Any]:
        return {
            "number": f"{doctor}{number}",
            "day": f"{number % 28 + 1:02}.12.2026",
            "time": "09:30",
            "minutes": 20,
            "state": "B",
            "kind": "lunch" if number == 299 else "visit",
            "doctor": doctor,
            "client": number % 11 + 1,
        }

    def __call__(self, asked: Asked) -> Reply:
        path = asked.path.removeprefix("/api")
        if path == "/login":
            assert json.loads(asked.body) == {"user": "relay", "password": "pw"}
            self.sessions += 1
            return Reply({"session": {"token": f"s{self.sessions}"}})
        self.asked += 1
        if asked.headers.get("x-session") != f"s{self.sessions}" or self.asked == 5:
            return Reply({"error": {"code": "SESSION"}})
        if self.asked == 3 and self.busy:
            self.busy -= 1
            return Reply({"error": {"code": "BUSY"}})
        found: Reply = getattr(self, "_" + path.strip("/").split("/")[0])(asked)
        return found

    def _doctors(self, asked: Asked) -> Reply:
        return Reply({"doctors": [{"code": "ba"}, {"code": "co"}]})

    def _clients(self, asked: Asked) -> Reply:
        numbers = (asked.one("numbers") or "").split(",")
        found = [{"number": int(n), "first": "Pat", "last": n} for n in numbers]
        return Reply({"clients": found})

    def _agenda(self, asked: Asked) -> Reply:
        _, _, _, *number = asked.path.split("/")
        if number:
            all_rows = [row for rows in self.rows.values() for row in rows]
            found = [r for r in all_rows if [r["number"]] == number and number != ["ba7"]]
            return Reply({"entry": found[0]}) if found else Reply({"error": {"code": "NONE"}}, 404)
        first, last = asked.one("from") or "", asked.one("to") or ""
        rows = self.rows[asked.one("doctor") or ""]
        found = [r for r in rows if first <= "-".join(r["day"].split(".")[::-1]) <= last]
        size, page = int(asked.one("rows") or 1), int(asked.one("page") or 0)
        more = (page + 1) * size < len(found)
        part = found[page * size : (page + 1) * size]
        return Reply({"agenda": {"entries": part, "more": more}}, headers=DATE)


def test_a_system_with_sessions_by_its_page(example: Callable[[str, Any], Example]) -> None:
    practice = Practice()
    at = example("connect-rest.md", practice)
    first = at.read()
    assert first.last.notes[1:] == []
    assert (len(first.visits), first.last.complete, first.set_aside) == (598, True, {})
    assert first.skipped >= 2
    assert {s.id for s in first.last.covers or ()} == {"ba", "co"}
    visit = first.visits["co7"]
    assert (visit.patients[0].key, visit.patients[0].name) == ("8", "Pat 8")
    assert practice.sessions == 2
    assert len([a for a in at.server.log if "clients" in a.path]) < 4
    assert at.reread("ba7") == {"ba7": True}


def test_an_error_in_a_200_is_no_empty_book(example: Callable[[str, Any], Example]) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/login"):
            return Reply({"session": {"token": "s"}})
        return Reply({"error": {"code": "DOWN", "text": "Quenby"}})

    with pytest.raises(Refused) as refused:
        example("connect-rest.md", answer).read()
    assert "Quenby" not in str(refused.value)
