"""What was said, told without saying to whom; and what a text will look like before it is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clinicrelay.testing.kits import CANARY_EMAIL, CANARY_NAME, CANARY_PHONE, canaries_in
from commands._call import Call

Row = Callable[..., dict[str, Any]]
NOON = "2026-11-23T11:00:00Z"
ONE = "2026-11-23T12:00:00Z"


@pytest.fixture
def told(desk: Any, row: Row) -> Any:
    """A first visit was imported; then one is booked and confirmed, and one nobody can be told of."""
    desk.sync(row(99))
    ran = desk.sync(row(99), row(1), row(2, phone="", email=""), now=NOON)
    assert ran.code == 0, ran
    return desk


def listed(desk: Any, *words: str, now: str = ONE) -> list[dict[str, Any]]:
    ran = desk.run("messages", "list", "--json", *words, now=now)
    assert ran.code == 0, ran
    found: list[dict[str, Any]] = json.loads(ran.out)
    return found


def previewed(desk: Any, *words: str) -> list[dict[str, Any]]:
    ran = desk.run("messages", "preview", "--json", *words)
    assert ran.code == 0, ran
    found: list[dict[str, Any]] = json.loads(ran.out)
    return found


# --- list ----------------------------------------------------------------------------------------


def test_a_message_has_exactly_its_keys_and_names_the_recipient_by_key(told: Any) -> None:
    (sent,) = listed(told, "--state", "sent")

    assert sent.pop("attempt").startswith("cr")
    assert sent == {
        "id": sent["id"],
        "at": "2026-11-23T11:00:00Z",
        "due": "2026-11-23T11:00:00Z",
        "kind": "confirmation",
        "step": None,
        "to": "patient/p1",
        "channel": "email",
        "notifier": "outbox",
        "state": "sent",
        "reason": None,
        "setting": "reminders.patient.confirmation",
        "appointment": "reception/1",
    }


def test_what_was_not_said_is_listed_with_its_reason(told: Any) -> None:
    (skipped,) = listed(told, "--state", "skipped")

    assert (skipped["to"], skipped["reason"]) == ("patient/p2", "no_contact")
    assert skipped["attempt"] is None


def test_the_id_of_a_sent_message_is_one_that_why_understands(told: Any) -> None:
    (sent,) = listed(told, "--state", "sent")

    why = told.run("why", sent["attempt"], "--json", now=ONE)

    assert why.code == 0
    assert json.loads(why.out)["appointment"]["key"] == "1"


def test_a_pipe_gets_lines_without_a_person_in_them(told: Any) -> None:
    ran = told.run("messages", "list", now=ONE)

    assert ran.code == 0
    assert "confirmation  patient/p1  sent" in ran.out
    assert "no_contact" in ran.out
    assert "2 messages, the newest first." in ran.out
    assert canaries_in(ran.out) == []


def test_json_and_a_terminal_name_no_person_either(
    told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert canaries_in(told.run("messages", "list", "--json", now=ONE).out) == []
    monkeypatch.setattr(Call, "on_terminal", property(lambda call: True))
    monkeypatch.setenv("COLUMNS", "200")

    ran = told.run("messages", "list", now=ONE)

    assert "patient/p1" in ran.out
    assert "appointment" in ran.out
    for person in (CANARY_NAME, CANARY_PHONE, CANARY_EMAIL):
        assert person not in ran.out


def test_days_bound_the_list_and_the_last_day_is_in_it(told: Any) -> None:
    assert len(listed(told, "--since", "2026-11-23", "--to", "2026-11-23")) == 2
    assert listed(told, "--since", "2026-11-24") == []
    assert listed(told, "--to", "2026-11-23T10:59:59Z") == []
    assert len(listed(told, "--from", "2026-11-23T11:00:00Z")) == 2


def test_kind_and_channel_narrow_the_list(told: Any) -> None:
    assert len(listed(told, "--kind", "confirmation")) == 2
    assert listed(told, "--kind", "reminder") == []
    assert [one["to"] for one in listed(told, "--channel", "email")] == ["patient/p1"]
    assert listed(told, "--channel", "sms") == []


def test_the_newest_come_first_and_a_long_list_says_that_it_was_cut(desk: Any, row: Row) -> None:
    desk.sync(row(99))
    desk.sync(row(99), row(1), now=NOON)
    desk.sync(row(99), row(1), row(2), now=ONE)

    assert [one["to"] for one in listed(desk)] == ["patient/p2", "patient/p1"]
    cut = desk.run("messages", "list", "-n", "1", now=ONE)
    assert "patient/p2" in cut.out
    assert "patient/p1" not in cut.out
    assert "The newest 1 message" in cut.out
    whole = desk.run("messages", "list", "-n", "1", "--all", now=ONE)
    assert "2 messages, the newest first." in whole.out


def test_fifty_are_shown_to_a_person_and_all_to_a_program(desk: Any, row: Row) -> None:
    desk.sync(row(99))
    desk.sync(row(99), *(row(n) for n in range(1, 53)), now=NOON)

    assert desk.run("messages", "list", now=ONE).out.count("confirmation") == 50
    assert desk.run("messages", "list", "--all", now=ONE).out.count("confirmation") == 52
    assert len(listed(desk)) == 52
    assert len(listed(desk, "-n", "3")) == 3


def test_what_nobody_can_prove_is_a_state_like_any_other(desk: Any) -> None:
    assert listed(desk, "--state", "unproven") == []


def test_an_empty_ledger_says_so(desk: Any) -> None:
    assert listed(desk) == []
    assert "0 messages." in desk.run("messages", "list").out


@pytest.mark.parametrize(
    ("option", "word", "known"),
    [("--state", "gone", "held"), ("--kind", "letter", "digest"), ("--channel", "fax", "whatsapp")],
)
def test_a_word_that_is_none_is_answered_with_those_there_are(
    desk: Any, option: str, word: str, known: str
) -> None:
    ran = desk.run("messages", "list", option, word)

    assert ran.code == 2
    assert known in ran.err


def test_a_day_that_is_none_is_answered_with_how_to_write_one(desk: Any) -> None:
    ran = desk.run("messages", "list", "--since", "yesterday")

    assert ran.code == 2
    assert "2026-12-01" in ran.err


# --- preview -------------------------------------------------------------------------------------


def test_without_a_name_the_texts_are_listed_with_channels_and_languages(desk: Any) -> None:
    ran = desk.run("messages", "preview")

    assert ran.code == 0
    assert "doctor_reminder  email, sms, whatsapp" in ran.out
    assert {one["name"] for one in previewed(desk)} >= {"confirmation", "reminder", "digest"}


def test_a_preview_makes_no_store_and_reads_no_source(desk: Any, row: Row) -> None:
    desk.drop(row(1))

    assert desk.run("messages", "preview", "reminder").code == 0

    assert {path.name for path in desk.folder.iterdir()} == {"settings.yaml", "drops"}


def test_a_preview_needs_no_store_that_answers(desk: Any) -> None:
    desk.write(
        desk.settings.read_text() + "store: {url: 'postgresql+psycopg://127.0.0.1:1/none'}\n"
    )

    assert desk.run("messages", "preview", "reminder").code == 0


def test_a_mail_is_shown_with_subject_and_text(desk: Any) -> None:
    ran = desk.run("messages", "preview", "reminder", "--channel", "email")

    assert "reminder by email in en  (ours)" in ran.out
    assert "Subject: " in ran.out
    assert "Maria" in ran.out
    assert "SMS" not in ran.out


def test_an_sms_is_shown_with_what_it_costs(desk: Any) -> None:
    (sms,) = previewed(desk, "reminder", "--channel", "sms")

    cost = sms["sms"]
    assert (cost["encoding"], cost["messages"], cost["room"]) == ("GSM-7", 1, 160)
    assert cost["used"] == len(sms["text"])
    ran = desk.run("messages", "preview", "reminder", "--channel", "sms")
    assert f"1 SMS: GSM-7, {cost['used']} of 160 characters." in ran.out
    assert sms["text"] in ran.out


def test_the_character_that_doubles_the_price_is_named(desk: Any) -> None:
    own = desk.folder / "templates"
    own.mkdir()
    (own / "reminder.sms.tr.j2").write_text("Yarın {{ time }}, ş gibi. " + "x" * 60, "utf-8")
    desk.write(desk.settings.read_text() + "templates: templates\n")

    (sms,) = previewed(desk, "reminder", "--channel", "sms", "--language", "tr")
    ran = desk.run("messages", "preview", "reminder", "--channel", "sms", "--language", "tr")

    assert sms["sms"]["encoding"] == "UCS-2"
    assert sms["sms"]["costly"] == [
        {"character": "ı", "code": "U+0131"},
        {"character": "ş", "code": "U+015F"},
    ]
    assert (sms["sms"]["messages"], sms["sms"]["without"]) == (2, 1)
    assert "UCS-2 because of ı (U+0131), ş (U+015F); without: 1 SMS." in ran.out


def test_the_clinics_own_template_is_used_and_named(desk: Any) -> None:
    own = desk.folder / "templates"
    own.mkdir()
    (own / "reminder.sms.en.j2").write_text("See you {{ when }}.", "utf-8")
    desk.write(desk.settings.read_text() + "templates: templates\n")

    ran = desk.run("messages", "preview", "reminder", "--channel", "sms")

    assert "(the clinic's own: reminder.sms.en.j2)" in ran.out
    assert "See you " in ran.out
    assert "reminder.sms.en.j2" in desk.run("messages", "preview").out


def test_a_broken_template_is_passed_over_and_told(desk: Any) -> None:
    own = desk.folder / "templates"
    own.mkdir()
    (own / "reminder.sms.en.j2").write_text("See you {{ whenever }}.", "utf-8")
    desk.write(desk.settings.read_text() + "templates: templates\n")

    ran = desk.run("messages", "preview", "reminder", "--channel", "sms")

    assert ran.code == 0
    assert "(ours)" in ran.out
    assert "reminder.sms.en.j2 is broken, so ours is used: clinicrelay check" in ran.out


def test_all_languages_are_shown_one_after_the_other(desk: Any) -> None:
    made = previewed(desk, "reminder", "--channel", "sms", "--language", "all")

    (kind,) = [one for one in previewed(desk) if one["name"] == "reminder"]
    assert [one["language"] for one in made] == kind["languages"]
    assert {"de", "en"} <= set(kind["languages"])


def test_a_language_without_a_text_says_which_one_people_get(desk: Any) -> None:
    ran = desk.run("messages", "preview", "reminder", "--channel", "sms", "--language", "la")

    assert ran.code == 0
    assert "There is no text in la: people get it in en." in ran.out


WHATSAPP = """channels: {order: [email]}
notifiers:
  whatsapp: {type: twilio_whatsapp, account_sid: AC00000000000000000000000000000001,
    auth_token: 0123456789abcdef0123456789abcdef, from: "+4930987654321",
    templates: {reminder: {en: HX11111111111111111111111111111111}}}
