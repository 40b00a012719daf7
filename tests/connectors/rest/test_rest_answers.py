"""R-09, R-12, R-13, R-15, X-08, X-09: what answers mean, what records refer to, what is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from clinicrelay.errors import Refused, TryLater
from clinicrelay.testing import CANARIES, Asked, Reply

LIST = {"request": {"path": "/bookings"}}
SECRET = "hunter2"


# --- errors ----------------------------------------------------------------------------------------


def test_a_200_that_says_busy_is_asked_again_until_it_answers(api: Any) -> None:
    answers = iter([{"error": {"code": "BUSY"}}, {"error": {"code": "BUSY"}}, [{"id": 1}]])
    api.answers(lambda asked: Reply(next(answers)))
    api.settings(**LIST, errors=[{"body": "error.code == 'BUSY'", "means": "retry"}])
    assert api.keys() == ["1"]
    assert api.slept == [1.0, 2.0]


def test_a_200_that_always_says_busy_is_left_to_the_next_run(api: Any) -> None:
    api.answers(lambda asked: Reply({"error": "busy"}))
    api.settings(**LIST, errors=[{"status": 200, "body": "error", "means": "retry"}])
    with pytest.raises(TryLater):
        api.read()


def test_a_200_with_an_error_is_for_a_person_and_quotes_nothing(api: Any) -> None:
    api.answers(lambda asked: Reply({"error": f"{CANARIES[0]} is not allowed"}))
    api.settings(**LIST, errors=[{"body": "error", "means": "fail"}])
    with pytest.raises(Refused, match=r"answered an error \(200 to GET /bookings\)") as refused:
        api.read()
    assert CANARIES[0] not in f"{refused.value} {refused.value.fix}"


def test_a_404_may_mean_that_there_is_nothing(api: Any) -> None:
    api.answers(lambda asked: Reply({}, 404))
    api.settings(**LIST, errors=[{"status": [404, 410], "means": "skip"}])
    last = api.last()
    assert (last.complete, len(last.covers)) == (True, 1)


def test_an_answer_may_leave_its_part_out(api: Any) -> None:
    api.answers(lambda asked: Reply({"truncated": True}))
    api.settings(**LIST, errors=[{"body": "truncated", "means": "incomplete"}])
    last = api.last()
    assert (last.complete, list(last.covers)) == (False, [])


def test_nothing_new_is_no_answer_to_what_was_not_asked_that_way(api: Any) -> None:
    api.answers(lambda asked: Reply(b"", 304))
    api.settings(**LIST)
    with pytest.raises(Refused, match="answered 304"):
        api.read()


def test_no_content_is_an_empty_list(api: Any) -> None:
    api.answers(lambda asked: Reply(b"", 204))
    api.settings(**LIST)
    assert api.last().complete


def test_a_page_for_people_is_no_answer(api: Any) -> None:
    api.answers(lambda asked: Reply(b"<html>Quenby</html>", headers={"Content-Type": "text/html"}))
    api.settings(**LIST)
    with pytest.raises(Refused, match=r"not JSON \(text/html\)"):
        api.read()


def test_a_token_that_cannot_be_read_is_a_login_without_one(api: Any) -> None:
    api.answers(Session())
    said = login()
    api.settings(**(said | {"login": said["login"] | {"token": "sum(session)"}}))
    with pytest.raises(Refused, match="gave no token"):
        api.read()


def test_a_patient_whom_a_path_cannot_find_is_not_there(api: Any) -> None:
    api.answers(Clinic())
    api.settings(**LIST, lookups={"patient": BY_URL | {"records": "sort(phone)"}})
    assert api.read().records[1].issues[0].code == "reference_not_found"


def test_a_hundred_thousand_brackets_are_no_json(api: Any) -> None:
    api.answers(lambda asked: Reply(b"[" * 100_000, headers={"Content-Type": "application/json"}))
    api.settings(**LIST)
    with pytest.raises(Refused, match="JSON that nobody can read"):
        api.read()


def test_half_a_surrogate_in_one_name_costs_nobody_else_the_page(api: Any) -> None:
    api.answers(lambda asked: Reply(b'[{"id": 1, "name": "\\ud83d"}, {"id": 2}]'))
    api.settings(**LIST)
    assert api.keys() == ["1", "2"]


def test_an_answer_in_another_code_page_is_read_in_it(api: Any) -> None:
    body = '[{"id": 1, "name": "Renée"}]'.encode("cp1252")
    of = {"Content-Type": "application/json; charset=windows-1252"}
    api.answers(lambda asked: Reply(body, headers=of))
    api.settings(**LIST)
    assert api.read().records[0].data["name"] == "Renée"


@pytest.mark.parametrize(
    ("code_page", "charset"),
    [
        ("utf-8-sig", None),
        ("utf-16", None),
        ("utf-32", None),
        ("utf-16-le", "utf-16le"),
        ("utf-16", "utf-8"),
        ("utf-8", "iso-8859-1"),  # what Java writes by itself beside text that is UTF-8
        ("iso-8859-15", '"ISO-8859-15"'),
        ("shift_jis", "Shift_JIS"),
    ],
)
def test_an_answer_is_read_in_whatever_it_is_written(
    code_page: str, charset: str | None, api: Any
) -> None:
    name = "山田" if code_page == "shift_jis" else "Renée"
    body = json.dumps([{"id": 1, "name": name}], ensure_ascii=False).encode(code_page)
    kind = "application/json" + (f"; Charset={charset}" if charset else "")
    api.answers(lambda asked: Reply(body, headers={"Content-Type": kind}))
    api.settings(**LIST)
    assert api.read().records[0].data["name"] == name


@pytest.mark.parametrize("charset", ["", "; charset=punycode", "; charset=zip", "; charset=nobody"])
def test_text_that_is_no_utf8_and_says_nothing_better_is_told_as_such(
    charset: str, api: Any
) -> None:
    of = {"Content-Type": f"application/json{charset}"}
    api.answers(lambda asked: Reply(b'[{"id": 1, "name": "Ren\xe9e"}]', headers=of))
    api.settings(**LIST)
    with pytest.raises(Refused, match=r"text that is no UTF-8 \(application/json\)"):
        api.read()


def test_nan_is_nothing(api: Any) -> None:
    api.answers(lambda asked: Reply(b'[{"id": 1, "a": NaN, "b": -Infinity, "c": 1e999}]'))
    api.settings(**LIST)
    data = api.read().records[0].data
    assert (data["a"], data["b"], data["c"]) == (None, None, "1e999")


def test_ids_stay_as_they_were_written(api: Any) -> None:
    body = b'[{"id": 123456789012345678901234567890}, {"id": "007"}, {"id": 17.0}, {"id": 1.10}]'
    api.answers(lambda asked: Reply(body))
    api.settings(**LIST)
    assert api.keys() == ["123456789012345678901234567890", "007", "17", "1.10"]


def test_a_key_may_have_several_parts_and_needs_them_all(api: Any) -> None:
    api.answers(lambda asked: Reply([{"series": 4, "day": "2026-12-01"}, {"series": 5}]))
    api.settings(**LIST, key=["series", "day"])
    assert [record.key for record in api.read().records] == ["4/2026-12-01", None]


# --- sessions --------------------------------------------------------------------------------------


class Session:
    """A system that gives tokens for a password, each good for so many requests."""

    def __init__(self, lasts: int = 100) -> None:
        self.lasts, self.given, self.used = lasts, 0, 0

    def __call__(self, asked: Asked) -> Reply:
        if asked.path == "/sessions":
            if json.loads(asked.body) != {"user": "clinicrelay", "password": SECRET}:
                return Reply({"message": f"no {SECRET}"}, 401)
            self.given, self.used = self.given + 1, 0
            return Reply({"session": {"token": f"t{self.given}"}})
        self.used += 1
        if asked.headers.get("x-session") != f"t{self.given}" or self.used > self.lasts:
            return Reply({}, 401)
        page = int(asked.one("page") or 1)
        return Reply([{"id": page}] if page < 8 else [])


def login(password: str = SECRET) -> dict[str, Any]:
    return {
        **LIST,
        "paging": {"type": "page"},
        "login": {
            "path": "/sessions",
            "json": {"user": "clinicrelay", "password": password},
            "token": "session.token",
            "header": "X-Session",
            "prefix": "",
        },
    }


def test_a_session_is_begun_once_and_goes_with_each_request(api: Any) -> None:
    api.answers(Session())
    api.settings(**login())
    assert len(api.keys()) == 7
    assert [asked.path for asked in api.asked].count("/sessions") == 1


def test_a_session_that_ends_in_mid_paging_is_begun_again(api: Any) -> None:
    api.answers(Session(lasts=3))
    api.settings(**login())
    assert len(api.keys()) == 7
    assert [asked.path for asked in api.asked].count("/sessions") == 3


def test_an_error_in_a_200_may_ask_for_a_new_session(api: Any) -> None:
    session = Session()

    def answer(asked: Asked) -> Reply:
        reply = session(asked)
        if asked.path == "/bookings" and asked.headers.get("x-session") == "t1":
            return Reply({"error": "session expired"})
        return reply

    api.answers(answer)
    rule = {"body": "error == 'session expired'", "means": "reauth"}
    api.settings(**login(), errors=[rule])
    assert len(api.keys()) == 7


def test_a_wrong_password_is_said_in_a_sentence_without_it(api: Any) -> None:
    api.answers(Session())
    api.settings(**login("hunter3"))
    with pytest.raises(Refused, match="does not accept our login") as refused:
        api.read()
    assert "hunter" not in f"{refused.value} {refused.value.fix}"
    assert "hunter" not in repr(api.connector().options)


def test_a_session_that_ends_after_a_busy_answer_is_begun_again_all_the_same(api: Any) -> None:
    session, busy = Session(lasts=3), iter([True, False, False] * 20)

    def answer(asked: Asked) -> Reply:
        if asked.path == "/bookings" and next(busy):
            return Reply({"error": "BUSY"})
        return session(asked)

    api.answers(answer)
    api.settings(**login(), errors=[{"body": "error == 'BUSY'", "means": "retry"}])
    assert len(api.keys()) == 7
    assert [asked.path for asked in api.asked].count("/sessions") == 3


def test_a_session_is_begun_again_once_in_a_request_whatever_else_happens(api: Any) -> None:
    session, odd = Session(lasts=0), iter(range(99))

    def answer(asked: Asked) -> Reply:
        if asked.path == "/bookings" and next(odd) % 2:
            return Reply({"error": "BUSY"})
        return session(asked)

    api.answers(answer)
    api.settings(**login(), errors=[{"body": "error == 'BUSY'", "means": "retry"}])
    with pytest.raises(Refused, match="still wants us to log in"):
        api.read()
    assert [asked.path for asked in api.asked].count("/sessions") == 2


@pytest.mark.parametrize("status", [400, 403, 422, 200])
def test_a_login_that_is_refused_is_not_tried_again_for_each_part(status: int, api: Any) -> None:
    api.answers(lambda asked: Reply({}, status))
    api.settings(
        request={"path": "/b", "params": {"who": "{partition}"}},
        partition={"by": "practitioner", "ids": [str(n) for n in range(9)]},
        login=login()["login"],
        read_by_id={"path": "/b/{id}"},
    )
    with pytest.raises(Refused, match=r"login|let us in"):
        api.read()
    with pytest.raises(Refused, match=r"login|let us in"):
        list(api.connector().reread([str(n) for n in range(9)]))
    assert [asked.path for asked in api.asked] == ["/sessions"] * 2


def test_a_session_that_is_never_enough_ends(api: Any) -> None:
    api.answers(Session(lasts=0))
    api.settings(**login())
    with pytest.raises(Refused):
        api.read()
    assert len(api.asked) < 9


# --- limits ----------------------------------------------------------------------------------------


def test_requests_keep_their_distance(api: Any) -> None:
    api.answers(
        lambda asked: Reply([{"id": asked.one("page")}] if asked.one("page") != "4" else [])
    )
    api.settings(**LIST, paging={"type": "page"}, limits={"every": "5s"})
    api.read()
    assert api.slept == [5.0, 5.0, 5.0]


def test_what_is_used_up_till_the_next_hour_ends_the_run_cleanly(api: Any) -> None:
    headers = {
        "X-Left": "0",
        "X-New": "2026-11-23T09:00:00Z",
        "Date": "Mon, 23 Nov 2026 08:20:00 GMT",
    }
    api.answers(lambda asked: Reply([{"id": asked.one("page")}], headers=headers))
    limits = {"remaining": "X-Left", "reset": "X-New"}
    api.settings(**LIST, paging={"type": "page"}, limits=limits)
    read = api.read()
    assert len(api.asked) == 1
    assert (len(read.records), read.pages[-1].last, read.pages[-1].complete) == (1, True, False)
    assert "40 min" in read.pages[-1].notes[-1]


def test_what_is_used_up_for_seconds_is_waited_for(api: Any) -> None:
    def answer(asked: Asked) -> Reply:
        page = asked.one("page")
        left = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7"} if page == "1" else {}
        return Reply([{"id": page}] if page == "1" else [], headers=left)

    api.answers(answer)
    api.settings(**LIST, paging={"type": "page"}, limits={"remaining": "X-RateLimit-Remaining"})
    assert api.last().complete
    assert api.slept == [7.0]


# --- lookups ---------------------------------------------------------------------------------------


class Clinic:
    """A hundred visits of five patients, one of whom nobody knows any more."""

    def __init__(self, refs: str = "url") -> None:
        self.refs = refs
        self.phones = dict.fromkeys(range(5), "1")

    def __call__(self, asked: Asked) -> Reply:
        if asked.path == "/patients":
            ids = (asked.one("ids") or "").split(",")
            return Reply({"patients": [self._patient(int(i)) for i in ids if i != "4"]})
        if asked.path.startswith("/patients/"):
            number = int(asked.path.rpartition("/")[2])
            return Reply(self._patient(number)) if number != 4 else Reply({}, 404)
        return Reply([{"id": n, "patient": self._ref(n % 5)} for n in range(100)])

    def _patient(self, number: int) -> dict[str, Any]:
        return {"id": number, "name": f"Pat {number}", "phone": self.phones[number]}

    def _ref(self, number: int) -> Any:
        url = {"links": {"self": f"https://api.example/v1/patients/{number}"}}
        return url if self.refs == "url" else number


BY_URL = {"ref": "patient.links.self", "path": "/patients/{id}"}
IN_BATCHES = {
    "ref": "patient",
    "path": "/patients",
    "params": {"ids": "{ids}"},
    "records": "patients",
}


def people(read: Any) -> list[Any]:
    return [record.data["patient"] for record in read.records]


def test_a_hundred_visits_of_five_patients_are_five_requests(api: Any) -> None:
    api.answers(Clinic())
    api.settings(**LIST, lookups={"patient": BY_URL})
    read = api.read()
    assert people(read)[1] == {"id": 1, "name": "Pat 1", "phone": "1"}
    asked = sorted(asked.path for asked in api.asked)
    assert asked == ["/bookings", *(f"/patients/{n}" for n in range(5))]


def test_many_patients_are_one_request_where_the_interface_can(api: Any) -> None:
    api.answers(Clinic("id"))
    api.settings(**LIST, lookups={"patient": IN_BATCHES | {"size": 2}})
    read = api.read()
    assert people(read)[3]["name"] == "Pat 3"
    # An id of 0 is how some systems write that there is nobody.
    assert [asked.one("ids") for asked in api.asked[1:]] == ["1,2", "3,4", "4"]
    assert people(read)[0] is None


def test_a_patient_who_is_not_there_is_an_issue_and_keeps_the_id(api: Any) -> None:
    api.answers(Clinic())
    api.settings(**LIST, lookups={"patient": BY_URL})
    read = api.read()
    lost = read.records[4]
    assert lost.data["patient"] == {"id": "4"}
    assert [(issue.code, issue.field) for issue in lost.issues] == [
        ("reference_not_found", "patient")
    ]
    assert "1 of the patient records" in read.pages[-1].notes[-1]


def test_patients_that_we_may_not_read_stop_the_source_before_they_lose_their_phones(
    api: Any,
) -> None:
    clinic = Clinic()
    api.answers(lambda a: Reply({}, 403) if "patients" in a.path else clinic(a))
    api.settings(**LIST, lookups={"patient": BY_URL})
    with pytest.raises(Refused, match=r"403 to GET /patients/\{id\}"):
        api.read()


@pytest.mark.parametrize("status", [403, 500])
def test_one_patient_who_cannot_be_read_costs_nobody_else_the_source(status: int, api: Any) -> None:
    clinic = Clinic()
    api.answers(lambda a: Reply({}, status) if a.path == "/patients/2" else clinic(a))
    api.settings(**LIST, lookups={"patient": BY_URL})
    read = api.read()
    assert (len(read.records), read.pages[-1].complete) == (80, True)
    told = [(b.key, b.place, b.reason, b.field) for b in read.unreadable][:2]
    assert told == [
        ("2", "/bookings page 1, record 3", "reference_not_found", "patient"),
        ("7", "/bookings page 1, record 8", "reference_not_found", "patient"),
    ]
    assert read.records[2].place == "/bookings page 1, record 4"


def test_a_401_of_one_patient_stops_the_source(api: Any) -> None:
    clinic = Clinic()
    api.answers(lambda a: Reply({}, 401) if a.path == "/patients/2" else clinic(a))
    api.settings(**LIST, lookups={"patient": BY_URL})
    with pytest.raises(Refused):
        api.read()


def test_a_server_in_trouble_with_all_patients_is_tried_later(api: Any) -> None:
    clinic = Clinic()
    api.answers(lambda a: Reply({}, 500) if "patients" in a.path else clinic(a))
    api.settings(**LIST, lookups={"patient": BY_URL})
    with pytest.raises((TryLater, Refused)):
        api.read()


def test_an_unchanged_visit_asks_for_nobody_again_until_the_cache_is_old(api: Any) -> None:
    clinic = Clinic()
    api.answers(clinic)
    api.settings(**LIST, lookups={"patient": BY_URL | {"cache": "6h"}})
    first = [page.digests for page in api.read().pages]
    connector = api.connector()
    assert [p.digests for p in connector.pull(None, WINDOW_OF(api))] == first
    assert len(api.asked) == 7  # nobody but the list
    api.now += timedelta(hours=6)
    clinic.phones[1] = "2"
    changed = [page.digests for page in api.read().pages]
    assert sum(a != b for a, b in zip(first[0], changed[0], strict=True)) == 20
    assert "Pat" not in str(api.memory)


def WINDOW_OF(api: Any) -> Any:  # noqa: N802 - a constant that moves
    from clinicrelay.contracts import Window

    return Window(api.now, api.now + timedelta(days=9))


def test_a_changed_visit_within_that_time_has_its_patient(api: Any) -> None:
    clinic = Clinic()
    api.answers(clinic)
    api.settings(**LIST, lookups={"patient": BY_URL})
    api.read()
    clinic.phones[1] = "2"
    api.server.log.clear()
    page = next(iter(api.connector().pull(None, WINDOW_OF(api))))
    assert page.records[1].data["patient"]["phone"] == "2"
    assert [asked.path for asked in api.asked] == ["/bookings", "/patients/1"]


def test_a_budget_that_ends_among_patients_loses_none_of_them(api: Any) -> None:
    api.answers(Clinic())
    api.settings(**LIST, lookups={"patient": BY_URL})
    api.budget, cursor, met = 3, None, set()
    for _ in range(2):
        read = api.read(cursor)
        cursor = read.cursor
        met |= {digest for page in read.pages for digest in page.digests}
        assert not read.pages[-1].complete
    read = api.read(cursor)
    assert read.pages[-1].complete
    assert len(met | {digest for page in read.pages for digest in page.digests}) == 100
    assert len(met) == 80


def test_a_budget_that_ends_among_patients_of_changed_visits_gets_further_each_run(
    api: Any,
) -> None:
    clinic, day = Clinic(), ["2026-12-01"]

    def answer(asked: Asked) -> Reply:
        if "patients" in asked.path:
            return clinic(asked)
        return Reply([{"id": n, "day": day[0], "patient": clinic._ref(n % 5)} for n in range(100)])

    api.answers(answer)
    api.settings(**LIST, lookups={"patient": BY_URL})
    known = set(api.read().pages[0].digests)
    api.budget, day[0], cursor, ended = 3, "2026-12-02", None, []
    for _ in range(3):
        made, last = [], None
        for last in api.connector().pull(cursor, WINDOW_OF(api)):
            # As sync does: what is new is made, what is known is passed over.
            made += [last.records[n] for n, d in enumerate(last.digests) if d not in known]
            known |= set(last.digests)
        cursor = last.cursor
        ended.append((len(made), last.complete))
    assert ended == [(40, False), (40, False), (20, True)]


def test_a_reference_to_another_host_is_not_followed_and_stops_nobody(api: Any) -> None:
    rows = [{"id": 1, "patient": "https://elsewhere.example/p/1"}, {"id": 2, "patient": None}]
    api.answers(lambda asked: Reply(rows))
    api.settings(**LIST, lookups={"patient": {"ref": "patient"}})
    read = api.read()
    assert read.records[0].issues[0].code == "reference_not_found"
    assert (read.pages[-1].complete, len(api.asked)) == (True, 1)


def test_where_all_references_lead_to_another_host_nobody_loses_the_phone(api: Any) -> None:
    rows = [{"id": n, "patient": f"https://elsewhere.example/p/{n}"} for n in range(9)]
    api.answers(lambda asked: Reply(rows))
    api.settings(**LIST, lookups={"patient": {"ref": "patient"}})
    with pytest.raises(Refused, match=r"another host, elsewhere\.example") as refused:
        api.read()
    assert "base_url" in refused.value.fix
    assert len(api.asked) == 1


def test_a_ref_that_no_record_has_is_one_note_that_names_the_nearest_field(api: Any) -> None:
    rows = [{"id": n, "patient": {"id": n, "name": "Ada Sample"}} for n in range(3)]
    api.answers(lambda asked: Reply(rows))
    api.settings(**LIST, lookups={"who": {"ref": "pateint.id", "path": "/patients/{id}"}})
    told = [
        "no record has anything at lookups.who.ref (pateint.id); the nearest that they have is "
        "patient.id"
    ]
    assert [note for note in api.last().notes if "lookups" in note] == told
    assert [f.message for f in api.connector().check()] == told


def test_a_ref_that_some_record_has_is_no_note(api: Any) -> None:
    api.answers(Clinic("id"))
    api.settings(**LIST, lookups={"patient": {"ref": "patient", "path": "/patients/{id}"}})
    assert not [note for note in api.last().notes if "lookups" in note]


# --- batches that one bad id spoils ----------------------------------------------------------------


def spoilt(bad: set[int], status: int = 400) -> Any:
    """An interface that refuses a batch as a whole where one of its ids is bad."""

    def answer(asked: Asked) -> Reply:
        if asked.path != "/patients":
            return Reply([{"id": n, "patient": n} for n in range(1, 65)])
        ids = {int(one) for one in (asked.one("ids") or "").split(",")}
        if ids & bad:
            return Reply({"error": "bad"}, status)
        return Reply({"patients": [{"id": n, "name": f"Pat {n}"} for n in ids]})

    return answer


@pytest.mark.parametrize("status", [400, 403, 422])
def test_one_bad_id_of_a_batch_sets_its_own_visit_aside(status: int, api: Any) -> None:
    api.answers(spoilt({7}, status))
    api.settings(**LIST, lookups={"patient": IN_BATCHES | {"size": 64}})
    read = api.read()
    assert [(b.key, b.reason) for b in read.unreadable] == [("7", "reference_not_found")]
    assert sum(bool(person["name"]) for person in people(read)) == 63
    assert read.pages[-1].complete
    assert len(api.asked) <= 1 + 1 + 2 * 6


@pytest.mark.parametrize("rules", [[], [{"status": 404, "means": "skip"}]], ids=["bare", "skipped"])
def test_an_unknown_id_that_makes_a_batch_404_is_an_issue_of_its_own_visit(
    rules: list[Any], api: Any
) -> None:
    api.answers(spoilt({60}, 404))
    api.settings(**LIST, errors=rules, lookups={"patient": IN_BATCHES | {"size": 64}})
    read = api.read()
    lost = [record for record in read.records if record.issues]
    assert [(r.key, r.data["patient"], r.issues[0].code) for r in lost] == [
        ("60", {"id": "60"}, "reference_not_found")
    ]
    assert sum("name" in person for person in people(read)) == 63


def test_a_batch_that_is_refused_whatever_it_holds_stops_the_source_after_a_few(api: Any) -> None:
    api.answers(spoilt(set(range(99)), 404))
    api.settings(**LIST, lookups={"patient": IN_BATCHES | {"size": 64}})
    with pytest.raises(Refused, match="404 to GET /patients"):
        api.read()
    assert len(api.asked) < 16


def test_a_budget_that_ends_while_a_batch_is_halved_loses_nothing(api: Any) -> None:
    api.answers(spoilt({7}))
    api.settings(**LIST, lookups={"patient": IN_BATCHES | {"size": 64}})
    api.budget = 9
    last = api.last()
    assert (last.complete, last.unfinished) == (False, True)
    api.budget = None
    read = api.read(last.cursor)
    assert (len(read.records), len(read.unreadable)) == (63, 1)


ODD = ["x", ["x"], {}, [{"id": 1}, {"id": 2}], 7, True]


@pytest.mark.parametrize("body", ODD, ids=str)
def test_an_answer_that_is_no_patient_takes_nobodys_phone_away(body: Any, api: Any) -> None:
    clinic = Clinic()
    api.answers(lambda a: Reply(body) if a.path == "/patients/2" else clinic(a))
    api.settings(**LIST, lookups={"patient": BY_URL})
    read = api.read()
    assert (len(read.records), len(read.unreadable)) == (80, 20)
    assert {b.field for b in read.unreadable} == {"patient"}


@pytest.mark.parametrize("body", [None, [], {"patients": None}, {"patients": {"id": 1}}], ids=str)
def test_a_batch_without_a_list_says_nothing_of_anybody(body: Any, api: Any) -> None:
    clinic = Clinic("id")
    api.answers(lambda a: Reply(body) if a.path == "/patients" else clinic(a))
    api.settings(**LIST, lookups={"patient": IN_BATCHES})
    with pytest.raises(Refused, match="nothing that could be a patient") as refused:
        api.read()
    assert "lookups.patient" in refused.value.fix


def test_a_batch_that_the_server_cuts_is_asked_for_until_all_have_come(api: Any) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path != "/patients":
            return Reply([{"id": n, "patient": n} for n in range(1, 51)])
        ids = (asked.one("ids") or "").split(",")[:20]
        return Reply({"patients": [{"id": one, "name": f"Pat {one}"} for one in ids]})

    api.answers(answer)
    api.settings(**LIST, lookups={"patient": IN_BATCHES})
    read = api.read()
    assert all(person["name"] for person in people(read))
    assert len(api.asked) == 1 + 3


def test_ids_that_the_answer_writes_otherwise_are_the_same(api: Any) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path == "/patients":
            return Reply(b'{"patients": [{"id": 7.0, "name": "A"}, {"id": "x8 ", "name": "B"}]}')
        return Reply([{"id": 1, "patient": 7}, {"id": 2, "patient": "x8"}])

    api.answers(answer)
    api.settings(**LIST, lookups={"patient": IN_BATCHES})
    assert [person["name"] for person in people(api.read())] == ["A", "B"]


def test_several_references_become_several_people(api: Any) -> None:
    clinic = Clinic()
    api.answers(lambda a: clinic(a) if "patients" in a.path else Reply([{"id": 1, "who": [1, 2]}]))
    api.settings(**LIST, lookups={"people": {"ref": "who", "path": "/patients/{id}"}})
    assert [p["name"] for p in api.read().records[0].data["people"]] == ["Pat 1", "Pat 2"]


# --- one by one ------------------------------------------------------------------------------------


def test_a_missing_visit_is_settled_by_asking_for_it(api: Any) -> None:
    answers = {
        "/b/1": Reply({"data": {"id": 1, "starts_at": "2027-01-01"}}),
        "/b/2": Reply({}, 404),
        "/b/3": Reply({}, 403),
        "/b/4": Reply({"data": {"id": 99}}),  # another one: nothing is proven
        "/b/5": Reply({"data": {"id": 5, "deleted_at": "2026-11-22"}}),
    }
    api.answers(lambda asked: answers[asked.path])
    by_id = {"path": "/b/{id}", "record": "data"}
    api.settings(**LIST, gone="deleted_at", read_by_id=by_id)
    connector = api.connector()
    assert connector.rereads
    told = [(r.key, r.gone) for page in connector.reread("12345") for r in page.records]
    assert told == [("1", False), ("2", True), ("5", True)]


class ById:
    """A list of visits, and what is said of each that is asked for by its id."""

    def __init__(self, listed: list[Any], by_id: dict[str, Reply], status: int = 404) -> None:
        self.listed, self.by_id, self.status = listed, by_id, status

    def __call__(self, asked: Asked) -> Reply:
        if asked.path == "/bookings":
            return Reply(self.listed)
        return self.by_id.get(asked.path, Reply({}, self.status))


def reread(api: Any, *keys: str) -> tuple[list[Any], list[str]]:
    pages = list(api.connector().reread(keys))
    told = [(record.key, record.gone) for page in pages for record in page.records]
    return told, [note for page in pages for note in page.notes]


@pytest.mark.parametrize("status", [404, 410])
def test_where_no_listed_visit_is_found_by_its_id_nothing_is_proven_deleted(
    api: Any, status: int
) -> None:
    api.answers(ById([{"id": 1}], {}, status))
    api.settings(**LIST, read_by_id={"path": "/b/{id}"})
    api.read()
    told, (note,) = reread(api, "2", "3")
    assert told == []
    assert "stay as they are" in note


def test_without_a_listing_nothing_is_proven_deleted(api: Any) -> None:
    api.answers(ById([], {}))
    api.settings(**LIST, read_by_id={"path": "/b/{id}"})
    assert reread(api, "2")[0] == []


def test_one_listed_visit_that_is_found_proves_that_others_are_gone(api: Any) -> None:
    api.answers(ById([{"id": 1}], {"/b/1": Reply({"id": 1})}))
    api.settings(**LIST, read_by_id={"path": "/b/{id}"})
    api.read()
    before = len(api.asked)
    assert reread(api, "2", "3") == ([("2", True), ("3", True)], [])
    assert len(api.asked) - before == 3


@pytest.mark.parametrize(
    "body", [{"id": 9}, {}, {"data": {"id": 2}}, [], [{"id": 2}, {"id": 2}], 2]
)
def test_another_visit_or_one_without_its_id_is_no_answer(api: Any, body: Any) -> None:
    api.answers(ById([{"id": 2}], {"/b/2": Reply(body)}))
    api.settings(**LIST, read_by_id={"path": "/b/{id}"})
    api.read()
    assert reread(api, "2", "3")[0] == []


@pytest.mark.parametrize("key", ["12#3", "12?x=1", "a%2Fb", "a/b", "../b/zz", "a:b", "//b"])
def test_an_id_of_any_signs_is_one_step_of_the_path(api: Any, key: str) -> None:
    api.answers(ById([], {}))
    api.settings(**LIST, read_by_id={"path": "/b/{id}"})
    reread(api, key)
    (asked,) = api.asked
    assert (asked.path, asked.query) in ((f"/b/{key}", ()), (f"/b/{quote(key, safe='')}", ()))


@pytest.mark.parametrize("key", [".", ".."])
def test_an_id_of_dots_asks_for_nothing(api: Any, key: str) -> None:
    visits = [{"id": 1, "patient": key}]
    api.answers(ById(visits, {}))
    api.settings(**LIST, read_by_id={"path": "/b/{id}"}, lookups={"patient": BY_URL})
    api.read()
    assert reread(api, key)[0] == []
    assert {asked.path for asked in api.asked} == {"/bookings"}


# --- odd answers -------------------------------------------------------------------------------------

ODD = {
    "deep": b'[{"id": 1, "a": ' + b"[" * 100_000,
    "deep and closed": b'[{"id": 1, "a": ' + b"[" * 300 + b"]" * 300 + b"}]",
    "deep in other letters": b'["\\ud83d", ' + b"[" * 300 + b"]" * 300 + b"]",
    "other letters": '[{"id": 1, "name": "Renée"}]'.encode("latin-1"),
    "a number": b"1" * 5000,
    "nothing": b"",
    "half": b'[{"id": 1}',
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_an_answer_that_cannot_be_read_is_refused_and_not_a_crash(api: Any, body: bytes) -> None:
    api.answers(lambda asked: Reply(body))
    api.settings(**LIST)
    with pytest.raises(Refused):
        api.read()


def test_a_mark_before_the_text_and_numbers_beyond_all_bounds_do_no_harm(api: Any) -> None:
    rows = b'[{"id": 1, "n": ' + b"9" * 5000 + b', "name": "\\ud83d"}, {"id": 2, "n": 1e999}]'
    api.answers(lambda asked: Reply(b"\xef\xbb\xbf" + rows))
    api.settings(**LIST)
    assert api.keys() == ["1", "2"]


@pytest.mark.parametrize("link", ["http://[", "//[x"])
def test_a_next_link_that_is_no_address_ends_the_list_and_not_the_run(api: Any, link: str) -> None:
    api.answers(lambda asked: Reply({"rows": [{"id": 1}], "next": link}))
    api.settings(**LIST, records="rows", paging={"type": "link", "next": "next"})
    last = api.last()
    assert not last.complete
    assert "readable way" in last.notes[-1]


def test_an_answer_of_another_shape_than_its_paths_expect_is_refused(api: Any) -> None:
    api.answers(lambda asked: Reply({"rows": 5}))
    api.settings(**LIST, records="sort_by(rows, &id)")
    with pytest.raises(Refused):
        api.read()


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9" * 5000])
def test_a_server_time_that_no_clock_shows_is_none(api: Any, moment: str) -> None:
    api.answers(lambda asked: Reply({"now": moment, "rows": [{"id": 1, "changed": moment}]}))
    changes = {"path": "/bookings", "params": {"since": "{watermark}"}}
    api.settings(**LIST, changes=changes, records="rows", clock="now", cursor="changed")
    cursor = api.last().cursor
    assert "watermark" not in cursor
    assert api.last(cursor).complete


@pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "é", [], {}, True])
def test_a_session_that_no_header_can_hold_is_none(api: Any, token: Any) -> None:
    api.answers(lambda asked: Reply({"token": token}))
    login = {"path": "/login", "json": {"user": "u"}, "token": "token", "header": "X-Session"}
    api.settings(**LIST, login=login)
    with pytest.raises(Refused, match="gave no token"):
        api.read()


def test_a_kind_that_nobody_knows_is_not_repeated(api: Any) -> None:
    api.answers(lambda asked: Reply(b"x", headers={"Content-Type": "quenby/canary"}))
    api.settings(**LIST)
    with pytest.raises(Refused, match=r"not JSON \(something unknown\)"):
        api.read()


def test_a_patient_behind_a_login_page_stops_the_source(api: Any) -> None:
    away = Reply(b"", 302, headers={"Location": "http://login.example/"})
    api.answers(lambda asked: Reply([{"id": 1, "patient": 1}]) if "b" in asked.path else away)
    api.settings(**LIST, lookups={"patient": {"ref": "patient", "path": "/patients/{id}"}})
    with pytest.raises(Refused, match="sends us elsewhere"):
        api.read()


LIVE, CANCELLED = {"request": {"path": "/live"}}, {"request": {"path": "/cancelled"}}


@pytest.mark.parametrize(
    "streams",
    [
        [CANCELLED | {"gone": True}, LIVE],
        [CANCELLED | {"set": {"status": "cancelled"}}, LIVE],
        [CANCELLED | {"gone": True}],
    ],
    ids=["gone", "set", "alone"],
)
def test_a_visit_asked_for_by_its_id_is_not_taken_for_one_of_the_cancelled(
    streams: list[Any], api: Any
) -> None:
    api.answers(lambda asked: Reply({"id": 1, "status": "booked"}))
    api.settings(streams=streams, read_by_id={"path": "/b/{id}"})
    (page,) = api.connector().reread(["1"])
    assert [(r.gone, r.data["status"]) for r in page.records] == [(False, "booked")]


def test_a_visit_whose_patient_cannot_be_read_stays_as_it_was_when_it_is_asked_for(
    api: Any,
) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path == "/p/5":
            return Reply(b"<html>", headers={"Content-Type": "text/html"})
        return Reply({"id": int(asked.path[-1]), "p": int(asked.path[-1])})

    api.answers(answer)
    api.settings(
        request={"path": "/b"},
        read_by_id={"path": "/b/{id}"},
        lookups={"patient": {"ref": "p", "path": "/p/{id}"}},
    )
    (page,) = api.connector().reread(["4", "5", "6"])
    assert [record.key for record in page.records] == ["4", "6"]


@pytest.mark.parametrize("reply", [Reply(b"<html>"), Reply({}, 500), Reply({}, 418)], ids=str)
def test_one_visit_that_cannot_be_asked_for_keeps_no_other_from_its_proof(
    reply: Reply, api: Any
) -> None:
    def answer(asked: Asked) -> Reply:
        number = int(asked.path[-1])
        return {1: reply, 2: Reply({}, 404)}.get(number, Reply({"id": number}))

    api.answers(answer)
    api.settings(request={"path": "/b"}, read_by_id={"path": "/b/{id}"})
    (page,) = api.connector().reread(["1", "2", "3"])
    assert [(record.key, record.gone) for record in page.records] == [("2", True), ("3", False)]


def test_a_server_that_answers_about_no_visit_is_not_asked_about_all(api: Any) -> None:
    api.answers(lambda asked: Reply(b"<html>"))
    api.settings(request={"path": "/b"}, read_by_id={"path": "/b/{id}"})
    with pytest.raises(Refused, match="not JSON"):
        list(api.connector().reread([str(n) for n in range(50)]))
    assert len(api.asked) == 4


def test_without_a_way_to_ask_nothing_is_reread(api: Any) -> None:
    api.settings(**LIST)
    assert not api.connector().rereads


# --- check and probe -------------------------------------------------------------------------------


def findings(api: Any) -> list[tuple[str, str]]:
    return [(f.code, f.message) for f in api.connector().check()]


def test_a_source_that_works_has_no_findings(api: Any) -> None:
    api.answers(Clinic())
    api.settings(**LIST, lookups={"patient": BY_URL})
    assert findings(api) == []


@pytest.mark.parametrize(
    ("reply", "code", "says"),
    [
        (Reply({}, 401), "refused", "wants credentials, and there are none"),
        (Reply({}, 403), "refused", "does not let us read this"),
        (Reply({}, 404), "refused", "has nothing there"),
        (Reply(b"<p>Quenby</p>"), "refused", "not JSON"),
        (Reply({"data": {"Quenby Canary": 1}, "meta": {}}), "no_records", "at its top: data, meta"),
        (Reply([{"uuid": "x", "when": 1}]), "no_key", "they have uuid, when"),
        (Reply({}, 503), "not_answered", "in trouble"),
    ],
    ids=["key", "rights", "path", "page", "records", "id", "down"],
)
def test_each_mistake_has_a_sentence_of_its_own(
    reply: Reply, code: str, says: str, api: Any
) -> None:
    api.answers(lambda asked: reply)
    api.settings(**LIST)
    ((found, message),) = findings(api)
    assert found == code
    assert says in message
    assert "Quenby" not in message


@pytest.mark.parametrize(
    ("paging", "told"),
    [
        ({"type": "page", "more": "meta.mor"}, "paging.more (meta.mor)"),
        ({"type": "page", "pages": "pages"}, "paging.pages (pages)"),
        ({"type": "none", "total": "meta.totl"}, "paging.total (meta.totl)"),
        ({"type": "link", "next": "meta.nxt"}, "paging.next (meta.nxt)"),
    ],
)
def test_a_path_of_paging_that_leads_nowhere_is_told(paging: Any, told: str, api: Any) -> None:
    meta = {"total": 1, "more": False, "next": "/bookings?page=2"}
    api.answers(lambda asked: Reply({"rows": [{"id": 1}], "meta": meta}))
    api.settings(request={"path": "/bookings"}, records="rows", paging=paging)
    (finding,) = api.connector().check()
    assert finding.message == f"the first answer of GET /bookings has nothing at {told}"


def test_records_that_do_not_fit_the_answer_are_told_by_check_too(api: Any) -> None:
    api.answers(lambda asked: Reply({"rows": 7}))
    api.settings(request={"path": "/bookings"}, records="sort_by(rows, &id)")
    (finding,) = api.connector().check()
    assert (finding.code, "rows" in finding.message) == ("no_records", True)


def test_paging_that_ends_at_once_is_no_mistake(api: Any) -> None:
    api.answers(lambda asked: Reply({"rows": [{"id": 1}], "links": {"self": "x"}}))
    api.settings(
        request={"path": "/bookings"}, records="rows", paging={"type": "link", "next": "links.next"}
    )
    assert not list(api.connector().check())


def test_a_clock_that_is_wrong_is_told(api: Any) -> None:
    wrong = datetime.now(UTC) + timedelta(minutes=9)
    date = wrong.strftime("%a, %d %b %Y %H:%M:%S GMT")
    api.answers(lambda asked: Reply([], headers={"Date": date}))
    api.settings(**LIST)
    ((code, message),) = findings(api)
    assert (code, "min ahead of ours" in message) == ("clock_skew", True)


def test_a_way_to_one_visit_that_leads_nowhere_is_told_before_it_deletes(api: Any) -> None:
    api.answers(
        lambda asked: Reply(
            [{"id": 1}] if asked.path == "/bookings" else {},
            200 if asked.path == "/bookings" else 404,
        )
    )
    api.settings(**LIST, read_by_id={"path": "/wrong/{id}"})
    assert [code for code, _ in findings(api)] == ["not_by_id"]


@pytest.mark.parametrize(
    "text", ["{windw_start}", "{ window_start }", "{Window_Start:date}", "{window-start}"]
)
def test_a_misspelt_placeholder_is_advised_against(text: str, api: Any) -> None:
    api.settings(request={"path": "/b", "params": {"from": text, "x": "{{ y }}"}})
    (finding,) = api.connector().advise()
    assert f"{text} is no placeholder" in finding.message
    assert finding.fix == "write {window_start}"


def test_lists_that_look_like_records_are_offered_with_samples(api: Any) -> None:
    rows = [{"uuid": f"u{n}", "start": "2026-12-01"} for n in range(9)]
    body = {"data": {"appointments": rows, "tags": ["x"]}, "links": {"next": "/b?page=2"}}
    api.answers(lambda asked: Reply(body))
    api.settings(request={"path": "/b"})
    (offer,) = api.connector().offers()
    assert offer.settings == {
        "records": "data.appointments",
        "paging": {"type": "link", "next": "links.next"},
        "key": "uuid",
    }
    assert len(offer.samples) == 5


def test_nothing_that_people_read_holds_a_query_a_body_or_a_secret(api: Any) -> None:
    row = {"id": 1, "name": "Quenby Canary", "phone": "+12025550143"}
    api.answers(lambda asked: Reply({"rows": [row, "Quenby Canary"], "next": "x=Quenby"}))
    api.settings(
        request={"path": "/b", "params": {"clinic": "Quenby", "from": "{window_start}"}},
        records="rows",
        auth={"type": "header", "name": "X-Key", "value": "canary.example"},
        paging={"type": "cursor", "next": "next", "param": "t", "max_pages": 1},
    )
    read = api.read()
    said = [page.notes for page in read.pages] + [page.scope for page in read.pages]
    said += [(b.place, b.reason, b.detail) for b in read.unreadable]
    said += [r.place for r in read.records] + [api.connector().advise()]
    assert [word for word in CANARIES if word in str(said)] == []
    assert read.unreadable[0].place == "/b page 1, record 2"
