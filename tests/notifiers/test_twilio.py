"""SMS through Twilio: the contract, on a small Twilio of our own, and what its answers mean."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from twilio.request_validator import RequestValidator

from clinicrelay import (
    Absent,
    Attempt,
    Callback,
    CannotTell,
    Delivery,
    Forged,
    Found,
    Message,
    Outcome,
)
from clinicrelay.testing import NOW, Arrived, Fault, ProviderContract, an_sms, kit
from clinicrelay.testing.http_server import Asked, HttpServer, Reply, serving
from clinicrelay.testing.kits import CANARY_PHONE, canaries_in
from clinicrelay.testing.notifiers import BEGUN
from notifiers._twilio_codes import REFUSED, UNDELIVERED, refusal, undelivered
from notifiers.twilio_sms import TwilioSms

SID = "AC0123456789abcdef0123456789abcdef"
TOKEN = "token-that-nobody-may-see"
SENDER = "+12025550199"
PATH = f"/2010-04-01/Accounts/{SID}/Messages"
LATE = timedelta(seconds=1.5)  # a busy machine answers sooner
PARAMETERS = {"To", "From", "MessagingServiceSid", "Body", "StatusCallback", "ValidityPeriod"}


@dataclass
class Exchange:
    """A Twilio that takes what is right, refuses the rest, and plays one fault when it is told to.

    Of its messages those in `unlisted` do not stand in lists yet.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    fault: Fault | None = None
    refusing: tuple[int, int] = (400, 21211)
    retry_after: int | None = None
    unlisted: set[str] = field(default_factory=set)
    trial: str = ""
    callbacks: bool = True
    over: Event = field(default_factory=Event)

    def answer(self, asked: Asked) -> Reply:
        login = base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
        if asked.headers.get("authorization") != f"Basic {login}" or self._now(Fault.LOCKED_OUT):
            return self.no(401, 20003)
        if not asked.path.startswith(PATH):
            return self.no(404, 20404)
        if asked.method == "POST":
            return self.create(dict(parse_qsl(asked.body.decode(), keep_blank_values=True)))
        if asked.path == f"{PATH}.json":
            return self.list(asked)
        sid = asked.path.removeprefix(f"{PATH}/").removesuffix(".json")
        found = [m for m in self.messages if m["sid"] == sid]
        return Reply(found[0]) if found else self.no(404, 20404)

    def create(self, form: Mapping[str, str]) -> Reply:
        assert set(form) <= PARAMETERS, form
        if self._now(Fault.GONE):
            return Reply(reset=True)
        if self._now(Fault.BUSY):
            return self.no(429, 20429)
        if self._now(Fault.REFUSED):
            return self.no(*self.refusing)
        if "StatusCallback" in form and not self.callbacks:
            return self.no(400, 21609)
        if len(form["Body"]) > 1600:
            return self.no(400, 21617)
        made = self.keep(form)
        if self._now(Fault.ANSWER_LOST):
            return Reply(reset=True)
        if self._now(Fault.ANSWER_LATE):
            self.over.wait(2 * LATE.total_seconds())
        if self._now(Fault.ANSWER_MANGLED):
            return Reply(b"<html>sign in</html>", 200)
        if self._now(Fault.TROUBLE):
            return self.no(503, 20503)
        return Reply(made, 201)

    def keep(self, form: Mapping[str, str], **changes: Any) -> dict[str, Any]:
        made = {
            "sid": f"SM{len(self.messages):032x}",
            "account_sid": SID,
            "to": form["To"],
            "from": form.get("From"),
            "messaging_service_sid": form.get("MessagingServiceSid"),
            "body": self.trial + form["Body"],
            "status": "queued",
            "direction": "outbound-api",
            "date_created": format_datetime(datetime.now(UTC)),
            "date_updated": format_datetime(datetime.now(UTC)),
            "date_sent": None,
            "error_code": None,
            "error_message": None,
            "form": dict(form),
            **changes,
        }
        self.messages.append(made)
        return made

    def list(self, asked: Asked) -> Reply:
        to = asked.one("To")
        shown = [m for m in reversed(self.messages) if to in (None, m["to"])]
        shown = [m for m in shown if m["sid"] not in self.unlisted]
        return Reply({"messages": shown, "page": 0, "next_page_uri": None, "uri": asked.path})

    def no(self, status: int, code: int) -> Reply:
        # As Twilio does, it repeats the number that it dislikes.
        body = {"code": code, "message": f"To {CANARY_PHONE}: no", "status": status}
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after is not None else {}
        return Reply(body, status, headers)

    def _now(self, fault: Fault) -> bool:
        played = self.fault is fault
        if played:
            self.fault = None
        return played


