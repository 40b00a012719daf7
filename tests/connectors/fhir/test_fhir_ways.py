"""How a server is read: watermark, window, partitions, history; and what a cut-off read costs."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from clinicrelay.contracts import Window
from clinicrelay.errors import Refused
from clinicrelay.http import NotAnswered, Unwelcome
from clinicrelay.testing import NOW, WINDOW, Asked, Reply
from clinicrelay.times import first_instant
from connectors.fhir import Fhir
from connectors.fhir.search import parts, slices

if TYPE_CHECKING:
    from conftest import Clinic, Peer

WINDOWED = {"strategy": "window"}
DOCTORS = {"by": "practitioner", "ids": ["acar", "braun", "costa"]}


class Budget:
    """So many requests, and then none in this run."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, key: str, n: int = 1) -> timedelta:
        self.left -= 1
        return timedelta(0) if self.left >= 0 else timedelta.max


def since(peer: Peer) -> list[str | None]:
    return [one.one("_lastUpdated") for one in peer.asked() if one.one("_lastUpdated")]


# --- which way ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("searchable", "way"),
    [
        (("date", "_lastUpdated"), "watermark"),
        (("date",), "window"),
        (("status",), "history"),
    ],
)
def test_auto_chooses_by_what_the_server_declares_and_says_so(
    peer: Peer, clinic: Clinic, searchable: tuple[str, ...], way: str
) -> None:
    peer.searchable = searchable
    peer.fill(3)
    pages = clinic.read()
    assert clinic.cursor(pages)["strategy"] == way
    assert f"read by {way}" in clinic.notes(pages)


def test_what_a_server_declares_is_asked_once_a_day(peer: Peer, clinic: Clinic) -> None:
    peer.fill(3)
    cursor = clinic.cursor(clinic.read())
    clinic.read(cursor)
    assert len(peer.asked("/metadata")) == 1
    clinic.now = NOW + timedelta(hours=25)
    clinic.read(cursor)
    assert len(peer.asked("/metadata")) == 2


def test_the_choice_is_told_once(peer: Peer, clinic: Clinic) -> None:
    peer.fill(3)
    first = clinic.read()
    assert "read by" not in clinic.notes(clinic.read(clinic.cursor(first)))


@pytest.mark.parametrize("version", ["3.0.2", "4.0.1", "4.3.0", "5.0.0"])
def test_versions_from_stu3_to_r5_are_read(peer: Peer, clinic: Clinic, version: str) -> None:
    peer.version = version
    peer.fill(3)
    assert clinic.read()[-1].complete


def test_dstu2_is_refused_clearly(peer: Peer, clinic: Clinic) -> None:
    peer.version = "1.0.2"
    with pytest.raises(Refused, match="DSTU2") as error:
        clinic.read()
    assert "base_url" in error.value.fix


def test_a_server_without_metadata_is_read_as_settings_say(peer: Peer, clinic: Clinic) -> None:
    peer.faults.append(lambda asked: peer.fhir({}, 404) if "metadata" in asked.path else None)
    peer.fill(3)
    with pytest.raises(Refused, match="/metadata"):
        clinic.read()
    pages = clinic.read(strategy="window", version="R4")
    assert len(clinic.keys(pages)) == 3
    assert pages[-1].complete


def test_a_server_without_appointments_is_refused(peer: Peer, clinic: Clinic) -> None:
    said = {
        "resourceType": "CapabilityStatement",
        "fhirVersion": "4.0.1",
        "rest": [{"mode": "server", "resource": [{"type": "Patient"}]}],
    }
    peer.faults.append(lambda asked: peer.fhir(said) if "metadata" in asked.path else None)
    with pytest.raises(Refused, match="does not offer appointments"):
        clinic.read()


# --- watermark ---------------------------------------------------------------------------------


