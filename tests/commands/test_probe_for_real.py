"""`probe` at work: a database, a JSON interface and a FHIR server of which only the address is known.

What it proposes is pasted as it stands; `check --connect` and a first sync say whether it holds.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from clinicrelay.testing import Asked, Reply, serving
from clinicrelay.testing.kits import CANARY_EMAIL, CANARY_NAME, CANARY_PHONE, canaries_in
from connectors.fhir.presets import vendor_of

WANTED = {"key", "start", "status", "patient.key", "practitioner.key"}
DAY = "2026-12-01"
STATES = ("CONFIRMED", "CANCELLED", "NO_SHOW", *4 * ("CONFIRMED",))
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "connect-unknown.md"


class Place:
    """A clinic that knows of its system no more than an address."""

    def __init__(self, desk: Any) -> None:
        self.desk = desk
        self.yaml = YAML()

    def write(self, **source: Any) -> None:
        """Let the settings have this source and no other."""
        known = self.yaml.load(self.desk.settings.read_text())
        known["sources"] = {"practice": source}
        with self.desk.settings.open("w") as file:
            self.yaml.dump(known, file)

    def probed(self) -> dict[str, Any]:
        ran = self.desk.run("probe", "practice", "--json", now=None)
        assert ran.code == 0, ran.err
        assert canaries_in(ran.out, ran.err) == []
        return dict(json.loads(ran.out))

    def paste(self, told: dict[str, Any]) -> None:
        """Do what the page says: write the draft, put the settings beside what stands there."""
        before = self.yaml.load(self.desk.settings.read_text())["sources"]["practice"]
        if told["mapping"]:
            self.desk.run("probe", "practice", "--write", now=None)
        self.write(**before, **told["settings"])

    def statuses(self) -> dict[str, str]:
        """Check, sync, and return what became of each visit."""
        for words in (("check",), ("check", "--connect")):
            ran = self.desk.run(*words)
            assert ran.code == 0, ran.out + ran.err
        assert self.desk.run("sync").code == 0
        told = json.loads(self.desk.run("appointments", "--json").out)
        return {one["key"]: one["status"] for one in told}


@pytest.fixture
def place(desk: Any) -> Place:
    return Place(desk)


# --- a database ----------------------------------------------------------------------------------


@pytest.fixture
def database(place: Place) -> Iterator[sqlite3.Connection]:
    """A practice's database: visits, patients, doctors, and a table that is none of our business."""
    database = sqlite3.connect(place.desk.folder / "practice.db")
    database.executescript(
        """
        CREATE TABLE invoices (id INTEGER PRIMARY KEY, total REAL, issued TEXT);
        CREATE TABLE appointments (
            id INTEGER PRIMARY KEY, patient_id INTEGER, doctor_id INTEGER,
            starts_at TEXT, ends_at TEXT, status_code TEXT, updated_at TEXT);
        """
    )
    for number, status in enumerate(("booked", "cancelled", "no_show"), 101):
        database.execute(
            "INSERT INTO appointments VALUES (?, ?, 3, ?, ?, ?, '2026-11-20 10:00:00')",
            (number, number - 100, f"{DAY} 09:00:00", f"{DAY} 09:30:00", status),
        )
    database.commit()
    yield database
    database.close()


def test_a_database_of_which_only_the_address_is_known_is_read_as_probe_proposes(
    place: Place, database: sqlite3.Connection
) -> None:
    place.write(type="sql", url="sqlite:///practice.db")
    told = place.probed()

    assert told["places"].keys() >= WANTED
    assert told["lacking"] == []
    assert told["settings"]["key"] == "id"
    assert told["settings"]["cursor"] == "updated_at"

    place.paste(told)
    assert place.statuses() == {
        "101": "booked", "102": "cancelled", "103": "no_show",
    }  # fmt: skip


