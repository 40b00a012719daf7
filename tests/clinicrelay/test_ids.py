"""Ids: the same for the same parts for ever, as providers and calendars know them by."""

from __future__ import annotations

import base64
import hmac

from hypothesis import given
from hypothesis import strategies as st

from clinicrelay.ids import Opaque


@given(key=st.binary(min_size=1), parts=st.lists(st.text(st.characters(codec="utf-8"))))
def test_an_opaque_id_is_160_bits_of_an_hmac_in_base32hex(key: bytes, parts: list[str]) -> None:
    keyed = hmac.new(key, "|".join(parts).encode(), "sha256").digest()[:20]
    assert Opaque(key)(*parts) == "cr" + base64.b32hexencode(keyed).decode().lower()


def test_it_is_what_stores_hold() -> None:
    opaque = Opaque(bytes(32))
    assert opaque("message", "0f", "sms") == "crlkuhl0t97rv6m8pm91576kiapcr5p2md"


def test_it_stays_the_same_however_many_were_made_since() -> None:
    opaque = Opaque(b"key")
    first = opaque("message", 1)
    assert len({opaque("message", n) for n in range(10_000)}) == 10_000
    assert opaque("message", 1) == first
