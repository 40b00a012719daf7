"""Logging in to Google, and what is told of it when that fails: CAL-13, 17, 19, 20, 27."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from google_peer.peer import EVENTS_SCOPE, GooglePeer

from clinicrelay import EventResult, Outcome
from tests.calendars.conftest import DOCTOR, ROBOT, Ours, accepted, asked, many, write

OTHERS = [f"doctor{n}@riverside.example" for n in range(5)]
Reach = Callable[..., Ours]
Key = dict[str, Any]


@pytest.fixture
def doctors(google: GooglePeer) -> list[str]:
    for one in OTHERS:
        google.calendar(one, shared={ROBOT: "writer"})
    return [DOCTOR, *OTHERS]


# --- one token for many calls (CAL-20) -----------------------------------------------------------


def test_one_token_does_for_all_that_a_run_asks(
    google: GooglePeer, ours: Ours, doctors: list[str]
) -> None:
    """CAL-20."""
    list(ours.plugin.reach(doctors))
    for doctor in doctors:
        ours.memos.clear()
        assert accepted(ours.put(*many(120), calendar=doctor))
        ours.look(calendar=doctor)
    assert len(google.calls("token")) == 1


@pytest.mark.parametrize("count", [1, 120])
def test_a_token_that_ends_in_the_middle_is_renewed_once(
    google: GooglePeer, ours: Ours, count: int
) -> None:
    """CAL-20."""
    ours.put(write("first"))
    google.fault("call", "insert", nth=60 if count > 60 else 1, call=google.expire_tokens)
    assert accepted(ours.put(*many(count)))
    assert len(google.calls("token")) == 2
    assert google.duplicates() == {}


def test_acting_as_each_doctor_takes_one_token_for_each(
    google: GooglePeer, reach_google: Reach, doctors: list[str]
) -> None:
    ours = reach_google(mode="delegated")
    for doctor in doctors:
        assert accepted(ours.put(write(doctor), calendar=doctor))
        ours.look(calendar=doctor)
        assert google.dump(doctor)[0]["creator"]["email"] == doctor
    assert len(google.calls("token")) == len(doctors)


# --- trouble, each with its own sentence (CAL-19) ------------------------------------------------


def replaced(google: GooglePeer) -> Key:
    old = google.service_account(ROBOT)
    google.service_account(ROBOT, key=1)
    return old


def disabled(google: GooglePeer) -> Key:
    key = google.service_account(ROBOT)
    google.disable(ROBOT)
    return key


def unknown(google: GooglePeer) -> Key:
    return {**google.service_account(ROBOT), "client_email": "nobody@riverside.example"}


def damaged(google: GooglePeer) -> Key:
    return {**google.service_account(ROBOT), "private_key": "-----BEGIN PRIVATE KEY-----\nx\n"}


def fast(google: GooglePeer) -> Key:
    google.skew(7200)
    return google.service_account(ROBOT)


def slow(google: GooglePeer) -> Key:
    google.skew(-7200)
    return google.service_account(ROBOT)


def unscoped(google: GooglePeer) -> Key:
    google.fault("status", "token", status=400, reason="invalid_scope", message="Some scope")
    return google.service_account(ROBOT)


def odd(google: GooglePeer) -> Key:
    google.fault("status", "token", status=400, reason="unheard_of", message="Mr. Sample")
    return google.service_account(ROBOT)


ACCOUNTS = [
    (replaced, "account_key", "new key"),
    (damaged, "account_key", "new key"),
    (disabled, "account_unknown", "enable it"),
    (unknown, "account_unknown", "deleted or disabled"),
    (fast, "clock", "NTP"),
    (slow, "clock", "NTP"),
    (unscoped, "scope", EVENTS_SCOPE),
    (odd, "login_refused", "check --connect"),
]


@pytest.mark.parametrize(("key", "reason", "word"), ACCOUNTS)
def test_trouble_with_the_account_is_said_once_for_all_and_asks_no_calendar(
    google: GooglePeer,
    reach_google: Reach,
    doctors: list[str],
    key: Callable[[GooglePeer], Key],
    reason: str,
    word: str,
) -> None:
    """CAL-19."""
    ours = reach_google(key=key(google))
    troubles = [ours.look(calendar=doctor).trouble for doctor in doctors]
    results = [one for doctor in doctors for one in ours.put(*many(60), calendar=doctor)]
    for trouble in (*troubles, *results):
        assert isinstance(trouble, EventResult)
        assert (trouble.outcome, trouble.reason) == (Outcome.NOT_SENT, reason)
        assert trouble.blocks
        assert trouble.everywhere
        assert word in trouble.fix
        assert "Sample" not in f"{trouble.detail} {trouble.fix}"
    (finding,) = ours.plugin.check()
    assert (finding.severity, finding.code, finding.fix) == ("error", reason, results[0].fix)
    assert {one.wrong.code for one in ours.plugin.reach(doctors) if one.wrong} == {reason}
    assert len(google.calls("token")) <= 3
    assert asked(google) == []


def test_without_delegation_the_third_doctor_in_a_row_stops_all(
    google: GooglePeer, reach_google: Reach, doctors: list[str]
) -> None:
    """CAL-19."""
    ours = reach_google(key=google.service_account(ROBOT), mode="delegated")
    results = [ours.put(write(), calendar=doctor)[0] for doctor in doctors]
    assert {one.reason for one in results} == {"no_delegation"}
    assert [one.everywhere for one in results[:4]] == [False, False, True, True]
    assert all("100000000000000000001" in one.fix and EVENTS_SCOPE in one.fix for one in results)
    assert (len(google.calls("token")), asked(google)) == (3, [])


def test_a_doctor_outside_the_domain_stops_no_other(
    google: GooglePeer, reach_google: Reach, doctors: list[str]
) -> None:
    ours = reach_google(mode="delegated")
    google.fault(
        "status", "token", nth=2, status=401, reason="unauthorized_client", message="Client"
    )
    results = [ours.put(write(doctor), calendar=doctor)[0] for doctor in doctors]
    assert [one.reason for one in results] == ["", "no_delegation", "", "", "", ""]
    assert [one.everywhere for one in results] == [False] * 6


def test_an_address_that_is_nobodys_is_told_and_stops_no_other(
    google: GooglePeer, reach_google: Reach
) -> None:
    """CAL-19."""
    ours = reach_google(mode="delegated")
    (lost,) = ours.put(write(), calendar="nobody@riverside.example")
    assert (lost.reason, lost.everywhere) == ("unknown_user", False)
    assert accepted(ours.put(write("r2")))


# --- with a token that each doctor gave ----------------------------------------------------------


@pytest.fixture
def consented(google: GooglePeer, reach_google: Reach, doctors: list[str]) -> Ours:
    given = {doctor: google.authorized_user(doctor) for doctor in doctors[:2]}
    client = {name: given[DOCTOR][name] for name in ("client_id", "client_secret", "token_uri")}
    tokens = {doctor.upper(): one["refresh_token"] for doctor, one in given.items()}
    return reach_google(key={"installed": client}, mode="oauth", tokens=tokens)


def test_with_a_doctors_consent_their_calendar_is_written_as_they(
    google: GooglePeer, consented: Ours
) -> None:
    assert accepted(consented.put(write()))
    assert google.dump(DOCTOR)[0]["creator"]["email"] == DOCTOR
    (missing,) = consented.put(write("r2"), calendar=OTHERS[3])
    assert (missing.reason, missing.everywhere) == ("no_token", False)


def test_a_consent_that_was_withdrawn_is_told_and_asked_for_once(
    google: GooglePeer, consented: Ours
) -> None:
    """CAL-19."""
    google.revoke()
    results = consented.put(*many(60))
    assert {(one.reason, one.everywhere) for one in results} == {("token_revoked", False)}
    assert "seven days" in results[0].fix
    consented.look()
    assert (len(google.calls("token")), asked(google)) == (1, [])


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Google's library waits between its own tries."""
    nobody_waits = SimpleNamespace(sleep=lambda seconds: None)
    monkeypatch.setattr("google.auth._exponential_backoff.time", nobody_waits)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("kind", ["status", "html", "close_before"])
