"""A small FHIR server of our own: three ways of paging, vendors that refuse, and faults on demand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from clinicrelay.contracts import Cursor, Kit, Page, Record, Window
from clinicrelay.testing import NOW, WINDOW, Asked, HttpServer, Reply, kit, serving
from connectors.fhir import Fhir

BASE = "/fhir/r4"
EPIC = "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369"
WHO = ("patient", "practitioner", "location")
SEARCHABLE = ("date", "status", "_id", "_lastUpdated", *WHO)
SHOWING = ("_count", "_include", "_offset", "_page", "_getpages")

Fault = Callable[[Asked], Reply | None]


def outcome(severity: str, code: str, *, text: str = "", epic: str | None = None) -> dict[str, Any]:
    """An OperationOutcome with one issue."""
    details = {"text": text, "coding": [{"system": EPIC, "code": epic}] if epic else []}
    issue = {"severity": severity, "code": code, "details": details}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


@dataclass
class Peer:
    """Answers like a FHIR server. Its clock stands in the past and moves with each change."""

    paging: str = "offset"  # offset | snapshot
    max_count: int = 1000
    profile: str = "open"  # open | epic | cerner
    unknown: str = "ignore"  # ignore | reject | empty
    searchable: tuple[str, ...] = SEARCHABLE
    includes: tuple[str, ...] = ("Appointment:actor",)
    version: str = "4.0.1"
    next_base: str | None = None
    by_id: bool = True
    software: str = "A small peer"
    store: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    pages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    now: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    modes: bool = True
    lies: bool = False  # ignores _lastUpdated, which it declares
    server: HttpServer | None = None

    @property
    def url(self) -> str:
        assert self.server
        return self.server.url + BASE

    @property
    def log(self) -> list[Asked]:
        assert self.server
        return self.server.log

    def asked(self, path: str = "/Appointment") -> list[Asked]:
        """The requests to a path under the base."""
        return [one for one in self.log if one.path == BASE + path]

    def outcome(self, severity: str, code: str, **more: str) -> Reply:
        """An OperationOutcome alone, with status 200."""
        return self.fhir(outcome(severity, code, **more))

    def page_with(self, *resources: dict[str, Any], next_link: str | None = None) -> Reply:
        """A Bundle of just these, without search modes."""
        links = [{"relation": "next", "url": next_link}] if next_link else []
        entries = [{"resource": one} for one in resources]
        return self.fhir(
            {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries}
        )

    # --- what it holds -----------------------------------------------------------------------

    def put(self, resource: dict[str, Any], *, updated: str | None = None) -> None:
        self.now += timedelta(seconds=1)
        kind, key = resource["resourceType"], resource.get("id", f"nameless-{len(self.store)}")
        stamp = updated or self.now.isoformat().replace("+00:00", "Z")
        before = self.store.setdefault(kind, {}).get(key)
        version = str(int(before["meta"]["versionId"]) + 1 if before else 1)
        kept = {**resource, "meta": {"lastUpdated": stamp, "versionId": version}}
        self.store[kind][key] = kept
        self.history.append(
            {
                "fullUrl": f"http://x/{kind}/{key}",
                "resource": kept,
                "request": {"method": "PUT", "url": f"{kind}/{key}"},
                "response": {"lastModified": stamp},
            }
        )

    def delete(self, kind: str, key: str) -> None:
        self.now += timedelta(seconds=1)
        self.store[kind].pop(key)
        self.deleted.add(f"{kind}/{key}")
        stamp = self.now.isoformat()
        self.history.append(
            {
                "request": {"method": "DELETE", "url": f"{kind}/{key}"},
                "response": {"lastModified": stamp},
            }
        )

    def book(self, key: str, start: datetime, **more: Any) -> None:
        """Put an appointment of patient p1 with practitioner acar, and both of them."""
        patient, doctor = more.pop("patient", "p1"), more.pop("practitioner", "acar")
        updated = more.pop("updated", None)
        for kind, one, name in (("Patient", patient, "Kim"), ("Practitioner", doctor, "Dr. Acar")):
            if one not in self.store.get(kind, {}):
                self.put({"resourceType": kind, "id": one, "name": [{"text": name}]})
        told = {
            "resourceType": "Appointment",
            "id": key,
            "status": "booked",
            "start": start.isoformat(),
            "end": (start + timedelta(minutes=15)).isoformat(),
            "participant": [
                {"actor": {"reference": f"Patient/{patient}"}, "status": "accepted"},
                {"actor": {"reference": f"Practitioner/{doctor}"}, "status": "accepted"},
            ],
        }
        self.put(told | more, updated=updated)

    def fill(self, count: int, *, days: int = 30) -> None:
        """Book so many visits A-0, A-1 … over the days to come."""
        for n in range(count):
            self.book(f"A-{n}", NOW + timedelta(days=n % days, minutes=n))

    # --- how it answers ----------------------------------------------------------------------

    def answer(self, asked: Asked) -> Reply:
        for fault in [*self.faults]:
            if (reply := fault(asked)) is not None:
                return reply
        path = asked.path.removeprefix(BASE).strip("/")
        if path == "metadata":
            return self.fhir(self._metadata())
        query = [*asked.query]
        if path.endswith("/_search"):
            path, query = path.removesuffix("/_search"), parse_qsl(asked.body.decode())
        pages = dict(query).get("_getpages")
        if pages is not None:
            return self._stored(pages, query)
        if path.endswith("/_history"):
            return self._history(path, query)
        if "/" in path:
            return self._read(path, asked)
        return self._search(path, query)

    def fhir(self, body: Any, status: int = 200, **headers: str) -> Reply:
        content = json.dumps(body).encode()
        return Reply(content, status, {"Content-Type": "application/fhir+json", **headers})

    def _metadata(self) -> dict[str, Any]:
        named = [{"name": name} for name in self.searchable]
        resources = [
            {
                "type": "Appointment",
                "searchParam": named,
                "searchInclude": [*self.includes],
                "interaction": [{"code": "read"}, {"code": "history-type"}],
            }
        ]
        ids = [{"name": "_id"}] if self.by_id else []
        for kind in ("Patient", "Practitioner", "PractitionerRole", "Location"):
            resources.append({"type": kind, "searchParam": ids})
        return {
            "resourceType": "CapabilityStatement",
            "fhirVersion": self.version,
            "software": {"name": self.software},
            "rest": [{"mode": "server", "resource": resources}],
        }

    def _read(self, path: str, asked: Asked) -> Reply:
        kind, key = path.split("/")
        if path in self.deleted:
            return self.fhir(outcome("error", "deleted"), 410)
        found = self.store.get(kind, {}).get(key)
        if found is None:
            return self.fhir(outcome("error", "not-found"), 404)
        etag = f'W/"{found["meta"]["versionId"]}"'
        if asked.headers.get("if-none-match") == etag:
            return Reply(b"", 304, {"ETag": etag})
        return self.fhir(found, ETag=etag)

    def _search(self, kind: str, query: list[tuple[str, str]]) -> Reply:
        if kind == "Appointment" and (refusal := self._refusal(query)):
            return self.fhir(refusal, 400)
        known = SEARCHABLE if kind == "Appointment" else ("_id",)
        known = tuple(
            set(known) & {*self.searchable, "_id"} - ({"_lastUpdated"} if self.lies else set())
        )
        strange = [n for n, _ in query if n.split(":")[0] not in (*known, *SHOWING)]
        if strange and self.unknown == "reject":
            return self.fhir(
                outcome("error", "not-supported", text=f"Unknown parameter {strange[0]}"), 400
            )
        kept = [(n, v) for n, v in query if n not in strange]
        matches = [one for one in self.store.get(kind, {}).values() if _matches(one, kept)]
        if strange and self.unknown == "empty":
            kept, matches = query, []
        return self._page(kind, matches, kept, int(dict(query).get("_offset", 0)))

    def _refusal(self, query: list[tuple[str, str]]) -> dict[str, Any] | None:
        names = [name for name, _ in query]
        if self.profile == "epic" and not {"patient", "_id"} & {*names}:
            return outcome("fatal", "required", text="Required parameter missing", epic="4111")
        dates = [value for name, value in query if name == "date"]
        if self.profile == "cerner" and (
            sum(names.count(who) for who in WHO) != 1
            or not all(value[:2] in ("ge", "lt") and "T" in value for value in dates)
            or len(dates) != 2
        ):
            text = "exactly one of patient, practitioner, location, and date with prefix"
            return outcome("error", "required", text=text)
        return None

    def _page(
        self, kind: str, matches: list[dict[str, Any]], query: list[tuple[str, str]], at: int
    ) -> Reply:
        size = min(int(dict(query).get("_count", 10)), self.max_count)
        plain = [(n, v) for n, v in query if n != "_offset"]
        nexts = None
        if len(matches) > at + size:
            if self.paging == "snapshot":
                name = f"set-{len(self.pages)}"
                self.pages[name] = matches
                nexts = f"?_getpages={name}&_offset={at + size}&_count={size}"
            else:
                nexts = f"/{kind}?{urlencode([*plain, ('_offset', str(at + size))])}"
        return self._bundle(matches[at : at + size], f"{kind}?{urlencode(plain)}", nexts, query)

    def _stored(self, name: str, query: list[tuple[str, str]]) -> Reply:
        given = dict(query)
        if name not in self.pages:
            return self.fhir(outcome("error", "processing"), 410)
        at, size, all_of_it = int(given["_offset"]), int(given["_count"]), self.pages[name]
        more = len(all_of_it) > at + size
        nexts = f"?_getpages={name}&_offset={at + size}&_count={size}" if more else None
        page = all_of_it[at : at + size]
        return self._bundle(page, "?x", nexts, [("_include", "Appointment:actor")])

    def _history(self, path: str, query: list[tuple[str, str]]) -> Reply:
        since = datetime.fromisoformat(dict(query)["_since"])
        entries = [
            one
            for one in reversed(self.history)
            if one["request"]["url"].startswith("Appointment/")
            and datetime.fromisoformat(one["response"]["lastModified"]) >= since
        ]
        return self.fhir({"resourceType": "Bundle", "type": "history", "entry": entries})

    def _bundle(
        self,
        matches: list[dict[str, Any]],
        self_link: str,
        nexts: str | None,
        query: list[tuple[str, str]],
    ) -> Reply:
        entries = [self._entry(one, "match") for one in matches]
        if any(name == "_include" for name, _ in query):
            entries += [self._entry(one, "include") for one in self._actors(matches)]
        links = [{"relation": "self", "url": f"{self.url}/{self_link}"}]
        if nexts:
            links.append({"relation": "next", "url": f"{self.next_base or self.url}{nexts}"})
        return self.fhir(
            {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries}
        )

    def _entry(self, resource: dict[str, Any], mode: str) -> dict[str, Any]:
        told = {k: v for k, v in resource.items() if v is not None}
        entry = {"fullUrl": f"{self.url}/{told['resourceType']}/{told.get('id')}", "resource": told}
        return entry | ({"search": {"mode": mode}} if self.modes else {})

    def _actors(self, matches: list[dict[str, Any]]) -> list[dict[str, Any]]:
        names = {
            part["actor"]["reference"] for one in matches for part in one.get("participant", [])
        }
        parts = (name.split("/") for name in sorted(names))
        return [
            found for kind, key in parts if (found := self.store.get(kind, {}).get(key)) is not None
        ]


def _matches(resource: dict[str, Any], query: list[tuple[str, str]]) -> bool:
    return all(_match(resource, name, value) for name, value in query)


def _match(resource: dict[str, Any], name: str, value: str) -> bool:
    if name in ("date", "_lastUpdated"):
        text = resource.get("start") if name == "date" else resource["meta"]["lastUpdated"]
        if not text:
            return False
        at, limit = datetime.fromisoformat(text), datetime.fromisoformat(value[2:])
        return at >= limit if value[:2] == "ge" else at < limit
    if name == "_id":
        return resource["id"] in value.split(",")
    if name == "status":
        return bool(resource["status"] == value)
    if name in WHO:
        wanted = {f"{name.title()}/{one}" for one in value.split(",")}
        return any(part["actor"]["reference"] in wanted for part in resource["participant"])
    return True


@dataclass
class Clinic:
    """A peer, and connectors that ask it as if a new process had made them."""

    peer: Peer
    folder: Path
    memory: dict[str, Any] = field(default_factory=dict)
    now: datetime = NOW
    slept: list[float] = field(default_factory=list)
    pace: Any = None
    made: list[Fhir] = field(default_factory=list)

    def connector(self, **said: Any) -> Fhir:
        options = Fhir.Options.model_validate({"base_url": self.peer.url} | said)
        return self.with_options(options)

    def with_options(self, options: Any) -> Fhir:
        changes: dict[str, Any] = {"memory": self.memory, "now": self.now}
        made: Kit = kit(self.folder, **changes | ({"pace": self.pace} if self.pace else {}))
        connector = Fhir(options, made)
        connector.sleep = self.slept.append
        self.made.append(connector)
        return connector

    def read(
        self, cursor: Cursor | None = None, window: Window = WINDOW, **said: Any
    ) -> list[Page]:
        """Read once; the cursor and what is remembered go through JSON, as through the store."""
        connector = self.connector(**said)
        try:
            pages = [*connector.pull(cursor, window)]
            self.records(pages)
        finally:
            connector.close()
        kept = json.loads(json.dumps(self.memory))
        self.memory.clear()
        self.memory.update(kept)
        return pages

    def cursor(self, pages: list[Page]) -> Cursor:
        """Where a read ended, as the store would give it back."""
        return json.loads(json.dumps(pages[-1].cursor))

    def records(self, pages: list[Page]) -> list[Record]:
        """All records of a read, in their order."""
        return [page.record(at) for page in pages for at in range(len(page.records))]

    def keys(self, pages: list[Page]) -> list[str]:
        """The keys of all records of a read, sorted."""
        return sorted(str(record.key) for record in self.records(pages))

    def notes(self, pages: list[Page]) -> str:
        return " | ".join(note for page in pages for note in page.notes)


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    with serving(made.answer) as server:
        made.server = server
        yield made


@pytest.fixture
def clinic(peer: Peer, tmp_path: Path) -> Iterator[Clinic]:
    found = Clinic(peer, tmp_path)
    yield found
    for connector in found.made:
        connector.close()
