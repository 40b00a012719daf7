"""Asks a server what it can do, once a day: /metadata is large, and counts against a budget."""

from __future__ import annotations

import hashlib
from collections.abc import MutableMapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from clinicrelay.errors import Refused
from clinicrelay.http import Unwelcome
from clinicrelay.times import iso
from connectors.fhir.capability import Capability, NoStatement, read_capability
from connectors.fhir.options import FhirOptions
from connectors.fhir.seen import moment_of
from connectors.fhir.server import Server, sent_as

_NAME = "capability"
_BELIEVED = timedelta(hours=24)


def declared(
    server: Server, options: FhirOptions, memory: MutableMapping[str, Any], now: datetime
) -> Capability:
    """Return what the server declares, as remembered or asked; of a silent one nothing.

    Raises Unwelcome, NotAnswered, Spent, and Refused for a version that is not read.
    """
    known = memory.get(_NAME) or {}
    asked = moment_of(known.get("asked")) if known.get("of") == _of(options) else None
    if asked and timedelta(0) <= now - asked < _BELIEVED:
        return msgspec.convert(known["says"], Capability)
    found = ask(server, options)
    says = msgspec.to_builtins(found)
    memory[_NAME] = {"asked": iso(now), "of": _of(options), "says": says}
    return found


def forget(memory: MutableMapping[str, Any], now: datetime) -> bool:
    """Let the server be asked anew; return whether it was not asked in this very run."""
    known = memory.pop(_NAME, None) or {}
    return bool(known) and known.get("asked") != iso(now)


def ask(server: Server, options: FhirOptions) -> Capability:
    """Ask now."""
    try:
        answer = server.client.get("metadata", headers=server.headers)
        return read_capability(answer.content)
    except NoStatement as error:
        if _is_known_enough(options):
            return Capability()
        sent = sent_as(answer)
        raise Unwelcome(
            f"expected FHIR JSON, got {sent} ({error}) from {server.client.host} to GET metadata",
            fix="check base_url: a login page, a proxy or another interface answers there",
            answer=answer,
        ) from error
    except Unwelcome as error:
        # Some do not have it, some show it only to those who may administer them.
        if error.status in (403, 404, 405, 406, 501) and _is_known_enough(options):
            return Capability()
        if error.status == 404:
            raise Refused(
                f"{error}: no FHIR server answers there, or it does not say what it can",
                fix="check base_url; if it is right, set strategy: window and version: R4",
            ) from error
        raise


def _is_known_enough(options: FhirOptions) -> bool:
    return options.strategy != "auto" or options.preset is not None


def _of(options: FhirOptions) -> str:
    return hashlib.blake2b(options.base_url.encode(), digest_size=6).hexdigest()
