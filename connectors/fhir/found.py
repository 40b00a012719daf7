"""Everything met so far that appointments refer to, and what of it is still to be asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b, sha256
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw

from connectors.fhir.bundles import Entry
from connectors.fhir.resources import Person, Role, Service, decode, head_of

_NEEDED = frozenset(
    {"Patient", "Practitioner", "PractitionerRole", "Location", "HealthcareService", "Person"}
)
_REFERENCE = re.compile(rb'"reference"\s*:\s*"([^"#][^"]{0,1000})"')
# An id ends in the path of a request: nothing that could lead elsewhere.
_LOCAL = re.compile(r"/?([A-Z][A-Za-z]{1,48})/([A-Za-z0-9_-][A-Za-z0-9_.-]{0,127})", re.ASCII)
_VERSION = re.compile(r"/_history(?:/.*)?\Z", re.DOTALL)

_NOBODY = bytes(16)  # the digest of who was not met

MOST_HOPS = 3  # of a merged patient to who replaced it (2.3)


class Met:
    """A resource as it came. `leads` are the keys of what it cannot be understood without.

    `made` is whatever a reader wants to remember with it. Without `content`, a former run met it and
    only its digest is known.
    """

    __slots__ = ("content", "digest", "key", "leads", "made", "type")

    def __init__(self, key: str, kind: str, content: bytes, digest: bytes | None = None) -> None:
        self.key = key
        self.type = kind
        self.content = content
        self.digest = digest or blake2b(content, digest_size=16).digest()
        self.leads: tuple[str, ...] = ()
        self.made: Any = None


class Found:
    """Resources by what refers to them: `Patient/5`, or a full address that is not ours.

    `base_url` is where the server is asked; `calls_itself` is told what else it is called.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/") + "/"
        self._bases = [_comparable(base_url)]
        self._met: dict[str, Met] = {}
        self._named: dict[str, str] = {}  # full address → key
        self._seen: dict[bytes, str] = {}  # content → key
        self._absent: set[str] = set()
        self._keys: dict[str, str] = {}  # reference as written → key
        self._written: dict[bytes, str] = {}  # the same, still as bytes of JSON
        self._hollow: set[str] = set()  # of which only the digest is known
        self.lacking = False  # whether digests were made without what can still be asked for

    def calls_itself(self, base_url: str) -> None:
        """Take absolute references under another address for references to this server.

        Behind a proxy a server may name itself as only its own house knows it. Never ask there.
        """
        self._bases.append(_comparable(base_url))

    def add(self, raw: Raw | bytes, full_url: str | None = None) -> None:
        """Remember a resource that appointments may refer to; what is none is passed over."""
        content = bytes(raw)
        key = self._seen.get(content)
        if key is None:
            key = self._taken_in(content, full_url)
        if key and full_url and full_url not in self._named:
            self._named[_unversioned(full_url)] = key

    def has_met(self, entry: Entry) -> bool:
        """Whether the very same came before, under the same address."""
        if entry.full_url not in self._named:
            return False
        return self._seen.get(bytes(entry.resource)) == self._named[entry.full_url]

    def _taken_in(self, content: bytes, full_url: str | None) -> str | None:
        try:
            head = head_of(content)
        except ValueError:
            return None
        key = self._own_key(head.type, head.id, full_url)
        if key is None:
            return None
        met = Met(opaque(key) if "://" in key else key, head.type, content)
        met.leads = tuple(lead for lead in self._leads(met) if lead != key)
        if key in self._met:
            self._seen.pop(self._met[key].content, None)
        self._met[key] = met
        self._hollow.discard(key)
        self._seen[content] = key
        return key

    def _own_key(self, kind: str, given: str | None, full_url: str | None) -> str | None:
        """Return where a resource is kept. One of another server must not pass for ours."""
        if full_url and "://" in full_url and not self._under_base(_unversioned(full_url)):
            return _unversioned(full_url)
        if given and _LOCAL.fullmatch(f"{kind}/{given}"):
            return f"{kind}/{given}"
        return full_url

    def _leads(self, met: Met) -> Iterator[str]:
        try:
            given = list(_leading(met))
        except ValueError:  # valid as a whole, and yet too deep to be looked into
            return
        for reference in given:
            key = self.key_of(reference)
            if key:
                yield key

    def absent(self, type: str, id: str) -> None:  # noqa: A002 - FHIR's own words
        """Note that the server has no such resource: it is not asked for again."""
        key = f"{type}/{id}"
        self._absent.add(key)
        if key in self._hollow:
            self._hollow.discard(key)
            del self._met[key]

    def known(self, key: str, digest: bytes) -> None:
        """Note what a former run met: enough to tell whether a visit is what it was, not to read it."""
        kind = key.partition("/")[0]
        if key not in self._met:
            self._met[key] = Met(key, kind, b"", digest)
            self._hollow.add(key)

    def stands_for(self, key: str, other: str) -> None:
        """Take one resource for another, which the server has merged into it."""
        if other in self._met:
            self._met[key] = self._met[other]
            self._hollow.discard(key)

    def unread(self, appointment_raw: Raw | bytes) -> set[tuple[str, str]]:
        """Return (type, id) of what an appointment leads to and of which only the digest is known."""
        hollow: set[str] = set()
        for key in self._keys_in(appointment_raw) if self._hollow else ():
            self._find_hollow(key, hollow, MOST_HOPS)
        return {(kind, own) for kind, _, own in (key.partition("/") for key in hollow)}

    def _find_hollow(self, key: str, hollow: set[str], hops: int) -> None:
        if key in self._hollow:
            hollow.add(key)
        elif (met := self._met.get(key)) and hops:
            for lead in met.leads:
                self._find_hollow(lead, hollow, hops - 1)

    def made_of(self, reference: str) -> Any:
        """Return what a reader remembered with what a reference leads to, if it did."""
        met = self._met.get(self._keys.get(reference, ""))
        return met.made if met is not None else None

    @property
    def patients(self) -> bool:
        """Whether any patient was met whose content is known."""
        return any(met.type == "Patient" and met.content for met in self._met.values())

    # --- references ----------------------------------------------------------------------------

    def key_of(self, reference: str) -> str | None:
        """Return the key of what a reference leads to, met or not; None for what is not ours.

        Reads `Patient/5`, `Patient/5/_history/3`, both after our address, `urn:uuid:…` and any other
        address under which something was met.
        """
        key = self._keys.get(reference)
        if key is None:
            key = self._read(reference)
            if key is not None:
                self._keys[reference] = key
        return key

    def _read(self, reference: str) -> str | None:
        bare = _unversioned(reference.strip())
        if bare in self._named:
            return self._named[bare]
        local = _LOCAL.fullmatch(bare) if ":" not in bare else self._under_base(bare)
        return f"{local[1]}/{local[2]}" if local else None

    def _under_base(self, address: str) -> re.Match[str] | None:
        if address.startswith(self._base_url):  # as in the settings; to take it apart costs 7 µs
            local = _LOCAL.fullmatch(address, len(self._base_url))
            if local:
                return local
        comparable = _comparable(address)
        for base in self._bases:
            if comparable.startswith(base):
                return _LOCAL.fullmatch(comparable[len(base) :])
        return None

    def find(self, key: str) -> Met | None:
        """Return what was met under a key."""
        return self._met.get(key)

    def _keys_in(self, raw: Raw | bytes) -> list[str]:
        """Return the keys of all that a resource refers to, met or not.

        Looking for the word costs less than decoding.
        """
        known = self._written
        keys = [known.get(written) for written in _REFERENCE.findall(raw)]
        if None in keys:
            keys = [self._key_written(written) for written in _REFERENCE.findall(raw)]
        return [key for key in keys if key]

    def _key_written(self, written: bytes) -> str | None:
        key = self._written.get(written) or self.key_of(_text(written))
        if key:
            self._written[written] = key
        return key

    def missing(self, appointment_raw: Raw | bytes) -> set[tuple[str, str]]:
        """Return (type, id) of what an appointment needs and nobody has met: to be asked for."""
        wanted: set[tuple[str, str]] = set()
        for key in self._keys_in(appointment_raw):
            self._want(key, wanted, MOST_HOPS)
        return wanted

    def _want(self, key: str, wanted: set[tuple[str, str]], hops: int) -> None:
        met = self._met.get(key)
        if met is not None:
            for lead in met.leads if hops else ():
                self._want(lead, wanted, hops - 1)
        elif self._may_be_asked_for(key):
            kind, _, own = key.partition("/")
            wanted.add((kind, own))

    def _may_be_asked_for(self, key: str) -> bool:
        """Whether somebody who was not met can be asked for, and was not in vain."""
        if key.partition("/")[0] not in _NEEDED or key in self._absent:
            return False
        return _LOCAL.fullmatch(key) is not None

    def digests(self, appointment_raw: Raw | bytes) -> bytes:
        """Return the digests of all that an appointment leads to, one after the other."""
        return b"".join(self._digests(self._keys_in(appointment_raw), MOST_HOPS))

    def _digests(self, keys: Iterable[str], hops: int) -> list[bytes]:
        parts: list[bytes] = []
        for key in keys:
            one = self._met.get(key)
            if one is None:
                parts.append(_NOBODY)
                self.lacking = self.lacking or self._may_be_asked_for(key)
            else:
                parts.append(one.digest)
                if one.leads and hops:
                    parts += self._digests(one.leads, hops - 1)
        return parts