def test_between_two_listings_only_changes_are_asked_for(peer: Peer, clinic: Clinic) -> None:
    peer.fill(20)
    cursor = clinic.cursor(clinic.read())
    peer.log.clear()
    peer.book("A-7", NOW + timedelta(days=20))
    pages = clinic.read(cursor)
    assert all(page.changes for page in pages)
    assert pages[-1].complete
    assert "A-7" in clinic.keys(pages)
    assert len(since(peer)) == 1
    assert pages[-1].covers is None


def test_the_watermark_is_the_servers_and_is_asked_for_with_an_overlap(
    peer: Peer, clinic: Clinic
) -> None:
    peer.fill(5)
    cursor = clinic.cursor(clinic.read())
    assert datetime.fromisoformat(cursor["watermark"]) == peer.now  # not our clock, nor its Date
    peer.log.clear()
    clinic.read(cursor, overlap="20m")
    asked = (since(peer)[0] or "").removeprefix("ge")
    assert datetime.fromisoformat(asked) == peer.now - timedelta(minutes=20)


def test_a_late_commit_within_the_overlap_is_read(peer: Peer, clinic: Clinic) -> None:
    peer.fill(5)
    cursor = clinic.cursor(clinic.read())
    late = (peer.now - timedelta(minutes=10)).isoformat()
    peer.book("A-late", NOW + timedelta(days=40), updated=late)
    assert "A-late" in clinic.keys(clinic.read(cursor))


def test_a_change_dated_in_the_future_does_not_move_the_watermark(
    peer: Peer, clinic: Clinic
) -> None:
    peer.fill(5)
    before = peer.now
    peer.book("A-typo", NOW + timedelta(days=4), updated="2999-01-01T00:00:00Z")
    cursor = clinic.cursor(clinic.read())
    assert datetime.fromisoformat(cursor["watermark"]) < before + timedelta(minutes=5)


def test_a_watermark_is_never_later_than_the_servers_clock(peer: Peer, clinic: Clinic) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=4)
    peer.book("A", NOW + timedelta(days=4), updated=soon.isoformat())
    cursor = clinic.cursor(clinic.read())
    assert datetime.fromisoformat(cursor["watermark"]) < soon


def test_the_whole_window_is_read_each_day_whatever_the_changes_say(
    peer: Peer, clinic: Clinic
) -> None:
    peer.fill(20)
    cursor = clinic.cursor(clinic.read())
    stale = "2023-01-01T00:00:00Z"  # OpenEMR: cancelled, and lastUpdated stays what it was
    peer.book("A-9", NOW + timedelta(days=9), status="cancelled", updated=stale)
    assert "A-9" not in clinic.keys(clinic.read(cursor))
    clinic.now = NOW + timedelta(hours=24)
    pages = clinic.read(cursor)
    assert not pages[-1].changes
    told = {one.key: one.data["status"] for one in clinic.records(pages)}
    assert told["A-9"] == "cancelled"
    assert clinic.cursor(pages)["reconciled"] == "2026-11-24T08:00:00Z"


def test_a_rehearsal_of_next_year_does_not_put_off_the_daily_listing(
    peer: Peer, clinic: Clinic
) -> None:
    peer.fill(5)
    clinic.now = NOW + timedelta(days=365)
    cursor = clinic.cursor(clinic.read())
    clinic.now = NOW
    assert not clinic.read(cursor)[-1].changes


def test_a_listing_that_fails_is_not_tried_again_with_every_poll(
    peer: Peer, clinic: Clinic
) -> None:
    peer.fill(20)
    cursor = clinic.cursor(clinic.read(slice="7d"))
    peer.max_count = 5
    clinic.now = NOW + timedelta(hours=25)
    peer.next_base = "http://other.example/fhir/r4"
    cut_short = clinic.read(cursor)
    assert not cut_short[-1].complete
    clinic.now += timedelta(minutes=5)
    after = clinic.read(clinic.cursor(cut_short))
    assert after[-1].changes
    clinic.now += timedelta(hours=1)
    assert not clinic.read(clinic.cursor(after))[-1].changes