def test_a_token_service_that_is_down_for_a_moment_is_no_trouble(
    google: GooglePeer, ours: Ours, kind: str
) -> None:
    google.fault(kind, "token", status=503, limit=1)
    assert accepted(ours.put(write()))


@pytest.mark.usefixtures("at_once")
def test_a_token_service_that_is_down_blocks_no_account_for_good(
    google: GooglePeer, ours: Ours
) -> None:
    google.fault("status", "token", status=503)
    (result,) = ours.put(write())
    assert (result.reason, result.blocks) == ("unreachable", True)
    assert len(google.calls("token")) == 3


# --- one calendar (CAL-17) -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        (None, "not_shared"),
        ("freeBusyReader", "read_only"),
        ("reader", "read_only"),
        ("writerWithoutPrivateAccess", "no_private_access"),
    ],
)
def test_a_calendar_that_is_not_shared_enough_says_what_to_ask_the_doctor(
    google: GooglePeer, ours: Ours, role: str | None, reason: str
) -> None:
    """CAL-17: the account's address and the role to grant."""
    google.share(DOCTOR, ROBOT, role)
    trouble = ours.look().trouble
    assert trouble is not None
    assert (trouble.reason, trouble.everywhere, trouble.retry_after) == (reason, False, None)
    assert ROBOT in trouble.fix
    assert "Make changes to events" in trouble.fix
    (state,) = ours.plugin.reach([DOCTOR])
    assert state.wrong is not None
    assert (state.wrong.code, state.role) == (reason, role or "")
    assert len(asked(google)) == 2
    google.share(DOCTOR, ROBOT)
    assert accepted(ours.put(write()))
    assert ours.look().trouble is None


