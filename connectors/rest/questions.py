"""What a source is asked, as marks that tell one question from another, and in which zone it is."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from clinicrelay.contracts import Kit
from clinicrelay.times import zone_of
from connectors.rest.options import RestOptions

_ASKED = ("base_url", "request", "records", "streams")


def plan_of(options: RestOptions) -> str:
    """Return what tells one way of asking from another: a cursor of another means nothing here."""
    about = ("key", "gone", "cursor", "clock", "zone", "partition", "strategy")
    return _digest(options, str(options.slice), *_ASKED, "changes", "paging", *about)


def question_of(options: RestOptions) -> str:
    """Return what tells one question from another, whichever way and of whatever days and ids."""
    return _digest(options, "", *_ASKED)


def _digest(options: RestOptions, also: str, *names: str) -> str:
    asked = options.model_dump(mode="json", by_alias=True, include={*names})
    text = msgspec.json.encode([asked, also], order="deterministic")
    return blake2b(text, digest_size=8).hexdigest()


def zone_in(options: RestOptions, kit: Kit) -> str:
    """Return the IANA name of the zone that requests are written in."""
    named = {"clinic": kit.clinic.timezone, "utc": "UTC"}
    return zone_of(named.get(options.zone, options.zone)).key