def test_reading_the_window_does_not_move_a_watermark_over_changes_beside_it(
    peer: Peer, clinic: Clinic
) -> None:
    peer.fill(5)
    cursor = clinic.cursor(clinic.read())
    peer.now += timedelta(hours=3)
    peer.book("A-past", NOW - timedelta(days=9), status="noshow")
    peer.now += timedelta(hours=3)
    peer.book("A-1", NOW + timedelta(days=2))
    clinic.now = NOW + timedelta(hours=25)
    listed = clinic.read(cursor)
    assert "A-past" not in clinic.keys(listed)
    assert "A-past" in clinic.keys(clinic.read(clinic.cursor(listed)))


def test_a_new_phone_of_somebody_due_soon_is_found_between_two_listings(
    peer: Peer, clinic: Clinic
) -> None:
    peer.book("A-soon", NOW + timedelta(hours=30))
    cursor = clinic.cursor(clinic.read())
    phone = [{"system": "phone", "value": "+49 30 555 0199"}]
    peer.put({"resourceType": "Patient", "id": "p1", "telecom": phone})
    peer.now += timedelta(days=2)
    [record] = clinic.records(clinic.read(cursor))
    assert record.data["patients"][0]["phone"].endswith("0199")


def test_a_server_that_can_no_longer_tell_changes_is_read_whole(peer: Peer, clinic: Clinic) -> None:
    peer.fill(5)
    cursor = clinic.cursor(clinic.read())
    peer.searchable = ("date",)
    clinic.now = NOW + timedelta(minutes=5)
    # Since an update it no longer can: what it declares is asked anew, and read another way.
    pages = clinic.read(cursor)
    assert clinic.cursor(pages)["strategy"] == "window"
    assert pages[-1].complete


def test_a_server_that_ignores_what_it_declares_is_refused(peer: Peer, clinic: Clinic) -> None:
    peer.fill(5)
    cursor = clinic.cursor(clinic.read())
    peer.lies = True
    with pytest.raises(Unwelcome, match="_lastUpdated"):
        clinic.read(cursor)


def test_visits_that_params_keep_out_do_not_come_in_by_history(peer: Peer, clinic: Clinic) -> None:
    peer.searchable = ("status",)
    with pytest.raises(Refused):
        clinic.read(params={"status": "booked"})


def test_another_question_begins_anew(peer: Peer, clinic: Clinic) -> None:
    peer.fill(5)
    cursor = clinic.cursor(clinic.read())
    pages = clinic.read(cursor, params={"status": "booked"})
    assert not pages[-1].changes
    assert len(clinic.keys(pages)) == 5


# --- window ------------------------------------------------------------------------------------


def test_slices_join_without_gap_also_where_clocks_change() -> None:
    window = Window(datetime(2026, 10, 20, 9, tzinfo=UTC), datetime(2027, 4, 2, 9, tzinfo=UTC))
    found = slices(window, "Europe/Berlin", 7)
    assert found[0].start_at <= window.start
    assert found[-1].end_at >= window.end
    assert all(a.end_at == b.start_at for a, b in itertools.pairwise(found))
    assert found[0].start_at == first_instant(found[0].first, "Europe/Berlin")


def test_a_day_later_the_same_slices_are_asked_for() -> None:
    day = timedelta(days=1)
    today = {one.name for one in parts(slices(WINDOW, "Europe/Berlin", 7))}
    later = Window(WINDOW.start + day, WINDOW.end + day)
    tomorrow = {one.name for one in parts(slices(later, "Europe/Berlin", 7))}
    assert len(today & tomorrow) >= len(today) - 2


def test_midnights_that_do_not_exist_begin_at_the_first_moment_there_is() -> None:
    # Cairo, 24 April 2026: clocks go from 24:00 to 01:00.
    start = datetime(2026, 4, 22, 12, tzinfo=UTC)
    found = slices(Window(start, start + timedelta(days=4)), "Africa/Cairo", 1)
    assert all(a.end_at == b.start_at for a, b in itertools.pairwise(found))


