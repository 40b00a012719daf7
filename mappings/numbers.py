"""Phone numbers on the row path: the answers of `clinicrelay.phones`, faster for mobile numbers.

`phonenumbers` takes about 20 µs a number, more than all the rest of a row. A mobile number written
in digits needs only two patterns of its metadata, provided that the long way could not have read
the digits differently; each condition below closes one such way, and whatever does not meet them
goes the long way. A test compares both on numbers of every country.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_WRITTEN = re.compile(r"\+?[0-9(][0-9 ()./-]{5,24}", re.ASCII)
_MARKS = str.maketrans("", "", " ()./-")


class _Region(NamedTuple):
    """What decides about the mobile numbers of a country."""

    code: str
    mobile: re.Pattern[str]  # in E.164
    trunk: str | None  # the plain national prefix, None where it is a pattern
    abroad: re.Pattern[str]


def mobile_number(text: str, country: str) -> str | None:
    """Return a number that `clinicrelay.phones.read_phone` reads without any issue, in E.164.

    None for whatever has to be read the long way, most of it no mobile number.
    """
    if text[:1] == "+" and (number := _abroad(text)):  # most often without a mark between
        return number
    if not _WRITTEN.fullmatch(text):
        return None
    digits = text.translate(_MARKS)
    return _abroad(digits) if digits[0] == "+" else _at_home(digits, country)


def _abroad(number: str) -> str | None:
    region = _region_at(number[:4])
    return number if region and region.mobile.fullmatch(number) else None


def _at_home(digits: str, country: str) -> str | None:
    region = _region(country)
    # Digits that could begin with a country code or an exit code have more than one reading.
    if region is None or digits.startswith(region.code) or region.abroad.match(digits):
        return None
    number = f"+{region.code}{digits.removeprefix(region.trunk or '')}"
    return number if region.mobile.fullmatch(number) else None


@lru_cache(maxsize=1024)
def _region_at(beginning: str) -> _Region | None:
    """Return whose numbers begin like this: codes are 1 to 3 digits, none begins another."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    if not (beginning.isascii() and beginning[:1] == "+" and beginning[1:].isdigit()):
        return None
    found = (COUNTRY_CODE_TO_REGION_CODE.get(int(beginning[1:end])) for end in (2, 3, 4))
    regions = next((regions for regions in found if regions), None)
    region = _region(regions[0]) if regions else None
    return region if region and beginning.startswith(f"+{region.code}") else None


@lru_cache(maxsize=256)
def _region(country: str) -> _Region | None:
    """Return a country's patterns; None where several countries share its code and it is not
    the first of them, as the first whose patterns fit is the one that counts."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

    data = PhoneMetadata.metadata_for_region(country, None)
    if data is None or data.leading_digits is not None:
        return None
    general, mobile = _shape(data.general_desc), _shape(data.mobile)
    first = COUNTRY_CODE_TO_REGION_CODE.get(data.country_code or 0, ())[:1]
    if not (general and mobile) or country not in first:
        return None
    taken_off = data.national_prefix_for_parsing or ""
    # A leading zero is part of some national numbers; what `parse` would take off is none.
    neither = f"(?!0|{taken_off})" if taken_off else "(?!0)"
    return _Region(
        code=str(data.country_code),
        mobile=re.compile(rf"\+{data.country_code}{neither}(?={general}\Z){mobile}", re.ASCII),
        trunk=taken_off
        if taken_off.isdecimal() and not data.national_prefix_transform_rule
        else None,
        abroad=re.compile(data.international_prefix or ""),
    )


def _shape(described: object) -> str | None:
    """Return a pattern of the digits that a number without country code may have."""
    pattern = getattr(described, "national_number_pattern", None)
    if not pattern:
        return None
    lengths = "|".join(f"[0-9]{{{n}}}" for n in getattr(described, "possible_length", ()))
    return rf"(?=(?:{lengths})\Z)(?:{pattern})" if lengths else f"(?:{pattern})"
