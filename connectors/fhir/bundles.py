"""Pages of a search or a history: entries whose resources are not decoded yet."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import Raw, Struct

from connectors.fhir.lenient import BOM, fitted, loose
from connectors.fhir.resources import Meta, decode

# What servers answer with instead; any other word may be anything, and is not shown.
_TYPES = frozenset(
    {
        "Appointment",
        "Binary",
        "CapabilityStatement",
        "Conformance",
        "OperationOutcome",
        "Parameters",
    }
    | {"Location", "Patient", "Practitioner", "PractitionerRole", "Slot", "Schedule"}
)


NO_JSON = "no JSON"


class NotABundle(ValueError):
    """What came is something else; the text says what, without any of its data."""


class Link(Struct, gc=False):
    """Where else to look: next, self …"""

    relation: str = ""
    url: str = ""


class _Search(Struct, gc=False):
    mode: str | None = None


class _Request(Struct, frozen=True, gc=False):
    method: str | None = None
    url: str | None = None


class _Response(Struct, gc=False, rename="camel"):
    last_modified: str | None = None
    outcome: Raw = Raw()


class Entry(Struct, gc=False, rename="camel"):
    """One resource of a Bundle, as it came; `resource` is empty where there is none."""

    full_url: str | None = None
    resource: Raw = Raw()
    search: _Search | None = None
    request: _Request | None = None
    response: _Response | None = None

    @property
    def mode(self) -> str | None:
        """Why it is there: match, include, outcome, or not said."""
        return self.search.mode if self.search else None

    @property
    def method(self) -> str | None:
        """What was done to it, in a history."""
        return self.request.method if self.request else None

    @property
    def url(self) -> str | None:
        """What it was done to, in a history."""
        return self.request.url if self.request else None

    @property
    def changed(self) -> str | None:
        """When it was done, in a history."""
        return self.response.last_modified if self.response else None


class Bundle(Struct, gc=False, rename={"links": "link", "entries": "entry", "kind": "type"}):
    """A page of a search or a history."""

    links: tuple[Link, ...] = ()
    entries: list[Entry] = []
    total: int | None = None
    kind: str | None = None
    meta: Meta | None = None
    resourceType: str | None = None  # noqa: N815 - as it is called in JSON

    @property
    def updated(self) -> str | None:
        """The server's own clock, where it tells it."""
        return self.meta.last_updated if self.meta else None


class _Outline(Struct, gc=False):
    entry: list[Raw] = []


_bundle = msgspec.json.Decoder(Bundle).decode
_outline = msgspec.json.Decoder(_Outline).decode


def read_bundle(content: bytes) -> Bundle:
    """Return a Bundle whose resources are not decoded yet. Raises NotABundle."""
    content = content.removeprefix(BOM)
    try:
        found = _bundle(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = _odd_bundle(content)
    if found.resourceType != "Bundle":
        raise NotABundle(_what(found.resourceType))
    return found


def _odd_bundle(content: bytes) -> Bundle:
    """Read a Bundle of which something has the wrong type; each entry stands for itself."""
    try:
        rest = loose(content)
    except ValueError:
        raise NotABundle(NO_JSON) from None
    kind = rest.get("resourceType") if isinstance(rest, dict) else None
    if kind != "Bundle":
        raise NotABundle(_what(kind))
    given = rest.pop("entry", None)
    found = fitted(rest, Bundle)
    if isinstance(given, dict) and "resource" in given:  # as XML becomes JSON at some
        found.entries = [_entry(Raw(_written(given)))]
    elif isinstance(given, list):
        found.entries = [_entry(one) for one in _entries(content, given)]
    elif given is not None:
        raise NotABundle("a Bundle without a list of entries")
    return found


def _entries(content: bytes, given: list[Any]) -> list[Raw]:
    """Return the entries as they were written, where that can be told."""
    try:
        return _outline(content).entry
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return [Raw(_written(one)) for one in given]


def _written(entry: Any) -> bytes:
    try:
        return json.dumps(entry).encode()
    except RecursionError:
        return b"null"  # it counts as an entry that nobody can read


def _entry(raw: Raw) -> Entry:
    return decode(raw, Entry) if bytes(raw).lstrip()[:1] == b"{" else Entry()


def _what(kind: object) -> str:
    if not isinstance(kind, str) or kind not in _TYPES:
        return "JSON that is no resource"
    return f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind}"