def test_a_complete_listing_covers_the_window_and_no_more(peer: Peer, clinic: Clinic) -> None:
    peer.fill(10)
    pages = clinic.read(**WINDOWED, slice="7d")
    covers = [*(pages[-1].covers or ())]
    assert covers[0].start is not None
    assert covers[0].start <= WINDOW.start
    assert covers[-1].end is not None
    assert covers[-1].end >= WINDOW.end
    assert {one.by for one in covers} == {""}


def test_a_visit_over_midnight_is_asked_for_where_servers_match_both_ends(
    peer: Peer, clinic: Clinic
) -> None:
    peer.fill(1)
    clinic.read(preset="cerner", partition=DOCTORS)
    first, *_ = [value for name, value in peer.asked()[0].query if name == "date"]
    day_before = first_instant(WINDOW.start.date(), "Europe/Berlin") - timedelta(days=1)
    assert datetime.fromisoformat(first.removeprefix("ge")) == day_before  # F-11


# --- partitions --------------------------------------------------------------------------------


def forbid(peer: Peer, *ids: str) -> None:
    def fault(asked: Asked) -> Reply | None:
        asked_for = (asked.one("practitioner") or "").split(",")
        return peer.fhir({}, 403) if {*ids} & {*asked_for} else None

    peer.faults.append(fault)


def three_doctors(peer: Peer) -> None:
    for n in range(12):
        name = ("acar", "braun", "costa")[n % 3]
        peer.book(f"{name}-{n}", NOW + timedelta(days=n), practitioner=name)


def test_one_refused_practitioner_leaves_the_others_complete(peer: Peer, clinic: Clinic) -> None:
    peer.profile = "cerner"
    three_doctors(peer)
    forbid(peer, "braun")
    pages = clinic.read(preset="cerner", partition=DOCTORS)
    assert not any(key.startswith("braun") for key in clinic.keys(pages))
    assert len(clinic.keys(pages)) == 8
    assert not pages[-1].complete  # F-12
    assert {one.id for one in pages[-1].covers or ()} == {"acar", "costa"}
    assert "braun" in clinic.notes(pages)
    refusals = [one for one in peer.asked() if "braun" in (one.one("practitioner") or "")]
    assert len(refusals) == 2  # in a list, then alone: not again in every slice


def named_for_the_first_time(clinic: Clinic, pages: list[Any]) -> set[str]:
    return {*clinic.keys([page for page in pages if page.widened])}


def test_whom_no_read_could_name_before_is_no_news(peer: Peer, clinic: Clinic) -> None:
    """Of a doctor who joins a source that is live, nobody gets confirmations of old bookings."""
    peer.profile = "cerner"
    three_doctors(peer)
    forbid(peer, "braun")
    said: dict[str, Any] = {"preset": "cerner", "partition": DOCTORS}
    first = clinic.read(**said)
    assert named_for_the_first_time(clinic, first) == {*clinic.keys(first)}
    peer.book("acar-new", NOW + timedelta(days=3), practitioner="acar")
    second = clinic.read(clinic.cursor(first), **said)
    assert named_for_the_first_time(clinic, second) == set()
    assert "acar-new" in clinic.keys(second)
    peer.faults.clear()
    third = clinic.read(clinic.cursor(second), **said)
    assert named_for_the_first_time(clinic, third) == {f"braun-{n}" for n in (1, 4, 7, 10)}
    assert named_for_the_first_time(clinic, clinic.read(clinic.cursor(third), **said)) == set()


def test_who_is_refused_again_does_not_hush_the_others(peer: Peer, clinic: Clinic) -> None:
    peer.profile = "cerner"
    three_doctors(peer)
    said: dict[str, Any] = {"preset": "cerner", "partition": DOCTORS}
    known = clinic.read(**said)
    forbid(peer, "braun")
    refused = clinic.read(clinic.cursor(known), **said)
    peer.faults.clear()
    again = clinic.read(clinic.cursor(refused), **said)
    assert named_for_the_first_time(clinic, again) == set()


