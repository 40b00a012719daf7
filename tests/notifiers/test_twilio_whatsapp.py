"""WhatsApp through Twilio: the contract, on a small Twilio of our own that takes only good templates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from clinicrelay import Absent, Attempt, CannotTell, Delivery, Finding, Found, Message, Outcome
from clinicrelay.model import Channel
from clinicrelay.testing import NOW, Arrived, Fault, ProviderContract, kit
from clinicrelay.testing.http_server import Asked, HttpServer, Reply
from clinicrelay.testing.kits import CANARY_PHONE, CLINIC, an_sms, canaries_in
from clinicrelay.testing.notifiers import BEGUN
from notifiers import _templates
from notifiers.twilio_whatsapp import TwilioWhatsApp
from tests.notifiers import test_twilio as sms
from tests.notifiers.test_twilio import SENDER, SID, TOKEN

WHEN = "Di., 1. Dez., 10:30 Uhr"
VALUES = {
    "clinic": "Riverside",
    "when": WHEN,
    "place_or_link": "Main site",
    "phone": "+4930555010",
    "before": "Mo., 30. Nov., 9:00 Uhr",
}
BODY = "Hello from {{1}}: {{2}}, {{3}}. Call {{4}} please."


def hx(number: int) -> str:
    return f"HX{number:032x}"


def a_template(body: str = BODY, **changes: Any) -> dict[str, Any]:
    return {"body": body, "language": "de", "status": "approved", "category": "UTILITY", **changes}


@dataclass
class Strict(sms.Exchange):
    """A Twilio that takes WhatsApp messages as approved templates with all values, and no other."""

    templates: dict[str, dict[str, Any]] = field(default_factory=lambda: {hx(1): a_template()})
    forms: list[dict[str, str]] = field(default_factory=list)
    textless: bool = False  # it does not show what it sent

    def answer(self, asked: Asked) -> Reply:
        if not asked.path.startswith("/v1/Content/"):
            return super().answer(asked)
        assert asked.method == "GET"
        sid, _, rest = asked.path.removeprefix("/v1/Content/").partition("/")
        assert rest in ("", "ApprovalRequests")
        found = self.templates.get(sid)
        if found is None:
            return self.no(404, 20404)
        if rest:
            shown = {"status": found["status"], "category": found["category"]}
            return Reply({"sid": sid, "account_sid": SID, "whatsapp": shown, "url": "x"})
        types = {"twilio/text": {"body": found["body"]}}
        return Reply({"sid": sid, "language": found["language"], "types": types, "variables": {}})

    def create(self, form: Mapping[str, str]) -> Reply:
        assert "Body" not in form, "a free text outside of the 24 hours"
        assert form["To"].startswith("whatsapp:+")
        assert "MessagingServiceSid" in form or form["From"].startswith("whatsapp:+")
        template = self.templates.get(form["ContentSid"])
        if template is None:
            return self.no(400, 21655)
        values = json.loads(form["ContentVariables"])
        for value in values.values():
            if not value or re.search(r"[\n\t]| {5}", value) or len(value) > 255:
                return self.no(400, 21656)
        text = re.sub(r"\{\{(\w+)\}\}", lambda m: values[m[1]], template["body"])
        self.forms.append(dict(form))
        plain = {k: v for k, v in form.items() if not k.startswith("Content")}
        return super().create({**plain, "Body": text})

    def keep(self, form: Mapping[str, str], **changes: Any) -> dict[str, Any]:
        return super().keep(form, **({"body": None} if self.textless else {}) | changes)


class Served:
    """Starts a server for each test, and closes what was made for it."""

    @pytest.fixture(autouse=True)
    def _server(self) -> Iterator[None]:
        self.twilio = Strict()
        self.server = HttpServer(self.twilio.answer)
        self.server.start()
        self.stopped = False
        self.made: list[TwilioWhatsApp] = []
        yield
        self.twilio.over.set()
        for one in self.made:
            one.close()
        if not self.stopped:
            self.server.stop()

    def stop(self) -> None:
        self.stopped = True
        self.server.stop()

    def whatsapp(self, folder: Path, *, clinic: Any = CLINIC, **options: Any) -> TwilioWhatsApp:
        base = {"base_url": self.server.url, "timeout": sms.LATE}
        made = TwilioWhatsApp(options_of(**base | options), kit(folder, clinic=clinic))
        self.made.append(made)
        return made

    def variables(self) -> dict[str, str]:
        (form,) = self.twilio.forms
        found: dict[str, str] = json.loads(form["ContentVariables"])
        return found


def options_of(**changes: Any) -> Any:
    said = {"account_sid": SID, "auth_token": TOKEN, "from": SENDER}
    said |= {"templates": {"reminder": {"de": hx(1)}}}
    return TwilioWhatsApp.Options.model_validate(said | changes)


def a_message(**changes: Any) -> Message:
    said = {"channel": Channel.WHATSAPP, "kind": "reminder", "language": "de", "values": VALUES}
    return an_sms(**said | changes)


class TestTwilioWhatsAppKeepsTheContract(Served, ProviderContract):
    """What a message says goes in as one value here: a template has the rest of the words."""

    repeats_are_harmless = False
    gone_is_proven = False
    secrets = (TOKEN,)

    def make(self, folder: Path) -> TwilioWhatsApp:
        if not hasattr(self, "server"):  # only its class is asked for
            return TwilioWhatsApp(options_of(), kit(folder))
        return self.whatsapp(folder)

    def message(self, notifier: Any, **changes: Any) -> Message:
        made = super().message(notifier, **{"language": "de", **changes})
        values = {"values": {**VALUES, "when": made.text}}
        return super().message(notifier, **{"language": "de", **values, **changes})

    def reads(self, message: Message) -> str:
        values = _templates.variables(message.values, _templates.ORDER["reminder"])
        return re.sub(r"\{\{(\w+)\}\}", lambda m: values[m[1]], BODY)

    def arrived(self, folder: Path) -> Sequence[Arrived]:
        return [Arrived(m["to"].removeprefix("whatsapp:"), m["body"]) for m in self.twilio.messages]

    def break_destination(self, folder: Path) -> None:
        self.stop()

    def traces(self, folder: Path) -> Sequence[str]:
        return [asked.path for asked in self.server.log if asked.method == "POST"]

    def play(self, folder: Path, fault: Fault) -> None:
        self.twilio.fault = fault


class TestWhatIsSent(Served):
    def test_a_template_with_its_values_and_never_a_text(self, tmp_path: Path) -> None:
        useless = NOW + timedelta(minutes=40)
        result = self.whatsapp(tmp_path).send(a_message(useless_after=useless, written_at=NOW))
        assert result.outcome is Outcome.ACCEPTED
        (form,) = self.twilio.forms
        assert self.variables() == {
            "1": "Riverside",
            "2": WHEN,
            "3": "Main site",
            "4": "+4930555010",
        }
        del form["ContentVariables"]
        assert form == {
            "To": f"whatsapp:{CANARY_PHONE}",
            "From": f"whatsapp:{SENDER}",
            "ContentSid": hx(1),
            "ValidityPeriod": "2400",
        }

    def test_a_messaging_service_has_no_prefix(self, tmp_path: Path) -> None:
        service = "MG" + "0" * 32
        self.whatsapp(tmp_path, **{"from": service}).send(a_message())
        (form,) = self.twilio.forms
        assert (form["MessagingServiceSid"], form.get("From")) == (service, None)

    def test_a_prefix_in_the_settings_is_no_second_one(self, tmp_path: Path) -> None:
        self.whatsapp(tmp_path, **{"from": f"whatsapp:{SENDER}"}).send(a_message())
        assert self.twilio.forms[0]["From"] == f"whatsapp:{SENDER}"

    def test_a_clinic_may_name_the_order_of_its_own_template(self, tmp_path: Path) -> None:
        self.twilio.templates[hx(1)] = a_template("On {{1}} at {{2}}: {{3}}.")
        self.whatsapp(tmp_path, variables={"reminder": ["when", "clinic", "phone"]}).send(
            a_message()
        )
        assert self.variables() == {"1": WHEN, "2": "Riverside", "3": "+4930555010"}

    def test_a_change_says_what_was_before(self, tmp_path: Path) -> None:
        self.twilio.templates[hx(2)] = a_template("{{1}} {{2}} {{3}} {{4}} {{5}}.")
        one = self.whatsapp(tmp_path, templates={"change": {"de": hx(2)}})
        assert one.send(a_message(kind="change")).outcome is Outcome.ACCEPTED
        assert list(self.variables().values())[:3] == ["Riverside", VALUES["before"], WHEN]

    def test_a_doctor_does_not_get_the_template_of_patients(self, tmp_path: Path) -> None:
        self.twilio.templates[hx(2)] = a_template("{{1}} {{2}} {{3}}.")
        templates = {"reminder": {"de": hx(1)}, "doctor_reminder": {"de": hx(2)}}
        one = self.whatsapp(tmp_path, templates=templates)
        one.send(a_message(template="doctor_reminder"))
        assert self.twilio.forms[0]["ContentSid"] == hx(2)

    @pytest.mark.parametrize("template", ["confirmation", "doctor_reminder", "letter", ""])
    def test_without_a_template_nothing_is_tried(self, tmp_path: Path, template: str) -> None:
        result = self.whatsapp(tmp_path).send(a_message(template=template, kind="confirmation"))
        assert (result.outcome, result.reason) == (Outcome.REJECTED, "template_required")
        assert result.pause is None
        assert not self.server.log

    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            (21655, "template_refused"),
            (21656, "template_refused"),
            (63016, "template_required"),
            (63003, "not_on_whatsapp"),
            (63024, "not_on_whatsapp"),
        ],
    )
    def test_a_refusal_says_what_it_is_about(self, tmp_path: Path, code: int, reason: str) -> None:
        self.twilio.refusing, self.twilio.fault = (400, code), Fault.REFUSED
        result = self.whatsapp(tmp_path).send(a_message())
        assert (result.outcome, result.reason) == (Outcome.REJECTED, reason)
        assert result.code == str(code)

    def test_a_sender_that_is_none_stops_everybody(self, tmp_path: Path) -> None:
        self.twilio.refusing, self.twilio.fault = (400, 63007), Fault.REFUSED
        result = self.whatsapp(tmp_path).send(a_message())
        assert (result.outcome, result.reason) == (Outcome.NOT_SENT, "sender_refused")
        assert result.pause


# --- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("", "–"),
        (" \n\t ", "–"),
        ("\u200b\u2028\x00", "–"),
        ("Main site\n2nd\tfloor", "Main site 2nd floor"),
        ("A" + " " * 9 + "B", "A B"),
        ("A\u00a0\u00a0\u00a0\u00a0\u00a0B", "A B"),
        ("word " * 100, "word " * 50 + "word"),
        ("https://meet.example/" + "x" * 300, "–"),
        ("https://meet.example/" + "x" * 230, "https://meet.example/" + "x" * 230),
        ("شهر ۱ دسامبر", "شهر ۱ دسامبر"),
        ('"quoted" {{2}} \\', '"quoted" {{2}} \\'),
    ],
)
def test_no_value_is_one_that_twilio_refuses(value: str, sent: str) -> None:
    assert _templates.tidy(value) == sent
    assert 0 < len(sent) <= 255


def test_what_is_missing_is_a_dash_and_moves_nothing() -> None:
    found = _templates.variables({"when": "now"}, ("clinic", "when", "phone"))
    assert found == {"1": "–", "2": "now", "3": "–"}


def test_the_values_of_the_usual_orders_are_what_texts_are_made_of() -> None:
    from clinicrelay.actions import MessageKind, Role
    from sync.words import Words
    from sync.words.samples import samples
    from sync.words.templates import TEXTS, name_of

    words = Words("de", CLINIC, None)
    assert {name_of(kind, role) for kind, role in TEXTS} == set(_templates.ORDER)
    for kind, role in TEXTS:
        for facts in samples(kind):
            made = words.render(kind, role, Channel.WHATSAPP, "de", facts)
            order = _templates.ORDER[name_of(kind, role)]
            assert set(order) <= set(made.values)
            digest_of_none = kind is MessageKind.DIGEST and not facts.visits
            if not digest_of_none:
                assert all(made.values[name] for name in order)
            named = "Maximiliane" in " ".join(made.values.values())
            assert named == (facts.names_whom and kind is not MessageKind.DIGEST)
            assert "Acar" not in " ".join(made.values.values()), role is Role.DOCTOR


PAGE = Path(__file__).parents[2] / "docs" / "howto" / "twilio-whatsapp.md"


def test_the_page_shows_the_usual_orders_and_texts_with_as_many_places() -> None:
    page = PAGE.read_text("utf-8")
    for text, order in _templates.ORDER.items():
        (row,) = re.findall(rf"(?m)^\| .*`{text}`.*\|$", page.partition("English:")[0])
        assert ", ".join(f"`{name}`" for name in order) in row
    shown = re.findall(r"(?m)^(confirmation|reminder|change|cancellation)  +(.+)$", page)
    assert len(shown) == 8
    for text, body in shown:
        places = [str(n) for n in range(1, len(_templates.ORDER[text]) + 1)]
        assert re.findall(r"\{\{(\d)\}\}", body) == places
        assert not re.search(r"^\{\{|\}\}$|\}\}\W?\{\{", body), "WhatsApp refuses such a text"


# --- languages -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "wanted", "found"),
    [
        ("de en es", "es", "es"),
        ("de en es es-MX", "es-MX", "es-MX"),
        ("de en es", "es-MX", "es"),
        ("de en es-AR", "es-MX", "es-AR"),
        ("en de", "tr", "de"),
        ("en de-AT", "tr", "de-AT"),
        ("fr en", "tr", "fr"),
        ("fr", "de", "fr"),
        ("pt-BR en", "pt_br", "pt-BR"),
        ("de est", "es", "de"),
    ],
)
def test_the_language_is_theirs_or_the_nearest(offered: str, wanted: str, found: str) -> None:
    assert _templates.language_for(offered.split(), wanted, "de") == found
    assert _templates.language_for([], wanted, "de") is None


def test_a_message_is_written_in_the_language_of_its_template(tmp_path: Path) -> None:
    templates = {"reminder": {"en": hx(1), "de": hx(2), "es": hx(3)}}
    one = TwilioWhatsApp(options_of(templates=templates), kit(tmp_path))
    asked = {wanted: one.language("reminder", wanted) for wanted in ("es-MX", "en", "tr")}
    assert asked == {"es-MX": "es-MX", "en": "en", "tr": "de"}
    assert one.language("change", "tr") == "tr"


class TestLanguages(Served):
    @pytest.mark.parametrize(("language", "sid"), [("es-MX", hx(3)), ("tr", hx(2)), ("en", hx(1))])
    def test_each_language_is_a_template(self, tmp_path: Path, language: str, sid: str) -> None:
        templates = {"reminder": {"en": hx(1), "de": hx(2), "es": hx(3)}}
        self.twilio.templates = {hx(n): a_template() for n in (1, 2, 3)}
        self.whatsapp(tmp_path, templates=templates).send(a_message(language=language))
        assert self.twilio.forms[0]["ContentSid"] == sid


# --- what can be found out -------------------------------------------------------------------------


class TestWhatIsFoundOut(Served):
    def lost(self, folder: Path, **options: Any) -> tuple[TwilioWhatsApp, Message]:
        one, message = self.whatsapp(folder, **options), a_message()
        self.twilio.fault = Fault.ANSWER_LOST
        assert one.send(message).outcome is Outcome.UNKNOWN
        return one, message

    def test_it_is_known_by_its_values_in_whatever_order(self, tmp_path: Path) -> None:
        self.twilio.templates[hx(1)] = a_template("Call {{4}}\nfor {{3}} or {{2}}: {{1}}.")
        one, message = self.lost(tmp_path)
        assert one.lookup(Attempt(message, BEGUN, NOW)) == Found(self.twilio.messages[0]["sid"])
        (asked,) = [a for a in self.server.log if a.method == "GET"]
        assert asked.one("To") == f"whatsapp:{CANARY_PHONE}"

    def test_a_message_of_another_time_is_not_taken_for_it(self, tmp_path: Path) -> None:
        one, message = self.lost(tmp_path)
        other = a_message(values={**VALUES, "when": "Mi., 2. Dez., 8:00 Uhr"})
        long_ago = Attempt(other, BEGUN, NOW, nothing_since=NOW - timedelta(hours=1))
        assert one.lookup(long_ago) == Absent()
        assert isinstance(one.lookup(Attempt(message, BEGUN, NOW)), Found)

    def test_one_whose_text_twilio_does_not_show_proves_nothing(self, tmp_path: Path) -> None:
        self.twilio.textless = True
        one, message = self.lost(tmp_path)
        first = one.lookup(Attempt(message, BEGUN, NOW))
        assert isinstance(first, CannotTell)
        assert first.retry_after  # it may show it by then
        later = Attempt(message, BEGUN, NOW + first.retry_after, nothing_since=NOW)
        assert one.lookup(later) == CannotTell()

    def test_one_without_a_text_that_is_anothers_does_not_stand_in_the_way(
        self, tmp_path: Path
    ) -> None:
        self.twilio.textless = True
        one = self.whatsapp(tmp_path)
        known = {one.send(a_message()).provider_id}
        long_ago = NOW - timedelta(hours=1)
        attempt = Attempt(
            a_message(), BEGUN, NOW, nothing_since=long_ago, is_known=known.__contains__
        )
        assert one.lookup(attempt) == Absent()

    @pytest.mark.parametrize(
        ("code", "reason"),
        [(63016, "template_required"), (63024, "not_on_whatsapp"), (63013, "content_refused")],
    )
    def test_what_whatsapp_says_later_is_a_clear_reason(
        self, tmp_path: Path, code: int, reason: str
    ) -> None:
        one, message = self.whatsapp(tmp_path), a_message()
        sid = one.send(message).provider_id
        self.twilio.messages[0] |= {"status": "undelivered", "error_code": code}
        (receipt,) = one.look_back([Attempt(message, BEGUN, NOW, provider_id=sid)])
        assert (receipt.delivery, receipt.reason) == (Delivery.UNDELIVERED, reason)
        assert not canaries_in(receipt)


def test_values_that_hold_each_other_need_a_place_each() -> None:
    assert _templates.all_occur(["Riverside", "Riverside North"], "Riverside North of Riverside")
    assert not _templates.all_occur(["Riverside", "Riverside North"], "at Riverside North")
    assert _templates.all_occur(["–", "a  b".replace("  ", " ")], "a\nb")


# --- check -----------------------------------------------------------------------------------------


class TestChecking(Served):
    def found(self, folder: Path, **options: Any) -> list[Finding]:
        found = list(self.whatsapp(folder, **options).check())
        assert all(finding.fix for finding in found)
        assert all(asked.method == "GET" for asked in self.server.log)
        return found

    def test_a_good_template_is_no_finding(self, tmp_path: Path) -> None:
        assert not self.found(tmp_path)
        assert [asked.path for asked in self.server.log][1:] == [
            f"/v1/Content/{hx(1)}",
            f"/v1/Content/{hx(1)}/ApprovalRequests",
        ]

    @pytest.mark.parametrize(
        ("changes", "severity", "code", "says"),
        [
            ({"status": "pending"}, "error", "template_not_approved", "but pending"),
            ({"status": "rejected"}, "error", "template_not_approved", "but rejected"),
            ({"status": "paused"}, "error", "template_not_approved", "but paused"),
            ({"status": None}, "error", "template_not_approved", "but unsubmitted"),
            ({"category": "MARKETING"}, "warning", "template_marketing", "marketing"),
            ({"body": "{{1}} {{2}}."}, "error", "template_variables", "has {{1}}, {{2}}, and we"),
            ({"body": "No more."}, "error", "template_variables", "has no variables"),
            ({"body": BODY + "{{name}}"}, "error", "template_variables", "{{name}}"),
            ({"language": "en_US"}, "warning", "template_language", "'en_US'"),
        ],
        ids=lambda value: str(value) if isinstance(value, dict) else "",
    )
    def test_what_would_fail_is_told_beforehand(
        self, tmp_path: Path, changes: dict[str, Any], severity: str, code: str, says: str
    ) -> None:
        self.twilio.templates[hx(1)] |= changes
        (finding,) = self.found(tmp_path)
        assert (finding.severity, finding.code) == (severity, code)
        assert says in finding.message
        assert finding.path == "templates.reminder.de"

    def test_a_template_that_is_not_there_does_not_hide_the_others(self, tmp_path: Path) -> None:
        self.twilio.templates[hx(3)] = a_template(status="rejected")
        templates = {"reminder": {"de": hx(2), "en": hx(1)}, "change": {"de": hx(3)}}
        found = self.found(tmp_path, templates=templates)
        assert [(f.code, f.path) for f in found] == [
            ("template_unknown", "templates.reminder.de"),
            ("template_language", "templates.reminder.en"),
            ("template_not_approved", "templates.change.de"),
            ("template_variables", "templates.change.de"),
        ]

    def test_a_login_that_fails_is_told_once(self, tmp_path: Path) -> None:
        self.twilio.fault = Fault.LOCKED_OUT
        (finding,) = self.found(tmp_path)
        assert finding.code == "credentials_refused"

    def test_templates_that_cannot_be_reached_are_told_once(self, tmp_path: Path) -> None:
        templates = {"reminder": {"de": hx(1), "en": hx(2)}}
        (finding,) = self.found(
            tmp_path, templates=templates, content_base_url="http://127.0.0.1:9"
        )
        assert (finding.code, finding.severity) == ("unreachable", "error")
        assert "content_base_url" in finding.fix

    def test_a_missing_telephone_is_advised_of(self, tmp_path: Path) -> None:
        from dataclasses import replace

        (finding,) = self.whatsapp(tmp_path, clinic=replace(CLINIC, phone=None)).advise()
        assert (finding.code, finding.path) == ("no_phone", "templates.reminder")
        assert not list(self.whatsapp(tmp_path).advise())


# --- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"from": "Riverside"},
        {"from": "0301234"},
        {"templates": {}},
        {"templates": {"reminder": {}}},
        {"templates": {"reminder": {"de": "HX1"}}},
        {"templates": {"reminder": {"german": hx(1)}}},
        {"templates": {"reminders": {"de": hx(1)}}},
        {"variables": {"reminder": ["first_name"]}},
        {"variables": {"letter": ["when"]}},
        {"content_base_url": "content"},
    ],
    ids=json.dumps,
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        options_of(**changes)


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ({}, "https://content.twilio.com"),
        ({"base_url": "http://127.0.0.1:9"}, "http://127.0.0.1:9"),
        (
            {"base_url": "http://127.0.0.1:9", "content_base_url": "http://127.0.0.1:8"},
            "http://127.0.0.1:8",
        ),
    ],
)
def test_templates_are_looked_up_where_settings_say(said: dict[str, Any], url: str) -> None:
    assert options_of(**said).content_api == url