def test_a_list_without_phones_and_addresses_is_said_to_reach_nobody(
    place: Place, database: sqlite3.Connection
) -> None:
    place.write(type="sql", url="sqlite:///practice.db")
    assert "no phone and no e-mail" in " ".join(place.probed()["notes"])

    database.execute("ALTER TABLE appointments ADD patient_email TEXT")
    database.commit()
    assert "no phone and no e-mail" not in " ".join(place.probed()["notes"])


def test_a_query_of_ones_own_gets_its_mapping_drafted(
    place: Place, database: sqlite3.Connection
) -> None:
    database.executescript(
        f"""
        CREATE TABLE patients (id INTEGER PRIMARY KEY, name TEXT, mobile TEXT);
        INSERT INTO patients VALUES
            (1, '{CANARY_NAME}', '{CANARY_PHONE}'), (2, 'B', NULL), (3, 'C', NULL);
        """
    )
    query = (
        "SELECT a.id AS appointment_id, a.starts_at, a.ends_at, a.status_code, a.doctor_id, "
        "p.id AS patient_id, p.name AS patient_name, p.mobile AS patient_phone, a.updated_at "
        "FROM appointments a JOIN patients p ON p.id = a.patient_id"
    )
    place.write(type="sql", url="sqlite:///practice.db", query=query)
    told = place.probed()

    assert told["places"].keys() >= WANTED | {"patient.name", "patient.phone"}
    assert told["settings"] == {
        "key": "appointment_id", "cursor": "updated_at", "mapping": "mappings/practice.yaml",
    }  # fmt: skip

    place.paste(told)
    assert place.statuses() == {"101": "booked", "102": "cancelled", "103": "no_show"}


# --- a JSON interface ----------------------------------------------------------------------------


def bookings(asked: Asked) -> Reply:
    """Answer with visits under two names, and how many there are."""
    people = {"fullName": CANARY_NAME, "mobile": CANARY_PHONE, "email": CANARY_EMAIL}
    found = [
        {
            "id": number,
            "startsAt": f"{DAY}T09:00:00+01:00",
            "endsAt": f"{DAY}T09:30:00+01:00",
            "status": status,
            "client": {"id": 50 + number, **people},
            "practitioner": {"id": 9, "displayName": "Dr. Example"},
        }
        for number, status in enumerate(STATES, 1)
    ]
    return Reply({"data": {"bookings": found, "rooms": [{"id": 1}]}, "meta": {"total": len(found)}})


def test_a_json_interface_of_which_only_the_list_is_known_is_read_as_probe_proposes(
    place: Place,
) -> None:
    with serving(bookings) as server:
        place.write(type="rest", base_url=f"{server.url}/api", request={"path": "/bookings"})
        told = place.probed()

        assert told["places"].keys() >= WANTED | {"patient.phone", "patient.email"}
        assert told["settings"]["records"] == "data.bookings"
        assert told["settings"]["paging"] == {"type": "none", "total": "meta.total"}

        place.paste(told)
        ours = ("booked", "cancelled", "no_show", *4 * ("booked",))
        assert place.statuses() == {str(n): status for n, status in enumerate(ours, 1)}


# --- a FHIR server -------------------------------------------------------------------------------


def openemr(asked: Asked) -> Reply:
    """Answer as OpenEMR does: it says that it can search by `_lastUpdated`, and it had better not."""
    kind, _, key = asked.path.removeprefix("/fhir/").partition("/")
    if kind == "metadata":
        return Reply(
            {
                "resourceType": "CapabilityStatement",
                "fhirVersion": "4.0.1",
                "software": {"name": "OpenEMR"},
                "rest": [{"mode": "server", "resource": [_searchable("Appointment")]}],
            }
        )
    if key:
        return Reply({"resourceType": kind, "id": key, "name": [{"text": CANARY_NAME}]})
    entries = [{"resource": _visit()}] if kind == "Appointment" else []
    return Reply({"resourceType": "Bundle", "type": "searchset", "entry": entries})


