"""A mapping's own tests: the clinic's own is read by only while they come out.

They are run again where the mapping or the clinic's place has changed, which two digests tell.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from clinicrelay.errors import Refused
from sync.store import memory

if TYPE_CHECKING:
    from sync.clinic import Clinic

_OWNER = "sync/mappings"


def prove(clinic: Clinic, source: str) -> None:
    """Raises Refused where tests of the clinic's own mapping fail, SettingsError where it is broken."""
    mapping, context = clinic.mapping(source)
    if mapping.shipped:
        return  # ours are tested before they are shipped
    at = (clinic.store.clinic, _OWNER, source)
    known = json.dumps(clinic.opaque("mapping", mapping.fingerprint.hex(), repr(context)))
    with clinic.store.read() as connection:
        before = memory.text_of(connection, *at)
    if before == known:
        return
    from mappings.testing import run_tests

    failed = {failure.number for failure in run_tests(mapping, context)}
    if failed:
        which = ", ".join(str(number) for number in sorted(failed))
        tests = "test" if len(failed) == 1 else "tests"
        message = f"nothing was read: {tests} {which} in {mapping.file.name} failed"
        raise Refused(message, fix="clinicrelay check")
    if not clinic.dry:
        with clinic.store.write() as connection:
            memory.replace(connection, *at, before, known)
