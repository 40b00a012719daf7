"""Phone numbers: whatever people write, as E.164, or a code that says why not."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_PLAIN = re.compile(r"\+[1-9]\d{7,14}")


class PhoneReading(NamedTuple):
    """A number in E.164 (None when unusable) and an issue: invalid_phone, landline, or none."""

    number: str | None
    issue: str | None


@lru_cache(maxsize=16384)
def read_phone(text: str, country: str) -> PhoneReading:
    """Read a number as written in `country` (ISO 3166 alpha-2).

    A number that is possible but not assigned (such as the 555 numbers of examples) is accepted
    with the issue `unassigned_phone`; a fixed line is accepted with `landline`, as SMS do not
    reach it (N36).
    """
    import phonenumbers
    from phonenumbers import PhoneNumberType

    try:
        parsed = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return PhoneReading(None, "invalid_phone")
    if not phonenumbers.is_possible_number(parsed):
        return PhoneReading(None, "invalid_phone")
    parsed.extension = None
    number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if not phonenumbers.is_valid_number(parsed):
        return PhoneReading(number, "unassigned_phone")
    landline = phonenumbers.number_type(parsed) == PhoneNumberType.FIXED_LINE
    return PhoneReading(number, "landline" if landline else None)


def is_e164(text: str) -> bool:
    """Whether the text already has the one form we keep."""
    return _PLAIN.fullmatch(text) is not None
