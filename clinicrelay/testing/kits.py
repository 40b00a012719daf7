"""A clinic, a moment and a kit for tests, and personal data that must never turn up where it leaks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from clinicrelay.contracts import ClinicFacts, Kit, Message, Window
from clinicrelay.model import Channel

CLINIC = ClinicFacts(
    id="riverside",
    name="Riverside Family Clinic",
    timezone="Europe/Berlin",
    country="DE",
    language="de",
    phone="+4930555010",
    email="frontdesk@riverside.example",
)
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
WINDOW = Window(NOW - timedelta(days=1), NOW + timedelta(days=120))

# In the tests' data these stand where a person's do; no file name, note, finding or error shows one.
CANARY_NAME = "Quenby Canary"
CANARY_PHONE = "+12025550143"
CANARY_EMAIL = "quenby@canary.example"
CANARIES = ("Quenby", "Canary", "2025550143", "canary.example")


def kit(folder: Path, **changes: Any) -> Kit:
    """Return a kit whose folder is `folder`; `changes` are fields of Kit, or its `columns`."""
    columns = changes.pop("columns", None)
    changes |= {"find_columns": lambda: columns}
    fields: dict[str, Any] = {"name": "test", "clinic": CLINIC, "folder": folder, "now": NOW}
    return Kit(**fields | changes)


def an_email(**changes: Any) -> Message:
    """Return a confirmation to a person whose address must not leak; `changes` are its fields."""
    fields: dict[str, Any] = {
        "id": "cr0123abcd",
        "channel": Channel.EMAIL,
        "to": CANARY_EMAIL,
        "text": "See you on Tuesday.\n",
        "language": "en",
        "kind": "confirmation",
        "subject": "Your appointment",
        "html": "<p>See you on Tuesday.</p>",
        "written_at": NOW,
    }
    return Message(**fields | changes)


def an_sms(**changes: Any) -> Message:
    """Return a confirmation by SMS; `changes` are its fields."""
    fields = {"channel": Channel.SMS, "to": CANARY_PHONE, "subject": None, "html": None}
    return an_email(**fields | changes)


def canaries_in(*texts: object) -> list[str]:
    """Return the personal data found in texts, paths or results."""
    everything = "\n".join(str(t) for t in texts)
    return [c for c in CANARIES if c.lower() in everything.lower()]