def test_doctors_who_are_added_bring_no_news_and_hush_nobody(peer: Peer, clinic: Clinic) -> None:
    three_doctors(peer)
    first = clinic.read(partition=DOCTORS | {"ids": ["acar"]})
    peer.book("acar-new", NOW + timedelta(days=3), practitioner="acar")
    more = clinic.read(clinic.cursor(first), partition=DOCTORS | {"ids_per_request": 3})
    everybody = {*clinic.keys(more)}
    assert "acar-new" in everybody
    assert named_for_the_first_time(clinic, more) == {
        key for key in everybody if not key.startswith("acar")
    }


def test_another_question_brings_no_news(peer: Peer, clinic: Clinic) -> None:
    three_doctors(peer)
    first = clinic.read(params={"status": "cancelled"})
    more = clinic.read(clinic.cursor(first))
    assert named_for_the_first_time(clinic, more) == {*clinic.keys(more)}


def test_when_all_are_refused_the_source_is(peer: Peer, clinic: Clinic) -> None:
    three_doctors(peer)
    forbid(peer, "acar", "braun", "costa")
    with pytest.raises(Unwelcome, match="403"):
        clinic.read(preset="cerner", partition=DOCTORS)


def test_wrong_credentials_are_no_matter_of_one_practitioner(peer: Peer, clinic: Clinic) -> None:
    peer.faults.append(lambda asked: peer.fhir({}, 401) if asked.one("practitioner") else None)
    with pytest.raises(Unwelcome, match="credentials"):
        clinic.read(preset="cerner", partition=DOCTORS)
    assert len(peer.asked()) == 1


def test_many_ids_go_into_one_request_and_a_long_one_into_its_body(
    peer: Peer, clinic: Clinic
) -> None:
    peer.profile = "cerner"
    ids = [f"practitioner-with-a-long-id-{n:04}" for n in range(200)]
    peer.book("A", NOW + timedelta(days=1), practitioner=ids[150])
    whom = {"by": "practitioner", "ids": ids, "ids_per_request": 100}
    pages = clinic.read(preset="cerner", partition=whom, slice="200d")
    assert clinic.keys(pages) == ["A"]
    posted = peer.asked("/Appointment/_search")
    assert posted  # F-13
    assert all(one.method == "POST" and not one.query for one in posted)
    assert len({one.body for one in posted}) == len(posted)


def test_ids_come_from_a_file(peer: Peer, clinic: Clinic, tmp_path: Path) -> None:
    three_doctors(peer)
    file = tmp_path / "doctors.txt"
    file.write_text("# all but one\nacar\n\ncosta  # since May\n", encoding="utf-8")
    pages = clinic.read(partition={"by": "practitioner", "file": str(file)})
    assert len(clinic.keys(pages)) == 8
    file.write_text("", encoding="utf-8")
    with pytest.raises(Refused, match="no ids"):
        clinic.read(partition={"by": "practitioner", "file": str(file)})
    file.unlink()
    with pytest.raises(Refused, match=r"partition\.file"):
        clinic.read(partition={"by": "practitioner", "file": str(file)})


@pytest.mark.parametrize(
    "said",
    [
        {"partition": {"by": "practitioner"}},
        {"partition": DOCTORS | {"file": "x.txt"}},
        {"partition": DOCTORS, "strategy": "watermark"},
        {"params": {"date": "2026-01-01"}},
        {"params": {"_lastUpdated": "ge2026"}},
        {"slice": "6h"},
        {"strategy": "history", "params": {"status": "booked"}},
        {"preset": "acme"},
    ],
)
def test_settings_that_contradict_are_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Fhir.Options.model_validate({"base_url": "https://ehr.example/r4"} | said)


# --- history -----------------------------------------------------------------------------------


def test_history_tells_deletions_at_once(peer: Peer, clinic: Clinic) -> None:
    peer.fill(6)
    cursor = clinic.cursor(clinic.read(strategy="history"))
    peer.delete("Appointment", "A-3")
    peer.book("A-4", NOW + timedelta(days=9), status="cancelled")
    pages = clinic.read(cursor, strategy="history")
    told = {one.key: one for one in clinic.records(pages)}
    assert told["A-3"].gone  # F-34
    assert told["A-4"].data["status"] == "cancelled"
    assert all(page.changes for page in pages)


