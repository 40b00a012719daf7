"""What a text costs as SMS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinicrelay.sms import plain, segments, to_gsm7


@pytest.mark.parametrize(
    ("text", "encoding", "messages"),
    [
        ("", "GSM-7", 0),
        ("x" * 160, "GSM-7", 1),
        ("x" * 161, "GSM-7", 2),
        ("x" * 306, "GSM-7", 2),
        ("x" * 307, "GSM-7", 3),
        ("€" * 80, "GSM-7", 1),
        ("€" * 81, "GSM-7", 2),
        ("€" * 152, "GSM-7", 2),
        ("€" * 153, "GSM-7", 3),  # 153 septets hold 76 escaped letters: one place stays empty
        ("äöüßñàèÉ", "GSM-7", 1),
        ("á", "UCS-2", 1),
        ("ж" * 70, "UCS-2", 1),
        ("ж" * 71, "UCS-2", 2),
        ("ж" * 135, "UCS-2", 3),
        ("🏥" * 35, "UCS-2", 1),
        ("🏥" * 67, "UCS-2", 3),  # 67 units hold 33 pairs
        ("10:30\u202fAM", "UCS-2", 1),
    ],
)
def test_a_text_costs_what_providers_charge(text: str, encoding: str, messages: int) -> None:
    assert segments(text) == (encoding, messages)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("10:30\u202fAM", "10:30 AM"),
        ("\u201eDr\u201c\u2009\u2013 it\u2019s\u2026", '"Dr" - it\'s...'),
        ("Klinik Świętokrzyska", "Klinik Swietokrzyska"),
        ("Åse Øre Käthe ß", "Åse Øre Käthe ß"),
        ("São Łódź ĳ ﬁ", "Sao Lódz ij fi".replace("ó", "o")),
        ("漢字 🏥 жук", "漢字 🏥 жук"),
    ],
)
def test_what_has_a_likeness_in_the_alphabet_is_written_with_it(text: str, sent: str) -> None:
    assert to_gsm7(text) == sent


def test_accents_are_kept_where_only_typography_is_made_plain() -> None:
    assert plain("mañana a las 9\u00a0\u2013 ¡así!") == "mañana a las 9 - ¡así!"


@given(st.text(st.characters(codec="utf-8")))
def test_making_it_fit_never_costs_more_alphabet_and_is_done_once(text: str) -> None:
    fitted = to_gsm7(text)
    assert to_gsm7(fitted) == fitted
    if segments(text).encoding == "GSM-7":
        assert segments(fitted).encoding == "GSM-7"
