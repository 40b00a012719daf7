"""The contract of connectors: everything is read, nothing is lost or changed, and bad is yielded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from clinicrelay.contracts import Connector, Cursor, Page, Record, Unreadable
from clinicrelay.errors import Refused, TryLater
from clinicrelay.testing.kits import (
    CANARY_EMAIL,
    CANARY_NAME,
    CANARY_PHONE,
    NOW,
    WINDOW,
    canaries_in,
)
from clinicrelay.testing.options import OptionsContract


@dataclass(frozen=True, slots=True)
class Booking:
    """What a test wants the source to hold; the subclass writes it in the source's own form."""

    key: str
    start: datetime
    status: str = "booked"
    patient_key: str = "p1"
    patient_name: str = CANARY_NAME
    patient_phone: str = CANARY_PHONE
    patient_email: str = CANARY_EMAIL
    practitioner_key: str = "acar"


@dataclass(slots=True)
class Read:
    """All that one pull yielded."""

    pages: list[Page] = field(default_factory=list)

    @property
    def records(self) -> list[Record]:
        """The records of all pages."""
        return [record for page in self.pages for record in page.records]

    @property
    def unreadable(self) -> list[Unreadable]:
        """What could not be read, of all pages."""
        return [bad for page in self.pages for bad in page.unreadable]

    @property
    def cursor(self) -> Cursor | None:
        """The cursor as the store would give it back: through JSON."""
        return json.loads(json.dumps(self.pages[-1].cursor)) if self.pages else None


BOOKINGS = tuple(
    Booking(f"A-{n}", NOW + timedelta(days=1 + n % 30, minutes=15 * (n % 20))) for n in range(25)
)


