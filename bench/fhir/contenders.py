"""What is measured: the yardstick, our reading, and the whole job, all from the same server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

import mappings
from bench.clinic import sync
from clinicrelay.contracts import ClinicFacts, Kit, Page, Window
from connectors.fhir import Fhir
from connectors.fhir.bundles import Link
from connectors.fhir.resources import Appointment, Location, Person, decode, head_of
from connectors.fhir.server import Query
from connectors.fhir.walk import Walk

Contender: TypeAlias = Callable[[str, Path], None]

NOW = datetime(2026, 11, 23, 7, tzinfo=UTC)
SETTINGS = """
version: 1
clinic: {{id: bench, name: Bench Clinic, timezone: America/New_York, country: US, language: en}}
store: {{url: "sqlite:///clinicrelay.db"}}
sources:
  ehr: {{type: fhir, base_url: "{base}", strategy: snapshot, window: {{future: 3000d}}}}
notifiers:
  outbox: {{type: outbox}}
reminders:
  patient: {{confirmation: {{channels: [email]}}, steps: [3d, 1d, 1h], on_change: false}}
  doctor: {{steps: [1h]}}
"""


# --- the yardstick -------------------------------------------------------------------------------


def decoded(base: str, folder: Path) -> None:
    """Follow the links and decode each Bundle into typed resources; understand nothing."""
    import httpx

    decode = typed_bundle()
    with httpx.Client() as client:
        url: str | None = f"{base}/Appointment"
        while url:
            page = decode(client.get(url).content)
            url = next((link.url for link in page.link if link.relation == "next"), None)


@cache
def typed_bundle() -> Callable[[bytes], Any]:
    """Return what decodes a Bundle into structs of the very fields that are used, in one go."""
    tagged = [_tagged(name, shape) for name, shape in _KINDS.items()]
    union: Any = tagged[0]
    for one in tagged[1:]:
        union |= one
    entry = msgspec.defstruct("TypedEntry", [("resource", union), ("fullUrl", str | None, None)])
    fields: list[Any] = [("entry", list[entry]), ("link", list[Link])]  # type: ignore[valid-type]
    return msgspec.json.Decoder(msgspec.defstruct("TypedBundle", fields)).decode


def _tagged(name: str, shape: type[msgspec.Struct]) -> type[msgspec.Struct]:
    fields: list[Any] = [
        (f.name, f.type, msgspec.field(default=f.default, name=f.encode_name))
        for f in msgspec.structs.fields(shape)
    ]
    return msgspec.defstruct(name, fields, tag_field="resourceType", tag=name, gc=False)


# --- peers ---------------------------------------------------------------------------------------


def fhirpy(base: str, folder: Path) -> None:
    """Fetch all appointments with fhirpy; what was included with them it drops."""
    import fhirpy as peer

    found = peer.SyncFHIRClient(base).resources("Appointment").fetch_all()
    assert found


def fhir_resources(base: str, folder: Path) -> None:
    """Follow the links and validate each resource with the models of fhir.resources."""
    import json

    import httpx
    from fhir.resources.R4B import get_fhir_model_class

    with httpx.Client() as client:
        url: str | None = f"{base}/Appointment"
        while url:
            page = json.loads(client.get(url).content)
            for entry in page["entry"]:
                resource = entry["resource"]
                get_fhir_model_class(resource["resourceType"]).model_validate(resource)
            links = (link["url"] for link in page["link"] if link["relation"] == "next")
            url = next(links, None)


# --- ours ----------------------------------------------------------------------------------------


def parsed(base: str, folder: Path) -> None:
    """Read all pages as we read them, and decode each resource once, by its type; understand nothing."""
    fhir, seen = _connector(base, folder), set[bytes]()
    try:
        for sheet in Walk(fhir._server(), Query("Appointment")):
            for raw in {bytes(entry.resource) for entry in sheet.bundle.entries} - seen:
                seen.add(raw)
                kind = _KINDS.get(head_of(raw).type)
                assert kind is None or decode(raw, kind)
    finally:
        fhir.close()


_KINDS: dict[str, type[msgspec.Struct]] = {
    "Appointment": Appointment,
    "Patient": Person,
    "Practitioner": Person,
    "Location": Location,
}


def unchanged(base: str, folder: Path) -> None:
    """Read all pages as far as a poll does where nothing changed: digests, and no more."""
    for page in _pages(base, folder):
        assert page.last or page.digests


def mapped(base: str, folder: Path) -> None:
    """Read all pages and make a visit of each record, and keep none."""
    context = mappings.Context("ehr", "America/New_York", "US", "en")
    mapper = mappings.load("fhir", Path()).compile(context)
    for page in _pages(base, folder):
        for one in [*page.records]:  # all before the first is mapped, as `sync` does
            mapper(one)


def _pages(base: str, folder: Path) -> Iterator[Page]:
    fhir = _connector(base, folder)
    try:
        yield from fhir.pull(None, Window(NOW, NOW + timedelta(days=3000)))
    finally:
        fhir.close()


def _connector(base: str, folder: Path) -> Fhir:
    clinic = ClinicFacts("bench", "Bench Clinic", "America/New_York", "US", "en")
    options = Fhir.Options(base_url=base, strategy="snapshot")
    return Fhir(options, Kit("ehr", clinic, folder, NOW))


def job(base: str, folder: Path) -> None:
    """Run `sync` of an ordinary clinic: the first time a first load, then a poll."""
    settings = folder / "settings.yaml"
    if not settings.exists():
        settings.write_text(SETTINGS.format(base=base), encoding="utf-8")
    sync(folder, "", NOW.isoformat())
