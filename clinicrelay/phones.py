"""Phone numbers: whatever people write, as E.164, or a code that says why not."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

_PLAIN = re.compile(r"\+[1-9][0-9]{7,14}")
_PLUSLESS = re.compile(r"[1-9]\d{9,14}")


class PhoneReading(NamedTuple):
    """A number in E.164 (None when unusable) and an issue: invalid_phone, landline, or none."""

    number: str | None
    issue: str | None


@lru_cache(maxsize=4096)
def read_phone(text: str, country: str) -> PhoneReading:
    """Read a number as written in `country` (ISO 3166 alpha-2).

    A number that is possible but not assigned (such as the 555 numbers of examples) is accepted
    with the issue `unassigned_phone`; a fixed line is accepted with `landline`, as SMS do not
    reach it. Words around it (`0664 123456 (Oma)`, an extension) are left out, and so is what
    spreadsheets do to numbers: `4915123456789.0` is a mobile number without its plus.
    """
    import phonenumbers
    from phonenumbers import PhoneNumberType, ValidationResult

    parsed = _from_e164(text)
    if parsed is None:
        try:
            parsed = _parsed(_without_words(_FRACTION.sub("", text.strip())), country)
        except phonenumbers.NumberParseException:
            return _INVALID
        parsed.extension = None
        text = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    kind = phonenumbers.number_type(parsed)
    if kind == PhoneNumberType.UNKNOWN:  # not valid; perhaps not even possible
        length = phonenumbers.is_possible_number_with_reason(parsed)
        # Not one that only works within its town, nor the half of one: no notifier sends to those.
        whole = length == ValidationResult.IS_POSSIBLE and is_e164(text)
        return PhoneReading(text, "unassigned_phone") if whole else _INVALID
    return PhoneReading(text, "landline" if kind == PhoneNumberType.FIXED_LINE else None)


_FRACTION = re.compile(r"(?<=\d)[.,]0+$")
_INVALID = PhoneReading(None, "invalid_phone")


def _parsed(digits: str, country: str) -> PhoneNumber:
    """Parse a number; one that is a mobile number but for its plus is that.

    As a number of the country it may well be possible too: `491512…` would be a fixed line in the
    town whose code is 04915.
    """
    import phonenumbers
    from phonenumbers import PhoneNumberType

    if _PLUSLESS.fullmatch(digits):
        try:
            other = phonenumbers.parse(f"+{digits}", None)
        except phonenumbers.NumberParseException:
            return phonenumbers.parse(digits, country)
        at_home = other.country_code == phonenumbers.country_code_for_region(country)
        if at_home and phonenumbers.number_type(other) == PhoneNumberType.MOBILE:
            return other
    return phonenumbers.parse(digits, country)


def _from_e164(text: str) -> PhoneNumber | None:
    """Take a number that is in E.164 already apart, a third of what parsing it costs.

    None where only parsing tells: another notation, or a leading zero that belongs to the number.
    """
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneNumber

    if not is_e164(text):
        return None
    for length in (1, 2, 3):
        code, rest = int(text[1 : 1 + length]), text[1 + length :]
        if code in COUNTRY_CODE_TO_REGION_CODE:
            national = not rest.startswith("0") and len(rest) > 3
            return PhoneNumber(country_code=code, national_number=int(rest)) if national else None
    return None


def _without_words(text: str) -> str:
    """Return what stands from the first digit to the first letter.

    The library would dial letters as the keys that they stand on, which is somebody else's number.
    """
    begun = dropwhile(lambda letter: not (letter.isdigit() or letter in "+＋"), text)
    return "".join(takewhile(lambda letter: not letter.isalpha(), begun))


def is_e164(text: str) -> bool:
    """Whether the text already has the one form we keep."""
    return _PLAIN.fullmatch(text) is not None
