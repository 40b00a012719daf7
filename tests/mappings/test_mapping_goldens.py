"""The packaged mappings: their own tests, and a golden pair of records and visits each."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import mappings
from clinicrelay import BadRecord, Record, Refused
from clinicrelay.paths import fold
from clinicrelay.tables import Header, Row
from mappings.testing import as_json, run_tests

HERE = Path(__file__).parent
PAIRS = sorted(folder.name for folder in HERE.iterdir() if (folder / "in.json").is_file())


def outcome(mapper: mappings.Mapper, data: Any) -> dict[str, Any]:
    try:
        visit = mapper(Record(data=data, digest=b""))
    except BadRecord as wrong:
        return {"set_aside": wrong.reason, "field": wrong.field, "key": wrong.key}
    return as_json(visit) if visit else {"skipped": True}


@pytest.mark.parametrize("name", PAIRS)
def test_the_records_of_a_golden_pair_become_its_visits(name: str) -> None:
    given = json.loads((HERE / name / "in.json").read_text(encoding="utf-8"))
    expected = json.loads((HERE / name / "out.json").read_text(encoding="utf-8"))
    mapper = mappings.load(name, HERE).compile(mappings.Context(**given["context"]))
    records = given.get("records")
    if records is None:
        header = Header(given["header"])
        records = [Row(header, cells, list) for cells in given["rows"]]
    assert [outcome(mapper, record) for record in records] == expected


@pytest.mark.parametrize("name", mappings.names())
def test_a_packaged_mapping_passes_its_own_tests(name: str) -> None:
    mapping = mappings.load(name, HERE)
    assert len(mapping.tests) >= 4
    assert [str(failure) for failure in run_tests(mapping)] == []


def test_every_synonym_of_clinic_csv_means_one_thing() -> None:
    names = mappings.load("clinic_csv", HERE).names
    claims = Counter(
        word for name in names for word in {fold(alias) for alias in (name.path, *name.also)}
    )
    assert [word for word, count in claims.items() if count > 1] == []


SYNONYMS = """
appointmentid apptid apptguid aptnum bookingid visitid visitnumber encounterid uid terminid idcita
idrdv start startdatetime apptdate appointmentdate date visitdate scheduledtime aptdatetime begin
datum fecha fechacita date_rdv data time starttime appttime hora heure uhrzeit zeit end
enddatetime stopdatetime endtime finish hasta fin ende duration length apptlength minutes mins
dauer duracion patientid patnum mrn chart chartnumber accountno patientaccountid clientid hn
patient patientname patname client name firstname fname given vorname nombre prenom lastname lname
surname family nachname apellidos nom phone mobile mobilephone cell cellphone contact telefon
handy movil telephone gsm email language lang preferredlanguage idioma sprache langue provider
providercode doctor dr physician practitioner staffmember resource clinician arzt medico medecin
location clinic branch site facility office room type appttype appointmenttype service reason
treatment status apptstatus state canceled cancelled confirmed noshow arrived timezone
preferred_channel patient_timezone modality notes
"""


def test_the_headers_that_clinics_use_are_known() -> None:
    """The list of C-09."""
    known = mappings.load("clinic_csv", HERE).columns.names
    assert [word for word in SYNONYMS.split() if fold(word) not in known] == []


def test_a_file_that_calls_patients_by_two_numbers_is_read_by_the_first() -> None:
    bound = mappings.load("clinic_csv", HERE).bind(Header(["MRN", "Patient ID", "Date", "Time"]))
    assert (bound["patient_id"], bound["mrn"]) == ("Patient ID", "MRN")


def test_what_could_be_two_things_is_refused_by_both_names() -> None:
    mapping = mappings.load("clinic_csv", HERE)
    with pytest.raises(Refused, match='"Date" and "Appointment Date"'):
        mapping.bind(Header(["Date", "Appointment Date", "Patient"]))
