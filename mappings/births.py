"""When somebody was born, as far as it decides whether they are of age."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date
from functools import lru_cache

from clinicrelay.dates import AmbiguousDate, read_date, read_datetime

_COARSE = re.compile(r"(\d{4})(?:-(\d{2}))?")


@lru_cache(maxsize=4096)
def read_birth(text: str) -> date:
    """Return a birth date; the latest that it can be where it is ambiguous or no more than a year.

    So nobody counts as of age too early. Raises ValueError.
    """
    if found := _COARSE.fullmatch(text):
        return _last_day(int(found[1]), int(found[2] or 12))
    try:
        return read_date(text)
    except AmbiguousDate:
        return max(read_date(text, "dmy"), read_date(text, "mdy"))
    except ValueError:
        return read_datetime(text).date()


def _last_day(year: int, month: int) -> date:
    if not (1 <= month <= 12 and year):
        raise ValueError("not a date: no such month")
    return date(year, month, monthrange(year, month)[1])
