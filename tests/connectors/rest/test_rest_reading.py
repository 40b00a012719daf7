"""R-02, R-05 to R-08, R-16, X-06, X-07: what is asked for, in which parts, and how far a read came."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from clinicrelay.contracts import Stretch, Window
from clinicrelay.errors import Refused, SettingsError, TryLater
from clinicrelay.settings import load
from clinicrelay.testing import NOW, Asked, Reply
from clinicrelay.times import parse_span
from connectors.rest.parts import Part, covered, stretches

THEN = "Mon, 23 Nov 2026 07:58:00 GMT"
WEEKS = Window(datetime(2026, 11, 23, 8, tzinfo=UTC), datetime(2026, 12, 14, 8, tzinfo=UTC))


def dated(body: Any, date: str = THEN) -> Reply:
    return Reply(body, headers={"Date": date})


@pytest.fixture
def changes(api: Any) -> Any:
    """A source that can say what changed, by the clock of its server."""
    api.settings(
        request={
            "path": "/bookings",
            "params": {
                "from": "{window_start}",
                "to": "{window_end}",
                "updated_after": "{watermark}",
            },
        },
        records="rows",
    )
    return api


# --- placeholders ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("{window_start}", "2026-11-23T08:00:00Z"),
        ("{window_start:iso}", "2026-11-23T08:00:00Z"),
        ("{window_start:iso_local}", "2026-11-23T09:00:00"),
        ("{window_start:iso_local@utc}", "2026-11-23T08:00:00"),
        ("{window_start:iso_local@America/New_York}", "2026-11-23T03:00:00"),
        ("{window_start:date}", "2026-11-23"),
        ("{window_end:date}", "2026-12-15"),
        ("{window_start:epoch}", "1795420800"),
        ("{window_start:epoch_ms}", "1795420800000"),
        ("{window_start:%d.%m.%Y %H:%M}", "23.11.2026 09:00"),
        ("{window_end:%m/%d/%Y}", "12/15/2026"),
        ("starts_at:>={window_start}", "starts_at:>=2026-11-23T08:00:00Z"),
        ("{{ ''.__class__ }}", "{{ ''.__class__ }}"),
        ("{window_start.year}", "{window_start.year}"),
        ("{window_start!r}", "{window_start!r}"),
        ("{} {0} {clinic} %s", "{} {0} {clinic} %s"),
    ],
)
def test_a_placeholder_becomes_its_value_and_all_else_stays_text(
    text: str, sent: str, api: Any
) -> None:
    api.settings(request={"path": "/bookings", "params": {"q": text}})
    api.read(window=WEEKS)
    assert [asked.query for asked in api.asked] == [(("q", sent),)]


@pytest.mark.parametrize(
    ("text", "why", "fix"),
    [
        (
            "{window_start:dat}",
            "the format of {window_start:dat} does not exist",
            "did you mean date?",
        ),
        ("{window_end:%Q}", "the format of {window_end:%Q} does not exist", "%d.%m.%Y"),
        ("{window_end:%s}", "the format of {window_end:%s} does not exist", "epoch"),
        ("{window_end:}", "the format of {window_end:} does not exist", "iso_local"),
        (
            "a {watermark:iso_locale@utc} b",
            "{watermark:iso_locale@utc} does not",
            "mean iso_local?",
        ),
        (
            "{window_end:%H:%M@berlin}",
            "the zone of {window_end:%H:%M@berlin} does",
            "@Europe/Berlin",
        ),
        (
            "{window_end@Europe/Berln}",
            "the zone of {window_end@Europe/Berln} does",
            "@clinic, @utc",
        ),
        ("{window_end@}", "the zone of {window_end@} does not exist", "@clinic, @utc"),
        ("{partition:date}", "{partition:date} is no time", "write {partition}"),
    ],
)
@pytest.mark.parametrize("place", ["path", "params", "json", "form", "headers"])
def test_a_format_or_zone_that_does_not_exist_is_refused_at_load(
    text: str, why: str, fix: str, place: str, api: Any
) -> None:
    said = {"path": f"/b/{text}"} if place == "path" else {"path": "/b", place: {"q": [text]}}
    if place == "headers":
        said = {"path": "/b", "headers": {"q": text}}
    api.settings(request={"method": "POST", **said})
    with pytest.raises(ValidationError) as refused:
        api.connector()
    (told,) = refused.value.errors()
    assert why in told["msg"]
    assert fix in told["ctx"]["fix"]
    assert told["loc"][:2] == ("request", place)


def test_a_value_in_a_path_stays_one_part_of_it(api: Any) -> None:
    request = {"path": "/practices/{partition}/bookings"}
    api.settings(request=request, partition={"by": "department", "ids": ["a/../b?c"]})
    api.read()
    assert [asked.path for asked in api.asked] == ["/practices/a%2F..%2Fb%3Fc/bookings"]


def test_a_search_by_post_has_its_values_within_its_body(api: Any) -> None:
    body = {"filter": [{"from": "{window_start:epoch_ms}"}, "{watermark}"], "size": 50, "all": True}
    api.settings(request={"method": "POST", "path": "/search", "json": body})
    api.read(window=WEEKS)
    assert api.asked[0].method == "POST"
    assert json.loads(api.asked[0].body) == {
        "filter": [{"from": 1795420800000}],
        "size": 50,
        "all": True,
    }


def test_a_parameter_may_be_there_several_times(api: Any) -> None:
    q = ["starts_at:>={window_start}", "updated_at:>={watermark}", "archived:false"]
    api.settings(request={"path": "/bookings", "params": {"q[]": q, "include": True}})
    api.read(window=WEEKS)
    assert api.asked[0].query == (
        ("q[]", "starts_at:>=2026-11-23T08:00:00Z"),
        ("q[]", "archived:false"),
        ("include", "true"),
    )


# --- windows and parts -----------------------------------------------------------------------------


def test_a_window_is_read_in_slices_without_a_gap(api: Any) -> None:
    params = {"from": "{window_start}", "to": "{window_end}"}
    api.settings(request={"path": "/bookings", "params": params}, slice="7d")
    last = api.read(window=WEEKS).pages[-1]
    asked = [(a.one("from"), a.one("to")) for a in api.asked]
    assert asked == [
        ("2026-11-23T08:00:00Z", "2026-11-29T23:00:00Z"),
        ("2026-11-29T23:00:00Z", "2026-12-06T23:00:00Z"),
        ("2026-12-06T23:00:00Z", "2026-12-13T23:00:00Z"),
        ("2026-12-13T23:00:00Z", "2026-12-14T08:00:00Z"),
    ]
    assert (last.covers[0].start, last.covers[0].end) == (
        WEEKS.start,
        WEEKS.start + timedelta(days=6, hours=15),
    )
    assert last.covers[-1].end == WEEKS.end
    assert last.complete


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"changes": {"path": "/b/{id}", "params": {"s": "{watermark}"}}}, "changes"),
        ({"request": {"path": "/b", "params": {"q": "patient {id}"}}}, "request"),
        (
            {"lookups": {"p": {"ref": "p", "path": "/p/{id}", "params": {"at": "{watermark}"}}}},
            "lookups.p",
        ),
        ({"lookups": {"patient": {"ref": "p", "params": {"at": "{id}"}}}}, "lookups.patient"),
        ({"lookups": {"patient": {"ref": "p", "path": "/p/{id}/{partition}"}}}, "lookups.patient"),
        ({"lookups": {"patient": {"ref": "p", "path": "/p/{id}/{ids}"}}}, "lookups.patient"),
        ({"read_by_id": {"path": "/b/{id}/{window_start:date}"}}, "read_by_id"),
        (
            {
                "request": {"path": "/b", "params": {"who": "{partition}"}},
                "partition": {"by": "who", "request": {"path": "/d/{window_start:date}"}},
            },
            "partition.request",
        ),
    ],
    ids=["changes", "params", "lookup-params", "address", "lookup", "batch", "by-id", "partition"],
)
def test_a_placeholder_that_has_no_value_there_is_refused_at_load(
    said: dict[str, Any], place: str, api: Any
) -> None:
    api.settings(**({"request": {"path": "/b"}} | said))
    with pytest.raises(ValidationError, match=rf"{place} holds {{\w+}}, which has no value there"):
        api.connector()


@pytest.mark.parametrize(
    ("order", "walked"),
    [
        (["live", "cancelled"], ["/live", "/live", "/live", "/live", "/cancelled"]),
        (["cancelled", "live"], ["/cancelled", "/live", "/live", "/live", "/live"]),
    ],
    ids=["after", "before"],
)
def test_a_list_without_days_has_the_same_last_word_with_slices_as_without(
    order: list[str], walked: list[str], api: Any
) -> None:
    days = {"from": "{window_start}", "to": "{window_end}"}
    streams = {
        "live": {"request": {"path": "/live", "params": days}},
        "cancelled": {"request": {"path": "/cancelled"}, "set": {"status": "cancelled"}},
    }
    api.answers(lambda asked: Reply([{"id": 1}]))
    api.settings(streams=[streams[name] for name in order], slice="7d")
    read = api.read(window=WEEKS)
    assert [asked.path for asked in api.asked] == walked
    assert read.records[-1].data.get("status") == ("cancelled" if order[-1] != "live" else None)


def test_dates_never_ask_for_less_than_their_slice(api: Any) -> None:
    params = {"from": "{window_start:date}", "to": "{window_end:date}"}
    api.settings(request={"path": "/bookings", "params": params}, slice="14d")
    api.read(window=WEEKS)
    asked = [(a.one("from"), a.one("to")) for a in api.asked]
    assert asked == [("2026-11-23", "2026-12-07"), ("2026-12-07", "2026-12-15")]


def test_a_list_without_days_covers_everything(api: Any) -> None:
    api.settings(request={"path": "/bookings"})
    last = api.last()
    assert (list(last.covers), last.complete, last.cursor["strategy"]) == (
        [Stretch()],
        True,
        "snapshot",
    )


def test_a_part_that_is_refused_is_named_and_not_covered(api: Any) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply([], 403 if asked.one("who") == "12" else 200)

    api.answers(answer)
    api.settings(
        request={"path": "/bookings", "params": {"who": "{partition}", "from": "{window_start}"}},
        partition={"by": "practitioner", "ids": ["11", "12", "13"]},
    )
    last = api.read(window=WEEKS).pages[-1]
    assert [s.id for s in last.covers] == ["11", "13"]
    assert {s.by for s in last.covers} == {"practitioner"}
    assert not last.complete
    assert "403" in last.notes[-1]
    assert "watermark" not in last.cursor


class Looked(list[Part]):
    """Parts that count how often any of them is looked at."""

    count = 0

    def __iter__(self) -> Iterator[Part]:
        for part in super().__iter__():
            self.count += 1
            yield part


def test_the_work_to_say_what_was_read_grows_no_faster_than_the_parts() -> None:
    def looks(people: int) -> int:
        parts = Looked(Part(n, str(who)) for n in range(2) for who in range(people))
        read = covered(parts, set(parts[: people * 2 - 1]), "practitioner")
        assert len(read) == people - 1
        return parts.count

    assert looks(400) == 4 * looks(100)


@given(st.sets(st.integers(0, 14)))
def test_a_stretch_is_covered_where_every_list_that_says_anything_of_it_was_read(
    read: set[int],
) -> None:
    days = stretches(WEEKS, parse_span("7d"), "Europe/Berlin")
    parts = [Part(0, who, day) for day in days for who in "ab"]
    parts += [Part(1, None, day) for day in days] + [Part(2, "a"), Part(2, "b"), Part(3)]
    whole = {part for number, part in enumerate(parts) if number in read}
    said = {(s.start, s.id) for s in covered(parts, whole, "practitioner") if s.by}
    everybody = {s.start for s in covered(parts, whole, "practitioner") if not s.by}
    for day in days:
        for who in "ab":
            needed = [p for p in parts if p.days in (None, day) and p.who in (None, who)]
            covers = day.start in everybody or (day.start, who) in said
            assert covers == all(part in whole for part in needed)


def test_parts_of_a_kind_that_visits_do_not_show_count_only_together(api: Any) -> None:
    api.answers(lambda asked: Reply([], 404 if asked.one("departmentid") == "9" else 200))
    request = {"path": "/booked", "params": {"departmentid": "{partition}"}}
    api.settings(request=request, partition={"by": "department", "ids": ["1", "9"]})
    assert list(api.last().covers) == []
    api.settings(request=request, partition={"by": "department", "ids": ["1", "2"]})
    assert list(api.last().covers) == [Stretch()]


def test_parts_may_be_listed_by_the_interface_itself(api: Any) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path == "/departments":
            return Reply({"departments": [{"departmentid": 1}, {"departmentid": "7"}]})
        return Reply([{"id": f"in{asked.one('departmentid')}"}])

    api.answers(answer)
    api.settings(
        request={"path": "/booked", "params": {"departmentid": "{partition}"}},
        partition={
            "by": "department",
            "request": {"path": "/departments"},
            "records": "departments",
            "id": "departmentid",
        },
    )
    assert api.keys() == ["in1", "in7"]


@pytest.mark.parametrize(
    ("paging", "errors", "why"),
    [
        ({"type": "link", "next": "next"}, [], "its pages lead in a circle"),
        ({"type": "none"}, [{"body": "next", "means": "incomplete"}], "settings call incomplete"),
    ],
    ids=["circle", "incomplete"],
)
def test_a_list_of_parts_that_is_not_whole_stops_the_source(
    paging: Any, errors: list[Any], why: str, api: Any
) -> None:
    counted = iter(range(99))
    api.answers(lambda asked: Reply({"d": [{"id": next(counted)}], "next": "/d?p=1"}))
    api.settings(
        request={"path": "/b", "params": {"who": "{partition}"}},
        partition={
            "by": "practitioner",
            "request": {"path": "/d"},
            "records": "d",
            "paging": paging,
        },
        errors=errors,
    )
    with pytest.raises(Refused, match=why):
        api.read()
    assert [finding.code for finding in api.connector().check()] == ["refused"]


def test_a_list_of_parts_that_is_empty_is_no_source_without_visits(api: Any) -> None:
    listed = {"by": "practitioner", "request": {"path": "/doctors"}}
    api.settings(request={"path": "/b", "params": {"who": "{partition}"}}, partition=listed)
    with pytest.raises(Refused, match="lists nobody to ask for at /doctors"):
        api.read()


def test_a_budget_that_ends_before_any_part_covers_nothing(api: Any) -> None:
    listed = {"by": "practitioner", "request": {"path": "/doctors"}}
    api.settings(request={"path": "/b", "params": {"who": "{partition}"}}, partition=listed)
    api.budget = 0
    last = api.last()
    assert (last.complete, list(last.covers)) == (False, [])


def test_changes_that_name_no_days_are_asked_for_once(api: Any) -> None:
    api.settings(
        request={"path": "/b", "params": {"from": "{window_start}"}},
        changes={"path": "/b", "params": {"since": "{watermark}"}},
        slice="7d",
    )
    api.answers(lambda asked: dated([]))
    cursor = api.last().cursor
    api.server.log.clear()
    assert api.last(cursor).changes
    assert len(api.asked) == 1


def test_where_every_part_is_refused_so_is_the_source(api: Any) -> None:
    api.answers(lambda asked: Reply({}, 403))
    api.settings(request={"path": "/bookings"})
    with pytest.raises(Refused, match="does not let us read"):
        api.read()


def test_an_answer_without_its_list_is_no_empty_list(api: Any) -> None:
    api.settings(request={"path": "/bookings"}, records="data.items")
    for body in ({"error": "busy"}, {"data": None}, {"data": {"items": None}}, [], "x"):
        api.answers(lambda asked, body=body: Reply(body))
        with pytest.raises(Refused, match=r"no list at data\.items"):
            api.read()


# --- streams ---------------------------------------------------------------------------------------


def test_cancelled_and_deleted_lists_are_laid_over_the_live_one(api: Any) -> None:
    bodies = {
        "/bookings": [{"id": 1}, {"id": 2}, {"id": 3}],
        "/bookings/cancelled": [{"id": 2}],
        "/bookings/deleted": [{"id": 3}],
    }
    api.answers(lambda asked: Reply(bodies[asked.path]))
    api.settings(
        streams=[
            {"request": {"path": "/bookings"}},
            {"request": {"path": "/bookings/cancelled"}, "set": {"state": "cancelled"}},
            {"request": {"path": "/bookings/deleted"}, "gone": True},
        ]
    )
    read = api.read()
    told = [(r.key, r.data.get("state"), r.gone) for r in read.records]
    assert told[3:] == [("2", "cancelled", False), ("3", None, True)]
    assert api.connector().duplicates == "last"


def test_a_cancelled_list_that_fails_covers_nothing(api: Any) -> None:
    api.answers(lambda asked: Reply([{"id": 1}], 404 if "cancelled" in asked.path else 200))
    streams = [{"request": {"path": "/live"}}, {"request": {"path": "/cancelled"}}]
    api.settings(streams=streams)
    last = api.last()
    assert (list(last.covers), last.complete) == ([], False)


@pytest.mark.parametrize(
    ("value", "gone"),
    [
        ("2026-11-20T10:00:00Z", True),
        (True, True),
        ("1", True),
        (None, False),
        ("0001-01-01T00:00:00", False),
        (False, False),
        (0, False),
        ("false", False),
        ("", False),
    ],
    ids=str,
)
def test_a_record_says_itself_that_it_was_deleted(value: Any, gone: bool, api: Any) -> None:
    api.answers(lambda asked: Reply([{"id": 1, "deleted_at": value}]))
    api.settings(request={"path": "/bookings"}, gone="deleted_at")
    assert [record.gone for record in api.read().records] == [gone]


def test_absence_means_nothing_where_settings_say_so(api: Any) -> None:
    api.settings(request={"path": "/bookings"}, missing="kept")
    assert not api.connector().lists_everything


# --- watermarks ------------------------------------------------------------------------------------


def test_the_first_read_is_whole_and_the_next_asks_for_changes_only(changes: Any) -> None:
    changes.answers(lambda asked: dated({"rows": [{"id": 1}]}))
    first = changes.last()
    assert (first.complete, first.changes) == (True, False)
    assert first.cursor["watermark"] == "2026-11-23T07:58:00Z"
    assert changes.asked[0].one("updated_after") is None
    second = changes.read(first.cursor)
    assert {page.changes for page in second.pages} == {True}
    assert second.pages[-1].covers is None
    assert changes.asked[1].one("updated_after") == "2026-11-23T07:43:00Z"  # a quarter hour before


def test_the_watermark_is_the_latest_change_met_and_never_beyond_the_servers_clock(
    changes: Any,
) -> None:
    changes.settings(**changes.said, cursor="updated_at")
    rows = [
        {"id": 1, "updated_at": "2026-11-23T06:00:00Z"},
        {"id": 2, "updated_at": "2026-11-23T06:30:00Z"},
        {"id": 3, "updated_at": "2036-11-23T06:30:00Z"},  # a typing error
        {"id": 4, "updated_at": "later"},
    ]
    changes.answers(lambda asked: dated({"rows": rows}))
    assert changes.last().cursor["watermark"] == "2026-11-23T06:30:00Z"
    rows[0]["updated_at"] = "2026-11-23T07:59:00Z"
    assert changes.last().cursor["watermark"] == "2026-11-23T07:58:00Z"


def test_a_quiet_hour_leaves_the_watermark_of_records_where_it_is(changes: Any) -> None:
    changes.settings(**changes.said, cursor="updated_at")
    rows = [{"id": 1, "updated_at": "2026-11-23T06:00:00Z"}]
    changes.answers(lambda asked: dated({"rows": rows}))
    cursor = changes.last().cursor
    rows.clear()
    assert changes.last(cursor).cursor["watermark"] == "2026-11-23T06:00:00Z"


def test_the_servers_time_may_stand_in_its_answer(changes: Any) -> None:
    changes.settings(**changes.said, clock="rows[0].serverDateTime", zone="clinic")
    rows = [{"id": 1, "serverDateTime": "2026-11-23 08:31:05"}]
    changes.answers(lambda asked: Reply({"rows": rows}))
    first = changes.last()
    assert first.cursor["watermark"] == "2026-11-23T07:31:05Z"
    rows.clear()
    assert changes.last(first.cursor).cursor["watermark"] == "2026-11-23T07:31:05Z"


def test_where_nothing_tells_the_time_everything_is_read_each_time(changes: Any) -> None:
    changes.settings(**changes.said, clock="nowhere")
    changes.answers(lambda asked: dated({"rows": []}))
    last = changes.last()
    assert "watermark" not in last.cursor
    assert "no time" in last.notes[-1]
    assert not changes.last(last.cursor).changes


def test_everything_is_read_again_after_a_day(changes: Any) -> None:
    changes.answers(lambda asked: dated({"rows": []}))
    cursor = changes.last().cursor
    changes.now = NOW + timedelta(hours=23)
    later = changes.last(cursor)
    assert (later.changes, later.cursor["reconciled"]) == (True, "2026-11-23T08:00:00Z")
    changes.now = NOW + timedelta(hours=24)
    again = changes.last(later.cursor)
    assert (again.changes, again.cursor["reconciled"]) == (False, "2026-11-24T08:00:00Z")


def test_a_failed_page_leaves_the_watermark(changes: Any) -> None:
    changes.answers(lambda asked: dated({"rows": []}))
    cursor = changes.last().cursor
    changes.answers(lambda asked: Reply({}, 503))
    with pytest.raises(TryLater):
        changes.read(cursor)
    changes.answers(lambda asked: Reply({"rows": [], "next": 1}, headers={"Date": THEN}))
    changes.settings(**changes.said, paging={"type": "page", "more": "next", "max_pages": 2})
    later = "Mon, 23 Nov 2026 09:58:00 GMT"
    rows = iter(range(99))
    changes.answers(lambda a: dated({"rows": [{"id": next(rows)}], "next": 1}, later))
    assert (
        "watermark" not in changes.last(cursor).cursor
    )  # another way of asking: nothing is trusted


def test_an_incomplete_read_of_changes_leaves_the_watermark(changes: Any) -> None:
    changes.settings(**changes.said, paging={"type": "page", "more": "more", "max_pages": 2})
    rows = iter(range(99))
    changes.answers(lambda asked: dated({"rows": [{"id": next(rows)}]}))
    cursor = changes.last().cursor
    late = "Mon, 23 Nov 2026 09:58:00 GMT"
    changes.answers(lambda asked: dated({"rows": [{"id": next(rows)}], "more": True}, late))
    last = changes.last(cursor)
    assert (last.complete, last.cursor["watermark"]) == (False, "2026-11-23T07:58:00Z")


def test_a_cursor_of_another_request_is_not_trusted(changes: Any) -> None:
    changes.answers(lambda asked: dated({"rows": []}))
    cursor = changes.last().cursor
    changes.settings(**{**changes.said, "records": "rows[]"})
    assert not changes.last(cursor).changes


def test_dates_alone_ask_for_changes_from_the_day_before(api: Any) -> None:
    api.settings(request={"path": "/b", "params": {"since": "{watermark:date}"}})
    api.answers(lambda asked: dated([]))
    api.read(api.last().cursor)
    assert api.asked[1].one("since") == "2026-11-22"


def test_changes_may_be_asked_for_in_their_own_way(api: Any) -> None:
    api.settings(
        request={"path": "/b", "params": {"from": "{window_start}"}},
        changes={"path": "/b/changed", "params": {"since": "{watermark:epoch}"}},
    )
    api.answers(lambda asked: dated([]))
    api.read(api.last().cursor)
    assert [asked.path for asked in api.asked] == ["/b", "/b/changed"]
    assert api.asked[1].query == (("since", "1795419780"),)


# --- budgets ---------------------------------------------------------------------------------------


def test_a_run_stops_at_its_budget_and_the_next_ones_finish(api: Any) -> None:
    rows = [{"id": n} for n in range(500)]

    def answer(asked: Asked) -> Reply:
        start = int(asked.one("after") or 0)
        return dated({"rows": rows[start : start + 5], "next": start + 5 if start < 495 else None})

    api.answers(answer)
    api.budget = 20
    api.settings(
        request={"path": "/b", "params": {"since": "{watermark}"}},
        records="rows",
        paging={"type": "cursor", "next": "next", "param": "after"},
    )
    cursor, met = None, []
    for run in range(1, 6):
        read = api.read(cursor)
        cursor = read.cursor
        met += [record.key for record in read.records]
        assert len(api.asked) == 20 * run
        assert ("watermark" in cursor) == (run == 5)
        assert read.pages[-1].complete == (run == 5)
        assert read.pages[-1].last
    assert sorted(map(int, met)) == list(range(500))
    assert cursor["watermark"] == "2026-11-23T07:58:00Z"


def test_slices_that_an_earlier_run_read_are_not_read_again(api: Any) -> None:
    api.settings(request={"path": "/b", "params": {"from": "{window_start}"}}, slice="7d")
    api.budget = 2
    first = api.read(window=WEEKS).pages[-1]
    assert (first.covers[0].start, len(first.covers)) == (WEEKS.start, 2)
    later = Window(WEEKS.start + timedelta(minutes=5), WEEKS.end + timedelta(minutes=5))
    second = api.read(first.cursor, window=later).pages[-1]
    assert (second.complete, len(second.covers)) == (True, 2)
    assert len({asked.one("from") for asked in api.asked}) == 4


def test_only_gets_and_the_declared_search_are_ever_sent(api: Any) -> None:
    api.settings(
        request={"method": "POST", "path": "/search", "json": {}},
        read_by_id={"path": "/b/{id}"},
        lookups={"patient": {"ref": "p", "path": "/patients/{id}"}},
    )
    api.answers(lambda asked: Reply([{"id": 1, "p": 2}]))
    connector = api.connector()
    list(connector.pull(None, WEEKS))
    list(connector.reread(["1"]))
    list(connector.check())
    list(connector.offers())
    assert {(a.method, a.path) for a in api.asked} == {
        ("POST", "/search"),
        ("GET", "/b/1"),
        ("GET", "/patients/2"),
    }


# --- what settings may say -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "name what to read in one way"),
        ({"request": {"path": "/b"}, "streams": [{"request": {"path": "/c"}}]}, "in one way"),
        ({"request": {"path": "https://other.example/b"}}, "a path is what follows base_url"),
        ({"request": {"path": "/b/{watermark}"}}, "which has no value at first"),
        (
            {"request": {"path": "/b"}, "lookups": {"patient": {"ref": "p", "path": "/p"}}},
            "names nobody",
        ),
        ({"request": {"path": "/b/{partition}"}}, "belong together"),
        ({"request": {"path": "/b", "json": {}}}, "a GET has no body"),
        ({"request": {"path": "/b"}, "strategy": "watermark"}, "says since when"),
        ({"request": {"path": "/b"}, "records": "a["}, "not a JMESPath"),
        ({"request": {"path": "/b"}, "zone": "EST"}, "IANA"),
        ({"request": {"path": "/b"}, "errors": [{"means": "skip"}]}, "fits every answer"),
        ({"request": {"path": "/b"}, "read_by_id": {"path": "/b"}}, "names no visit"),
        ({"request": {"path": "/b", "method": "PUT"}}, "GET"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_meant_are_refused(said: Any, why: str, api: Any) -> None:
    api.settings(**said)
    with pytest.raises(ValidationError, match=why):
        api.connector()


def test_a_misspelt_key_is_named_with_its_line_and_the_right_one(tmp_path: Any) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(
        """version: 1
clinic: {id: r, name: R, timezone: Europe/Berlin, country: DE, language: de}
sources:
  pms:
    type: rest
    base_url: https://pms.example
    request: {path: /b, parms: {}}
    paging: {type: cursor, nextt: meta.next, param: t}
    mapping: reception_sql
"""
    )
    with pytest.raises(SettingsError) as mistakes:
        load(file, environ={})
    told = {(f.path, f.line, f.fix) for f in mistakes.value.findings}
    assert ("sources.pms.request.parms", 7, "did you mean 'params'?") in told
    assert any("paging" in path and line == 8 for path, line, _ in told)
