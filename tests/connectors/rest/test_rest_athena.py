"""The how-to for athenaOne as it stands, against a server as public programs expect it to be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import mappings
from clinicrelay.testing import Asked, Reply

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "connect-athena.md"
BASE = "/v1/195900"


def page_says() -> tuple[dict[str, Any], str]:
    """Return what the page's first block says of the source, and the text of its mapping."""
    found = re.findall(r"(?ms)^```yaml ?(\S*)\n(.*?)^```$", PAGE.read_text("utf-8"))
    source = YAML(typ="safe").load(found[0][1])["sources"]["athena"]
    return source, next(text for name, text in found if name == "mappings/athena.yaml")


def visit(number: int, department: str, **more: Any) -> dict[str, Any]:
    return {
        "appointmentid": str(number), "date": "11/24/2026", "starttime": "09:30", "duration": 15,
        "appointmentstatus": "f", "patientid": "5", "providerid": 71, "departmentid": department,
        **more,
    }  # fmt: skip


class Athena:
    """Two departments, the first of two pages; people come as a list of one."""

    def __init__(self) -> None:
        self.gone: set[str] = set()

    def __call__(self, asked: Asked) -> Reply:
        path = asked.path.removeprefix(BASE)
        if path == "/departments":
            return Reply({"departments": [{"departmentid": "1"}, {"departmentid": "2"}]})
        if path == "/appointments/booked":
            return self._booked(asked)
        kind, _, key = path.strip("/").partition("/")
        if kind == "patients":
            people = {"firstname": "Ada", "lastname": "Sample", "mobilephone": "0151 55501234"}
            return Reply([{"patientid": key, **people}])
        if kind == "providers":
            return Reply([{"providerid": int(key), "displayname": "Dr. Example"}])
        return Reply({"error": "not found"}, 404) if key in self.gone else Reply([visit(1, "1")])

    def _booked(self, asked: Asked) -> Reply:
        department, offset = asked.one("departmentid"), asked.one("offset")
        assert asked.one("showcancelled") == "true"
        first, end = str(asked.one("startdate")), str(asked.one("enddate"))
        assert re.fullmatch(r"\d\d/\d\d/\d{4}", first)
        if not _day(first) <= "20261124" < _day(end):
            return Reply({"appointments": [], "totalcount": 0})
        if department == "2":
            found = [visit(3, "2", appointmentstatus="x"), visit(4, "2", appointmentstatus="o")]
            return Reply({"appointments": found, "totalcount": 2})
        if offset:
            return Reply({"appointments": [visit(2, "1")], "totalcount": 2})
        link = f"{BASE}/appointments/booked?" + "&".join(f"{k}={v}" for k, v in asked.query)
        more = {"next": f"{link}&offset=1", "totalcount": 2}
        return Reply({"appointments": [visit(1, "1")], **more})


def _day(american: str) -> str:
    return american[6:] + american[:2] + american[3:5]


def test_athenaones_appointments_are_read_department_by_department(api: Any) -> None:
    source, text = page_says()
    for ours in ("type", "mapping", "auth", "base_url", "rate"):
        source.pop(ours)
    api.answers(Athena())
    api.settings(**source, base_url=api.server.url + BASE)
    read = api.read()

    (api.folder / "athena.yaml").write_text(text, "utf-8")
    context = mappings.Context("athena", "America/New_York", "US", "en")
    mapper = mappings.load("athena.yaml", api.folder).compile(context)
    visits = {v.key: v for record in read.records if (v := mapper(record)) is not None}

    assert {key: str(one.status) for key, one in visits.items()} == {
        "1": "booked", "2": "booked", "3": "cancelled",
    }  # fmt: skip
    assert visits["1"].start.isoformat() == "2026-11-24T14:30:00+00:00"
    assert [one.name for one in visits["1"].patients] == ["Ada Sample"]
    assert [one.name for one in visits["1"].practitioners] == ["Dr. Example"]
    assert read.pages[-1].complete


def test_a_visit_of_athenaones_that_is_gone_is_proven_by_its_id(api: Any) -> None:
    source, _ = page_says()
    for ours in ("type", "mapping", "auth", "base_url", "rate"):
        source.pop(ours)
    athena = Athena()
    athena.gone = {"9"}
    api.answers(athena)
    api.settings(**source, base_url=api.server.url + BASE)

    records = [r for page in api.connector().reread(["1", "9"]) for r in page.records]
    assert {str(one.key): one.gone for one in records} == {"1": False, "9": True}
