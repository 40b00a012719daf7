"""Made-up visits that take every turn of a text, with the longest words it can meet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from clinicrelay.actions import MessageKind
from clinicrelay.model import Modality
from sync.words.facts import DigestChange, DigestLine, Other, TextFacts

_START = datetime(2026, 9, 30, 8, 30, tzinfo=UTC)  # a Wednesday in September: the longest names
_CHANGES = (
    ("time",),
    ("place",),
    ("link",),
    ("practitioner",),
    ("time", "place"),
    ("time", "practitioner"),
    ("time", "link", "practitioner"),
    ("time", "place", "link"),
    ("reinstated",),
)
_EARLY = {"at": _START - timedelta(days=20)}  # before a link or a number is shown
_VISITS: tuple[dict[str, Any], ...] = (
    {},
    {"place": None, "practitioner_name": None, "first_name": None},
    {"modality": Modality.VIDEO, "join_url": "https://meet.example/" + "x" * 60},
    {"modality": Modality.PHONE},
    {"modality": Modality.PHONE, "call_in": "+493055501234"},
    {"modality": Modality.VIDEO, "join_url": "https://meet.example/a", **_EARLY},
    {"modality": Modality.PHONE, "call_in": "+493055501234", **_EARLY},
    {"recipient_timezone": "America/Argentina/Buenos_Aires"},
    {"names_whom": True},
    {"others": (Other(_START + timedelta(hours=3), "Dr. Ana Costa"),)},
)
_OTHERWISE: tuple[dict[str, Any], ...] = (
    {"before_modality": Modality.VIDEO},
    {"before_modality": Modality.PHONE, "place": None},
    {"modality": Modality.VIDEO, "before_modality": Modality.IN_PERSON},
    {"modality": Modality.PHONE, "before_modality": Modality.VIDEO},
    {
        "modality": Modality.PHONE,
        "before_modality": Modality.IN_PERSON,
        "call_in": "+493055501234",
        **_EARLY,
    },
)


def samples(kind: MessageKind) -> Iterator[TextFacts]:
    """Yield facts that take every turn of a text, and the longest words it can meet."""
    if kind is MessageKind.DIGEST:
        line = DigestLine(_START, Modality.VIDEO, "J.R.")
        for visits in ((), (line,), (line,) * 20):
            yield _sample(visits=visits)
        kinds = ("booked", "moved", "cancelled", "reassigned")
        news = tuple(DigestChange(what, line, _START - timedelta(days=1)) for what in kinds)
        yield _sample(visits=(), changed=news)
        yield _sample(visits=(line,) * 20, changed=news * 10)
        return
    for changes in _CHANGES if kind is MessageKind.CHANGE else ((),):
        for facts in (*_VISITS, *_otherwise(changes)):
            yield _sample(kind_of_change=frozenset(changes), **facts)


def _otherwise(changes: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
    """Return the visits that are met in another way now, or that are on again as they were."""
    if "reinstated" in changes:
        return ({"before_start": _START},)
    return _OTHERWISE if "place" in changes else ()


def _sample(**changes: Any) -> TextFacts:
    facts: dict[str, Any] = {
        "at": _START - timedelta(hours=20),
        "start": _START,
        "end": _START + timedelta(minutes=30),
        "timezone": "Europe/Berlin",
        "place": "Main site, second floor",
        "practitioner_name": "Dr. Elif Acar",
        "first_name": "Maximiliane",
        "before_start": _START - timedelta(days=7),
        "before_place": "Branch at the river",
    }
    return TextFacts(**facts | changes)