class ConnectorContract(OptionsContract):
    """Inherit, say how to make the plugin and how to fill its source; a dozen promises are kept."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Where the plugin and its source may live."""
        return tmp_path

    def make(self, folder: Path) -> Connector:
        """Return the plugin, as a process that starts now would make it."""
        raise NotImplementedError

    def fill(self, folder: Path, bookings: Sequence[Booking]) -> None:
        """Make the source hold exactly these bookings, as a clinic would: a new drop, new rows."""
        raise NotImplementedError

    def spoil(self, folder: Path, bookings: Sequence[Booking]) -> bool:
        """Fill with these bookings and one record that cannot be read; False where that cannot be."""
        return False

    def break_source(self, folder: Path) -> bool:
        """Make the source unreachable; False where a source that is away is just an empty one."""
        return False

    def key_of(self, record: Record) -> str:
        """Return the booking's key that a record carries."""
        return record.key or str(record.data["appointment_id"])

    def plugin(self) -> type[Connector]:
        return type(self.make(Path()))

    def test_every_booking_is_read_once(self, folder: Path) -> None:
        self.fill(folder, BOOKINGS)
        read = cycle(self.make(folder), None)
        assert sorted(map(self.key_of, read.records)) == sorted(b.key for b in BOOKINGS)
        assert not read.unreadable

    def test_each_scope_ends_with_its_one_last_page(self, folder: Path) -> None:
        self.fill(folder, BOOKINGS)
        pages = cycle(self.make(folder), None).pages
        for scope in {page.scope for page in pages}:
            last = [page.last for page in pages if page.scope == scope]
            assert last == [False] * (len(last) - 1) + [True], scope
        assert not [p.scope for p in pages if p.complete and not p.last]

    def test_a_whole_read_says_so(self, folder: Path) -> None:
        self.fill(folder, BOOKINGS)
        connector = self.make(folder)
        pages = cycle(connector, None).pages
        if connector.lists_everything:
            assert [p.complete for p in pages if p.last] == [True] * sum(p.last for p in pages)

    def test_equal_records_have_equal_digests_in_every_process(self, folder: Path) -> None:
        self.fill(folder, BOOKINGS)
        first, again = preview(self.make(folder), None), preview(self.make(folder), None)
        assert self._digests(first) == self._digests(again)
        assert {len(r.digest) for r in first.records} == {16}

    def test_only_the_changed_record_has_another_digest(self, folder: Path) -> None:
        self.fill(folder, BOOKINGS)
        before = self._digests(cycle(self.make(folder), None))
        moved = Booking(BOOKINGS[7].key, BOOKINGS[7].start + timedelta(hours=1))
        self.fill(folder, (*BOOKINGS[:7], moved, *BOOKINGS[8:]))
        after = self._digests(cycle(self.make(folder), None))
        assert {key for key in before if before[key] != after[key]} == {moved.key}

    def test_a_second_read_with_the_kept_cursor_brings_nothing_new(self, folder: Path) -> None:
        self.fill(folder, BOOKINGS)
        first = cycle(self.make(folder), None)
        second = cycle(self.make(folder), first.cursor)
        assert self._digests(second).items() <= self._digests(first).items()
        assert not second.unreadable

    def test_after_a_held_read_nothing_counts_as_unchanged(self, folder: Path) -> None:
        self.fill(folder, BOOKINGS)
        first = cycle(self.make(folder), None)
        self.fill(folder, BOOKINGS)
        connector = self.make(folder)
        # What a person let through meanwhile is not what these very bookings say.
        second = cycle(connector, connector.doubted(first.cursor))
        assert not [page.scope for page in second.pages if page.same]

    def test_what_changed_after_a_read_comes_with_the_next(self, folder: Path) -> None:
        self.fill(folder, BOOKINGS)
        first = cycle(self.make(folder), None)
        new = Booking("A-new", NOW + timedelta(days=3))
        self.fill(folder, (*BOOKINGS, new))
        second = self._digests(cycle(self.make(folder), first.cursor))
        assert set(second) - set(self._digests(first)) == {new.key}

    def test_a_booking_that_is_gone_is_not_read_again(self, folder: Path) -> None:
        self.fill(folder, BOOKINGS)
        first = cycle(self.make(folder), None)
        self.fill(folder, BOOKINGS[1:])
        second = cycle(self.make(folder), first.cursor)
        there = {self.key_of(r) for r in second.records if not r.gone}
        assert BOOKINGS[0].key not in there

    def test_a_bad_record_is_yielded_and_loses_no_other(self, folder: Path) -> None:
        if not self.spoil(folder, BOOKINGS):
            pytest.skip("this source has no unreadable records")
        read = cycle(self.make(folder), None)
        assert {self.key_of(r) for r in read.records} >= {b.key for b in BOOKINGS}
        assert read.unreadable
        assert all(bad.place and bad.reason and bad.raw for bad in read.unreadable)

    def test_a_read_that_left_a_nameless_record_out_is_not_complete(self, folder: Path) -> None:
        if not self.spoil(folder, BOOKINGS):
            pytest.skip("this source has no unreadable records")
        # Else the visit that nobody could read would look like one that was deleted.
        read = cycle(self.make(folder), None)
        nameless = [bad for bad in read.unreadable if bad.key is None]
        assert not nameless or not all(p.complete for p in read.pages if p.last)

    def test_telling_twice_what_was_set_aside_changes_nothing_more(self, folder: Path) -> None:
        if not self.spoil(folder, BOOKINGS):
            pytest.skip("this source has no unreadable records")
        connector = self.make(folder)
        connector.claim()
        pages = list(connector.pull(None, WINDOW))
        bad = [one for page in pages for one in page.unreadable]
        connector.rejected(pages[-1].cursor, iter(bad))
        told = _tree(folder)
        connector.rejected(pages[-1].cursor, iter(bad))  # a run that was killed in between
        assert _tree(folder) == told
        connector.kept(pages[-1].cursor)
        after = _tree(folder)
        connector.rejected(pages[-1].cursor, iter(bad))
        assert _tree(folder) == after

    def test_looking_without_claiming_changes_nothing(self, folder: Path) -> None:
        self.fill(folder, BOOKINGS)
        before = _tree(folder)
        connector = self.make(folder)
        assert preview(connector, None).pages
        list(connector.check())
        connector.nothing_to_read()
        assert _tree(folder) == before

    def test_the_cursor_survives_the_store(self, folder: Path) -> None:
        self.fill(folder, BOOKINGS)
        for page in cycle(self.make(folder), None).pages:
            assert json.loads(json.dumps(page.cursor)) == page.cursor

    def test_a_cut_off_read_can_be_taken_up_again(self, folder: Path) -> None:
        self.fill(folder, BOOKINGS)
        cut = self.make(folder)
        cut.claim()
        pages = cut.pull(None, WINDOW)
        first = next(pages)
        del pages, cut  # the process is gone; nothing was kept
        read = cycle(self.make(folder), None)
        assert {self.key_of(r) for r in read.records} == {b.key for b in BOOKINGS}
        assert {self.key_of(r) for r in first.records} <= {b.key for b in BOOKINGS}

    def test_a_source_that_is_away_raises_only_what_sync_understands(self, folder: Path) -> None:
        self.fill(folder, BOOKINGS)
        connector = self.make(folder)
        if not self.break_source(folder):
            pytest.skip("a source that is away is an empty one")
        with pytest.raises((TryLater, Refused)) as error:
            cycle(connector, None)
        assert str(error.value)
        assert not canaries_in(error.value)

    def test_notes_findings_reasons_and_places_carry_nobodys_data(self, folder: Path) -> None:
        if not self.spoil(folder, BOOKINGS):
            self.fill(folder, BOOKINGS)
        connector = self.make(folder)
        read = cycle(connector, None)
        said = [note for page in read.pages for note in (*page.notes, page.scope, page.cursor)]
        bad = [(b.place, b.reason, b.detail, b.field) for b in read.unreadable]
        places = [record.place for record in read.records]
        findings = [*connector.check(), connector.nothing_to_read()]
        assert not canaries_in(*said, *bad, *places, *findings)

    def _digests(self, read: Read) -> dict[str, bytes]:
        return {self.key_of(record): record.digest for record in read.records}


def cycle(connector: Connector, cursor: Cursor | None) -> Read:
    """Read as `sync` does: claim, pull, and after each last page say what was kept and what not."""
    connector.claim()
    read = Read()
    for page in connector.pull(cursor, WINDOW):
        read.pages.append(page)
        if page.last:
            connector.rejected(page.cursor, read.unreadable)
            connector.kept(page.cursor)
    return read


def preview(connector: Connector, cursor: Cursor | None) -> Read:
    """Read as `plan` does: only look."""
    return Read(list(connector.pull(cursor, WINDOW)))


def _tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in sorted(folder.rglob("*"))
    }
