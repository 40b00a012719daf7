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
    ("practitioner",),
    ("time", "place"),
    ("time", "practitioner"),
    ("reinstated",),
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
        for facts in (
            {},
            {"place": None, "practitioner_name": None, "first_name": None},
            {"modality": Modality.VIDEO, "join_url": "https://meet.example/" + "x" * 60},
            {"modality": Modality.PHONE},
            {"modality": Modality.PHONE, "call_in": "+493055501234"},
            {"recipient_timezone": "America/Argentina/Buenos_Aires"},
            {"names_whom": True},
            {"others": (Other(_START + timedelta(hours=3), "Dr. Ana Costa"),)},
        ):
            yield _sample(kind_of_change=frozenset(changes), **facts)


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
