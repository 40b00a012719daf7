"""The contract suites are proved themselves: an honest plugin passes, each dishonest one is caught."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel, ConfigDict, Field

from clinicrelay import Connector, Page, Record, Refused, Unreadable, Window
from clinicrelay.testing import Booking, ConnectorContract, kit


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    file: str = Field(default="visits.jsonl", description="One visit a line.")


class Lines(Connector):
    """Reads a file of JSON lines, two at a time."""

    Options = Options

    def pull(self, cursor: dict[str, Any] | None, window: Window) -> Iterator[Page]:
        path = self.kit.folder / self.options.file
        if not path.is_file():
            raise Refused("visits.jsonl is not there", fix="Put it back.")
        lines = path.read_text().splitlines()
        for at in range(0, max(len(lines), 1), 2):
            yield self._page(lines[at : at + 2], at, last=at + 2 >= len(lines), whole=lines)

    def _page(self, some: list[str], at: int, *, last: bool, whole: list[str]) -> Page:
        good = [self._record(s, at + n) for n, s in enumerate(some, 1) if s.startswith("{")]
        bad = [
            Unreadable(f"visits.jsonl:{at + n}", "not_json", s)
            for n, s in enumerate(some, 1)
            if not s.startswith("{")
        ]
        complete = last and all(s.startswith("{") for s in whole)
        return Page("visits", good, bad, {"lines": at}, last=last, complete=complete)

    def _record(self, line: str, number: int) -> Record:
        digest = blake2b(line.encode(), digest_size=16).digest()
        return Record(
            json.loads(line), digest, f"visits.jsonl:{number}", key=json.loads(line)["key"]
        )


class LinesContract(ConnectorContract):
    connector: type[Lines] = Lines

    def make(self, folder: Path) -> Connector:
        return self.connector(Options(), kit(folder))

    def fill(self, folder: Path, bookings: Sequence[Booking]) -> None:
        lines = (json.dumps(asdict(b), default=str) for b in bookings)
        (folder / "visits.jsonl").write_text("\n".join(lines))

    def spoil(self, folder: Path, bookings: Sequence[Booking]) -> bool:
        self.fill(folder, bookings)
        path = folder / "visits.jsonl"
        first, _, rest = path.read_text().partition("\n")
        path.write_text(f'{first}\n"Quenby Canary", +12025550143\n{rest}')
        return True

    def break_source(self, folder: Path) -> bool:
        (folder / "visits.jsonl").unlink()
        return True


class TestAnHonestConnectorPasses(LinesContract):
    pass


def edited(change: Callable[[Page], Page]) -> type[Lines]:
    """Return the connector with each of its pages changed."""

    class Edited(Lines):
        def pull(self, cursor: dict[str, Any] | None, window: Window) -> Iterator[Page]:
            yield from map(change, super().pull(cursor, window))

    return Edited


def replaced(**fields: Any) -> type[Lines]:
    return edited(lambda page: msgspec.structs.replace(page, **fields))


def _with_records(change: Callable[[Record], Record]) -> type[Lines]:
    return edited(
        lambda page: msgspec.structs.replace(page, records=[change(r) for r in page.records])
    )


class Silent(Lines):
    def pull(self, cursor: dict[str, Any] | None, window: Window) -> Iterator[Page]:
        if cursor is not None:
            return
        yield from super().pull(cursor, window)


class Scribbling(Lines):
    def pull(self, cursor: dict[str, Any] | None, window: Window) -> Iterator[Page]:
        (self.kit.folder / "seen").write_text("x")
        yield from super().pull(cursor, window)


class Raising(Lines):
    def pull(self, cursor: dict[str, Any] | None, window: Window) -> Iterator[Page]:
        for page in super().pull(cursor, window):
            if page.unreadable:
                raise ValueError("a bad record")
            yield page


class Talking(Lines):
    def pull(self, cursor: dict[str, Any] | None, window: Window) -> Iterator[Page]:
        if not (self.kit.folder / "visits.jsonl").is_file():
            raise Refused("cannot read the visits of Quenby Canary")
        yield from super().pull(cursor, window)


DISHONEST = {
    "loses a page": (
        edited(lambda p: p if p.last else msgspec.structs.replace(p, records=())),
        "test_every_booking_is_read_once",
    ),
    "never ends": (replaced(last=False), "test_each_scope_ends_with_its_one_last_page"),
    "is complete in the middle": (
        replaced(complete=True),
        "test_each_scope_ends_with_its_one_last_page",
    ),
    "is never complete": (replaced(complete=False), "test_a_whole_read_says_so"),
    "has digests of the moment": (
        _with_records(lambda r: msgspec.structs.replace(r, digest=id(r).to_bytes(16))),
        "test_equal_records_have_equal_digests_in_every_process",
    ),
    "has short digests": (
        _with_records(lambda r: msgspec.structs.replace(r, digest=r.digest[:8])),
        "test_equal_records_have_equal_digests_in_every_process",
    ),
    "sees no change": (
        _with_records(
            lambda r: msgspec.structs.replace(r, digest=(r.key or "").zfill(16).encode())
        ),
        "test_only_the_changed_record_has_another_digest",
    ),
    "reads only once": (Silent, "test_what_changed_after_a_read_comes_with_the_next"),
    "hides bad records": (
        replaced(unreadable=()),
        "test_a_bad_record_is_yielded_and_loses_no_other",
    ),
    "is complete without one": (
        edited(lambda p: msgspec.structs.replace(p, complete=p.last)),
        "test_a_read_that_left_a_nameless_record_out_is_not_complete",
    ),
    "writes while looking": (Scribbling, "test_looking_without_claiming_changes_nothing"),
    "has cursors that JSON changes": (
        replaced(cursor={1: (2,)}),
        "test_the_cursor_survives_the_store",
    ),
    "raises for a bad record": (Raising, "test_a_bad_record_is_yielded_and_loses_no_other"),
    "names people in errors": (
        Talking,
        "test_a_source_that_is_away_raises_only_what_sync_understands",
    ),
    "names people in notes": (
        replaced(notes=["2 visits of Quenby"]),
        "test_notes_findings_reasons_and_places_carry_nobodys_data",
    ),
}


@pytest.mark.parametrize(("connector", "test"), DISHONEST.values(), ids=DISHONEST)
def test_a_connector_that_breaks_a_promise_is_caught(
    tmp_path: Path, connector: type[Lines], test: str
) -> None:
    suite = LinesContract()
    suite.connector = connector
    digests_kept: list[object] = []  # so that ids of objects are not given out again
    with pytest.raises((AssertionError, ValueError)):
        digests_kept.append(getattr(suite, test)(tmp_path))
