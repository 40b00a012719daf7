"""The four errors, named by what happens next; everything else is a bug of ours.

Connectors raise TryLater and Refused, mappings BadRecord, settings SettingsError. Calendars and
notifiers raise nothing for a provider's errors: they return outcomes. Texts carry no patient data.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from clinicrelay.contracts import Finding


class ClinicrelayError(Exception):
    """What we raise on purpose."""


class TryLater(ClinicrelayError):
    """The system does not answer or asks us to wait: the next run tries again by itself."""

    def __init__(self, message: str, *, after: timedelta | None = None) -> None:
        super().__init__(message)
        self.after = after


class Refused(ClinicrelayError):
    """The source cannot be read until a person does something: `fix` says what."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class BadRecord(ClinicrelayError):
    """One record cannot be understood; it is set aside and the rest goes on.

    `reason` is a stable code (`missing`, `unknown_status`, `bad_time` …), `detail` says what would
    be right and names at most a code or a shape, never a person's data.
    """

    def __init__(
        self, reason: str, *, field: str | None = None, detail: str = "", key: str | None = None
    ) -> None:
        super().__init__(f"{reason} ({field})" if field else reason)
        self.reason = reason
        self.field = field
        self.detail = detail
        self.key = key


class SettingsError(ClinicrelayError):
    """A person has to edit something; `findings` holds every mistake at once."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(f.message for f in findings))
        self.findings = tuple(findings)


class StoreRefused(SettingsError):
    """A person has to mend the store, or what leads to it: no part of a run can go on (exit 2)."""


class StoreBusy(ClinicrelayError):
    """The store does not answer, or another run holds it: try again (exit 75)."""

    so_far: ClassVar[str] = "Nothing was done"