def _searchable(kind: str) -> dict[str, Any]:
    return {"type": kind, "searchParam": [{"name": "date"}, {"name": "_lastUpdated"}]}


def _visit() -> dict[str, Any]:
    people = ("Patient/5", "Practitioner/9")
    return {
        "resourceType": "Appointment",
        "id": "7",
        "status": "proposed",
        "start": f"{DAY}T09:00:00+01:00",
        "minutesDuration": 30,
        "participant": [{"actor": {"reference": one}, "status": "accepted"} for one in people],
    }


def test_a_fhir_server_is_read_in_the_way_of_the_vendor_that_it_names(place: Place) -> None:
    with serving(openemr) as server:
        place.write(type="fhir", base_url=f"{server.url}/fhir")
        ran = place.desk.run("check", "--connect")
        assert "write preset: openemr" in ran.out

        told = place.probed()
        assert told["settings"] == {"preset": "openemr", "mapping": "fhir"}

        place.paste(told)
        # A read by `_lastUpdated` would never see this visit cancelled, and `proposed` remind nobody.
        assert place.statuses() == {"7": "booked"}
        ran = place.desk.run("check", "--connect")
        assert "read by window" in ran.out
        assert ran.out.rstrip().endswith("All is right.")


@pytest.mark.parametrize(
    ("about", "vendor"),
    [
        ("Clinical laws registry", None),
        ("Epicentre", None),
        ("HAPI FHIR Server", "hapi"),
        ("Oracle Health Millennium", "cerner"),
        ("AWS HealthLake", "healthlake"),
        ("Microsoft FHIR Server", "azure"),
    ],
)
def test_a_vendor_is_known_by_whole_words(about: str, vendor: str | None) -> None:
    assert vendor_of(about) == vendor


# --- the page ------------------------------------------------------------------------------------


def shown(language: str) -> list[str]:
    """The blocks of the how-to in a language."""
    return re.findall(rf"(?ms)^```{language}[^\n]*\n(.*?)^```$", PAGE.read_text("utf-8"))


def test_what_the_page_shows_of_a_database_is_what_comes(
    place: Place, database: sqlite3.Connection
) -> None:
    database.executescript(
        """
        UPDATE appointments SET status_code = 'KO' WHERE id = 103;
        CREATE TABLE patients (id INTEGER PRIMARY KEY, name TEXT, mobile TEXT, email TEXT);
        CREATE TABLE doctors (id INTEGER PRIMARY KEY, name TEXT);
        INSERT INTO patients VALUES (1, 'A', NULL, NULL), (2, 'B', NULL, NULL), (3, 'C', '1', 'c@c');
        INSERT INTO doctors VALUES (3, 'Dr. Example');
        """
    )
    place.write(type="sql", url="sqlite:///practice.db")
    said = place.desk.run("probe", "practice", now=None).out
    assert [line for line in shown("text")[0].splitlines()[1:] if line not in said] == []

    _, source, draft, *_ = map(YAML(typ="safe").load, shown("yaml"))
    pasted = source["sources"]["practice"]
    place.write(type="sql", url="sqlite:///practice.db", query=pasted["query"])
    told = place.probed()
    drafted = YAML(typ="safe").load(told["mapping"])["fields"]
    drafted["status"]["table"] = {"KO": "no_show"}  # which the page says is a person's to add
    assert drafted == draft["fields"]
    assert told["settings"] == {name: pasted[name] for name in ("cursor", "mapping")} | (
        {"key": pasted["key"]}
    )


def test_what_the_page_shows_of_a_json_interface_is_what_comes(place: Place) -> None:
    with serving(bookings) as server:
        place.write(type="rest", base_url=f"{server.url}/api", request={"path": "/bookings"})
        said = place.desk.run("probe", "practice", now=None).out
        assert shown("text")[1].partition("\n")[2] in said
