"""Whether a text is about one patient: found however it is written, and nobody else for them."""

from __future__ import annotations

import pytest

from clinicrelay.model import Guardian, Patient
from sync.mentioning import mentions

VERA = Patient(
    "P41",
    name="Vera Beispiel-Müller",
    phone="+49305550142",
    email="vera@mail.example",
    guardian=Guardian("Otto Beispiel", phone="+4915155500077", email="otto@mail.example"),
)
KNOWN_BY = mentions([VERA], "P41", shared=(), visits=["88213", "7"], ids=["crabc"])


@pytest.mark.parametrize(
    "text",
    [
        "88213,2026-12-01,Beispiel-Müller; VERA,",
        "müller, vera (geb. beispiel)",
        "call 030 555 0142 first",
        "+49 (30) 5550142",
        "0049305550142",
        "To: Vera@Mail.Example",
        "otto@mail.example",
        "0151-555 00077",
        '12,"P41",x',
        "Message-ID: <crabc@riverside>",
    ],
)
def test_whoever_it_is_about_is_found_as_people_write_it(text: str) -> None:
    assert KNOWN_BY(text)


@pytest.mark.parametrize(
    "text",
    [
        "99,2026-12-01,Vera Other,030 5550143,vera.other@mail.example",
        "Otto Beispiel,P410",  # a name of the guardian's alone is another patient's as well
        "P41x,Beispiel",
        "2026-12-01 09:30:00",
        "",
    ],
)
def test_nobody_else_is_taken_for_them(text: str) -> None:
    assert not KNOWN_BY(text)


def test_a_short_number_as_a_key_wants_a_visit_beside_it() -> None:
    known_by = mentions([Patient("17")], "17", shared=(), visits=["88213"])
    assert known_by("88213,17,booked")
    assert not known_by("99999,17,booked")


def test_what_others_have_as_well_tells_nobody() -> None:
    known_by = mentions([VERA], "P41", shared={"+49305550142", "otto@mail.example"})
    assert not known_by("030 5550142")
    assert not known_by("otto@mail.example")
    assert known_by("vera@mail.example")