"""


def test_by_whatsapp_the_template_that_really_leaves_is_shown(desk: Any) -> None:
    desk.change("notifiers:\n", WHATSAPP)
    words = ["reminder", "--channel", "whatsapp"]

    for language in ("fr", "en"):
        ran = desk.run("messages", "preview", *words, "--language", language)
        assert "by whatsapp in en  (template HX11111111111111111111111111111111)" in ran.out
        assert "{{1}}  Riverside Family Clinic" in ran.out
        assert "sends its approved template with these values, not our text." in ran.out
        assert ("There is no template in fr: people get it in en." in ran.out) is (language == "fr")
        assert "Rappel" not in ran.out

    (shown,) = previewed(desk, *words, "--language", "fr")
    assert shown["instead"]["template"] == "HX11111111111111111111111111111111"
    assert (shown["instead"]["language"], shown["language"]) == ("en", "en")
    assert shown["instead"]["values"]["1"] == "Riverside Family Clinic"


def test_a_text_without_a_template_is_not_sent_by_whatsapp(desk: Any) -> None:
    desk.change("notifiers:\n", WHATSAPP)
    desk.change("{type: outbox}", "{type: smtp, host: mail.example, from: desk@riverside.example}")

    ran = desk.run("messages", "preview", "digest", "--channel", "whatsapp")
    assert "There is no template for it under notifiers.whatsapp.templates." in ran.out
    assert previewed(desk, "reminder", "--channel", "sms")[0]["instead"] is None


def test_the_html_of_a_mail_is_written_where_it_is_wanted(desk: Any, tmp_path: Path) -> None:
    file = tmp_path / "mail.html"

    ran = desk.run("messages", "preview", "confirmation", "--html", str(file))

    assert ran.code == 0
    assert "<html" in file.read_text(encoding="utf-8")
    assert f"The HTML is in {file}." in ran.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["greeting"], "there are: confirmation"),
        (["reminder", "--channel", "fax"], "whatsapp"),
        (["reminder", "--language", "in German"], "de, en or pt-BR"),
        (["--html", "x.html"], "name one text"),
        (["reminder", "--channel", "sms", "--html", "x.html"], "--channel email"),
        (["reminder", "--html", "/nowhere/x.html"], "cannot be written"),
    ],
)
def test_what_cannot_be_shown_is_answered_with_what_can(
    desk: Any, words: list[str], said: str
) -> None:
    ran = desk.run("messages", "preview", *words)

    assert ran.code == 2
    assert said in " ".join(ran.err.replace("│", " ").split())


def test_every_text_there_is_can_be_looked_at_on_every_channel(desk: Any) -> None:
    for kind in previewed(desk):
        made = [
            one
            for channel in kind["channels"]
            for one in previewed(desk, kind["name"], "--channel", channel, "--language", "all")
        ]
        assert all(one["text"] for one in made), kind
        assert not [issue for one in made for issue in one["issues"]], kind
