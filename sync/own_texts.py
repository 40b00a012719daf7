"""Whether a clinic's own texts are still there and can be filled in: ours would leave without a word.

Looked at by `sync`, and only where a file was touched: what was found is remembered, and told from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sync.store import memory, seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic

_OWNER = "sync/texts"
_MISSED = timedelta(days=7)  # then it was taken away on purpose
GONE, BROKEN = "gone", "broken"


def faults(connection: Connection, clinic: Clinic) -> dict[str, list[str]]:
    """Return the files that are gone or broken, as they were last seen."""
    found: dict[str, list[str]] = {}
    for name, kept in sorted(memory.recall(connection, clinic.store.clinic, _OWNER).items()):
        if kept["fault"]:
            found.setdefault(kept["fault"], []).append(name)
    return found


def take_stock(clinic: Clinic) -> None:
    """Remember which texts there are, and what is wrong with those that were touched."""
    with clinic.store.read() as connection:
        before = memory.recall(connection, clinic.store.clinic, _OWNER)
    there = _signs(clinic)
    if not before and not there:
        return
    after = {**_gone(clinic, before, there), **_there(clinic, before, there)}
    if after != before:
        with clinic.store.write() as connection:
            memory.remember(connection, clinic.store.clinic, _OWNER, before, after)


def _signs(clinic: Clinic) -> dict[str, str]:
    """Return the files by name, with what changes when somebody writes them."""
    folder = clinic.settings.templates
    found = {}
    for path in folder.glob("*.j2") if folder is not None and folder.is_dir() else ():
        try:
            status = path.stat()
        except OSError:  # it was taken away a moment ago
            continue
        found[path.name[:120]] = f"{status.st_mtime_ns}/{status.st_size}"
    return found


def _gone(
    clinic: Clinic, before: Mapping[str, Any], there: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    now = seconds(clinic.now)
    found = {}
    for name, kept in before.items():
        since = kept["since"] if kept["fault"] == GONE else now
        if name not in there and now - since < _MISSED.total_seconds():
            found[name] = {"sign": kept["sign"], "fault": GONE, "since": since}
    return found


def _there(
    clinic: Clinic, before: Mapping[str, Any], there: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    same = {
        name: kept
        for name, kept in before.items()
        if kept["fault"] != GONE and there.get(name) == kept["sign"]
    }
    touched = there.keys() - same.keys()
    broken = _broken(clinic) if touched else frozenset()
    now = seconds(clinic.now)
    return same | {
        name: {"sign": there[name], "fault": BROKEN if name in broken else "", "since": now}
        for name in touched
    }


def _broken(clinic: Clinic) -> frozenset[str]:
    from pathlib import Path

    from sync.words import Words
    from sync.words.check import check_words

    own = clinic.settings.clinic
    words = Words(own.language, own.facts(), clinic.settings.templates)  # as the files are now
    wrong = (one for one in check_words(words) if one.severity == "error" and one.file)
    return frozenset(Path(one.file).name for one in wrong)