def opaque(text: str) -> str:
    """Return a key that tells nothing, for what has an identity and no id of ours."""
    return f"auto-{sha256(text.encode()).hexdigest()[:16]}"


def replaced_by(person: Person) -> str | None:
    """Return the reference to the record that took this one's place, None for one that stands."""
    links = (link for link in person.link if link.type == "replaced-by" and link.other)
    return next((link.other.reference for link in links if link.other), None)


def _leading(met: Met) -> Iterable[str]:
    """Yield the references that a reader will follow from here."""
    if met.type == "Patient" and b"replaced-by" in met.content:
        reference = replaced_by(decode(met.content, Person))
        return [reference] if reference else []
    if met.type == "PractitionerRole":
        role = decode(met.content, Role)
        given = (role.practitioner, *role.location)
    elif met.type == "HealthcareService":
        given = decode(met.content, Service).location
    else:
        return []
    return [one.reference for one in given if one and one.reference]


def _text(written: bytes) -> str:
    """Return a JSON string's text: PHP writes `Patient\\/5`."""
    if b"\\" not in written:
        return written.decode("utf-8", "replace")
    try:
        text: str = msgspec.json.decode(b'"' + written + b'"', type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return text


def _unversioned(reference: str) -> str:
    return _VERSION.sub("", reference) if "/_history" in reference else reference


def _comparable(address: str) -> str:
    """Return an address without scheme, default port and closing slash, its host in lower case."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return address
    host = (parts.hostname or "") + (f":{port}" if port not in (None, 80, 443) else "")
    return f"{host}{parts.path.rstrip('/')}"
