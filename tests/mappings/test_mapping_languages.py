"""Languages as sources write them, in the languages of the clinics that write them."""

from __future__ import annotations

import pytest

from mappings.languages import read_language


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("en", "Engels angielski İngilizce Englisch inglés"),
        ("de", "Duits niemiecki Almanca German allemand"),
        ("es", "Spaans hiszpański İspanyolca Spanisch castellano"),
        ("fr", "Frans francuski Fransızca Französisch"),
        ("it", "Italiaans włoski İtalyanca Italienisch"),
        ("pt", "Portugees portugalski Portekizce português"),
        ("nl", "Nederlands niderlandzki Felemenkçe Dutch"),
        ("tr", "Turks turecki Türkçe TURKCE Türkisch"),
        ("pl", "Pools polski Lehçe Polnisch"),
    ],
)
def test_a_language_is_known_by_its_name_in_nine_languages(code: str, names: str) -> None:
    assert {read_language(name) for name in names.split()} == {code}
