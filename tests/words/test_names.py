"""The first name is found in whatever order and with whatever titles a source writes a name."""

from __future__ import annotations

import pytest

from sync.words.names import first_name


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("Anna Sample", "Anna"),
        ("Sample, Anna Maria", "Anna"),
        ("Anna", "Anna"),
        ("Ursula von der Aue", "Ursula"),
        ("李小龍", "李小龍"),
        ("Frau Anna Sample", "Anna"),
        ("FRAU ANNA SAMPLE", "ANNA"),
        ("Sample, Herr Jan", "Jan"),
        ("Herr Sample, Jan", "Jan"),
        ("Herrn Jan Sample", "Jan"),
        ("Mr Jan Sample", "Jan"),
        ("Mrs. Anna Sample", "Anna"),
        ("Ms Anna Sample", "Anna"),
        ("Mme Anne Sample", "Anne"),
        ("M. Jean Sample", "Jean"),
        ("Sr. Juan Sample", "Juan"),
        ("Sra Ana Sample", "Ana"),
        ("Señora Ana Sample", "Ana"),
        ("Signora Anna Sample", "Anna"),
        ("Dr. Anna Sample", "Anna"),
        ("Frau Prof. Dr. med. Anna Sample", "Anna"),
        ("Sample, Prof. Dr. Anna", "Anna"),
        ("Anna Sample Dr.", "Anna"),
        ("J. Robert Sample", "Robert"),
        ("Nan Sample", "Nan"),
        ("Null", "Null"),
        ("Sample, Nan", "Nan"),
        ("Jennifer NULL", "Jennifer"),
    ],
)
def test_the_first_name_is_found(name: str, first: str) -> None:
    assert first_name(name) == first


@pytest.mark.parametrize(
    "name",
    [
        *("Herr Sample", "Sample, Frau", "Sample Frau", "Dr. Sample", "Prof. Dr. Sample", "Frau"),
        *("Frau von der Aue", "J. Sample", "Mme Sample", "Sra. Sample", "M. Sample", "Sample, Dr."),
    ],
)
def test_a_title_and_a_family_name_alone_are_no_first_name(name: str) -> None:
    assert first_name(name) is None


@pytest.mark.parametrize(
    "name",
    [
        *(None, "", "  ", ",", "None", "None None", "nan", "nan Sample", "Sample, nan", "NULL"),
        *("N/A", "-", "--", "?", "unknown", "UNKNOWN", "Unbekannt", "Unbekannt, Unbekannt", "N.N."),
        *("Frau Unbekannt", "Unknown Sample", "Desconocido", "null"),
    ],
)
def test_a_placeholder_is_no_name(name: str | None) -> None:
    assert first_name(name) is None
