"""How files travel: when they are taken, where they go, what a crash leaves (C-01 to C-04, C-13)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from clinicrelay.errors import Refused
from clinicrelay.testing.connectors import Read
from clinicrelay.testing.kits import WINDOW
from connectors.csv.pages import PAGE

if TYPE_CHECKING:
    from conftest import Drops

HEAD = "id,date,patient\n"
ONE = HEAD + "1,2026-12-01,p1\n"
TWO = ONE + "2,2026-12-02,p2\n"
MORE_THAN_A_PAGE = HEAD + "".join(f"{n},2026-12-01,p{n}\n" for n in range(PAGE + 1))
DONE = {"done_file": "{name}.done"}
MANIFEST = {"manifest": True}


def ids(read: Read) -> list[str]:
    return [record.data["id"] for record in read.records]


def notes(read: Read) -> str:
    return " ".join(note for page in read.pages for note in page.notes)


class TestReady:
    @pytest.mark.parametrize(
        "name",
        ["a.csv.tmp", "a.csv.part", "a.filepart", "a.csv.crdownload", "~$a.csv", ".a.csv", "a.txt"],
    )
    def test_what_is_unfinished_or_not_ours_is_left_alone(self, drops: Drops, name: str) -> None:
        drops.put(name, ONE, age=9000)
        assert not drops.read(pattern="*.csv*" if "csv" in name else "*.csv").pages
        assert drops.tree() == [name]

    def test_the_pattern_knows_no_case(self, drops: Drops) -> None:
        drops.put("EXPORT.CSV", ONE)
        assert ids(drops.read()) == ["1"]

    def test_a_file_is_taken_once_it_has_settled(self, drops: Drops) -> None:
        drops.put("visits.csv", ONE, age=12)
        assert not drops.read().pages
        said = drops.connector().nothing_to_read()
        assert said == "visits.csv is 12 s old, taken once it is 60 s old"
        drops.now += 48
        assert ids(drops.read()) == ["1"]

    def test_somebody_who_watches_sees_a_countdown_and_then_the_file(self, drops: Drops) -> None:
        drops.put("visits.csv", ONE, age=50)
        assert ids(drops.read(wait=True)) == ["1"]
        assert drops.told[0].endswith("10 s to go")
        assert len(drops.told) == 10

    def test_nobody_waits_for_ever_for_a_file_that_grows(self, drops: Drops) -> None:
        path = drops.put("visits.csv", ONE, age=0)
        connector = drops.connector(wait=True)

        def grow(seconds: float) -> None:
            drops.now += seconds
            os.utime(path, (drops.now, drops.now))

        connector.sleep = grow
        connector.claim()
        assert drops.tree() == ["visits.csv"]

    def test_an_empty_file_is_waited_for(self, drops: Drops) -> None:
        drops.put("visits.csv", b"", age=600)
        assert not drops.read().pages
        assert "empty" in (drops.connector().nothing_to_read() or "")
        drops.now += 3600
        assert [bad.reason for bad in drops.read().unreadable] == ["empty_file"]

    def test_with_a_done_file_nothing_happens_before_it(self, drops: Drops) -> None:
        drops.put("visits.csv", ONE, age=90_000)
        assert not drops.read(ready=DONE).pages
        said = drops.connector(ready=DONE).nothing_to_read()
        assert said == "visits.csv waits for visits.csv.done"
        drops.put("visits.csv.done", b"", age=0)
        assert ids(drops.read(ready=DONE)) == ["1"]
        assert drops.tree() == ["processed/2026-11/visits.csv", "processed/2026-11/visits.csv.done"]

    def test_a_done_file_of_another_name_is_found_and_never_read_itself(self, drops: Drops) -> None:
        drops.put("visits.csv", ONE)
        drops.put("visits.ok", b"")
        assert ids(drops.read(ready={"done_file": "{stem}.ok"}, pattern="*")) == ["1"]

    def test_a_manifest_that_fits_makes_a_file_ready(self, drops: Drops) -> None:
        drops.put("visits.csv", TWO, age=0)
        said = {"rows": 2, "sha256": hashlib.sha256(TWO.encode()).hexdigest()}
        drops.put("visits.csv.manifest.json", json.dumps(said))
        read = drops.read(ready=MANIFEST)
        assert ids(read) == ["1", "2"]
        assert read.pages[-1].complete
        assert all(name.startswith("processed/") for name in drops.tree())

    def test_a_manifest_that_does_not_fit_is_waited_for_and_then_given_up(
        self, drops: Drops
    ) -> None:
        drops.put("visits.csv", ONE, age=0)
        drops.put("visits.csv.manifest.json", json.dumps({"sha256": "0" * 64}))
        assert not drops.read(ready=MANIFEST).pages
        drops.now += 3601
        read = drops.read(ready=MANIFEST)
        assert [bad.reason for bad in read.unreadable] == ["manifest_mismatch"]
        assert drops.tree() == [
            "quarantine/visits.csv",
            "quarantine/visits.csv.manifest.json",
            "quarantine/visits.summary.json",
        ]

    def test_fewer_rows_than_the_manifest_says_are_not_everything(self, drops: Drops) -> None:
        drops.put("visits.csv", TWO)
        drops.put("visits.csv.manifest.json", json.dumps({"rows": 3}))
        read = drops.read(ready=MANIFEST)
        assert ids(read) == ["1", "2"]
        assert not read.pages[-1].complete
        assert "manifest says 3" in notes(read)

    def test_links_are_not_followed(self, drops: Drops) -> None:
        outside = drops.root / "secret.csv"
        outside.write_text(ONE)
        drops.inbox.mkdir(parents=True)
        (drops.inbox / "visits.csv").symlink_to(outside)
        drops.now += 1e6
        assert not drops.read().pages
        assert outside.exists()

    def test_an_empty_inbox_says_what_to_do(self, drops: Drops) -> None:
        said = drops.connector().nothing_to_read()
        assert said == "no file in drops/test: drop a *.csv export there"
        drops.put("visits.xlsx", b"PK")
        assert "1 file in drops/test" in (drops.connector().nothing_to_read() or "")


class TestOrder:
    def test_the_date_in_the_name_comes_before_the_time_on_disk(self, drops: Drops) -> None:
        drops.put("visits_20261122.csv", TWO, age=100)
        drops.put("visits_20261121.csv", ONE, age=50_000)
        drops.put("visits-2026-11-20.csv", HEAD, age=90)
        read = drops.read()
        assert [p.scope for p in read.pages] == [
            "visits-2026-11-20.csv",
            "visits_20261121.csv",
            "visits_20261122.csv",
        ]

    def test_an_older_snapshot_after_a_newer_one_is_not_applied(self, drops: Drops) -> None:
        drops.put("visits_20261122.csv", TWO)
        known = drops.read().cursor
        drops.put("visits_20261121.csv", ONE, age=0)
        drops.now += 60
        read = drops.read(known)
        assert not read.records
        assert [(p.last, p.complete) for p in read.pages] == [(True, False)]
        assert "visits_20261121.csv is older than visits_20261122.csv" in notes(read)
        assert drops.tree() == [
            "processed/2026-11/visits_20261122.csv",
            "quarantine/visits_20261121.csv",
        ]

    def test_an_older_time_on_disk_counts_too(self, drops: Drops) -> None:
        drops.put("b.csv", TWO, age=100)
        known = drops.read().cursor
        drops.put("a.csv", ONE, age=500)
        assert not drops.read(known).records

    def test_the_first_dated_name_is_compared_by_time(self, drops: Drops) -> None:
        drops.put("visits.csv", ONE, age=500)
        known = drops.read().cursor
        drops.put("visits_20261123.csv", TWO, age=100)
        assert ids(drops.read(known)) == ["1", "2"]

    def test_a_delta_older_than_one_read_before_is_set_aside(self, drops: Drops) -> None:
        changes = "op,id,date,patient\n"
        drops.put("c_2026-11-22.csv", f"{changes}update,1,2026-12-02,p\n")
        known = drops.read(contents="delta").cursor
        drops.put("c_2026-11-21.csv", f"{changes}update,1,2026-12-01,p\n")
        read = drops.read(known, contents="delta")
        assert not read.records
        assert [(one.reason, one.place) for one in read.unreadable] == [
            ("older_file", "c_2026-11-21.csv")
        ]
        assert "quarantine/c_2026-11-21.csv" in drops.tree()
        drops.put("c_2026-11-23.csv", f"{changes}update,1,2026-12-03,p\n")
        assert ids(drops.read(read.cursor, contents="delta")) == ["1"]

    def test_what_is_appended_counts_however_old(self, drops: Drops) -> None:
        drops.put("b.csv", TWO, age=100)
        known = drops.read(contents="append").cursor
        drops.put("a.csv", ONE, age=500)
        assert ids(drops.read(known, contents="append")) == ["1"]


class TestTheEnd:
    def test_a_last_row_without_a_line_end_is_set_aside_where_files_had_one(
        self, drops: Drops
    ) -> None:
        drops.put("a.csv", TWO, age=500)
        known = drops.read().cursor
        drops.put("b.csv", TWO[:-2])
        read = drops.read(known)
        assert ids(read) == ["1"]
        assert [(one.reason, one.line) for one in read.unreadable] == [("truncated", 3)]
        assert not read.pages[-1].complete
        drops.put("c.csv", TWO, age=0)
        drops.now += 100
        assert ids(drops.read(read.cursor)) == ["1", "2"]

    def test_a_row_before_one_that_is_set_aside_anyway_stays(self, drops: Drops) -> None:
        drops.put("a.csv", TWO, age=500)
        known = drops.read().cursor
        drops.put("b.csv", TWO + "3,2026")
        read = drops.read(known)
        assert ids(read) == ["1", "2"]
        assert [(one.reason, one.line) for one in read.unreadable] == [("truncated", 4)]

    def test_files_that_never_had_one_are_whole(self, drops: Drops) -> None:
        drops.put("a.csv", TWO[:-1], age=500)
        known = drops.read().cursor
        drops.put("b.csv", TWO[:-1] + "x")
        read = drops.read(known)
        assert ids(read) == ["1", "2"]
        assert read.pages[-1].complete


class TestSameBytes:
    def test_they_count_as_a_fresh_complete_read_without_records(self, drops: Drops) -> None:
        drops.put("a.csv", TWO, age=500)
        known = drops.read().cursor
        drops.put("b.csv", TWO)
        read = drops.read(known)
        assert [(p.same, p.complete, p.last, p.records) for p in read.pages] == [
            (True, True, True, ())
        ]
        assert drops.tree() == ["processed/2026-11/a.csv", "processed/2026-11/b.csv"]

    def test_with_other_settings_they_are_read_again(self, drops: Drops) -> None:
        drops.put("a.csv", TWO, age=500)
        known = drops.read().cursor
        drops.put("b.csv", TWO)
        assert ids(drops.read(known, dates="dmy")) == ["1", "2"]

    def test_after_a_held_read_they_are_read_again(self, drops: Drops) -> None:
        drops.put("a.csv", TWO, age=500)
        known = drops.read().cursor
        drops.put("c.csv", TWO)
        assert ids(drops.read(drops.connector().doubted(known))) == ["1", "2"]

    def test_also_in_the_run_in_which_it_was_held(self, drops: Drops) -> None:
        for name, age in (("a.csv", 500), ("b.csv", 400)):
            drops.put(name, TWO, age=age)
        connector = drops.connector()
        connector.claim()
        pages = connector.pull(None, WINDOW)
        assert not next(pages).same
        assert connector.doubted(None) is None
        assert not next(pages).same

    def test_after_a_read_that_was_cut_off_they_are_read_again(self, drops: Drops) -> None:
        drops.put("a.csv", TWO, age=500)
        known = drops.read().cursor
        drops.put("b.csv", MORE_THAN_A_PAGE, age=300)
        begun = next(drops.connector().pull(known, WINDOW)).cursor
        drops.put("b.csv", TWO, age=200)  # somebody saw it, and put the good one in its place
        assert ids(drops.read(begun)) == ["1", "2"]

    def test_after_one_that_still_grew_they_are_read_again(self, drops: Drops) -> None:
        drops.put("a.csv", TWO, age=500)
        known = drops.read().cursor
        growing = drops.put("b.csv", MORE_THAN_A_PAGE, age=300)
        pages = drops.connector().pull(known, WINDOW)
        next(pages)
        with growing.open("a") as file:
            file.write("9999,2026-12-09,late\n")
        after = [*pages][-1].cursor
        drops.put("b.csv", TWO, age=200)
        assert ids(drops.read(after)) == ["1", "2"]

    def test_with_rows_left_out_they_are_read_again(self, drops: Drops) -> None:
        drops.put("a.csv", TWO + "3\n", age=500)
        known = drops.read().cursor
        drops.put("b.csv", TWO + "3\n")
        read = drops.read(known)
        assert ids(read) == ["1", "2"]
        assert len(read.unreadable) == 1

    def test_a_cursor_that_is_not_trusted_reads_everything(self, drops: Drops) -> None:
        drops.put("a.csv", TWO, age=500)
        drops.read()
        drops.put("b.csv", TWO)
        assert ids(drops.read(None)) == ["1", "2"]

    def test_a_delta_is_applied_once(self, drops: Drops) -> None:
        drops.put("a.csv", ONE, age=500)
        known = drops.read(contents="append").cursor
        drops.put("b.csv", TWO, age=400)
        known = drops.read(known, contents="append").cursor
        drops.put("a.csv", ONE)
        read = drops.read(known, contents="append")
        assert not read.records
        assert "same bytes" in notes(read)
        assert "processed/2026-11/a-2.csv" in drops.tree()

    def test_a_delta_is_applied_again_when_nothing_is_trusted(self, drops: Drops) -> None:
        drops.put("a.csv", ONE, age=500)
        drops.read(contents="append")
        drops.put("a.csv", ONE)
        assert ids(drops.read(None, contents="append")) == ["1"]

    def test_only_so_many_deltas_are_remembered(self, drops: Drops) -> None:
        for number in range(60):
            drops.put(f"{number}.csv", f"{HEAD}{number},2026-12-01,p\n")
        drops.read(contents="append")
        assert len(drops.memory["taken"]) == 50


class TestMoving:
    def test_a_file_moves_only_after_its_rows_are_kept(self, drops: Drops) -> None:
        drops.put("visits.csv", ONE)
        connector = drops.connector()
        connector.claim()
        assert drops.tree() == ["processing/visits.csv"]
        (page,) = connector.pull(None, WINDOW)
        assert drops.tree() == ["processing/visits.csv"]
        connector.kept(page.cursor)
        assert drops.tree() == ["processed/2026-11/visits.csv"]
        connector.kept(page.cursor)
        assert drops.tree() == ["processed/2026-11/visits.csv"]

    def test_nothing_is_ever_overwritten(self, drops: Drops) -> None:
        known = None
        for number in range(3):
            drops.put("visits.csv", f"{HEAD}{number},2026-12-01,p\n", age=0)
            drops.now += 100
            known = drops.read(known).cursor
        folder = "processed/2026-11"
        assert drops.tree() == [f"{folder}/visits{n}.csv" for n in ("-2", "-3", "")]

    def test_kept_leaves_another_file_of_that_name_alone(self, drops: Drops) -> None:
        drops.put("visits.csv", ONE)
        known = drops.read().cursor
        drops.put("visits.csv", TWO)
        connector = drops.connector()
        connector.claim()
        connector.kept(known or {})
        assert "processing/visits.csv" in drops.tree()

    def test_a_name_in_a_cursor_cannot_lead_out_of_the_folder(self, drops: Drops) -> None:
        outside = drops.root / "drops" / "outside.csv"
        drops.put("visits.csv", ONE)
        outside.write_text(ONE)
        drops.connector().claim()
        sha = hashlib.sha256(ONE.encode()).hexdigest()
        drops.connector().kept({"name": "../../outside.csv", "sha256": sha})
        assert outside.exists()

    def test_looking_moves_nothing_and_makes_no_folder(self, drops: Drops) -> None:
        assert not drops.look().pages
        assert not drops.inbox.exists()
        drops.put("visits.csv", ONE)
        assert ids(drops.look()) == ["1"]
        assert [p.name for p in drops.inbox.iterdir()] == ["visits.csv"]
        assert ids(drops.look(contents="append")) == ["1"]
        assert not drops.memory

    def test_a_file_that_went_on_growing_is_read_again(self, drops: Drops) -> None:
        drops.put("visits.csv", HEAD + "1,2026-12-01,p1\n" * (PAGE + 1))
        connector = drops.connector()
        connector.claim()
        pages = connector.pull(None, WINDOW)
        next(pages)
        with (drops.inbox / "processing" / "visits.csv").open("a") as file:
            file.write("2,2026-12-02,p2\n")
        last = list(pages)[-1]
        assert (last.last, last.complete, last.cursor) == (True, False, {})
        connector.kept(last.cursor)
        assert len(drops.read().records) == PAGE + 2

    def test_an_inbox_that_is_a_file_is_refused_with_a_remedy(self, drops: Drops) -> None:
        drops.inbox.parent.mkdir()
        drops.inbox.write_text("")
        with pytest.raises(Refused) as refused:
            drops.connector().claim()
        assert refused.value.fix
        assert [f.code for f in drops.connector().check()] == ["inbox_not_writable"]

    def test_a_folder_that_is_a_link_is_found_by_check(self, drops: Drops) -> None:
        assert not list(drops.connector().check())
        (drops.root / "elsewhere").mkdir()
        drops.inbox.mkdir(parents=True)
        (drops.inbox / "processing").symlink_to(drops.root / "elsewhere")
        assert [f.code for f in drops.connector().check()] == ["inbox_on_two_file_systems"]


def claimed(drops: Drops) -> None:
    """Killed after the claim."""
    drops.connector(ready=DONE).claim()


def half_claimed(drops: Drops) -> None:
    """Killed between the claim of a file and of its done file."""
    (drops.inbox / "processing").mkdir()
    (drops.inbox / "visits.csv").rename(drops.inbox / "processing" / "visits.csv")


def half_read(drops: Drops) -> None:
    """Killed in the middle of the pages."""
    connector = drops.connector(ready=DONE)
    connector.claim()
    next(iter(connector.pull(None, WINDOW)))


class TestKilled:
    """Whatever moment a run was killed at, the next one ends where an unharmed one would have."""

    finished = ("processed/2026-11/visits.csv", "processed/2026-11/visits.csv.done")

    @pytest.fixture(autouse=True)
    def a_drop(self, drops: Drops) -> None:
        drops.put("visits.csv", MORE_THAN_A_PAGE)
        drops.put("visits.csv.done", b"")

    @pytest.mark.parametrize("killed", [claimed, half_claimed, half_read])
    def test_before_the_commit_it_is_read_again(
        self, drops: Drops, killed: Callable[[Drops], None]
    ) -> None:
        killed(drops)
        read = drops.read(ready=DONE)
        assert len(read.records) == PAGE + 1
        assert read.pages[-1].complete
        assert drops.tree() == list(self.finished)

    @pytest.mark.parametrize("beside_was_moved", [False, True])
    def test_between_commit_and_move_it_is_only_moved(
        self, drops: Drops, beside_was_moved: bool
    ) -> None:
        connector = drops.connector(ready=DONE)
        connector.claim()
        known = list(connector.pull(None, WINDOW))[-1].cursor
        if beside_was_moved:
            target = drops.inbox / "processed" / "2026-11"
            target.mkdir()
            beside = drops.inbox / "processing" / "visits.csv.done"
            beside.rename(target / beside.name)
        read = drops.read(known, ready=DONE)
        assert [p.same for p in read.pages] == [True]
        assert drops.tree() == list(self.finished)

    def test_between_commit_and_move_a_delta_is_not_applied_twice(self, drops: Drops) -> None:
        connector = drops.connector(ready=DONE, contents="append")
        connector.claim()
        known = list(connector.pull(None, WINDOW))[-1].cursor
        read = drops.read(known, ready=DONE, contents="append")
        assert not read.records
        assert drops.tree() == list(self.finished)

    def test_a_new_file_of_the_same_name_waits_until_the_old_one_is_done(
        self, drops: Drops
    ) -> None:
        claimed(drops)
        drops.put("visits.csv", ONE, age=0)
        drops.put("visits.csv.done", b"")
        first = drops.read(ready=DONE)
        assert len(first.records) == PAGE + 1
        second = drops.read(first.cursor, ready=DONE)
        assert ids(second) == ["1"]
        assert len(drops.tree()) == 4

    def test_while_quarantining_it_is_quarantined_again(self, drops: Drops) -> None:
        drops.put("visits.csv", "<html>")
        connector = drops.connector(ready=DONE)
        connector.claim()
        (page,) = connector.pull(None, WINDOW)
        read = drops.read(page.cursor, ready=DONE)
        assert [bad.reason for bad in read.unreadable] == ["not_csv"]
        assert drops.tree() == [
            "quarantine/visits.csv",
            "quarantine/visits.csv.done",
            "quarantine/visits.summary.json",
        ]


@pytest.mark.skipif(os.name != "posix", reason="links and pipes are POSIX's")
class TestWhatIsNoFile:
    SAID = "link.csv is a link, a folder or no file at all: not taken"

    def test_it_is_told_when_there_is_nothing_else(self, drops: Drops) -> None:
        drops.inbox.mkdir(parents=True)
        (drops.inbox / "link.csv").symlink_to(drops.root / "elsewhere.csv")
        connector = drops.connector()

        assert not connector.waiting()
        assert connector.nothing_to_read() == f"no file in drops/test: {self.SAID}"
        [found] = connector.check()
        assert (found.severity, found.code) == ("warning", "not_a_file")
        assert self.SAID in found.message

    def test_it_is_told_once_beside_what_is_read(self, drops: Drops) -> None:
        drops.put("visits.csv", ONE)
        drops.put("more.csv", TWO)
        (drops.inbox / "dead.csv").symlink_to(drops.inbox / "gone.csv")
        (drops.inbox / "dir.csv").mkdir()
        (drops.inbox / "other").mkdir()
        (drops.inbox / "link.csv").symlink_to("/etc/hostname")
        os.mkfifo(drops.inbox / "pipe.csv")
        read = drops.read()

        said = "dead.csv, dir.csv, link.csv … are links, folders or no file at all: not taken"
        assert notes(read).count("not taken") == 1
        assert said in notes(read)
        assert (drops.inbox / "processing").is_dir()
        assert "processing" not in drops.connector(pattern="*").inbox.strangers().odd