@pytest.mark.parametrize("turned", [False, True], ids=["newest first", "oldest first"])
def test_the_order_of_a_history_is_not_believed(peer: Peer, clinic: Clinic, turned: bool) -> None:
    peer.fill(2)
    cursor = clinic.cursor(clinic.read(strategy="history"))
    peer.book("A-0", NOW + timedelta(days=5), status="arrived")
    peer.delete("Appointment", "A-0")
    peer.book("A-1", NOW + timedelta(days=6))
    peer.delete("Appointment", "A-1")
    peer.book("A-1", NOW + timedelta(days=7), status="cancelled")
    if turned:
        peer.history.reverse()
    last = {one.key: one for one in clinic.records(clinic.read(cursor, strategy="history"))}
    assert last["A-0"].gone
    assert not last["A-1"].gone
    assert last["A-1"].data["status"] == "cancelled"


# --- cut off -----------------------------------------------------------------------------------

WAYS: list[dict[str, Any]] = [
    {"strategy": "window", "slice": "5d"},
    {"strategy": "snapshot"},
    {"strategy": "watermark", "slice": "5d"},
    {"partition": {"by": "practitioner", "ids": ["acar"]}},
]


@pytest.mark.parametrize("said", WAYS, ids=["window", "snapshot", "watermark", "partition"])
def test_a_run_killed_after_any_page_loses_nothing(
    peer: Peer, clinic: Clinic, said: dict[str, Any]
) -> None:
    peer.max_count = 4
    peer.fill(30)
    whole = clinic.keys(clinic.read(**said))
    pages = clinic.read(**said)
    for at, page in enumerate(pages):
        before = pages[: at + 1]
        after = clinic.read(clinic.cursor([page]), **said)
        if not page.last:
            assert sorted({*clinic.keys(before), *clinic.keys(after)}) == whole, at
            assert clinic.cursor([page])["watermark"] is None


