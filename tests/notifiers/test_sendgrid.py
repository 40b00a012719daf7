"""E-mail by SendGrid: the contract, on a small SendGrid of our own, and what is posted and found."""

from __future__ import annotations

import json
import re
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from clinicrelay import Absent, Attachment, Attempt, CannotTell, Delivery, Found, Message, Outcome
from clinicrelay.testing import NOW, Arrived, Fault, ProviderContract, an_email, kit
from clinicrelay.testing.http_server import Asked, HttpServer, Reply
from clinicrelay.testing.kits import CANARY_EMAIL, canaries_in
from clinicrelay.testing.notifiers import BEGUN
from notifiers.sendgrid import Sendgrid

KEY = "SG.key-that-nobody-may-see"
SENDER = "Riverside <noreply@riverside.example>"
LATE = timedelta(seconds=1.5)  # a busy machine answers sooner
FIELDS = {"personalizations", "from", "reply_to", "subject", "content", "custom_args", "headers"}
FIELDS |= {"tracking_settings", "attachments"}
RESERVED = {"x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "to", "from"}
RESERVED |= {"content-transfer-encoding", "subject", "reply-to", "cc", "bcc"}
ORDER = {"text/plain": 0, "text/html": 1}
ADDRESSED = re.compile(r"to_email=\"([^\"]+)\"")
QUERY = re.compile(r"unique_args\['attempt'\]=\"([A-Za-z0-9_-]{1,64})\"")
ADDRESS = re.compile(r"[^@\s]+@[A-Za-z0-9.-]+")


def wrong_with(mail: Mapping[str, Any]) -> str | None:
    """Return the field that SendGrid would name, by its own rules."""
    if set(mail) - FIELDS:
        return str(min(set(mail) - FIELDS))
    (person,) = mail["personalizations"]
    if set(person) != {"to"} or not ADDRESS.fullmatch(person["to"][0]["email"]):
        return "personalizations.0.to.0.email"
    if not ADDRESS.fullmatch(mail["from"]["email"]) or not mail["from"].get("name", "x"):
        return "from.email"
    if not mail["subject"]:
        return "subject"
    kinds = [block["type"] for block in mail["content"]]
    if kinds[0] != "text/plain" or kinds != sorted(kinds, key=lambda kind: ORDER.get(kind, 2)):
        return "content"
    if not all(block["value"] for block in mail["content"]):
        return "content.0.value"
    plain = r"[^;\r\n]+|text/calendar; ?method=[A-Za-z]+"
    if not all(re.fullmatch(plain, kind) for kind in kinds):
        return "content.2.type"
    for name, value in mail["headers"].items():
        if name.lower() in RESERVED or not value.isascii() or re.search(r"[\r\n]", value):
            return f"headers.{name}"
    for file in mail.get("attachments", ()):
        if not (file["filename"] and b64decode(file["content"], validate=True)):
            return "attachments.0.content"
        if not re.fullmatch(r"[^;\r\n]+", file["type"]):
            return "attachments.0.type"
    return None


@dataclass
class Exchange:
    """A SendGrid that takes what is right, refuses the rest, and plays one fault when it is told to.

    Of its mails those in `unlisted` do not stand in Email Activity yet.
    """

    mails: list[dict[str, Any]] = field(default_factory=list)
    fault: Fault | None = None
    answering: Reply | None = None  # to each mail, instead of judging it
    of_activity: Reply | None = None
    scopes: Any = field(default_factory=lambda: ["mail.send", "messages.read"])
    unlisted: set[str] = field(default_factory=set)
    over: Event = field(default_factory=Event)

    def answer(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {KEY}" or self._now(Fault.LOCKED_OUT):
            return no(401, None, f"not with {KEY}")
        found = {
            ("POST", "/v3/mail/send"): self.take,
            ("GET", "/v3/messages"): self.list,
            ("GET", "/v3/scopes"): lambda asked: Reply({"scopes": self.scopes}),
        }.get((asked.method, asked.path))
        if asked.method == "GET" and asked.path.startswith("/v3/messages/"):
            found = self.tell
        return found(asked) if found else no(404, None)

    def tell(self, asked: Asked) -> Reply:
        """Tell the events of one mail, which is asked for by its long id."""
        (mail,) = [mail for mail in self.mails if f"/{mail['id']}." in asked.path]
        return (
            Reply({"msg_id": asked.path, "events": mail["events"]})
            if "events" in mail
            else no(404, None)
        )

    def take(self, asked: Asked) -> Reply:
        assert asked.headers["content-type"] == "application/json"
        mail = json.loads(asked.body)
        if self._now(Fault.GONE):
            return Reply(reset=True)
        if self._now(Fault.BUSY):
            return no(429, None)
        if self._now(Fault.REFUSED):
            return no(400, "personalizations.0.to.0.email")
        if self.answering is not None:
            return self.answering
        if (found := wrong_with(mail)) is not None:
            return no(400, found)
        number = f"taken-{len(self.mails)}"
        self.mails.append({**mail, "id": number, "status": "processed"})
        if self._now(Fault.ANSWER_LOST):
            return Reply(reset=True)
        if self._now(Fault.ANSWER_LATE):
            self.over.wait(2 * LATE.total_seconds())
        if self._now(Fault.ANSWER_MANGLED):
            return Reply(b"<html>sign in</html>", 200)
        if self._now(Fault.TROUBLE):
            return no(503, None)
        return Reply(b"", 202, {"X-Message-Id": number})

    def list(self, asked: Asked) -> Reply:
        if self.of_activity is not None:
            return self.of_activity
        if (to := ADDRESSED.fullmatch(asked.one("query") or "")) and asked.one("limit") == "100":
            return self.listed_to(to[1])
        query = QUERY.fullmatch(asked.one("query") or "")
        if query is None or asked.one("limit") != "1":
            return no(400, "query")
        rows = [
            row(mail["id"], mail["personalizations"][0]["to"][0]["email"], mail["status"])
            for mail in reversed(self.mails)
            if mail["custom_args"] == {"attempt": query[1]} and mail["id"] not in self.unlisted
        ]
        return Reply({"messages": rows[:1]})

    def listed_to(self, address: str) -> Reply:
        """List what was sent to one address."""
        rows = (
            row(mail["id"], mail["personalizations"][0]["to"][0]["email"], mail["status"])
            for mail in reversed(self.mails)
            if mail["id"] not in self.unlisted
        )
        return Reply(
            {"messages": [one for one in rows if one["to_email"].lower() == address.lower()]}
        )

    def _now(self, fault: Fault) -> bool:
        played = self.fault is fault
        if played:
            self.fault = None
        return played


def row(number: str, to: str, status: str = "processed") -> dict[str, Any]:
    full = f"{number}.filterdrecv-5645d9c87f-78xkx-1-60D5A5F4-1.0"
    return {"msg_id": full, "to_email": to, "status": status, "subject": "Your appointment"}


def no(status: int, named: str | None, says: str = "", **headers: str) -> Reply:
    # As SendGrid does, it repeats the address that it dislikes.
    error = {"field": named, "message": says or f"{CANARY_EMAIL} is not right", "help": None}
    return Reply({"errors": [error]}, status, headers)


class Served:
    """Starts a server for each test, and closes what was made for it."""

    @pytest.fixture(autouse=True)
    def _server(self) -> Iterator[None]:
        self.grid = Exchange()
        self.server = HttpServer(self.grid.answer)
        self.server.start()
        self.stopped = False
        self.made: list[Sendgrid] = []
        yield
        self.grid.over.set()
        for one in self.made:
            one.close()
        self.stop()

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self.server.stop()

    def sendgrid(self, folder: Path, **options: Any) -> Sendgrid:
        said = {"api_key": KEY, "from": SENDER, "base_url": self.server.url, "timeout": LATE}
        changes = {"pace": options.pop("pace")} if "pace" in options else {}
        made = Sendgrid(Sendgrid.Options.model_validate(said | options), kit(folder, **changes))
        self.made.append(made)
        return made


class TestSendgridKeepsTheContract(Served, ProviderContract):
    """With Email Activity, where every lost answer can be found out."""

    repeats_are_harmless = False
    gone_is_proven = False
    secrets = (KEY,)
    activity = True

    def plugin(self) -> type[Sendgrid]:
        return Sendgrid

    def make(self, folder: Path) -> Sendgrid:
        return self.sendgrid(folder, activity=self.activity)

    def arrived(self, folder: Path) -> Sequence[Arrived]:
        return [_seen(mail) for mail in self.grid.mails]

    def break_destination(self, folder: Path) -> None:
        self.stop()

    def play(self, folder: Path, fault: Fault) -> None:
        self.grid.fault = fault

    def traces(self, folder: Path) -> Sequence[str]:
        """Others see the addresses called, and SendGrid's staff the custom arguments."""
        called = [f"{asked.path} {asked.query}" for asked in self.server.log]
        return called + [f"{mail['custom_args']} {mail['headers']}" for mail in self.grid.mails]


class TestSendgridWithoutActivityKeepsTheContract(TestSendgridKeepsTheContract):
    answers_lookups = False
    activity = False


def _seen(mail: Mapping[str, Any]) -> Arrived:
    parts = {block["type"]: block["value"] for block in mail["content"]}
    (to,) = mail["personalizations"][0]["to"]
    return Arrived(to["email"], parts["text/plain"], mail["subject"], parts.get("text/html"))


INVITATION = "BEGIN:VCALENDAR\r\nMETHOD:CANCEL\r\nEND:VCALENDAR\r\n"


class TestWhatIsPosted(Served):
    def posted(self, folder: Path, **changes: Any) -> dict[str, Any]:
        assert self.sendgrid(folder).send(an_email(**changes)).outcome is Outcome.ACCEPTED
        return self.grid.mails[-1]

    def test_the_attempt_is_all_that_is_kept_beside_the_mail(self, tmp_path: Path) -> None:
        mail = self.posted(tmp_path, id="cr0123")
        assert mail["custom_args"] == {"attempt": "cr0123"}
        assert "categories" not in mail
        assert mail["personalizations"] == [{"to": [{"email": CANARY_EMAIL}]}]

    def test_nobody_answers_by_machine_and_the_clinic_reads_what_people_answer(
        self, tmp_path: Path
    ) -> None:
        mail = self.posted(tmp_path, id="cr0123")
        assert mail["headers"] == {
            "Message-ID": "<cr0123@riverside.example>",
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "OOF, AutoReply",
            "List-Unsubscribe": "<mailto:frontdesk@riverside.example?subject=unsubscribe>",
        }
        assert mail["from"] == {"email": "noreply@riverside.example", "name": "Riverside"}
        assert mail["reply_to"]["email"] == "frontdesk@riverside.example"

    def test_links_and_readers_are_not_tracked(self, tmp_path: Path) -> None:
        tracking = self.posted(tmp_path)["tracking_settings"]
        assert not any(flag for one in tracking.values() for flag in one.values())

    @pytest.mark.parametrize(
        ("media_type", "expected"),
        [
            ("text/calendar; method=CANCEL; charset=utf-8", "text/calendar; method=CANCEL"),
            ("text/calendar; charset=utf-8; method=REQUEST", "text/calendar; method=REQUEST"),
            ("text/calendar", "text/calendar; method=REQUEST"),
        ],
    )
    def test_an_invitation_is_a_part_after_the_html_and_a_file(
        self, tmp_path: Path, media_type: str, expected: str
    ) -> None:
        file = Attachment("visit.ics", media_type, INVITATION)
        mail = self.posted(tmp_path, attachments=(file,))
        kinds = [block["type"] for block in mail["content"]]
        assert kinds == ["text/plain", "text/html", expected]
        assert mail["content"][2]["value"] == INVITATION
        (attached,) = mail["attachments"]
        assert (attached["type"], attached["filename"]) == ("application/ics", "visit.ics")
        assert b64decode(attached["content"]).decode() == INVITATION

    def test_what_is_empty_does_not_make_the_mail_a_wrong_one(self, tmp_path: Path) -> None:
        empty = Attachment("", "", "")
        unnamed = Attachment("", "", "x")
        mail = self.posted(tmp_path, text="", html="", subject="", attachments=(empty, unnamed))
        assert [file["filename"] for file in mail["attachments"]] == ["attachment"]

    def test_a_text_that_is_no_unicode_leaves_all_the_same(self, tmp_path: Path) -> None:
        assert self.posted(tmp_path, text="a \ud800 b")["content"][0]["value"] == "a ? b"

    @pytest.mark.parametrize("to", ["nobody", "a@b.example, c@d.example", "a b@c.example", ""])
    def test_an_address_that_is_none_goes_nowhere(self, tmp_path: Path, to: str) -> None:
        result = self.sendgrid(tmp_path).send(an_email(to=to))
        assert (result.outcome, result.reason) == (Outcome.REJECTED, "address_invalid")
        assert not self.server.log

    def test_a_rate_holds_mails_back(self, tmp_path: Path) -> None:
        sendgrid = self.sendgrid(tmp_path, pace=Paced([timedelta(0), timedelta(hours=1)]))
        assert sendgrid.send(an_email()).outcome is Outcome.ACCEPTED
        result = sendgrid.send(an_email())
        assert (result.outcome, result.reason) == (Outcome.NOT_SENT, "rate")
        assert result.retry_after == timedelta(hours=1)
        assert len(self.grid.mails) == 1

    def test_one_connection_serves_many_mails(self, tmp_path: Path) -> None:
        sendgrid = self.sendgrid(tmp_path)
        for number in range(5):
            assert sendgrid.send(an_email(id=f"cr{number}")).outcome is Outcome.ACCEPTED
        assert (len(self.server.log), self.server.connections) == (5, 1)


class Paced:
    def __init__(self, waits: list[timedelta]) -> None:
        self.waits = waits
        self.told: list[timedelta | None] = []

    def take(self, key: str, n: int = 1) -> timedelta:
        return self.waits.pop(0) if self.waits else timedelta(0)

    def refused(self, key: str, after: timedelta | None = None) -> None:
        self.told.append(after)


class TestWhatIsAnswered(Served):
    @pytest.mark.parametrize(
        ("headers", "least", "most"),
        [
            ({"Retry-After": "7"}, 7, 7),
            ({"X-RateLimit-Reset": str(int(time.time()) + 90)}, 1, 90),
            ({"X-RateLimit-Reset": "5"}, 1, 1),
            ({"X-RateLimit-Reset": "soon"}, 60, 60),
            ({}, 60, 60),
        ],
    )
    def test_too_many_at_once_waits_as_long_as_it_asks(
        self, tmp_path: Path, headers: dict[str, str], least: int, most: int
    ) -> None:
        pace = Paced([])
        self.grid.answering = no(429, None, **headers)
        result = self.sendgrid(tmp_path, pace=pace).send(an_email())
        assert (result.outcome, result.reason) == (Outcome.NOT_SENT, "rate")
        assert result.retry_after is not None
        assert least <= result.retry_after.total_seconds() <= most
        assert pace.told == [result.retry_after]

    @pytest.mark.parametrize(
        "answer",
        [Reply(b"", 202), Reply(b"", 200), Reply(b"", 302), Reply(b"x" * 9, 202, drop=True)],
    )
    def test_an_answer_without_its_id_proves_nothing(self, tmp_path: Path, answer: Reply) -> None:
        self.grid.answering = answer
        result = self.sendgrid(tmp_path).send(an_email())
        assert (result.outcome, result.reason) == (Outcome.UNKNOWN, "answer_lost")


class TestWhatIsFoundOut(Served):
    def lost(self, folder: Path) -> tuple[Sendgrid, Message]:
        sendgrid, message = self.sendgrid(folder, activity=True), an_email()
        self.grid.fault = Fault.ANSWER_LOST
        assert sendgrid.send(message).outcome is Outcome.UNKNOWN
        return sendgrid, message

    def test_a_list_that_lags_is_no_proof(self, tmp_path: Path) -> None:
        sendgrid, message = self.lost(tmp_path)
        self.grid.unlisted = {"taken-0"}
        first = sendgrid.lookup(Attempt(message, BEGUN, NOW))
        assert first == CannotTell(timedelta(minutes=2), nothing=True)
        soon = Attempt(message, BEGUN, NOW + timedelta(seconds=119), nothing_since=NOW)
        assert sendgrid.lookup(soon) == first
        self.grid.unlisted = set()
        later = Attempt(message, BEGUN, NOW + timedelta(minutes=2), nothing_since=NOW)
        assert sendgrid.lookup(later) == Found("taken-0")

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_an_account_without_email_activity_never_tells(
        self, tmp_path: Path, status: int
    ) -> None:
        sendgrid, message = self.lost(tmp_path)
        self.grid.of_activity = no(status, None)
        long_ago = Attempt(message, BEGUN, NOW, nothing_since=NOW - timedelta(days=1))
        assert sendgrid.lookup(long_ago) == CannotTell()

    @pytest.mark.parametrize(
        "answer",
        [
            no(429, None),
            no(500, None),
            no(400, "query"),
            Reply(b"<html>", 200),
            Reply({"messages": None}),
            Reply({"messages": [7]}),
            Reply([]),
            Reply({"messages": [row("taken-0", "another@canary.example")]}),
            Reply({"messages": [row("of-another", CANARY_EMAIL)]}),
            Reply({"messages": [{"msg_id": None, "to_email": CANARY_EMAIL}]}),
        ],
        ids=lambda answer: f"{answer.status} {answer.body!r:.40}",
    )
    def test_what_is_no_answer_is_neither_there_nor_absent(
        self, tmp_path: Path, answer: Reply
    ) -> None:
        sendgrid, message = self.lost(tmp_path)
        self.grid.of_activity = answer
        long_ago = NOW - timedelta(days=1)
        others = {"of-another"}.__contains__
        attempt = Attempt(message, BEGUN, NOW, nothing_since=long_ago, is_known=others)
        proof = sendgrid.lookup(attempt)
        assert isinstance(proof, CannotTell)
        assert proof.retry_after
        assert not proof.nothing
        assert list(sendgrid.look_back([attempt])) == []

    def test_what_never_was_there_is_absent(self, tmp_path: Path) -> None:
        sendgrid = self.sendgrid(tmp_path, activity=True)
        long_ago = Attempt(an_email(), BEGUN, NOW, nothing_since=NOW - timedelta(minutes=2))
        assert sendgrid.lookup(long_ago) == Absent()

    def test_what_became_of_an_accepted_mail_can_be_asked(self, tmp_path: Path) -> None:
        sendgrid = self.sendgrid(tmp_path, activity=True)
        attempts = [
            Attempt(message, BEGUN, NOW, provider_id=sendgrid.send(message).provider_id)
            for message in (an_email(id=f"cr{number}") for number in range(3))
        ]
        self.grid.mails[0]["status"] = "delivered"
        self.grid.mails[2]["status"] = "not_delivered"
        found = list(sendgrid.look_back(attempts))
        assert [(r.attempt, r.provider_id, r.delivery, r.reason) for r in found] == [
            ("cr0", "taken-0", Delivery.DELIVERED, ""),
            ("cr2", "taken-2", Delivery.UNDELIVERED, "undelivered"),
        ]
        assert not canaries_in(*found)

    @pytest.mark.parametrize(
        ("event", "reason"),
        [
            ({"event_name": "dropped"}, "address_refused"),
            ({"event_name": "dropped", "reason": "Unsubscribed Address"}, "opted_out"),
            ({"event_name": "dropped", "reason": "Bounced Address"}, "address_refused"),
            ({"event_name": "dropped", "reason": "Spam Content"}, "content_refused"),
            ({"event_name": "dropped", "reason": f"{CANARY_EMAIL} of a new kind"}, "undelivered"),
            ({"event_name": "bounced", "reason": f"550 {CANARY_EMAIL}"}, "address_refused"),
            ({"event_name": "bounced", "bounce_type": "blocked"}, "undelivered"),
            ({"event_name": "processed"}, "undelivered"),
            ("dropped", "undelivered"),
        ],
    )
    def test_why_an_accepted_mail_did_not_arrive_is_asked_as_well(
        self, tmp_path: Path, event: object, reason: str
    ) -> None:
        sendgrid = self.sendgrid(tmp_path, activity=True)
        message = an_email()
        attempt = Attempt(message, BEGUN, NOW, provider_id=sendgrid.send(message).provider_id)
        self.grid.mails[0] |= {"status": "not_delivered", "events": [event]}
        (found,) = sendgrid.look_back([attempt])
        assert (found.delivery, found.reason) == (Delivery.UNDELIVERED, reason)
        assert not canaries_in(found)

    def test_without_email_activity_nothing_is_asked(self, tmp_path: Path) -> None:
        attempt = Attempt(an_email(), BEGUN, NOW, provider_id="taken-0")
        sendgrid = self.sendgrid(tmp_path)
        assert list(sendgrid.look_back([attempt])) == []
        assert sendgrid.lookup(attempt) == CannotTell()
        assert not self.server.log


class TestChecking(Served):
    @pytest.mark.parametrize(
        ("scopes", "activity", "severities"),
        [
            (["mail.send"], False, []),
            (["mail.send"], True, ["warning"]),
            (["mail.send", "messages.read"], True, []),
            (["messages.read"], True, ["error"]),
            ("mail.send", False, ["error"]),
        ],
    )
    def test_the_key_is_asked_what_it_may(
        self, tmp_path: Path, scopes: Any, activity: bool, severities: list[str]
    ) -> None:
        self.grid.scopes = scopes
        findings = list(self.sendgrid(tmp_path, activity=activity).check())
        assert [f.severity for f in findings] == severities
        assert all(f.fix for f in findings)
        assert [asked.method for asked in self.server.log] == ["GET"]

    def test_a_key_that_is_not_taken_is_named(self, tmp_path: Path) -> None:
        (finding,) = self.sendgrid(tmp_path, api_key="SG.another").check()
        assert (finding.severity, finding.code) == ("error", "credentials_refused")

    @pytest.mark.parametrize(
        ("url", "codes"),
        [
            ("http://mail.riverside.example", ["unencrypted"]),
            ("https://api.eu.sendgrid.com", []),
            ("http://127.0.0.1:8025", []),
        ],
    )
    def test_what_travels_readable_is_advised_against(
        self, tmp_path: Path, url: str, codes: list[str]
    ) -> None:
        assert [f.code for f in self.sendgrid(tmp_path, base_url=url).advise()] == codes
