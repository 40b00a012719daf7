"""Phone numbers as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinicrelay.phones import is_e164, read_phone


@pytest.mark.parametrize(
    ("text", "country", "number", "issue"),
    [
        ("030 123456", "DE", "+4930123456", "landline"),
        ("+49 30 123456", "DE", "+4930123456", "landline"),
        ("+4930123456", "US", "+4930123456", "landline"),
        ("0151 23456789", "DE", "+4915123456789", None),
        ("+4915123456789", "DE", "+4915123456789", None),
        ("(202) 555-0123", "US", "+12025550123", None),
        ("+12025550123", "DE", "+12025550123", None),
        ("020 7946 0018", "GB", "+442079460018", "landline"),
        ("+390612345678", "IT", "+390612345678", "landline"),
        ("555-0100", "US", None, "invalid_phone"),
        ("+1 555 555 0100", "US", "+15555550100", "unassigned_phone"),
        ("12", "DE", None, "invalid_phone"),
        ("+49151", "DE", None, "invalid_phone"),
        ("12345", "DE", None, "invalid_phone"),
        ("+49 12345", "AT", None, "invalid_phone"),
        ("123456", "DE", "+49123456", "unassigned_phone"),
        ("call reception", "DE", None, "invalid_phone"),
        ("0664 1234567 Oma", "AT", "+436641234567", None),
        ("0664 1234567(Oma)", "AT", "+436641234567", None),
        ("0664/123 45 67 Tel", "AT", "+436641234567", None),
        ("+43 664 1234567 бабушка", "AT", "+436641234567", None),
        ("dad 415-555-0100", "US", "+14155550100", None),
        ("415-555-0100 (Mom)", "US", "+14155550100", None),
        ("415-555-0100 x12", "US", "+14155550100", None),
        ("415-555-0100 ext. 12", "US", "+14155550100", None),
        ("tel:+1-415-555-0100;ext=12", "US", "+14155550100", None),
        ("415 Mom 555-0100", "US", None, "invalid_phone"),
        ("1-800-FLOWERS", "US", None, "invalid_phone"),
        ("٠٦٦٤ ١٢٣٤٥٦٧", "AT", "+436641234567", None),
        ("", "DE", None, "invalid_phone"),
        ("+4915123456789.0", "DE", "+4915123456789", None),
        ("4915123456789.0", "DE", "+4915123456789", None),
        ("4915123456789", "DE", "+4915123456789", None),
        ("4930123456", "DE", "+4930123456", "landline"),
        ("7911123456", "GB", "+447911123456", None),
        ("0151 xxx 5555", "DE", None, "invalid_phone"),
    ],
)
def test_a_number_becomes_e164_or_says_why_not(
    text: str, country: str, number: str | None, issue: str | None
) -> None:
    assert read_phone(text, country) == (number, issue)


@given(
    code=st.sampled_from(["1", "33", "34", "39", "49", "351", "44"]),
    rest=st.from_regex(r"[1-9]\d{5,10}", fullmatch=True),
)
def test_a_number_in_e164_reads_as_it_does_with_a_space_in_it(code: str, rest: str) -> None:
    plain, spaced = f"+{code}{rest}", f"+{code} {rest}"
    if is_e164(plain):
        assert read_phone(plain, "DE") == read_phone(spaced, "DE")


@given(words=st.text(st.characters(categories=["L", "Zs"]), min_size=1))
def test_no_letter_is_ever_dialled(words: str) -> None:
    assert read_phone(f"0664 1234567 ({words})", "AT").number == "+436641234567"
