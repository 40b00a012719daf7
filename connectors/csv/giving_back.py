"""What is written beside a file that was read with bad rows, before it is moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clinicrelay.contracts import Kit, Unreadable
from clinicrelay.times import iso
from connectors.csv import rejects
from connectors.csv.inbox import Drop, Inbox
from connectors.csv.options import Options
from connectors.csv.pages import End
from connectors.csv.reading import plan_of, reject_file
from connectors.csv.text import survey


def give_back(
    inbox: Inbox, options: Options, kit: Kit, end: End, set_aside: Sequence[Unreadable]
) -> None:
    """Write the reject file and the summary of a claimed file, should it have bad rows.

    Does nothing where the file is no longer there, so it may be repeated. Raises Refused.
    """
    drop = inbox.claimed(end.name, end.sha256)
    if drop is None:
        return
    mine = [t for t in set_aside if t.place == drop.name or t.place.startswith(f"{drop.name}:")]
    if mine:
        with inbox.refusing():
            _write(inbox, options, kit, drop, end, mine)


def _write(
    inbox: Inbox, options: Options, kit: Kit, drop: Drop, end: End, mine: Sequence[Unreadable]
) -> None:
    seen = survey(drop.path, *encodings(drop.name, options))
    plan = plan_of(drop, seen, options, kit.columns)
    content = None
    if end.place == "quarantine" or isinstance(plan, Unreadable):
        reason = plan.reason if isinstance(plan, Unreadable) else "manifest_mismatch"
        told = [thing for thing in mine if thing.line is None and thing.reason == reason][-1:]
    else:
        content, told = reject_file(plan, mine, kit.columns)
    if told:
        about = _about(drop, kit, end, drop.path.stat().st_size)
        rejects.write(inbox.target(end.name, end.place), content, about, told)


def _about(drop: Drop, kit: Kit, end: End, size: int) -> dict[str, Any]:
    return {
        "file": drop.name,
        "source": kit.name,
        "sha256": end.sha256,
        "bytes": size,
        "written_at": drop.modified,
        "read_at": iso(kit.now),
        "rows": end.rows,
    }


def encodings(name: str, options: Options) -> tuple[str, str]:
    """Return which encoding a file has, and the fallback.

    Ours are in UTF-8, and a spreadsheet that saved one again wrote them in its own.
    """
    if not rejects.is_named(name):
        return options.encoding, options.fallback_encoding
    said = options.encoding
    return "auto", options.fallback_encoding if said == "auto" else said
