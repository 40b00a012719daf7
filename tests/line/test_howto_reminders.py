"""Each row of each table on the page about reminders is what happens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from clinicrelay.settings.schema import Step
from clinicrelay.times import at_wall_time, day_of, local, parse_instant
from sync.runners import once
from tests.line.conftest import export

if TYPE_CHECKING:
    from tests.line.conftest import Line

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "reminders.md"
BERLIN = "Europe/Berlin"
KINDS = ("confirmation", "change", "cancellation")
HOUR, DAY, EVENING = timedelta(hours=1), timedelta(days=1), time(20, 55)


class Table(NamedTuple):
    """A table of worked examples, the heading it stands under and the text just before it."""

    heading: str
    before: str
    rows: list[dict[str, str]]

    @property
    def steps(self) -> list[str]:
        return [name.strip("`") for name in self.rows[0] if name.startswith("`")]


def tables() -> list[Table]:
    found = []
    for section in PAGE.read_text("utf-8").split("\n## ")[1:]:
        heading, *parts = re.split(r"\n\n+", section.strip())
        for before, part in pairwise(["", *parts]):
            if part.startswith("|"):
                head, _, *rows = map(_cells, part.splitlines())
                rows_by_name = [dict(zip(head, row, strict=True)) for row in rows]
                found.append(Table(heading, before, rows_by_name))
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip()[1:-1].split("|")]


EXAMPLES = [table for table in tables() if "visit" in table.rows[0]]


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


def moment(said: str) -> str:
    """Return a time of the page as an export writes it; its weekday has to be right."""
    found = datetime.strptime(f"{said} 2026", "%a %d %b %H:%M %Y").replace(tzinfo=UTC)
    assert f"{found:%a}" == said[:3], said
    return f"{found:%Y-%m-%d %H:%M}"


def test_the_page_has_its_tables() -> None:
    assert len(EXAMPLES) == 8
    assert sum(len(table.rows) for table in EXAMPLES) > 40


def test_the_page_says_how_long_each_step_is_of_use() -> None:
    (table,) = (table for table in tables() if "at the latest" in table.rows[0])
    for row in table.rows:
        number, unit = row["at the latest"].split()[:2]
        latest = Step(before=row["step"].strip("`")).latest
        assert latest == timedelta(**{unit: int(number)})


@pytest.mark.parametrize("table", EXAMPLES, ids=lambda table: f"{table.heading} {table.steps[0]}")
def test_every_row_is_what_happens(table: Table, house: Callable[..., Line]) -> None:
    by_clinic: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for n, row in enumerate(table.rows):
        clinic = row.get("clinic", BERLIN), row["visit"].split()[2]
        by_clinic.setdefault(clinic, {})[str(n)] = row
    for number, ((zone, _), rows) in enumerate(by_clinic.items()):
        Play(house(f"clinic{number}"), zone, table, rows).play()


class Play:
    """Some rows of a table, played by one clinic."""

    def __init__(
        self, line: Line, zone: str, table: Table, rows: dict[str, dict[str, str]]
    ) -> None:
        self.line, self.zone, self.table, self.rows = line, zone, table, rows
        shown, *_ = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.S)
        settings: dict[str, Any] = YAML(typ="safe").load(shown)
        settings["reminders"]["patient"]["steps"] = table.steps
        at_home = {**line.settings["clinic"], "timezone": zone}
        line.set(clinic=at_home, calendars={}, **settings)

    def play(self) -> None:
        self.line.book(99, "2026-12-24 10:00")
        for n, row in self.rows.items():
            if "booked" not in row:
                self.line.book(n, moment(row["visit"]))
        self.drop()
        acts = self.acts()
        moments = self.moments([at for at, _, _ in acts])
        self.line.now = moments[0]
        self.line.sync(timedelta(0))
        for now in moments[1:]:
            self.line.now = now
            todo = [(n, act) for at, n, act in acts if at == now]
            for n, act in todo:
                act(n)
            if todo:
                self.drop()
                self.line.sync(timedelta(0))
            else:
                self.line.at_work(once.send)
        for n, row in self.rows.items():
            said = self.said(n)
            for name, cell in row.items():
                if name.startswith("`") or name in KINDS:
                    assert said.get(name.strip("`"), "") == cell, (row["visit"], name, said)

    def instant(self, said: str) -> datetime:
        return parse_instant(moment(said), self.zone)

    def acts(self) -> list[tuple[datetime, str, Callable[[str], None]]]:
        """Return what reception does, and when it is seen."""
        found: list[tuple[datetime, str, Callable[[str], None]]] = []
        for n, row in self.rows.items():
            if "booked" in row:
                found.append((self.instant(row["booked"]), n, self.book))
            elif "then" in row:
                found.append((self.instant(row["seen"]), n, self.change))
        return found

    def book(self, n: str) -> None:
        self.line.book(n, moment(self.rows[n]["visit"]))

    def change(self, n: str) -> None:
        then = self.rows[n]["then"]
        if then == "cancelled":
            self.line.cancel(n)
        else:
            self.line.change(n, start=moment(then))

    def drop(self) -> None:
        head, *rows = export(self.line.rows.values()).splitlines()
        lives = [self.rows.get(key, {}).get("patient", "") for key in self.line.rows]
        cells = [f"{row},{zone}" for row, zone in zip(rows, lives, strict=True)]
        self.line.drop("\n".join([f"{head},patient_timezone", *cells]) + "\n")

    def moments(self, acts: Iterable[datetime]) -> list[datetime]:
        """Return when something runs: each quarter hour of the day, and 20:55 of each patient."""
        times = [
            row[name] for row in self.rows.values() for name in ("visit", "then") if name in row
        ]
        starts = [self.instant(said) for said in times if said != "cancelled"]
        longest = max(Step(before=name).before.length for name in self.table.steps)
        first = (min([*acts, min(starts) - longest]) - 3 * HOUR).replace(minute=0)
        minutes = {0, 15, 30, 45, *(start.minute for start in starts)}
        hours = range((max(starts) - first) // HOUR + 1)
        found = {first + n * HOUR + timedelta(minutes=m) for n in hours for m in minutes}
        found = {at for at in found if at.minute == 0 or 7 <= local(at, self.zone).hour < 22}
        for zone in {self.zone, *(row.get("patient", self.zone) for row in self.rows.values())}:
            found |= {at_wall_time(day_of(first, zone) + n * DAY, EVENING, zone) for n in range(9)}
        off = re.search(r"off from (.*?) to (.*?)\.", self.table.before)
        away = [self.instant(at) for at in off.groups()] if off else [first, first]
        found = {at for at in found | set(acts) if not away[0] <= at < away[1]}
        return sorted(at for at in found if first <= at <= max(starts))

    def said(self, n: str) -> dict[str, str]:
        """Return what became of each message of the visit as it stood in the end."""
        rows = self.line.query(
            "SELECT m.id, kind, step, state, reason, settled_at FROM messages m "
            f"JOIN appointments a ON a.id = m.appointment WHERE a.source_key = '{n}' "
            f"AND m.clinic = '{self.line.id}'"
        )
        said = {}
        for _, kind, step, state, reason, at in sorted(rows):
            clock = local(datetime.fromtimestamp(at, UTC), self.zone)
            said[step or kind] = f"{clock:%a %-d %b %H:%M}" if state == "sent" else f"`{reason}`"
        return said
