"""What a server says that it can do (/metadata): read once, remembered, asked again each day."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from clinicrelay.errors import Refused
from connectors.fhir.presets import vendor_of
from connectors.fhir.resources import decode

_VERSIONS = (("4.0", "R4"), ("4.1", "R4B"), ("4.3", "R4B"), ("3.", "STU3"), ("5.", "R5"))
_NAMES = {"DSTU2": "DSTU2", "STU3": "STU3", "R4": "R4", "R4B": "R4B", "R5": "R5"}


class Capability(msgspec.Struct, frozen=True):
    """What is of use in a CapabilityStatement. `declared` is false where there was none to read.

    `by_id` are the types that can be searched by `_id`, `types` all that it lists.
    """

    version: str | None = None
    vendor: str | None = None
    params: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()
    history: bool = False
    by_id: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    declared: bool = False

    @property
    def lacks_appointments(self) -> bool:
        """Whether the server lists its resources, and appointments are not among them."""
        return bool(self.types) and "Appointment" not in self.types

    def can_search(self, name: str) -> bool:
        """Whether appointments can be searched by a parameter; of nobody who is silent, no."""
        return name in self.params


class _Param(msgspec.Struct):
    name: str = ""


class _Code(msgspec.Struct):
    code: str = ""


class _Resource(msgspec.Struct):
    type: str = ""
    interaction: tuple[_Code, ...] = ()
    search_include: tuple[str, ...] = msgspec.field(default=(), name="searchInclude")
    search_param: tuple[_Param, ...] = msgspec.field(default=(), name="searchParam")


class _Rest(msgspec.Struct):
    mode: str = "server"
    resource: tuple[_Resource, ...] = ()
    search_param: tuple[_Param, ...] = msgspec.field(default=(), name="searchParam")


class _Software(msgspec.Struct, frozen=True):
    name: str = ""


class _Implementation(msgspec.Struct, frozen=True):
    description: str = ""


class _Statement(msgspec.Struct):
    type: str = msgspec.field(default="", name="resourceType")
    version: str | None = msgspec.field(default=None, name="fhirVersion")
    publisher: str = ""
    software: _Software = _Software()
    implementation: _Implementation = _Implementation()
    rest: tuple[_Rest, ...] = ()


class NoStatement(ValueError):
    """This is no CapabilityStatement; the text says what it is instead, without data."""


def read_capability(content: bytes) -> Capability:
    """Read a CapabilityStatement of any version. Raises NoStatement, and Refused for DSTU2."""
    try:
        statement = decode(content, _Statement)
    except ValueError as error:
        raise NoStatement("not JSON, or of another shape") from error
    if statement.type == "Conformance":
        raise dstu2()
    if statement.type != "CapabilityStatement":
        raise NoStatement("another resource")
    server = next((rest for rest in statement.rest if rest.mode == "server"), _Rest())
    about = (statement.software.name, statement.publisher, statement.implementation.description)
    return Capability(
        version=version_of(statement.version),
        vendor=vendor_of(" ".join(about)),
        declared=True,
        **_resources(server),
    )


def _resources(server: _Rest) -> dict[str, Any]:
    mine = next((r for r in server.resource if r.type == "Appointment"), _Resource())
    everywhere = {param.name for param in server.search_param}
    return {
        "params": tuple(sorted({p.name for p in mine.search_param} | everywhere)),
        "includes": tuple(mine.search_include),
        "history": any(one.code == "history-type" for one in mine.interaction),
        "by_id": tuple(
            r.type
            for r in server.resource
            if "_id" in everywhere or any(p.name == "_id" for p in r.search_param)
        ),
        "types": tuple(r.type for r in server.resource),
    }


def version_of(text: str | None) -> str | None:
    """Return STU3, R4, R4B or R5 for a `fhirVersion`; None for one nobody knows.

    Raises Refused for DSTU2, whose appointments are of another kind.
    """
    if not text:
        return None
    if re.match(r"(0\.|1\.|DSTU2)", text):
        raise dstu2()
    known = next((name for start, name in _VERSIONS if text.startswith(start)), None)
    return known or _NAMES.get(text.upper())


def dstu2() -> Refused:
    """Return the error for a server whose version is too old."""
    return Refused(
        "this server speaks DSTU2, a version of FHIR of 2015 that is not read",
        fix="look for its address for R4 (often /R4 instead of /DSTU2) and write it as base_url",
    )
