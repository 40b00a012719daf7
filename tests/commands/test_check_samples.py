"""`check --connect` shows a few records of each source, understood and without anybody's name."""

from __future__ import annotations

import json
from typing import Any

from clinicrelay.testing.kits import CANARY_EMAIL, CANARY_NAME, CANARY_PHONE, canaries_in

CANARY = {"name": CANARY_NAME, "phone": CANARY_PHONE, "email": CANARY_EMAIL}


def test_five_records_are_shown_and_nobody_is_named(desk: Any, row: Any) -> None:
    rows = [row(n, date="2026-11-24") for n in range(1, 9)]
    desk.drop(*({**one, **{k: v for k, v in CANARY.items() if k in one}} for one in rows))
    ran = desk.run("check", "--connect", now=None)

    assert ran.code == 0
    assert "reception: 5 of its first 5 records" in ran.out
    assert "2026-11-24T" in ran.out
    assert canaries_in(ran.out, ran.err) == []


def test_programs_get_the_same_with_masks(desk: Any, row: Any) -> None:
    desk.drop(row(1, date="2026-11-24"))
    [visit] = json.loads(desk.run("check", "--connect", "--json", now=None).out)["samples"][
        "reception"
    ]

    assert visit["key"] == "1"
    assert visit["status"] == "booked"
    assert visit["patients"][0]["phone"].count("…") == 1


def test_a_record_that_is_not_understood_is_told_by_its_reason(desk: Any, row: Any) -> None:
    desk.drop(row(1), row(2, status="XQ"))
    ran = desk.run("check", "--connect", now=None)

    assert "1 of 2 sample records are not understood: unknown_status (status)" in ran.out


def test_a_look_takes_nothing_and_keeps_nothing(desk: Any, row: Any) -> None:
    desk.drop(row(1))
    before = sorted(desk.folder.rglob("*"))
    desk.run("check", "--connect", now=None)

    assert sorted(desk.folder.rglob("*")) == before


def test_without_connect_no_source_is_asked(desk: Any, row: Any) -> None:
    desk.drop(row(1))

    assert "records" not in desk.run("check", now=None).out
