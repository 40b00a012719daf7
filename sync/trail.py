"""Writes the audit trail to a file for whoever has to answer for it, naming no patient."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clinicrelay.times import iso
from sync.store import archive, audit, ledger

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.store.audit import Entry

_COLUMNS = ("number", "at", "clinic", "actor", "action", "about", "reason", "details", "hash")
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


def form_of(file: Path) -> str | None:
    """Return how a file is written, by the end of its name: jsonl or csv."""
    return {".jsonl": "jsonl", ".csv": "csv"}.get(file.suffix.lower())


def export(clinic: Clinic, file: Path, *, since: datetime | None, messages: bool) -> int:
    """Write the trail into a new file for its owner alone; return how many entries it has.

    Raises SettingsError where the file is there already or cannot be written.
    """
    number, form = 0, form_of(file)
    with archive.new(file) as handle:
        text = io.TextIOWrapper(handle, encoding="utf-8", newline="", write_through=True)
        sheet = csv.writer(text, lineterminator="\n")
        if form == "csv":
            sheet.writerow(_COLUMNS)
        for one in _all(clinic, since, messages=messages):
            number += 1
            if form == "csv":
                sheet.writerow([_cell(one[name]) for name in _COLUMNS])
            else:
                text.write(json.dumps(one, ensure_ascii=False) + "\n")
        text.flush()
        os.fsync(handle.fileno())
        text.detach()
    return number


def as_json(one: Entry) -> dict[str, Any]:
    """Return an entry for other programs."""
    return {
        "number": one.number,
        "at": iso(one.at),
        "clinic": one.clinic,
        "actor": one.actor,
        "action": one.action,
        "about": one.about,
        "reason": one.reason,
        "details": json.loads(one.details),
        "hash": one.hash,
    }


def _all(clinic: Clinic, since: datetime | None, *, messages: bool) -> Iterator[dict[str, Any]]:
    name = clinic.store.clinic
    with clinic.store.read() as connection:
        yield from map(as_json, audit.entries(connection, name, since=since))
        if messages:
            wanted = ledger.Wanted(since, None, None, None, None)
            for one in ledger.entries(connection, name, wanted, most=None):
                yield _of_ledger(clinic, one)


def _of_ledger(clinic: Clinic, one: ledger.Entry) -> dict[str, Any]:
    """Return a message as an entry: what, by which way and why, under ids that name nobody."""
    role = one.recipient.partition("/")[0]
    known = {"kind": one.kind, "step": one.step, "to": role, "channel": one.channel}
    return {
        "number": None,
        "at": iso(one.when),
        "clinic": clinic.store.clinic,
        "actor": "clinicrelay",
        "action": f"message.{one.state}",
        "about": f"message/{one.attempt or f'm{one.number}'}",
        "reason": one.reason or "",
        "details": {name: value for name, value in known.items() if value},
        "hash": None,
    }


def _cell(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value or "")
    return f"'{text}" if text.startswith(_FORMULA) else text