class Served:
    """Starts a server for each test, and closes what was made for it."""

    @pytest.fixture(autouse=True)
    def _server(self) -> Iterator[None]:
        self.twilio = Exchange()
        self.server = HttpServer(self.twilio.answer)
        self.server.start()
        self.stopped = False
        self.made: list[TwilioSms] = []
        yield
        self.twilio.over.set()
        for one in self.made:
            one.close()
        if not self.stopped:
            self.server.stop()

    def sms(self, folder: Path, *, callback_url: str | None = None, **options: Any) -> TwilioSms:
        said = {"account_sid": SID, "auth_token": TOKEN, "base_url": self.server.url}
        said |= {"timeout": LATE, "from": SENDER}
        made = TwilioSms(
            TwilioSms.Options.model_validate(said | options),
            kit(folder, callback_url=callback_url),
        )
        self.made.append(made)
        return made


class TestTwilioSmsKeepsTheContract(Served, ProviderContract):
    repeats_are_harmless = False
    gone_is_proven = False
    secrets = (TOKEN,)
    longest = 1600

    def make(self, folder: Path) -> TwilioSms:
        if not hasattr(self, "server"):  # only its class is asked for
            options = TwilioSms.Options.model_validate(
                {"account_sid": SID, "auth_token": TOKEN, "from": SENDER}
            )
            return TwilioSms(options, kit(folder))
        return self.sms(folder)

    def arrived(self, folder: Path) -> Sequence[Arrived]:
        return [Arrived(m["to"], m["body"]) for m in self.twilio.messages]

    def break_destination(self, folder: Path) -> None:
        self.stopped = True
        self.server.stop()

    def traces(self, folder: Path) -> Sequence[str]:
        return [asked.path for asked in self.server.log if asked.method == "POST"]

    def play(self, folder: Path, fault: Fault) -> None:
        self.twilio.fault = fault


class TestWhatIsSent(Served):
    def test_a_number_sends_and_the_message_expires_with_its_use(self, tmp_path: Path) -> None:
        message = an_sms(useless_after=NOW + timedelta(minutes=40), written_at=NOW)
        self.sms(tmp_path).send(message)
        (sent,) = self.twilio.messages
        assert sent["form"] == {
            "To": CANARY_PHONE,
            "From": SENDER,
            "Body": message.text,
            "ValidityPeriod": "2400",
        }

    @pytest.mark.parametrize(
        ("left", "seconds"),
        [(timedelta(days=2), "36000"), (timedelta(seconds=9), "9"), (timedelta(0), "1")],
    )
    def test_it_expires_within_what_twilio_allows(
        self, tmp_path: Path, left: timedelta, seconds: str
    ) -> None:
        self.sms(tmp_path).send(an_sms(useless_after=NOW + left, written_at=NOW))
        assert self.twilio.messages[0]["form"]["ValidityPeriod"] == seconds

    def test_a_messaging_service_chooses_the_number(self, tmp_path: Path) -> None:
        service = "MG" + "0" * 32
        self.sms(tmp_path, **{"from": service}).send(an_sms())
        form = self.twilio.messages[0]["form"]
        assert (form["MessagingServiceSid"], form.get("From")) == (service, None)

    def test_the_callback_address_ends_with_the_attempt(self, tmp_path: Path) -> None:
        public = "https://relay.clinic.example/callbacks/riverside/twilio"
        self.sms(tmp_path, callback_url=public).send(an_sms(id="cr0123"))
        assert self.twilio.messages[0]["form"]["StatusCallback"] == f"{public}/cr0123"

    def test_a_callback_address_that_twilio_refuses_keeps_no_message_back(
        self, tmp_path: Path
    ) -> None:
        self.twilio.callbacks = False
        sms = self.sms(tmp_path, callback_url="https://relay.clinic.example/callbacks/riverside/x")
        for number in range(3):
            assert sms.send(an_sms(id=f"cr{number}")).outcome is Outcome.ACCEPTED
        assert ["StatusCallback" in m["form"] for m in self.twilio.messages] == [False] * 3
        assert len(self.server.log) == 4, "it is asked once, not for every message"

    def test_one_connection_serves_many_messages(self, tmp_path: Path) -> None:
        sms = self.sms(tmp_path)
        for number in range(5):
            assert sms.send(an_sms(id=f"cr{number}")).outcome is Outcome.ACCEPTED
        assert (len(self.server.log), self.server.connections) == (5, 1)

    def test_too_many_at_once_waits_as_long_as_twilio_asks(self, tmp_path: Path) -> None:
        self.twilio.retry_after, self.twilio.fault = 3, Fault.BUSY
        result = self.sms(tmp_path).send(an_sms())
        assert (result.outcome, result.reason) == (Outcome.NOT_SENT, "rate")
        assert result.retry_after == result.pause == timedelta(seconds=3)

    def test_a_certificate_that_cannot_be_read_is_an_outcome_and_not_an_error(
        self, tmp_path: Path
    ) -> None:
        options = {"base_url": "https://sms.clinic.example", "tls": {"ca": tmp_path / "none.pem"}}
        sms = self.sms(tmp_path, **options)
        result = sms.send(an_sms())
        assert (result.outcome, result.reason) == (Outcome.NOT_SENT, "certificate_refused")
        assert "tls.ca cannot be read" in result.detail
        assert [f.severity for f in sms.check()] == ["error"]

    def test_what_is_for_this_machine_passes_no_proxy_of_the_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with serving(lambda _: Reply({"sid": "SM1"}, 201)) as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            assert self.sms(tmp_path).send(an_sms()).outcome is Outcome.ACCEPTED
            assert not proxy.log
        assert len(self.twilio.messages) == 1

    def test_a_proxy_of_the_settings_takes_messages_outside(self, tmp_path: Path) -> None:
        assert not self.sms(tmp_path).outside
        assert self.sms(tmp_path, proxy="http://proxy.clinic.example:3128").outside
        assert not self.sms(tmp_path, proxy="http://127.0.0.1:3128").outside

    def test_nobody_who_listens_means_not_sent(self, tmp_path: Path) -> None:
        sms = self.sms(tmp_path)
        self.stopped = True
        self.server.stop()
        result = sms.send(an_sms())
        assert (result.outcome, result.reason) == (Outcome.NOT_SENT, "unreachable")


