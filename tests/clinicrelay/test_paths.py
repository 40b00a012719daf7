"""Names and paths into records."""

from __future__ import annotations

from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinicrelay.paths import compile_path, fold, is_name

RECORD = {
    "id": 7,
    "patient": {"phones": [{"value": "a"}, {"value": "b"}], "name": None},
    "Patient ID": "x",
}


@pytest.mark.parametrize(
    "name", ["Appointment ID", "appointment_id", "appointmentId", " ÀPPOINTMENT-ID."]
)
def test_names_are_compared_without_case_accents_and_punctuation(name: str) -> None:
    assert fold(name) == "appointmentid"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("id", 7),
        ("Patient ID", "x"),
        ("patient.phones[1].value", "b"),
        ("patient.phones[-1].value", "b"),
        ("patient.phones[2].value", None),
        ("patient.name.first", None),
        ("id.first", None),
        ("patient.phones[?value=='b'].value | [0]", "b"),
        ("length(patient.phones)", 2),
    ],
)
def test_a_path_finds_what_it_names(path: str, expected: Any) -> None:
    assert compile_path(path)(RECORD) == expected


def test_a_path_that_is_none_is_refused_with_its_text() -> None:
    with pytest.raises(ValueError, match=r"patient\.\[ is not a JMESPath|'patient\.\['"):
        compile_path("patient.[")


def test_data_of_another_shape_is_a_value_error_without_the_data() -> None:
    with pytest.raises(ValueError, match="does not fit") as wrong:
        compile_path("length(id)")({"id": 493012345678})
    assert "493012345678" not in str(wrong.value)


def test_a_name_is_no_way_into_nested_data() -> None:
    assert is_name("Patient ID")
    assert not is_name("patient.id")


_KEYS = st.sampled_from(["a", "b", "c"])
_STEPS = st.lists(_KEYS | st.integers(-2, 2).map(lambda n: f"[{n}]"), max_size=3)
_JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(_KEYS, _STEPS, _JSON)
def test_the_quick_way_finds_what_jmespath_finds(first: str, steps: list[str], data: Any) -> None:
    path = first + "".join(s if s.startswith("[") else f".{s}" for s in steps)
    assert compile_path(path)(data) == jmespath.search(path, data)