@pytest.mark.parametrize("calendar", ["primary", ROBOT, ROBOT.upper()])
def test_the_accounts_own_calendar_is_none_that_anybody_sees(
    google: GooglePeer, ours: Ours, calendar: str
) -> None:
    trouble = ours.look(calendar=calendar).trouble
    assert trouble is not None
    assert trouble.reason == "own_calendar"
    assert asked(google) == []


def test_what_can_be_done_in_a_calendar_is_found_out_without_changing_anything(
    google: GooglePeer, reach_google: Reach, ours: Ours
) -> None:
    (shared,) = ours.plugin.reach([DOCTOR])
    assert (shared.role, shared.zone, shared.wrong) == ("writer", "Europe/Berlin", None)
    assert (shared.own_reminders, shared.meetings) == (False, False)
    (delegated,) = reach_google(mode="delegated").plugin.reach([DOCTOR])
    assert (delegated.role, delegated.own_reminders, delegated.meetings) == ("owner", True, True)
    assert set(asked(google)) == {"list"}


# --- who is counted (CAL-13) ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        ({}, False),
        ({"quota": {"by": "doctor"}}, True),
        ({"mode": "delegated"}, True),
        ({"mode": "delegated", "quota": {"by": "account"}}, False),
    ],
)
def test_each_doctor_is_counted_apart_where_that_is_set_and_nobody_can_tell_who(
    google: GooglePeer, reach_google: Reach, doctors: list[str], said: Any, counted: bool
) -> None:
    """CAL-13."""
    ours = reach_google(**said)
    for doctor in doctors:
        ours.memos.clear()
        assert accepted(ours.put(*many(3), calendar=doctor))
        ours.look(calendar=doctor)
    users = {call.quota_user for call in google.calls("insert", "list")}
    assert len(users) == (len(doctors) if counted else 1)
    if counted:
        assert all(len(one) == 40 and one.isalnum() for one in users)
    else:
        assert users == {""}


# --- where the bytes go (CAL-27) -----------------------------------------------------------------


def test_with_an_address_of_ours_nothing_leaves_the_machine(
    google: GooglePeer, reach_google: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CAL-27: tokens, single calls and batches."""
    went: list[Any] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def watched(self: socket.socket, address: Any) -> None:
        went.append(address[0])
        assert address[0] == "127.0.0.1"
        connect(self, address)

    def named(host: Any, *more: Any, **others: Any) -> Any:
        assert host == "127.0.0.1"
        return look_up(host, *more, **others)

    monkeypatch.setattr(socket.socket, "connect", watched)
    monkeypatch.setattr(socket, "getaddrinfo", named)
    for mode in ("shared", "delegated"):
        ours = reach_google(mode=mode)
        assert accepted(ours.put(*many(60)))
        assert accepted(ours.put(write("r000", title="Video visit")))
        ours.look()
        assert list(ours.plugin.check()) == []
        assert not ours.plugin.outside
    assert went


def test_a_google_that_is_not_on_this_machine_is_outside(reach_google: Reach) -> None:
    assert reach_google(base_url="https://calendar.example").plugin.outside