class TestWhatIsFoundOut(Served):
    def lost(self, folder: Path) -> tuple[TwilioSms, Message]:
        sms, message = self.sms(folder), an_sms()
        self.twilio.fault = Fault.ANSWER_LOST
        assert sms.send(message).outcome is Outcome.UNKNOWN
        return sms, message

    def test_a_list_that_lags_is_no_proof(self, tmp_path: Path) -> None:
        sms, message = self.lost(tmp_path)
        sid = self.twilio.messages[0]["sid"]
        self.twilio.unlisted = {sid}
        first = sms.lookup(Attempt(message, BEGUN, NOW))
        assert isinstance(first, CannotTell)
        assert first.retry_after
        self.twilio.unlisted = set()
        later = Attempt(message, BEGUN, NOW + first.retry_after, nothing_since=NOW)
        assert sms.lookup(later) == Found(sid)

    def test_a_sentence_before_a_trial_accounts_texts_does_not_hide_it(
        self, tmp_path: Path
    ) -> None:
        self.twilio.trial = "Sent from your Twilio trial account - "
        sms, message = self.lost(tmp_path)
        assert isinstance(sms.lookup(Attempt(message, BEGUN, NOW)), Found)

    @pytest.mark.parametrize(
        "changes",
        [
            {"body": "Another text."},
            {"direction": "inbound"},
            {"to": "+12025550111"},
            {"date_created": format_datetime(BEGUN - timedelta(hours=3))},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_what_is_not_this_message_is_not_taken_for_it(
        self, tmp_path: Path, changes: dict[str, Any]
    ) -> None:
        message = an_sms()
        self.twilio.keep({"To": message.to, "Body": message.text}, **changes)
        long_ago = Attempt(message, BEGUN, NOW, nothing_since=NOW - timedelta(hours=1))
        assert self.sms(tmp_path).lookup(long_ago) == Absent()

    def test_of_two_alike_the_one_that_is_nobodys_is_taken(self, tmp_path: Path) -> None:
        sms, message = self.sms(tmp_path), an_sms()
        first = sms.send(message)
        self.twilio.fault = Fault.ANSWER_LOST
        sms.send(an_sms(id="cr-second"))
        known = {first.provider_id}
        attempt = Attempt(message, BEGUN, NOW, is_known=known.__contains__)
        assert sms.lookup(attempt) == Found(self.twilio.messages[1]["sid"])

    @pytest.mark.parametrize(
        ("status", "code", "delivery", "reason"),
        [
            ("delivered", None, Delivery.DELIVERED, ""),
            ("read", None, Delivery.READ, ""),
            ("sent", None, Delivery.SENT, ""),
            ("undelivered", 30006, Delivery.UNDELIVERED, "landline"),
            ("failed", 63016, Delivery.UNDELIVERED, "template_required"),
            ("undelivered", 39999, Delivery.UNDELIVERED, "undelivered"),
        ],
    )
    def test_what_became_of_an_accepted_message_can_be_asked(
        self, tmp_path: Path, status: str, code: int | None, delivery: Delivery, reason: str
    ) -> None:
        sms, message = self.sms(tmp_path), an_sms()
        sid = sms.send(message).provider_id
        accepted = Attempt(message, BEGUN, NOW, provider_id=sid)
        assert list(sms.look_back([accepted])) == []  # still on its way
        self.twilio.messages[0] |= {"status": status, "error_code": code}
        (receipt,) = sms.look_back([accepted])
        assert (receipt.delivery, receipt.reason) == (delivery, reason)
        assert receipt.provider_id == sid
        assert not canaries_in(receipt)

    def test_a_message_that_twilio_forgot_does_not_hide_the_others(self, tmp_path: Path) -> None:
        sms = self.sms(tmp_path)
        sid = sms.send(an_sms()).provider_id
        self.twilio.messages[0]["status"] = "delivered"
        asked = [Attempt(an_sms(), BEGUN, NOW, provider_id=one) for one in ("SM404", sid)]
        assert [r.provider_id for r in sms.look_back(asked)] == [sid]


URL = "https://relay.clinic.example/callbacks/riverside/twilio/cr0123"


def called(status: str, *, url: str = URL, token: str = TOKEN, **fields: str) -> Callback:
    form = {"MessageSid": "SM1", "MessageStatus": status, "To": CANARY_PHONE, **fields}
    signature = RequestValidator(token).compute_signature(url, form)
    return Callback("POST", url, {"x-twilio-signature": signature}, urlencode(form).encode())


class TestCallbacks(Served):
    def test_a_signed_one_tells_of_its_attempt(self, tmp_path: Path) -> None:
        sms = self.sms(tmp_path)
        (receipt,) = sms.read_callback(called("undelivered", ErrorCode="30005"))
        assert (receipt.attempt, receipt.provider_id) == ("cr0123", "SM1")
        assert (receipt.delivery, receipt.reason) == (Delivery.UNDELIVERED, "address_refused")
        assert not canaries_in(receipt)
        assert list(sms.read_callback(called("queued"))) == []

    def test_anything_else_is_forged(self, tmp_path: Path) -> None:
        sms = self.sms(tmp_path)
        good = called("delivered")
        elsewhere = called("delivered", url=URL.replace("riverside", "harbour"))
        for bad in (
            called("delivered", token="guessed"),
            Callback("POST", URL, {}, good.body),
            Callback("POST", URL, good.headers, good.body + b"&To=x"),
            Callback("POST", URL, elsewhere.headers, elsewhere.body),
        ):
            with pytest.raises(Forged):
                list(sms.read_callback(bad))


# --- what codes mean -------------------------------------------------------------------------------


def test_an_opt_out_is_one_persons_and_a_wrong_sender_everybodys() -> None:
    assert refusal(400, 21610, None).reason == "opted_out"
    assert refusal(400, 21610, None).pause is None
    sender = refusal(400, 21606, None)
    assert (sender.outcome, sender.reason) == (Outcome.NOT_SENT, "sender_refused")
    assert sender.pause


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (401, None, "credentials_refused"),
        (403, None, "account_refused"),
        (404, 20404, "credentials_refused"),
        (429, None, "rate"),
        (400, 21614, "landline"),
        (400, 21408, "region_off"),
        (400, 29999, "refused"),
    ],
)
def test_a_refusal_is_told_by_its_code_or_its_status(
    status: int, code: int | None, reason: str
) -> None:
    found = refusal(status, code, None)
    assert found.reason == reason
    assert found.code == str(code or status)
    assert found.detail.startswith("Twilio: ")


def test_every_reason_has_words_for_staff() -> None:
    from sync.reasons import REASONS

    reasons = {m.reason for m in (*REFUSED.values(), *UNDELIVERED.values(), undelivered(None))}
    assert reasons | {"refused"} <= set(REASONS)


# --- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"account_sid": "nonsense"},
        {"from": "0301234"},
        {"from": None},
        {"from": "a name that is too long"},
        {"auth_token": None},
        {"base_url": "api.twilio.example"},
        {"typo": 1},
    ],
    ids=json.dumps,
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    said = {"account_sid": SID, "auth_token": TOKEN, "from": SENDER, **changes}
    with pytest.raises(ValueError, match="validation error"):
        TwilioSms.Options.model_validate({k: v for k, v in said.items() if v is not None})


def test_an_unencrypted_way_is_advised_against(tmp_path: Path) -> None:
    for url, warned in (("http://sms.clinic.example", True), ("http://127.0.0.1:9", False)):
        said = {"account_sid": SID, "auth_token": TOKEN, "from": SENDER, "base_url": url}
        sms = TwilioSms(TwilioSms.Options.model_validate(said), kit(tmp_path))
        assert bool(list(sms.advise())) is warned
        assert sms.outside is warned
    with suppress(Exception):
        sms.close()