def test_a_listing_that_goes_on_after_a_kill_is_followed_by_a_whole_one(
    peer: Peer, clinic: Clinic
) -> None:
    """Nobody asked what the parts before the kill did not name: that is only made up for so."""
    peer.fill(30)
    said = {"strategy": "watermark", "slice": "5d"}
    pages = clinic.read(**said)
    rest = clinic.read(clinic.cursor(pages[: len(pages) // 2]), **said)
    assert rest[-1].complete
    assert rest[-1].resumed
    again = clinic.read(clinic.cursor(rest), **said)
    assert not again[-1].changes
    assert not again[-1].resumed
    assert clinic.read(clinic.cursor(again), **said)[-1].changes


def test_changes_cut_off_after_any_page_are_read_again(peer: Peer, clinic: Clinic) -> None:
    peer.max_count = 3
    peer.fill(20)
    cursor = clinic.cursor(clinic.read())
    for n in range(10):
        peer.book(f"A-{n}", NOW + timedelta(days=30 + n))
    pages = clinic.read(cursor)
    for at in range(len(pages) - 1):
        assert pages[at].cursor["watermark"] == cursor["watermark"]
        after = clinic.read(clinic.cursor(pages[: at + 1]))
        both = {*clinic.keys(pages[: at + 1]), *clinic.keys(after)}
        assert both >= {f"A-{n}" for n in range(10)}


def test_a_resumed_listing_speaks_only_for_what_it_read_itself(peer: Peer, clinic: Clinic) -> None:
    peer.fill(20)
    pages = clinic.read(**WINDOWED, slice="7d")
    resumed = clinic.read(clinic.cursor(pages[:4]), **WINDOWED, slice="7d")
    assert resumed[-1].complete
    whole, rest = pages[-1].covers or (), resumed[-1].covers or ()
    assert 0 < len(rest) < len(whole)
    assert [*rest] == [*whole][-len(rest) :]


def test_a_listing_that_was_cut_off_long_ago_begins_anew(peer: Peer, clinic: Clinic) -> None:
    peer.fill(20)
    cut = clinic.read(**WINDOWED)[:2]
    clinic.now = NOW + timedelta(days=8)
    window = Window(WINDOW.start + timedelta(days=8), WINDOW.end)
    pages = clinic.read(clinic.cursor(cut), window, **WINDOWED)
    first = (pages[-1].covers or ())[0].start
    assert first is not None
    assert first <= window.start


@pytest.mark.parametrize("said", WAYS, ids=["window", "snapshot", "watermark", "partition"])
@pytest.mark.parametrize("budget", [3, 20])
def test_a_budget_that_is_used_up_ends_the_read_and_the_next_runs_finish_it(
    peer: Peer, clinic: Clinic, said: dict[str, Any], budget: int
) -> None:
    peer.max_count = 4
    peer.fill(40)
    cursor, met = None, set()
    for _ in range(40):
        clinic.pace = Budget(budget)
        pages = clinic.read(cursor, **said)
        cursor = clinic.cursor(pages)
        met |= {*clinic.keys(pages)}
        if pages[-1].complete:
            break
        assert pages[-1].last
        assert cursor["watermark"] is None
        assert "used up" in clinic.notes(pages)
    assert pages[-1].complete
    assert met == {f"A-{n}" for n in range(40)}


@pytest.mark.parametrize("near", [True, False], ids=["tomorrow", "in ten days"])
@pytest.mark.parametrize("by_id", [True, False], ids=["people in lists", "people singly"])
@pytest.mark.parametrize("budget", [5, 9])
def test_a_small_budget_gets_further_with_each_run(
    peer: Peer, clinic: Clinic, budget: int, by_id: bool, near: bool
) -> None:
    """A page whose people alone cost more than a run may: what of it could be read is kept."""
    peer.includes, peer.by_id = (), by_id
    for n in range(20):
        at = NOW + timedelta(days=1 if near else 10, minutes=n)
        peer.book(f"A-{n}", at, patient=f"p{n}", practitioner=f"d{n % 3}")
    cursor, met, known = None, set[str](), set[bytes]()
    for _ in range(20):
        clinic.pace, clinic.now = Budget(budget), clinic.now + timedelta(minutes=10)
        connector = clinic.connector(strategy="window", slice="365d")
        for page in connector.pull(cursor, WINDOW):
            # As a sync does: only what is not known word for word is looked at.
            new = [at for at, digest in enumerate(page.digests) if digest not in known]
            records = [page.record(at) for at in new]
            assert all(one.data["patients"] and one.data["practitioners"] for one in records)
            met |= {str(one.key) for one in records}
            known |= {one.digest for one in records}
            cursor = page.cursor
            last = page
        connector.close()
        clinic.memory = json.loads(json.dumps(clinic.memory))
        if last.complete:
            break
    assert last.complete
    assert met == {f"A-{n}" for n in range(20)}


@pytest.mark.parametrize("strategy", ["partition", "window"])
def test_a_listing_that_takes_days_comes_to_its_end(
    peer: Peer, clinic: Clinic, strategy: str
) -> None:
    """At midnight the window moves; what was read before it is read, and the rest is next."""
    ids = [f"p{n:02}" for n in range(40)]
    for n, one in enumerate(ids):
        peer.book(f"A-{n}", NOW + timedelta(days=5 + n), patient=one)
    said: dict[str, Any] = {"strategy": strategy, "slice": "1d"}
    if strategy == "partition":
        said["partition"] = {"by": "patient", "ids": ids}
    cursor, met = None, set[str]()
    for _ in range(60):
        clinic.pace = Budget(4)
        window = Window(clinic.now - timedelta(days=1), clinic.now + timedelta(days=60))
        pages = clinic.read(cursor, window, **said)
        cursor, met = clinic.cursor(pages), met | {*clinic.keys(pages)}
        if not pages[-1].unfinished:
            break
        clinic.now += timedelta(hours=3)
    assert pages[-1].complete
    assert len(met) == 40


def test_a_budget_that_is_too_small_for_a_visit_says_so(peer: Peer, clinic: Clinic) -> None:
    peer.includes, peer.by_id = (), False
    peer.fill(3)
    cursor = None
    for _ in range(4):
        clinic.pace = Budget(1)
        pages = clinic.read(cursor, strategy="window", slice="365d")
        cursor = clinic.cursor(pages)
    assert "too few to read a single visit" in clinic.notes(pages)


def test_changes_read_in_pieces_are_followed_by_a_listing(peer: Peer, clinic: Clinic) -> None:
    peer.fill(20)
    cursor = clinic.cursor(clinic.read())
    peer.max_count = 2
    for n in range(12):
        peer.book(f"A-{n}", NOW + timedelta(days=30 + n))
    clinic.pace = Budget(3)
    first = clinic.read(cursor)
    assert not first[-1].complete
    clinic.pace = None
    second = clinic.read(clinic.cursor(first))
    assert second[-1].changes
    # Pages may have shifted between the runs: what slipped through is found by reading it whole.
    assert not clinic.read(clinic.cursor(second))[-1].changes


BROKEN_DAY = NOW + timedelta(days=11)


def break_a_day(peer: Peer, reply: Reply) -> None:
    """Let each search that holds a certain day fail."""

    def fault(asked: Asked) -> Reply | None:
        bounds = [datetime.fromisoformat(v[2:]) for n, v in asked.query if n == "date"]
        return reply if bounds and bounds[0] <= BROKEN_DAY < bounds[1] else None

    peer.faults.append(fault)


def test_a_day_that_the_server_cannot_tell_of_leaves_all_others(peer: Peer, clinic: Clinic) -> None:
    peer.fill(60, days=30)
    break_a_day(peer, peer.outcome("error", "exception"))
    pages = clinic.read(**WINDOWED)
    assert not {f"A-{n}" for n in range(60)} - {"A-11", "A-41"} - {*clinic.keys(pages)}
    assert not pages[-1].complete
    assert "not read: 2026-12-04 to 2026-12-04" in clinic.notes(pages)
    covers = pages[-1].covers or ()
    assert not [c for c in covers if c.start and c.end and c.start <= BROKEN_DAY < c.end]
    assert sum((c.end - c.start for c in covers if c.start and c.end), timedelta()) > timedelta(115)


def test_a_slice_that_is_too_much_for_the_server_leaves_the_others(
    peer: Peer, clinic: Clinic
) -> None:
    peer.fill(60, days=60)
    break_a_day(peer, peer.fhir({}, 503))
    pages = clinic.read(**WINDOWED, slice="5d")
    assert 50 <= len(clinic.keys(pages)) < 60
    assert not pages[-1].complete
    assert pages[-1].covers


def test_a_server_that_stopped_answering_is_not_asked_slice_by_slice(
    peer: Peer, clinic: Clinic
) -> None:
    peer.fill(60, days=60)
    peer.faults.append(lambda asked: peer.fhir({}, 503) if len(peer.asked()) > 4 else None)
    with pytest.raises(NotAnswered):
        clinic.read(**WINDOWED, slice="5d")
    assert len(peer.asked()) < 20


def test_a_server_that_fails_in_mid_read_leaves_the_watermark(peer: Peer, clinic: Clinic) -> None:
    peer.fill(20)
    peer.faults.append(
        lambda asked: peer.fhir({}, 401) if "ge2026-12-1" in str(asked.query) else None
    )
    connector = clinic.connector(**WINDOWED, slice="2d")
    last = None
    with pytest.raises((Unwelcome, NotAnswered)):
        for page in connector.pull(None, WINDOW):
            last = page
    assert last is not None
    assert not last.last
    peer.faults.clear()
    pages = clinic.read(clinic.cursor([last]), **WINDOWED, slice="2d")
    assert pages[-1].complete
