"""SMS through AWS: the contract, on a small AWS of our own that checks each signature."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import pytest
from pydantic import ValidationError

from clinicrelay import CannotTell, Outcome
from clinicrelay.testing import NOW, Arrived, Fault, ProviderContract, an_sms, kit
from clinicrelay.testing.http_server import Asked, HttpServer, Reply
from clinicrelay.testing.kits import CANARY_PHONE, canaries_in
from notifiers.aws_sms import AwsSms

KEY = "AKIDTHATNOBODYMAYSEE"
SECRET = "secret-that-nobody-may-see"
REGION = "eu-central-1"
SENDER = "+12025550199"
LATE = timedelta(seconds=1.5)  # a busy machine answers sooner
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>\w+)/(?P<day>\d{8})/(?P<region>[\w-]+)/(?P<service>[\w-]+)"
    r"/aws4_request, SignedHeaders=(?P<names>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)
_FIELDS = {
    "DestinationPhoneNumber",
    "OriginationIdentity",
    "MessageBody",
    "MessageType",
    "TimeToLive",
    "Context",
    "ConfigurationSetName",
}


def signed(asked: Asked, service: str) -> bool:
    """Whether a request is signed with our key, for this service in our region (AWS SigV4)."""
    found = _AUTHORIZATION.fullmatch(asked.headers.get("authorization", ""))
    if found is None or (found["key"], found["region"], found["service"]) != (KEY, REGION, service):
        return False
    names = found["names"].split(";")
    assert "host" in names
    assert "x-amz-date" in names
    headers = "".join(f"{name}:{' '.join(asked.headers[name].split())}\n" for name in names)
    digest = hashlib.sha256(asked.body).hexdigest()
    request = "\n".join((asked.method, asked.path, "", headers, found["names"], digest))
    scope = f"{found['day']}/{REGION}/{service}/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join(("AWS4-HMAC-SHA256", asked.headers["x-amz-date"], scope, digest))
    key = f"AWS4{SECRET}".encode()
    for part in (found["day"], REGION, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest() == found["signature"]


@dataclass
class Aws:
    """What both services share: it takes what is right, and plays one fault when it is told to."""

    service: str = ""
    taken: list[dict[str, Any]] = field(default_factory=list)
    fault: Fault | None = None
    refusing: dict[str, Any] | None = None
    always: Fault | None = None
    over: Event = field(default_factory=Event)

    def answer(self, asked: Asked) -> Reply:
        if not signed(asked, self.service):
            return self.no(403, "SignatureDoesNotMatch")
        if self._now(Fault.LOCKED_OUT):
            return self.no(400, "UnrecognizedClientException")
        return self.act(asked)

    def act(self, asked: Asked) -> Reply:
        raise NotImplementedError

    def no(self, status: int, code: str, **more: Any) -> Reply:
        raise NotImplementedError

    def refused(self) -> Reply:
        raise NotImplementedError

    def take(self, to: str, text: str, fields: dict[str, Any], good: Any) -> Reply:
        if self._now(Fault.GONE):
            return Reply(reset=True)
        if self._now(Fault.BUSY):
            return self.no(400, "ThrottlingException")
        if self._now(Fault.REFUSED):
            return self.refused()
        assert 1 <= len(text) <= 1600
        self.taken.append({"to": to, "text": text, "fields": fields})
        if self._now(Fault.ANSWER_LOST):
            return Reply(reset=True)
        if self._now(Fault.ANSWER_LATE):
            self.over.wait(2 * LATE.total_seconds())
        if self._now(Fault.ANSWER_MANGLED):
            return Reply(b"<html>sign in", 200)
        if self._now(Fault.TROUBLE):
            return self.no(500, "InternalServerException")
        return Reply(good, 200)

    def _now(self, fault: Fault) -> bool:
        played = self.fault is fault
        if played:
            self.fault = None
        return played or self.always is fault


class Eum(Aws):
    """End User Messaging: JSON, and errors with a reason."""

    def act(self, asked: Asked) -> Reply:
        assert asked.headers["content-type"] == "application/x-amz-json-1.0"
        action = asked.headers["x-amz-target"].partition(".")[2]
        said = json.loads(asked.body)
        if action == "DescribePhoneNumbers":
            capable = {"Status": "ACTIVE", "NumberCapabilities": ["SMS"]}
            return Reply({"PhoneNumbers": [{"PhoneNumber": SENDER, **capable}]})
        assert action == "SendTextMessage"
        assert set(said) <= _FIELDS
        assert 5 <= said.get("TimeToLive", 5) <= 259_200
        good = {"MessageId": f"eum-{len(self.taken)}"}
        return self.take(said["DestinationPhoneNumber"], said["MessageBody"], said, good)

    def no(self, status: int, code: str, **more: Any) -> Reply:
        # As AWS does, it repeats the number that it dislikes.
        return Reply({"__type": f"x#{code}", "Message": f"{CANARY_PHONE}: no", **more}, status)

    def refused(self) -> Reply:
        fields = [{"Name": "DestinationPhoneNumber", "Message": CANARY_PHONE}]
        more = self.refusing or {"Reason": "INVALID_PARAMETER", "Fields": fields}
        return self.no(400, **{"code": "ValidationException", **more})


class Sns(Aws):
    """Simple Notification Service: a form, and XML."""

    def act(self, asked: Asked) -> Reply:
        form = dict(parse_qsl(asked.body.decode(), keep_blank_values=True))
        if form["Action"] == "GetSMSAttributes":
            return Reply(_xml("GetSMSAttributes", "<attributes/>"))
        assert form["Action"] == "Publish"
        fields = {}
        for number in (1, 2):
            entry = f"MessageAttributes.entry.{number}"
            assert form[f"{entry}.Value.DataType"] == "String"
            fields[form[f"{entry}.Name"]] = form[f"{entry}.Value.StringValue"]
        good = _xml("Publish", f"<MessageId>sns-{len(self.taken)}</MessageId>")
        return self.take(form["PhoneNumber"], form["Message"], fields, good)

    def no(self, status: int, code: str, **more: Any) -> Reply:
        text = escape(more.get("text", f"{CANARY_PHONE}: no"))
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error>"
        return Reply(f"<ErrorResponse>{error}</ErrorResponse>".encode(), status)

    def refused(self) -> Reply:
        text = f"Invalid parameter: PhoneNumber Reason: {CANARY_PHONE} is not valid to publish to"
        return self.no(400, "InvalidParameter", text=text)


def _xml(action: str, inside: str) -> bytes:
    whole = f"<{action}Response><{action}Result>{inside}</{action}Result></{action}Response>"
    return whole.encode()


class Served:
    """Starts a server for each test, and closes what was made for it."""

    api = "eum"

    @pytest.fixture(autouse=True)
    def _server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        for name in ("HTTP_PROXY", "AWS_PROFILE", "AWS_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere/config")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/credentials")
        self.aws: Aws = Eum("sms-voice") if self.api == "eum" else Sns("sns")
        self.server = HttpServer(self.aws.answer)
        self.server.start()
        self.stopped = False
        self.made: list[AwsSms] = []
        yield
        self.aws.over.set()
        for one in self.made:
            one.close()
        if not self.stopped:
            self.server.stop()

    def sms(self, folder: Path, **options: Any) -> AwsSms:
        said = {"region": REGION, "from": SENDER, "api": self.api, "timeout": timedelta(seconds=20)}
        said |= {"access_key_id": KEY, "secret_access_key": SECRET, "base_url": self.server.url}
        said = {name: value for name, value in (said | options).items() if value is not None}
        made = AwsSms(AwsSms.Options.model_validate(said), kit(folder))
        self.made.append(made)
        return made


class TestAwsEumKeepsTheContract(Served, ProviderContract):
    answers_lookups = False
    repeats_are_harmless = False
    gone_is_proven = False
    secrets = (KEY, SECRET)
    longest = 1600

    def plugin(self) -> type[AwsSms]:
        return AwsSms

    def make(self, folder: Path) -> AwsSms:
        return self.sms(folder, timeout=LATE)

    def arrived(self, folder: Path) -> Sequence[Arrived]:
        return [Arrived(one["to"], one["text"]) for one in self.aws.taken]

    def traces(self, folder: Path) -> Sequence[str]:
        """What AWS sees besides the number, the text, and whose key signed them."""
        own = {"DestinationPhoneNumber", "MessageBody"}
        seen = [{k: v for k, v in one["fields"].items() if k not in own} for one in self.aws.taken]
        heads = [{**asked.headers, "authorization": ""} for asked in self.server.log]
        return [str(one) for one in (*seen, *heads)]

    def break_destination(self, folder: Path) -> None:
        if not self.stopped:
            self.stopped = True
            self.server.stop()

    def play(self, folder: Path, fault: Fault) -> None:
        self.aws.fault = fault


class TestAwsSnsKeepsTheContract(TestAwsEumKeepsTheContract):
    api = "sns"


class TestWhatIsSaid(Served):
    def test_a_message_carries_what_is_left_of_its_use_and_its_attempt(
        self, tmp_path: Path
    ) -> None:
        notifier = self.sms(tmp_path, configuration_set="clinic")
        notifier.send(an_sms(id="at-0123", useless_after=NOW + timedelta(minutes=90)))
        fields = self.aws.taken[0]["fields"]
        assert 5340 < fields["TimeToLive"] < 5400  # what goes by before the call is taken off
        assert fields["Context"] == {"attempt": "at-0123"}
        assert fields["OriginationIdentity"] == SENDER
        assert fields["MessageType"] == "TRANSACTIONAL"
        assert fields["ConfigurationSetName"] == "clinic"

    def test_its_life_at_aws_is_no_longer_than_aws_takes(self, tmp_path: Path) -> None:
        self.sms(tmp_path).send(an_sms(useless_after=NOW + timedelta(days=9)))
        assert self.aws.taken[0]["fields"]["TimeToLive"] == 259_200

    @pytest.mark.parametrize("left", [timedelta(seconds=4.9), timedelta(0), timedelta(days=-1)])
    def test_what_aws_would_keep_beyond_its_use_is_not_handed_over(
        self, tmp_path: Path, left: timedelta
    ) -> None:
        noted: list[str] = []
        notifier = self.sms(tmp_path)
        notifier.kit = replace(notifier.kit, handing_over=noted.append)
        result = notifier.send(an_sms(useless_after=NOW + left))
        assert (result.outcome, result.reason) == (Outcome.NOT_SENT, "cut_off_passed")
        assert result.pause is None
        assert not noted
        assert not self.server.log

    def test_what_was_waited_for_is_taken_from_its_life(self, tmp_path: Path) -> None:
        class Slow:
            def take(self, key: str, n: int = 1) -> timedelta:
                return timedelta(seconds=1.2)

        notifier = self.sms(tmp_path)
        notifier.kit = replace(notifier.kit, pace=Slow())
        notifier.send(an_sms(useless_after=NOW + timedelta(seconds=60)))
        assert self.aws.taken[0]["fields"]["TimeToLive"] <= 58

    def test_no_id_but_an_opaque_one_reaches_aws(self, tmp_path: Path) -> None:
        self.sms(tmp_path).send(an_sms(id="Müller"))
        (said,) = self.aws.taken[0]["fields"]["Context"].values()
        assert re.fullmatch(r"[0-9a-f]{32}", said)

    def test_a_text_written_early_gets_no_longer_life(self, tmp_path: Path) -> None:
        early = an_sms(written_at=NOW - timedelta(hours=5), useless_after=NOW + timedelta(hours=1))
        self.sms(tmp_path).send(early)
        assert self.aws.taken[0]["fields"]["TimeToLive"] <= 3600

    def test_a_number_that_is_not_whole_is_refused_before_anything_is_sent(
        self, tmp_path: Path
    ) -> None:
        result = self.sms(tmp_path).send(an_sms(to="0151 555"))
        assert (result.outcome, result.reason) == (Outcome.REJECTED, "address_invalid")
        assert not self.server.log

    def test_a_limit_of_the_settings_is_kept(self, tmp_path: Path) -> None:
        class Slow:
            def take(self, key: str, n: int = 1) -> timedelta:
                return timedelta(minutes=3)

        notifier = self.sms(tmp_path)
        notifier.kit = replace(notifier.kit, pace=Slow())
        result = notifier.send(an_sms())
        assert (result.reason, result.pause) == ("rate", timedelta(minutes=3))
        assert not self.server.log

    def test_the_pace_is_told_that_aws_found_it_too_fast(self, tmp_path: Path) -> None:
        told: list[tuple[str, timedelta | None]] = []

        class Pace:
            def take(self, key: str, n: int = 1) -> timedelta:
                return timedelta(0)

            def refused(self, key: str, after: timedelta | None = None) -> None:
                told.append((key, after))

        notifier = self.sms(tmp_path)
        notifier.kit = replace(notifier.kit, pace=Pace())
        self.aws.fault = Fault.BUSY
        assert notifier.send(an_sms()).reason == "rate"
        assert told == [("messages", timedelta(minutes=1))]


class TestOneAttemptIsOneAttempt(Served):
    @pytest.mark.parametrize("api", ["eum", "sns"])
    @pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.TROUBLE, Fault.ANSWER_LATE])
    def test_a_lost_answer_is_exactly_one_message(
        self, tmp_path: Path, api: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
        monkeypatch.setenv("AWS_RETRY_MODE", "legacy")
        self.aws = Sns("sns") if api == "sns" else Eum("sms-voice")
        self.server.answer = self.aws.answer
        self.aws.always = fault
        result = self.sms(tmp_path, api=api, timeout=LATE).send(an_sms())
        assert (result.outcome, result.reason) == (Outcome.UNKNOWN, "answer_lost")
        assert result.pause == timedelta(minutes=1)
        assert len(self.aws.taken) == 1
        assert len(self.server.log) == 1

    @pytest.mark.parametrize("api", ["eum", "sns"])
    @pytest.mark.parametrize("status", [500, 503])
    def test_trouble_after_acceptance_is_exactly_one_message(
        self, tmp_path: Path, api: str, status: int
    ) -> None:
        self.aws = Sns("sns") if api == "sns" else Eum("sms-voice")
        taken: list[Asked] = []

        def troubled(asked: Asked) -> Reply:
            taken.append(asked)
            return self.aws.no(status, "ServiceUnavailable")

        self.server.answer = troubled
        result = self.sms(tmp_path, api=api).send(an_sms())
        assert (result.outcome, result.reason) == (Outcome.UNKNOWN, "answer_lost")
        assert len(taken) == 1

    @pytest.mark.parametrize("api", ["eum", "sns"])
    def test_neither_text_nor_number_nor_key_is_logged(
        self, tmp_path: Path, api: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.aws = Sns("sns") if api == "sns" else Eum("sms-voice")
        self.server.answer = self.aws.answer
        caplog.set_level(logging.DEBUG)
        notifier = self.sms(tmp_path, api=api)
        assert notifier.send(an_sms()).outcome is Outcome.ACCEPTED
        assert [finding for finding in notifier.check() if finding.severity == "error"] == []
        assert "urllib3" in {record.name.partition(".")[0] for record in caplog.records}
        assert not canaries_in(caplog.text)
        assert not [word for word in (KEY, SECRET, "Signature", "+1202555") if word in caplog.text]

    def test_nobody_can_be_asked_about_it(self, tmp_path: Path) -> None:
        assert self.sms(tmp_path).lookup(None) == CannotTell()  # type: ignore[arg-type]


class TestNothingWasSent(Served):
    @pytest.mark.parametrize(
        ("answer", "outcome", "reason"),
        [
            (
                ("ConflictException", {"Reason": "DESTINATION_PHONE_NUMBER_OPTED_OUT"}),
                Outcome.REJECTED,
                "opted_out",
            ),
            (
                (
                    "ServiceQuotaExceededException",
                    {"Reason": "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT"},
                ),
                Outcome.NOT_SENT,
                "quota_used_up",
            ),
        ],
    )
    def test_a_reason_that_aws_gives_arrives_through_its_library(
        self, tmp_path: Path, answer: tuple[str, dict[str, str]], outcome: Outcome, reason: str
    ) -> None:
        code, more = answer
        refusal = self.aws.no(400, code, **more)
        self.server.answer = lambda asked: refusal
        result = self.sms(tmp_path).send(an_sms())
        assert (result.outcome, result.reason) == (outcome, reason)
        assert result.code == f"{code}/{more['Reason']}"
        assert not canaries_in(result)

    def test_the_library_is_not_imported_before_a_message_leaves(self) -> None:
        code = "import sys, notifiers.aws_sms; print({'boto3', 'botocore'} & set(sys.modules))"
        run = [sys.executable, "-c", code]
        assert subprocess.check_output(run, text=True).strip() == "set()"

    def test_a_role_is_asked_for_once_and_not_for_minutes(self, tmp_path: Path) -> None:
        notifier = self.sms(tmp_path)
        notifier.send(an_sms())
        limits = notifier._line._session._session.get_default_client_config()
        assert limits.retries["total_max_attempts"] == 1
        assert limits.read_timeout == 20

    def test_where_nobody_listens_nothing_was_sent(self, tmp_path: Path) -> None:
        with socket.socket() as taken:  # bound, and listening to nobody
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
            result = self.sms(tmp_path, base_url=url).send(an_sms())
        assert (result.outcome, result.reason) == (Outcome.NOT_SENT, "unreachable")
        assert result.pause == timedelta(minutes=1)

    def test_where_no_encryption_comes_about_nothing_was_sent(self, tmp_path: Path) -> None:
        url = self.server.url.replace("http:", "https:")
        result = self.sms(tmp_path, base_url=url).send(an_sms())
        assert (result.outcome, result.reason) == (Outcome.NOT_SENT, "unreachable")
        assert not self.aws.taken

    def test_a_certificate_that_cannot_be_trusted_is_told_of(
        self, tmp_path: Path, authority: Any
    ) -> None:
        served = HttpServer(self.aws.answer, tls=authority.context("127.0.0.1"))
        served.start()
        try:
            result = self.sms(tmp_path, base_url=served.url).send(an_sms())
        finally:
            served.stop()
        assert (result.outcome, result.reason) == (Outcome.NOT_SENT, "certificate_refused")
        assert not self.aws.taken

    def test_without_credentials_nothing_is_handed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        noted: list[str] = []
        notifier = self.sms(tmp_path, access_key_id=None, secret_access_key=None)
        notifier.kit = replace(notifier.kit, handing_over=noted.append)
        result = notifier.send(an_sms())
        assert (result.outcome, result.reason) == (Outcome.NOT_SENT, "credentials_refused")
        assert result.pause
        assert not noted
        assert not self.server.log

    def test_without_the_library_nothing_was_sent_and_it_is_told_of(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "boto3", None)
        notifier = self.sms(tmp_path)
        result = notifier.send(an_sms())
        assert (result.outcome, result.reason) == (Outcome.NOT_SENT, "unreachable")
        (found,) = notifier.check()
        assert "clinicrelay[aws]" in found.message

    def test_credentials_of_the_environment_are_found(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        notifier = self.sms(tmp_path, access_key_id=None, secret_access_key=None)
        assert notifier.send(an_sms()).outcome is Outcome.ACCEPTED

    def test_a_proxy_of_the_environment_gets_nothing_that_stays_here(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert self.sms(tmp_path).send(an_sms()).outcome is Outcome.ACCEPTED


class TestSns(Served):
    api = "sns"

    @pytest.mark.parametrize(
        ("sender", "name"),
        [
            (SENDER, "AWS.MM.SMS.OriginationNumber"),
            ("12345", "AWS.MM.SMS.OriginationNumber"),
            ("Riverside", "AWS.SNS.SMS.SenderID"),
        ],
    )
    def test_a_number_and_a_name_are_told_apart(
        self, tmp_path: Path, sender: str, name: str
    ) -> None:
        self.sms(tmp_path, **{"from": sender}).send(an_sms())
        said = {name: sender, "AWS.SNS.SMS.SMSType": "Transactional"}
        assert self.aws.taken[0]["fields"] == said


class TestCheckAndAdvice(Served):
    def test_a_number_that_is_not_the_accounts_is_told_of(self, tmp_path: Path) -> None:
        (found,) = self.sms(tmp_path, **{"from": "+12025550100"}).check()
        assert (found.severity, found.code, found.path) == ("warning", "sender_refused", "from")

    def test_a_relay_that_only_sends_is_no_error(self, tmp_path: Path) -> None:
        answer = self.aws.no(400, "UnknownOperationException")
        self.server.answer = lambda asked: answer
        (found,) = self.sms(tmp_path).check()
        assert found.severity == "warning"

    def test_a_wrong_secret_is_told_of_and_not_shown(self, tmp_path: Path) -> None:
        (found,) = self.sms(tmp_path, secret_access_key="another").check()
        assert (found.severity, found.code) == ("error", "credentials_refused")
        assert "another" not in repr(found)

    def test_sns_is_advised_against(self, tmp_path: Path) -> None:
        (found,) = self.sms(tmp_path, api="sns").advise()
        assert found.code == "nothing_proven"

    def test_an_unencrypted_way_is_told_of(self, tmp_path: Path) -> None:
        notifier = self.sms(tmp_path, base_url="http://relay.riverside.example")
        assert [f.code for f in notifier.advise()] == ["unencrypted"]
        assert notifier.outside
        assert not list(self.sms(tmp_path).advise())

    def test_whether_messages_leave_is_known(self, tmp_path: Path) -> None:
        assert not self.sms(tmp_path).outside
        assert self.sms(tmp_path, base_url=None).outside


class TestOptions(Served):
    @pytest.mark.parametrize(
        "wrong",
        [
            {"region": "frankfurt"},
            {"region": "eu-central-1.evil.example/"},
            {"from": "Riverside Clinic"},
            {"access_key_id": None},
            {"access_key_id": "ключ"},
            {"secret_access_key": "two words"},
            {"api": "sns", "topic_arn": f"arn:aws:sns:{REGION}:123456789012:sms"},
            {"api": "sns", "configuration_set": "clinic"},
            {"api": "sns", "from": f"pool-{'0' * 32}"},
            {"topic_arn": "sms"},
        ],
    )
    def test_what_cannot_work_is_refused(self, tmp_path: Path, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValidationError) as refusal:
            self.sms(tmp_path, **wrong)
        assert SECRET not in str(refusal.value)

    @pytest.mark.parametrize("sender", ["+4930987654321", "72345", "Riverside", f"pool-{'0' * 32}"])
    def test_what_can_send_is_taken(self, tmp_path: Path, sender: str) -> None:
        assert self.sms(tmp_path, **{"from": sender}).send(an_sms()).outcome is Outcome.ACCEPTED

    def test_closing_twice_lets_go_of_it(self, tmp_path: Path) -> None:
        notifier = self.sms(tmp_path)
        with suppress(StopIteration):
            next(iter(notifier.check()))
        notifier.close()
        notifier.close()
        assert not canaries_in(repr(vars(notifier)))
