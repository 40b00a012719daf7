"""A mapping's own tests: where those of the clinic's own mapping fail, each run that reads says so.

Reading goes on, as it may be the test that is wrong: of a mapping that was copied from ours, the tests
expect another clinic's hours. They are run again where the mapping or the clinic's place has changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sync.store import memory

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic

_OWNER = "sync/mappings"


def prove(clinic: Clinic, source: str) -> str:
    """Return which tests of a source's own mapping fail, in words; empty where none does.

    Raises Refused or SettingsError where there is no mapping, or a broken one.
    """
    mapping, context = clinic.mapping(source)
    if mapping.shipped:
        return ""  # ours are tested before they are shipped
    at = (clinic.store.clinic, _OWNER, source)
    digest = clinic.opaque("mapping", mapping.fingerprint.hex(), repr(context))
    with clinic.store.read() as connection:
        before = memory.text_of(connection, *at)
    known = json.loads(before) if before else {}
    if known.get("of") == digest:
        return str(known["failed"])
    from mappings.testing import run_tests

    numbers = sorted({failure.number for failure in run_tests(mapping, context)})
    failed = f"test {', '.join(map(str, numbers))} in {mapping.file.name} fails" if numbers else ""
    if not clinic.dry:
        with clinic.store.write() as connection:
            now = json.dumps({"of": digest, "failed": failed})
            memory.replace(connection, *at, before, now)
    return failed


def failing(clinic: Clinic, connection: Connection) -> Iterator[tuple[str, str]]:
    """Yield the sources whose own mapping's tests failed when they were last run, and which."""
    found = memory.recall(connection, clinic.store.clinic, _OWNER)
    for source, known in sorted(found.items()):
        if source in clinic.settings.sources and known["failed"]:
            yield source, known["failed"]
