"""R-03, R-04, X-17: every way to page, once each; and nothing that goes in circles counts as whole."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest

from clinicrelay.errors import Refused
from clinicrelay.testing import WINDOW, Asked, Reply
from connectors.rest.paging import Found, LinkHeader

LIST = {"request": {"path": "/bookings"}}
SIZE = 36  # 250 records are seven pages


def page_of(rows: list[Any], start: int, size: int = SIZE) -> list[Any]:
    return rows[start : start + size]


class Server:
    """Answers in each of the styles, by the path that is asked."""

    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def __call__(self, asked: Asked) -> Reply:
        found: Reply = getattr(self, asked.path.strip("/"))(asked)
        return found

    def _at(self, asked: Asked, name: str) -> tuple[int, int | None]:
        start = int(asked.one(name) or 0)
        return start, start + SIZE if start + SIZE < len(self.rows) else None

    def link(self, asked: Asked) -> Reply:
        start, then = self._at(asked, "from")
        links = {"next": f"/link?from={then}&q[]=a%3Ab"} if then else {"self": "x"}
        return Reply({"rows": page_of(self.rows, start), "links": links})

    def header(self, asked: Asked) -> Reply:
        start, then = self._at(asked, "from")
        link = '</header?from=0>; rel="first"'
        link += f', <?from={then}>; rel="next"' if then else ""
        return Reply(page_of(self.rows, start), headers={"Link": link})

    def cursor(self, asked: Asked) -> Reply:
        start, then = self._at(asked, "token")
        return Reply({"rows": page_of(self.rows, start), "meta": {"next": then and str(then)}})

    def more(self, asked: Asked) -> Reply:
        start, then = self._at(asked, "token")
        info = {"has_next_page": then is not None, "end_cursor": str(start + SIZE)}
        return Reply({"rows": page_of(self.rows, start), "page_info": info})

    def body(self, asked: Asked) -> Reply:
        import json

        said = json.loads(asked.body)
        assert asked.method == "POST"
        assert said["status"] == "booked"
        start = int(said.get("paging", {}).get("after", 0))
        then = start + SIZE if start + SIZE < len(self.rows) else None
        return Reply({"rows": page_of(self.rows, start), "next": then})

    def form(self, asked: Asked) -> Reply:
        from urllib.parse import parse_qs

        said = parse_qs(asked.body.decode())
        assert said["status"] == ["booked"]
        return Reply({"rows": page_of(self.rows, (int(said["page"][0]) - 1) * SIZE)})

    def numbered(self, asked: Asked) -> Reply:
        assert asked.one("per_page") == "36"
        return Reply({"rows": page_of(self.rows, (int(asked.one("page") or 1) - 1) * SIZE)})

    def zero(self, asked: Asked) -> Reply:
        count = -(-len(self.rows) // SIZE)
        rows = page_of(self.rows, int(asked.one("page") or 0) * SIZE)
        return Reply({"rows": rows, "pages": count})

    def offset(self, asked: Asked) -> Reply:
        rows = page_of(self.rows, int(asked.one("offset") or 0))
        return Reply({"rows": rows, "total": len(self.rows)})

    def token(self, asked: Asked) -> Reply:
        start = int(asked.headers.get("x-continue", 0))
        then = start + SIZE
        more = {"X-Continue": str(then)} if then < len(self.rows) else {}
        return Reply({"rows": page_of(self.rows, start)}, headers=more)


POST = {"method": "POST", "json": {"status": "booked"}}
STYLES: dict[str, dict[str, Any]] = {
    "link": {"paging": {"type": "link", "next": "links.next"}},
    "header": {"paging": {"type": "link_header"}, "records": "@"},
    "cursor": {"paging": {"type": "cursor", "next": "meta.next", "param": "token"}},
    "more": {
        "paging": {
            "type": "cursor",
            "next": "page_info.end_cursor",
            "more": "page_info.has_next_page",
            "param": "token",
        }
    },
    "body": {
        "request": {"path": "/body", **POST},
        "paging": {"type": "cursor", "next": "next", "param": "paging.after"},
    },
    "form": {
        "request": {"path": "/form", "method": "POST", "form": {"status": "booked"}},
        "paging": {"type": "page"},
    },
    "numbered": {"paging": {"type": "page", "size_param": "per_page", "size": SIZE}},
    "zero": {"paging": {"type": "page", "first": 0, "pages": "pages"}},
    "offset": {"paging": {"type": "offset", "size": SIZE, "stop": "short_page", "total": "total"}},
    "token": {
        "paging": {
            "type": "cursor",
            "next_header": "X-Continue",
            "param": "X-Continue",
            "in": "header",
        }
    },
}


@pytest.mark.parametrize("style", STYLES)
def test_two_hundred_and_fifty_records_in_seven_pages_come_once_each(
    style: str, api: Any, many: list[Any]
) -> None:
    api.answers(Server(many))
    api.settings(**{"request": {"path": f"/{style}"}, "records": "rows"} | STYLES[style])
    read = api.read()
    assert [record.key for record in read.records] == [one["id"] for one in many]
    assert read.pages[-1].complete
    assert len(api.asked) in (7, 8)


@pytest.mark.parametrize("style", ["link", "cursor", "numbered", "offset"])
def test_a_read_that_is_killed_after_any_page_goes_on_and_loses_nothing(
    style: str, api: Any, many: list[Any]
) -> None:
    api.answers(Server(many))
    api.settings(**{"request": {"path": f"/{style}"}, "records": "rows"} | STYLES[style])
    whole = [one["id"] for one in many]
    for killed_after in range(1, 8):
        pages = api.connector().pull(None, WINDOW)
        kept = [next(pages) for _ in range(killed_after)]
        pages.close()
        asked_before = len(api.asked)
        rest = api.read(kept[-1].cursor)
        before = [r.key for page in kept for r in page.records]
        assert {*before, *(r.key for r in rest.records)} == set(whole)
        assert rest.pages[-1].complete
        if killed_after in range(2, 7):
            assert len(api.asked) - asked_before < 8, "it began anew"
            assert rest.pages[-1].covers == [], "it read only the rest of it"


@pytest.mark.parametrize("style", ["numbered", "offset"])
def test_a_numbered_list_that_moved_on_meanwhile_is_read_from_its_start(
    style: str, api: Any, many: list[Any]
) -> None:
    server = Server(many)
    api.answers(server)
    api.settings(**{"request": {"path": f"/{style}"}, "records": "rows"} | STYLES[style])
    pages = api.connector().pull(None, WINDOW)
    kept = [next(pages) for _ in range(3)]
    pages.close()
    server.rows = many[80:]  # the last record that was read has moved to an earlier page
    rest = api.read(kept[-1].cursor)
    assert {r.key for r in rest.records} == {one["id"] for one in many[80:]}
    assert rest.pages[-1].covers


def test_a_cursor_that_the_server_has_forgotten_is_no_end(api: Any, many: list[Any]) -> None:
    server = Server(many)
    api.answers(server)
    api.settings(request={"path": "/cursor"}, records="rows", **STYLES["cursor"])
    pages = api.connector().pull(None, WINDOW)
    kept = [next(pages) for _ in range(3)]
    pages.close()
    api.answers(lambda a: Reply({}, 410) if a.one("token") == "108" else server(a))
    api.server.log.clear()
    # Its token is gone, so the list is read anew; there it comes by the same token again.
    api.answers(Once(Reply({}, 410), server))
    assert len(api.keys(kept[-1].cursor)) == 250


class Once:
    """Answers the first request in its own way, and all others like another."""

    def __init__(self, first: Reply, other: Any) -> None:
        self.first: Reply | None = first
        self.other = other

    def __call__(self, asked: Asked) -> Reply:
        first, self.first = self.first, None
        found: Reply = first or self.other(asked)
        return found


def test_an_insert_while_paging_loses_none(api: Any, many: list[Any]) -> None:
    rows = list(many)

    def answer(asked: Asked) -> Reply:
        start = int(asked.one("Offset") or 0)
        found = Reply(rows[start : start + 100])
        rows.insert(0, {"id": f"new{len(rows)}"})
        return found

    api.answers(answer)
    paging = {"type": "offset", "param": "Offset", "size": 100, "overlap": 5}
    api.settings(**LIST, paging=paging)
    keys = api.keys()
    assert set(keys) >= {one["id"] for one in many}
    assert len(keys) == len(set(keys))


def test_a_deletion_while_paging_loses_none_within_the_overlap(api: Any, many: list[Any]) -> None:
    rows = list(many)

    def answer(asked: Asked) -> Reply:
        start = int(asked.one("offset") or 0)
        found = Reply(rows[start : start + 100])
        del rows[:3]
        return found

    api.answers(answer)
    api.settings(**LIST, paging={"type": "offset", "size": 100, "overlap": 5})
    assert set(api.keys()) == {one["id"] for one in many}


def test_more_deletions_than_the_overlap_are_noticed(api: Any, many: list[Any]) -> None:
    rows = list(many)

    def answer(asked: Asked) -> Reply:
        start = int(asked.one("offset") or 0)
        found = Reply(rows[start : start + 100])
        del rows[:30]
        return found

    api.answers(answer)
    api.settings(**LIST, paging={"type": "offset", "size": 100, "overlap": 5})
    last = api.last()
    assert (last.complete, last.covers) == (False, [])
    assert "overlap" in last.notes[-1]


@pytest.mark.parametrize(
    ("paging", "why"),
    [
        ({"type": "page"}, "no record that an earlier one had not"),
        ({"type": "offset"}, "no record that an earlier one had not"),
        ({"type": "cursor", "next": "meta.next", "param": "t"}, "no record"),
        ({"type": "link", "next": "meta.link"}, "no record"),
    ],
)
def test_a_server_that_always_gives_the_same_page_is_not_read_whole(
    paging: dict[str, Any], why: str, api: Any, many: list[Any]
) -> None:
    body = {"rows": many[:9], "meta": {"next": "on", "link": "/bookings?on=1"}}
    api.answers(lambda asked: Reply(body))
    api.settings(**LIST, records="rows", paging=paging)
    read = api.read()
    assert len(read.records) == 9
    assert (read.pages[-1].complete, read.pages[-1].covers) == (False, [])
    assert why in read.pages[-1].notes[-1]
    assert len(api.asked) == 2


def test_links_that_lead_in_a_circle_end_the_walk(api: Any) -> None:
    count = iter(range(10_000))
    api.answers(lambda a: Reply({"rows": [{"id": next(count)}], "next": "/bookings?page=2"}))
    api.settings(**LIST, records="rows", paging={"type": "link", "next": "next"})
    last = api.last()
    assert not last.complete
    assert "circle" in last.notes[-1]


def test_more_pages_than_max_pages_are_incomplete(api: Any, many: list[Any]) -> None:
    api.answers(Server(many))
    paging = STYLES["cursor"]["paging"] | {"max_pages": 3}
    api.settings(request={"path": "/cursor"}, records="rows", paging=paging)
    read = api.read()
    assert len(read.records) == 3 * SIZE
    assert not read.pages[-1].complete


def test_fewer_records_than_the_server_tells_of_are_incomplete(api: Any, many: list[Any]) -> None:
    api.answers(lambda asked: Reply({"rows": many[:10], "total": 11}))
    api.settings(**LIST, records="rows", paging={"type": "none", "total": "total"})
    last = api.last()
    assert not last.complete
    assert "tells of 11 records and gave 10" in last.notes[-1]


def test_pages_that_end_with_nothing_are_compared_with_what_earlier_ones_told(
    api: Any, many: list[Any]
) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.one("page") == "3":
            return Reply(b"", 204)
        start = (int(asked.one("page") or 1) - 1) * 50
        return Reply({"rows": many[start : start + 50], "total": 250})

    api.answers(answer)
    api.settings(**LIST, records="rows", paging={"type": "page", "total": "total"})
    last = api.last()
    assert not last.complete
    assert "tells of 250 records and gave 100" in last.notes[-1]


def test_as_many_records_as_a_server_ever_gives_are_incomplete(api: Any, many: list[Any]) -> None:
    api.answers(lambda asked: Reply(many[:50]))
    api.settings(**LIST, paging={"type": "none", "at_most": 50})
    assert not api.last().complete
    api.answers(lambda asked: Reply(many[:49]))
    assert api.last().complete


def test_an_answer_that_calls_itself_a_part_is_incomplete(api: Any, many: list[Any]) -> None:
    api.answers(lambda asked: Reply(many[:100], 206, {"Content-Range": "0-99/250"}))
    api.settings(**LIST)
    last = api.last()
    assert not last.complete
    assert "(206)" in last.notes[-1]


def test_pages_that_call_themselves_parts_are_read_to_their_end(api: Any, many: list[Any]) -> None:
    def answer(asked: Asked) -> Reply:
        start = int(asked.one("offset") or 0)
        return Reply(many[start : start + 100], 206)

    api.answers(answer)
    api.settings(**LIST, paging={"type": "offset"})
    read = api.read()
    assert (len(read.records), read.pages[-1].complete) == (250, True)


def test_a_short_page_ends_only_where_settings_say_so(api: Any, many: list[Any]) -> None:
    def capped(asked: Asked) -> Reply:  # gives less than asked for
        start = (int(asked.one("page") or 1) - 1) * 20
        return Reply(many[start : start + 20])

    api.answers(capped)
    api.settings(**LIST, paging={"type": "page", "size_param": "size", "size": 100})
    assert len(api.keys()) == 250


def test_a_link_header_of_nothing_but_brackets_is_none_at_once() -> None:
    way = LinkHeader(type="link_header")
    begun = process_time()
    assert way.then(None, Found([], {"link": "<" * 90_000}, 1)) is None
    assert process_time() - begun < 5  # a minute, when each looked for its end among all others


@pytest.mark.parametrize("said", ["more", "pages"])
def test_an_empty_page_in_the_middle_is_no_end_where_the_server_says_so(
    said: str, api: Any, many: list[Any]
) -> None:
    def answer(asked: Asked) -> Reply:
        number = int(asked.one("page") or 1)
        rows = [] if number == 2 else many[number * 10 : number * 10 + 10]
        return Reply({"rows": rows, "more": number < 4, "pages": 4})

    api.answers(answer)
    api.settings(**LIST, records="rows", paging={"type": "page", said: said})
    read = api.read()
    assert (len(read.records), read.pages[-1].complete) == (30, True)


def test_an_offset_that_cannot_go_on_though_there_is_more_is_incomplete(
    api: Any, many: list[Any]
) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply({"rows": many[:10] if asked.one("offset") == "0" else [], "more": True})

    api.answers(answer)
    api.settings(**LIST, records="rows", paging={"type": "offset", "more": "more"})
    last = api.last()
    assert not last.complete
    assert "more says that there is more" in last.notes[-1]


@pytest.mark.parametrize("word", ["false", "False", "no", "0", 0, None])
def test_there_is_no_more_however_a_server_writes_that(
    word: Any, api: Any, many: list[Any]
) -> None:
    api.answers(lambda asked: Reply({"rows": many[:10], "more": word}))
    api.settings(**LIST, records="rows", paging={"type": "page", "more": "more"})
    assert (api.last().complete, len(api.asked)) == (True, 1)


def test_a_next_link_to_another_host_sends_nothing_there(api: Any, many: list[Any]) -> None:
    with_link = {"rows": many[:3], "next": "http://elsewhere.example/bookings?page=2"}
    api.answers(lambda asked: Reply(with_link))
    api.settings(
        **LIST,
        records="rows",
        paging={"type": "link", "next": "next"},
        auth={"type": "bearer", "token": "s3cret"},
    )
    with pytest.raises(Refused, match=r"another host, elsewhere\.example") as refused:
        api.read()
    assert "s3cret" not in str(refused.value)
    assert "page=2" not in str(refused.value)


@pytest.mark.parametrize(
    "link", ["/admin", "/v1/../admin?a=1", "/v1/..;/admin", "/v1/..%255cadmin"]
)
def test_a_next_link_out_of_the_base_address_is_not_followed(
    link: str, api: Any, many: list[Any]
) -> None:
    api.answers(lambda asked: Reply({"rows": many[:3], "next": link}))
    api.settings(**LIST, records="rows", paging={"type": "link", "next": "next"})
    api.said["base_url"] = f"{api.server.url}/v1"
    with pytest.raises(Refused, match="out of what lies under base_url"):
        api.read()
    assert [asked.path for asked in api.asked] == ["/v1/bookings"]


def test_links_with_a_proxys_host_are_followed_at_ours_where_settings_say_so(
    api: Any, many: list[Any]
) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.one("page"):
            return Reply({"rows": many[3:5]})
        return Reply({"rows": many[:3], "next": "https://inner.example:8443/bookings?page=2"})

    api.answers(answer)
    api.settings(
        **LIST,
        records="rows",
        paging={"type": "link", "next": "next", "rewrite_links": True},
    )
    assert len(api.keys()) == 5


def test_a_key_of_ours_in_a_link_is_not_written_into_the_cursor(api: Any, many: list[Any]) -> None:
    def answer(asked: Asked) -> Reply:
        assert asked.one("api_key") == "s3cret"
        if asked.one("page"):
            return Reply({"rows": many[3:5]})
        return Reply({"rows": many[:3], "next": "/bookings?page=2&api_key=s3cret"})

    api.answers(answer)
    api.settings(
        **LIST,
        records="rows",
        paging={"type": "link", "next": "next"},
        auth={"type": "query", "name": "api_key", "value": "s3cret"},
    )
    read = api.read()
    assert len(read.records) == 5
    assert "page=2" in str(read.pages[0].cursor)
    assert "s3cret" not in str([page.cursor for page in read.pages])
