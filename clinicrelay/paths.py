"""Names and paths into records: what a mapping's `path` means, compiled once."""

from __future__ import annotations

import unicodedata
from functools import lru_cache


@lru_cache(maxsize=4096)
def fold(name: str) -> str:
    """Return a column name as it is compared: no case, accents, spaces or punctuation (C-09).

    `Appointment ID`, `appointment_id` and `appointmentId` are one name.
    """
    plain = unicodedata.normalize("NFKD", name.casefold())
    return "".join(c for c in plain if c.isalnum() and not unicodedata.combining(c))
