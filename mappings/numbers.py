"""Phone numbers on the row path: the answers of `clinicrelay.phones`, faster for mobile numbers.

`phonenumbers` takes about 20 µs a number, more than all the rest of a row. A mobile number written
in digits needs only two patterns of its metadata, provided that the long way could not have read
the digits differently; each condition below closes one such way, and whatever does not meet them
goes the long way. A test compares both on numbers of every country.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

from clinicrelay.phones import PhoneReading, read_phone

_WRITTEN = re.compile(r"\+?[0-9(][0-9 ()./-]{5,24}", re.ASCII)
_MARKS = str.maketrans("", "", " ()./-")


class _Shape(NamedTuple):
    """Digits that a number without country code may have."""

    pattern: re.Pattern[str]
    lengths: Collection[int]

    def fits(self, digits: str) -> bool:
        return (not self.lengths or len(digits) in self.lengths) and bool(
            self.pattern.fullmatch(digits)
        )


class _Region(NamedTuple):
    """What decides about the mobile numbers of a country."""

    code: str
    general: _Shape
    mobile: _Shape
    trunk: str | None  # the plain national prefix, None where it is a pattern
    prefixed: re.Pattern[str] | None  # what `parse` would take off
    abroad: re.Pattern[str]


@lru_cache(maxsize=32768)
def read_number(text: str, country: str) -> PhoneReading:
    """Read a number as `clinicrelay.phones.read_phone` does, with the same result."""
    if _WRITTEN.fullmatch(text):
        digits = text.translate(_MARKS)
        number = _abroad(digits[1:]) if digits[0] == "+" else _at_home(digits, country)
        if number:
            return PhoneReading(number, None)
    return read_phone(text, country)


def _abroad(digits: str) -> str | None:
    """Read digits after a plus sign: country codes are 1 to 3 digits, none begins another."""
    for size in (1, 2, 3):
        region = _region_of_code(digits[:size])
        if region:
            rest = digits[size:]
            if region.prefixed and region.prefixed.match(rest):
                return None
            return _mobile(rest, region)
    return None


def _at_home(digits: str, country: str) -> str | None:
    region = _region(country)
    # Digits that could begin with a country code or an exit code have more than one reading.
    if region is None or digits.startswith(region.code) or region.abroad.match(digits):
        return None
    if region.trunk and digits.startswith(region.trunk):
        return _mobile(digits[len(region.trunk) :], region)
    if region.prefixed and region.prefixed.match(digits):
        return None
    return _mobile(digits, region)


def _mobile(digits: str, region: _Region) -> str | None:
    # A leading zero is part of some national numbers; fixed lines need all patterns to be told.
    if digits.startswith("0") or not (region.general.fits(digits) and region.mobile.fits(digits)):
        return None
    return f"+{region.code}{digits}"


@lru_cache(maxsize=1024)
def _region_of_code(code: str) -> _Region | None:
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    regions = COUNTRY_CODE_TO_REGION_CODE.get(int(code or 0))
    return _region(regions[0]) if regions and str(int(code)) == code else None


@lru_cache(maxsize=256)
def _region(country: str) -> _Region | None:
    """Return a country's patterns; None where several countries share its code and it is not
    the first of them, as the first whose patterns fit is the one that counts."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

    data = PhoneMetadata.metadata_for_region(country, None)
    if data is None or data.leading_digits is not None:
        return None
    general, mobile = _shape(data.general_desc), _shape(data.mobile)
    if (
        not (general and mobile)
        or country not in COUNTRY_CODE_TO_REGION_CODE.get(data.country_code or 0, ())[:1]
    ):
        return None
    taken_off = data.national_prefix_for_parsing or ""
    plain = taken_off.isdecimal() and not data.national_prefix_transform_rule
    return _Region(
        code=str(data.country_code),
        general=general,
        mobile=mobile,
        trunk=taken_off if plain else None,
        prefixed=re.compile(taken_off) if taken_off else None,
        abroad=re.compile(data.international_prefix or ""),
    )


def _shape(described: object) -> _Shape | None:
    pattern = getattr(described, "national_number_pattern", None)
    if not pattern:
        return None
    return _Shape(re.compile(pattern), frozenset(getattr(described, "possible_length", ())))
