"""The quick way to read a phone number gives the answers of the long way."""

from __future__ import annotations

import random
from collections.abc import Iterator

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from clinicrelay.phones import read_phone
from mappings.numbers import mobile_number

_FORMS = (PhoneNumberFormat.NATIONAL, PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL)
_KINDS = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE, PhoneNumberType.VOIP)


def written(country: str, chance: random.Random) -> Iterator[str]:
    """Yield a country's example numbers as people write them, and nearly so."""
    for kind in _KINDS:
        if example := phonenumbers.example_number_for_type(country, kind):
            forms = [phonenumbers.format_number(example, form) for form in _FORMS]
            digits = phonenumbers.national_significant_number(example)
            for text in (*forms, digits, f"0{digits}", f"1{digits}", f"00{forms[1][1:]}"):
                yield text
                yield from (mistyped(text, chance) for _ in range(2))


def mistyped(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text))
    digit = chance.choice("0123456789")
    return text[:at] + digit + text[at + (text[at].isdigit()) :]


@pytest.mark.parametrize("initial", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
def test_both_ways_agree_on_the_numbers_of_every_country(initial: str) -> None:
    chance = random.Random(initial)
    for country in sorted(c for c in phonenumbers.SUPPORTED_REGIONS if c.startswith(initial)):
        for text in written(country, chance):
            for place in (country, chance.choice(("DE", "US", "IT"))):
                if number := mobile_number(text, place):
                    assert read_phone.__wrapped__(text, place) == (number, None), (text, place)


@pytest.mark.parametrize(
    ("text", "country"),
    [("0151 23456789", "DE"), ("+49 151/234567-89", "FR"), ("(0664) 1234567", "AT")],
)
def test_mobile_numbers_do_not_take_the_long_way(text: str, country: str) -> None:
    assert mobile_number(text, country) == read_phone(text, country).number
