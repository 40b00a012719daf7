"""When a notifier is left alone for a while, and for whose sake."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from clinicrelay.contracts import Outcome, SendResult
from sync.breaker import Breaker, after

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TAKEN = SendResult(Outcome.ACCEPTED)


def refused(code: str = "550 5.7.0", reason: str = "address_refused") -> SendResult:
    return SendResult(Outcome.REJECTED, reason, detail=f"The server answered {code} to RCPT TO.")


def ended(results: Iterable[tuple[str, SendResult]], *, begun: Breaker = Breaker()) -> Breaker:  # noqa: B008
    for recipient, result in results:
        begun = after(begun, "post", recipient, result, now=NOW)
    return begun


def test_three_people_refused_alike_in_a_row_let_the_others_wait() -> None:
    two = ended([("a", refused()), ("b", refused())])
    assert not two.barred
    three = ended([("c", refused())], begun=two)
    barred = three.barred["post"]
    assert barred.reason == "refuses_everyone(address_refused)"
    assert barred.until - NOW == timedelta(minutes=15)
    assert barred.needs_person


def test_after_the_wait_one_refusal_more_is_enough() -> None:
    barred = ended([(who, refused()) for who in "abc"])
    later = NOW + timedelta(hours=1)
    again = after(barred, "post", "d", refused(), now=later).barred["post"]
    assert (again.since, again.until) == (NOW, later + timedelta(minutes=15))


def test_one_who_is_accepted_shows_that_the_others_were_meant_themselves() -> None:
    known = ended([("a", refused()), ("b", refused()), ("c", TAKEN), ("d", refused())])
    assert not known.barred
    assert ended([("c", TAKEN)], begun=ended([(w, refused()) for w in "abc"])) == Breaker()


def test_refusals_of_many_kinds_and_of_one_person_mean_nobody_else() -> None:
    kinds = ["550 5.1.1", "550 5.2.1", "550 5.1.1", "554 5.6.0"]
    assert not ended([(who, refused(code)) for who, code in zip("abcd", kinds, strict=True)]).barred
    assert not ended([("a", refused())] * 5).barred


def test_what_no_server_said_of_everyone_counts_for_nothing() -> None:
    for reason in ("address_invalid", "mailbox_full", "opted_out", "landline", "not_on_whatsapp"):
        own = refused(reason=reason)
        assert not ended([(who, own) for who in "abcd"]).refused


def test_a_wait_between_two_refusals_proves_nothing() -> None:
    busy = SendResult(Outcome.NOT_SENT, "server_busy", pause=timedelta(minutes=1))
    known = ended([("a", refused()), ("b", refused()), ("b", busy), ("c", refused())])
    assert known.barred["post"].reason == "refuses_everyone(address_refused)"


def test_of_a_lost_answer_only_the_message_itself_is_unknown() -> None:
    lost = SendResult(Outcome.UNKNOWN, "answer_lost", pause=timedelta(minutes=1))
    assert ended([("a", lost)]).barred["post"].reason == "unreachable"


def test_each_notifier_is_judged_by_its_own() -> None:
    known = ended([("a", refused()), ("b", refused())])
    assert not after(known, "other", "c", refused(), now=NOW).barred
