"""What people read, in which language, and what never stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinicrelay.actions import MessageKind, Role
from clinicrelay.model import Channel, Modality
from clinicrelay.sms import segments
from clinicrelay.testing import CLINIC
from sync.words import DigestLine, Rendered, TextFacts, Words
from sync.words.templates import TEXTS

START = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
FACTS = TextFacts(
    at=START - timedelta(hours=20),
    start=START,
    timezone="Europe/Berlin",
    place="Main site",
    practitioner_name="Dr. Elif Acar",
    first_name="Jane",
)
LINK = "https://meet.example/abc?x=1&y=2"
VIDEO = replace(FACTS, modality=Modality.VIDEO, join_url=LINK)


def words(folder: Path | None = None, *, language: str = "de", **clinic: object) -> Words:
    return Words(language, replace(CLINIC, **clinic), folder)  # type: ignore[arg-type]


def sms(facts: TextFacts = FACTS, kind: str = "reminder", language: str = "en-GB") -> str:
    made = words().render(MessageKind(kind), Role.PATIENT, Channel.SMS, language, facts)
    return made.text


def mail(facts: TextFacts = FACTS, kind: str = "reminder", language: str = "en-GB") -> Rendered:
    return words().render(MessageKind(kind), Role.PATIENT, Channel.EMAIL, language, facts)


def test_a_reminder_by_sms_says_who_when_and_whom_to_call() -> None:
    assert sms() == (
        "Riverside Family Clinic: Reminder of your appointment on Tue 1 Dec, 10:30. "
        "Please call +4930555010 if you cannot come."
    )


def test_a_german_text_has_german_dates_and_a_formal_address() -> None:
    assert sms(language="de") == (
        "Riverside Family Clinic: Erinnerung an Ihren Termin: Di., 1. Dez., 10:30 Uhr. "
        "Bitte rufen Sie +4930555010 an, falls Sie verhindert sind."
    )


def test_an_american_sms_stays_in_the_cheap_alphabet() -> None:
    text = sms(language="en-US")
    assert "Tue, Dec 1, 10:30 AM" in text
    assert segments(text) == ("GSM-7", 1)


def test_a_mail_has_a_subject_a_text_and_a_page() -> None:
    made = mail(kind="confirmation")
    assert made.subject == "Your appointment on Tuesday, 1 December 2026, 10:30"
    assert made.text.startswith("Hello Jane,\n\nYour appointment is booked:\n\n")
    assert "Main site" in made.text
    assert made.html is not None
    assert made.html.startswith("<!doctype html>")
    assert made.segments == 0


def test_only_a_mail_names_people() -> None:
    for kind in ("confirmation", "reminder", "change", "cancellation"):
        facts = replace(FACTS, kind_of_change={"practitioner"})
        for language in ("en", "de"):
            text = sms(facts, kind, language)
            assert "Jane" not in text
            assert "Acar" not in text
    assert "Dr. Elif Acar" in mail().text


def test_every_sms_names_the_clinic_and_fits_two_segments_at_worst() -> None:
    facts = replace(
        VIDEO,
        join_url="https://meet.example/" + "x" * 60,
        before_start=START - timedelta(days=7),
        kind_of_change={"time", "place", "practitioner"},
    )
    for (kind, role), channels in TEXTS.items():
        for language in ("en-US", "de"):
            if Channel.SMS in channels:
                made = words().render(kind, role, Channel.SMS, language, facts)
                assert made.text.startswith("Riverside Family Clinic: ")
                assert made.segments == segments(made.text).messages <= 2
                assert segments(made.text).encoding == "GSM-7"
                assert not made.issues


def test_a_clinic_with_letters_of_its_own_does_not_double_the_price() -> None:
    made = words(name="Klinik Świętokrzyska – “Süd”").render(
        MessageKind.REMINDER, Role.PATIENT, Channel.SMS, "de", FACTS
    )
    assert made.text.startswith('Klinik Swietokrzyska - "Süd": ')
    assert made.segments == 1


def test_an_sms_that_is_too_long_says_so() -> None:
    facts = replace(VIDEO, join_url="https://meet.example/" + "x" * 300)
    made = words().render(MessageKind.REMINDER, Role.PATIENT, Channel.SMS, "en", facts)
    assert [i.code for i in made.issues] == ["sms_too_long"]
    assert made.segments > 2


def test_whatsapp_says_what_the_sms_says() -> None:
    made = words().render(MessageKind.REMINDER, Role.PATIENT, Channel.WHATSAPP, "en-GB", FACTS)
    assert made.text == sms()


def test_a_join_link_is_shown_only_a_day_ahead() -> None:
    early = replace(VIDEO, at=START - timedelta(days=3))
    assert LINK in sms(VIDEO)
    assert LINK in mail(VIDEO).text
    assert "meet.example" not in sms(early)
    assert "meet.example" not in (mail(early).html or "") + mail(early).text


def test_a_reminder_one_calendar_day_ahead_has_the_link_when_clocks_go_back() -> None:
    start = datetime(2026, 10, 25, 9, tzinfo=UTC)  # the day has 25 hours in Berlin
    facts = replace(VIDEO, start=start, at=start - timedelta(hours=25))
    assert LINK in sms(facts)


def test_a_video_visit_never_sends_anybody_to_a_street() -> None:
    for kind in ("confirmation", "reminder", "change", "cancellation"):
        for facts in (VIDEO, replace(FACTS, modality=Modality.PHONE)):
            changed = replace(facts, kind_of_change={"place", "time"})
            assert "Main site" not in sms(changed, kind)
            assert "Main site" not in mail(changed, kind).text


@pytest.mark.parametrize("kind", ["confirmation", "reminder", "change"])
def test_who_comes_to_the_clinic_is_sent_no_link(kind: str) -> None:
    here = replace(VIDEO, modality=Modality.IN_PERSON)
    nowhere = replace(VIDEO, modality=Modality.UNKNOWN, place=None)
    for facts, shown in ((here, False), (replace(here, place=None), False), (nowhere, True)):
        for text in (sms(facts, kind), mail(facts, kind).text):
            assert (LINK in text) is shown


def test_only_a_web_address_is_a_link() -> None:
    odd = replace(VIDEO, join_url="javascript:alert(1)")
    assert "javascript" not in (mail(odd).html or "")
    assert 'href="https://meet.example/abc?x=1&amp;y=2"' in (mail(VIDEO).html or "")


def test_the_zone_is_told_to_those_who_are_elsewhere_or_not_travelling() -> None:
    assert "Berlin" not in sms(FACTS)
    assert "Berlin" not in sms(replace(FACTS, recipient_timezone="Europe/Paris"))
    assert "10:30 (Berlin time)" in sms(replace(FACTS, recipient_timezone="Asia/Tokyo"))
    assert "10:30 (Berlin time)" in sms(VIDEO)
    assert "10:30 Uhr (Ortszeit Berlin)" in sms(VIDEO, language="de")


@pytest.mark.parametrize(("hour", "named"), [(0, "02:30 (MESZ)"), (1, "02:30 (MEZ)"), (2, "03:30")])
def test_an_hour_that_comes_twice_is_told_with_which_one_it_is(hour: int, named: str) -> None:
    start = datetime(2026, 10, 25, hour, 30, tzinfo=UTC)
    said = sms(replace(FACTS, start=start, at=start - timedelta(days=1)), language="de")
    assert f", {named} Uhr." in said


def test_a_far_day_is_told_with_its_year() -> None:
    far = replace(FACTS, at=START - timedelta(days=400))
    assert "Tue, 1 Dec 2026, 10:30" in sms(far)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"time"}, "has moved to Tue 1 Dec, 10:30. It was Tue 24 Nov, 10:30."),
        ({"place"}, "has changed. New place: Main site."),
        ({"time", "place"}, "It was Tue 24 Nov, 10:30. New place: Main site."),
        ({"practitioner"}, "Another member of our team will see you on Tue 1 Dec"),
        ({"reinstated"}, "takes place after all, at another time: Tue 1 Dec, 10:30."),
    ],
)
def test_a_change_says_what_changed(changes: set[str], said: str) -> None:
    before = START - timedelta(days=7)
    facts = replace(FACTS, kind_of_change=changes, before_start=before)
    assert said in sms(facts, "change")


def test_a_moved_visit_that_became_a_video_visit_names_the_new_way() -> None:
    facts = replace(VIDEO, kind_of_change={"place"}, before_modality=Modality.IN_PERSON)
    assert "is now a video visit" in sms(facts, "change")
    assert "as a video visit" in mail(facts, "change").text


PHONE = replace(FACTS, modality=Modality.PHONE, place=None)
DIALLED = replace(PHONE, call_in="+493055501234")
EARLY = START - timedelta(days=3)
BY_PHONE = {
    "ar": "سنتصل بكم", "de": "wir rufen Sie an", "en": "we will call you", "es": "le llamaremos",
    "fr": "nous vous appellerons", "hi": "हम आपको फ़ोन करेंगे", "it": "La chiameremo noi",
    "nl": "wij bellen u", "pl": "adzwonimy do Państwa", "pt": "amos ligar na hora marcada",
    "ru": "ы Вам позвоним", "tr": "izi biz arayacağız", "uk": "и Вам зателефонуємо",
    "vi": "húng tôi sẽ gọi cho quý vị", "zh": "届时我们会致电给您",
}  # fmt: skip


@pytest.mark.parametrize("language", BY_PHONE)
def test_only_who_has_no_number_to_dial_is_told_that_we_call(language: str) -> None:
    for facts, we_call in ((PHONE, True), (DIALLED, False)):
        for at in (EARLY, FACTS.at):
            now = replace(
                facts, at=at, kind_of_change={"place"}, before_modality=Modality.IN_PERSON
            )
            for channel in (Channel.WHATSAPP, Channel.EMAIL):  # an SMS may lose its accents
                made = words().render(MessageKind.CHANGE, Role.PATIENT, channel, language, now)
                assert (BY_PHONE[language] in made.text) is we_call


def test_who_will_dial_is_told_when_the_number_comes() -> None:
    facts = replace(
        DIALLED,
        at=EARLY,
        kind_of_change={"place", "link"},
        before_modality=Modality.IN_PERSON,
    )
    said = "The number to dial comes with our last reminder."
    assert f"is now by phone. {said}" in sms(facts, "change")
    assert said in mail(facts, "change").text
    assert said not in sms(replace(facts, at=FACTS.at), "change")


def test_portuguese_says_what_is_said_in_brazil_and_in_portugal() -> None:
    early = replace(DIALLED, at=EARLY)
    for kind in ("confirmation", "reminder", "change"):
        for facts, changes in ((DIALLED, ()), (DIALLED, ("link",)), (early, ("time", "link"))):
            now = replace(facts, kind_of_change=changes)
            for text in (sms(now, kind, "pt"), mail(now, kind, "pt").text):
                assert not re.search("n[uú]mero a marcar", text, re.IGNORECASE)
    assert "Para a consulta, ligue para: +493055501234" in sms(DIALLED, language="pt")


@pytest.mark.parametrize("changes", [{"place"}, {"place", "time"}, {"place", "practitioner"}])
@pytest.mark.parametrize("place", ["North branch", None])
@pytest.mark.parametrize("before", [Modality.VIDEO, Modality.PHONE])
def test_who_would_wait_at_a_dead_link_is_told_to_come(
    changes: set[str], place: str | None, before: Modality
) -> None:
    facts = replace(
        FACTS, kind_of_change=changes, place=place, before_modality=before, before_place="Nowhere"
    )
    where = f" ({place})" if place else ""
    assert f"It is now at the clinic{where}, no longer by {before}." in sms(facts, "change")
    text = mail(facts, "change").text
    assert f"at the clinic, no longer by {before}\n{place or ''}" in text
    assert "Nowhere" not in text


@pytest.mark.parametrize(
    ("language", "said"),
    [
        *(("ar", "في وقت آخر"), ("de", "zu einer anderen Zeit"), ("en", "at another time")),
        *(
            ("es", "con otro horario"),
            ("fr", "à un autre horaire"),
            ("hi", "नए समय पर|समय बदल गया"),
        ),
        *(("it", "a un altro orario"), ("nl", "op een ander tijdstip"), ("pl", "w innym terminie")),
        *(("pt", "com outro horário"), ("ru", "в другое время"), ("tr", "başka bir zamanda")),
        *(("uk", "в інший час"), ("vi", "vào thời gian khác"), ("zh", "时间有变")),
    ],
)
@pytest.mark.parametrize("channel", [Channel.WHATSAPP, Channel.EMAIL])
def test_what_is_on_again_at_another_time_says_that_it_is_another(
    language: str, said: str, channel: Channel
) -> None:
    for before, other in ((START - timedelta(hours=1), True), (START, False), (None, False)):
        facts = replace(FACTS, kind_of_change={"reinstated"}, before_start=before)
        made = words().render(MessageKind.CHANGE, Role.PATIENT, channel, language, facts)
        assert bool(re.search(said, made.text)) is other, made.text
        assert "10:30" in made.text
        assert not other or channel is Channel.WHATSAPP or "9:30" in made.text


NOW_BY = {
    "ar": ("سيكون عبر الفيديو", "سيكون هاتفيًا"), "de": ("nun per Video", "nun per Telefon"),
    "en": ("now a video visit", "now by phone"), "es": ("ahora por videollamada", "ahora por teléfono"),
    "fr": ("lieu en vidéo", "lieu par téléphone"), "hi": ("अब वीडियो पर", "अब फ़ोन पर"),
    "it": ("ora in videochiamata", "ora per telefono"), "nl": ("nu via video", "nu telefonisch"),
    "pl": ("w formie wideo", "telefonicznie"), "pt": ("ser por videochamada", "ser por telefone"),
    "ru": ("Теперь по видеосвязи", "Теперь по телефону"),
    "tr": ("artık görüntülü", "artık telefonla"), "uk": ("Тепер онлайн", "Тепер телефоном"),
    "vi": ("nay diễn ra qua video", "nay diễn ra qua điện thoại"),
    "zh": ("现改为视频问诊", "现改为电话问诊"),
}  # fmt: skip


@pytest.mark.parametrize("language", NOW_BY)
def test_another_time_does_not_hide_another_way_to_meet(language: str) -> None:
    changes = {"time", "place", "link"}
    for facts, said in zip((VIDEO, PHONE), NOW_BY[language], strict=True):
        for before in Modality:
            now = replace(facts, kind_of_change=changes, before_modality=before)
            made = words().render(MessageKind.CHANGE, Role.PATIENT, Channel.WHATSAPP, language, now)
            assert (said in made.text) is (before is not facts.modality), made.text
            if facts is PHONE and before is not Modality.PHONE:
                assert BY_PHONE[language] in made.text


NEW_LINK = {
    "ar": ("رابط", "رقم الاتصال", "جديد|تغير"),
    "de": ("Link", "Einwahl", "neue"), "en": ("link", "number to dial", "new"),
    "es": ("enlace", "acceso", "nuevo"), "fr": ("lien", "numéro", "nouveau"),
    "hi": ("लिंक", "नंबर", "नया|बदल"), "it": ("link", "numero", "nuovo"),
    "nl": ("link", "inbelnummer", "nieuwe?"), "pl": ("link", "numer", "nowy|zmienił"),
    "pt": ("link", "numero|número", "novo"), "ru": ("ссылка", "номер", "нов"),
    "tr": ("bağlantı", "numara", "yeni|değişti"), "uk": ("посилання", "номер", "нов"),
    "vi": ("liên kết", "số gọi vào", "mới"), "zh": ("链接", "拨入号码", "新|更改"),
}  # fmt: skip


@pytest.mark.parametrize(
    "when",
    [{}, {"at": EARLY}, {"at": EARLY, "reminded_again": False}],
    ids=["late", "early", "never"],
)
@pytest.mark.parametrize("other", ["time", "practitioner"])
@pytest.mark.parametrize("language", NEW_LINK)
def test_what_else_changed_does_not_hide_another_link(
    language: str, other: str, when: dict[str, Any]
) -> None:
    link, number, new = NEW_LINK[language]
    for facts, named in ((VIDEO, link), (DIALLED, number)):
        told = [
            words()
            .render(
                MessageKind.CHANGE,
                Role.PATIENT,
                Channel.WHATSAPP,
                language,
                replace(facts, kind_of_change={other, *also}, before_start=facts.start, **when),
            )
            .text
            for also in ((), ("link",))
        ]
        news = [len(re.findall(f"(?i){new}", text)) for text in told]
        assert news[1] > news[0], told
        assert re.search(f"(?i){named}", told[1]), told


@pytest.mark.parametrize("kind", ["confirmation", "reminder", "change"])
def test_a_mail_about_a_visit_without_a_place_has_the_clinics_address(kind: str) -> None:
    address = "Uferstrasse 5, 13357 Berlin"
    ours = words(address=address)
    for place, modality, shown in (
        (None, Modality.IN_PERSON, True),
        ("Main site", Modality.IN_PERSON, False),
        ("", Modality.IN_PERSON, False),  # somewhere that has no name: hardly at the clinic's
        *((None, other, False) for other in Modality if other is not Modality.IN_PERSON),
    ):
        facts = replace(FACTS, place=place, modality=modality)
        made = {
            channel: ours.render(MessageKind(kind), Role.PATIENT, channel, "en", facts).text
            for channel in (Channel.EMAIL, Channel.SMS)
        }
        assert (address in made[Channel.EMAIL]) is shown
        assert address not in made[Channel.SMS]


@pytest.mark.parametrize(
    ("facts", "new", "later", "shown"),
    [
        (
            VIDEO,
            "There is a new link for your video visit",
            "The link comes",
            f"Join: {LINK}",
        ),
        (
            DIALLED,
            "There is a new number to dial for your phone visit",
            "The number to dial comes",
            "Dial in: +493055501234",
        ),
    ],
)
def test_another_link_or_number_is_told_as_that(
    facts: TextFacts, new: str, later: str, shown: str
) -> None:
    late = replace(facts, kind_of_change={"link"})
    early = replace(late, at=EARLY)
    for text in (sms(late, "change"), sms(early, "change")):
        assert new in text
        assert "is now" not in text
    assert shown in sms(late, "change")
    assert later not in sms(late, "change")
    assert f"{later} with our last reminder." in sms(early, "change")
    assert shown not in sms(early, "change")
    assert f"{later} with our last reminder." in mail(early, "change").text


@pytest.mark.parametrize(
    ("wanted", "used"),
    [
        *(("de-AT", "de"), ("DE", "de"), ("en_US", "en"), ("es-MX", "es"), ("pt_BR", "pt")),
        *(("pt-PT", "pt"), ("fr-CA", "fr"), ("nl-BE", "nl"), ("it-CH", "it"), ("tr", "tr")),
        *(("zh-Hant-TW", "zh"), ("zh-CN", "zh"), ("ar-EG", "ar"), ("uk_UA", "uk"), ("vi", "vi")),
        *(("ko-KR", "de"), ("da", "de"), (None, "de")),
    ],
)
def test_a_language_falls_back_to_the_nearest_there_is(wanted: str | None, used: str) -> None:
    made = words().render(MessageKind.REMINDER, Role.PATIENT, Channel.SMS, wanted, FACTS)
    assert made.language == used
    fell_back = [i.detail for i in made.issues if i.code == "language_fallback"]
    assert fell_back == ([used] if wanted in ("ko-KR", "da") else [])


def test_a_clinic_whose_own_language_is_missing_speaks_english_throughout() -> None:
    made = words(language="da").render(MessageKind.REMINDER, Role.PATIENT, Channel.SMS, "da", FACTS)
    assert made.language == "en"
    assert "Tue" in made.text


def test_a_value_cannot_leave_its_line_or_write_html() -> None:
    odd = replace(FACTS, first_name="Jane", place="<b>1</b>\nSubject: x\u202e{{ clinic }}")
    made = mail(odd, "confirmation")
    assert made.subject == "Your appointment on Tuesday, 1 December 2026, 10:30"
    assert "<b>1</b> Subject: x{{ clinic }}\n" in made.text
    assert "&lt;b&gt;1&lt;/b&gt;" in (made.html or "")


@pytest.mark.parametrize("name", ["evil.example", "http://x", "Jane 0800 123", "a@b"])
def test_a_name_that_could_become_a_link_is_not_greeted(name: str) -> None:
    assert mail(replace(FACTS, first_name=name)).text.startswith("Hello,\n")


@pytest.mark.parametrize("name", ["Anne-Marie", "D'Arcy", "आर्या", "José María"])
def test_names_of_the_world_are_greeted(name: str) -> None:
    assert mail(replace(FACTS, first_name=name)).text.startswith(f"Hello {name},\n")


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_value_breaks_a_text(name: str, place: str) -> None:
    facts = replace(FACTS, first_name=name, practitioner_name=name, place=place)
    made = mail(facts, "change")
    assert made.subject
    assert "\n" not in made.subject
    assert not made.issues


def test_a_page_fetches_nothing_from_outside() -> None:
    html = mail().html or ""
    assert not [w for w in ("http:", "https:", "<img", "url(", "@import", "<script") if w in html]
    assert 'lang="en"' in html


def test_a_digest_lists_the_day_in_order_with_initials_only() -> None:
    lines = (
        DigestLine(START + timedelta(hours=3), Modality.VIDEO, "A.B."),
        DigestLine(START, Modality.IN_PERSON, "J.R."),
        DigestLine(START + timedelta(days=1), Modality.PHONE, "C.D."),
    )
    made = words().render(
        MessageKind.DIGEST, Role.DOCTOR, Channel.EMAIL, "en-GB", replace(FACTS, visits=lines)
    )
    assert made.subject == "Tuesday, 1 December 2026: 3 visits"
    assert (
        "Tuesday, 1 December 2026\n\n10:30 J.R.\n13:30 A.B. (video)\n\n"
        "Wednesday, 2 December 2026\n\n10:30 C.D. (phone)\n"
    ) in made.text
    assert "Jane" not in made.text


def test_a_digest_of_an_empty_day_says_so() -> None:
    made = words().render(MessageKind.DIGEST, Role.DOCTOR, Channel.SMS, "de", FACTS)
    assert made.text == "Riverside Family Clinic: Di., 1. Dez.: keine Termine."


def test_without_a_telephone_nobody_is_asked_to_call() -> None:
    made = words(phone=None).render(MessageKind.REMINDER, Role.PATIENT, Channel.SMS, "en", FACTS)
    assert made.text.endswith("Please let us know if you cannot come.")


def test_a_text_we_do_not_have_is_an_error() -> None:
    with pytest.raises(LookupError, match="doctor_confirmation"):
        words().render(MessageKind.CONFIRMATION, Role.DOCTOR, Channel.SMS, "en", FACTS)


def test_a_clinics_own_words_come_first(tmp_path: Path) -> None:
    (tmp_path / "reminder.sms.en.j2").write_text("Hi! {{ day }} {{ time }}. {{ clinic }}")
    (tmp_path / "reminder.sms.j2").write_text("Servus! {{ day }} {{ time }}. {{ clinic }}")
    ours = words(tmp_path)
    made = {
        language: ours.render(MessageKind.REMINDER, Role.PATIENT, Channel.SMS, language, FACTS).text
        for language in ("en", "de-AT", "da", "tr")
    }
    assert made["en"].startswith("Hi! ")
    assert made["de-AT"].startswith("Servus! ")
    assert made["da"].startswith("Servus! ")
    assert "randevunuz" in made["tr"]


@pytest.mark.parametrize(
    "template", ["{{ docter }}", "{% if %}", "{{ day + 1 }}", "{{ 1 / 0 }}", "{{ ().__class__ }}"]
)
def test_a_clinics_broken_template_is_passed_over_for_ours(tmp_path: Path, template: str) -> None:
    (tmp_path / "reminder.sms.de.j2").write_text(template)
    made = words(tmp_path).render(MessageKind.REMINDER, Role.PATIENT, Channel.SMS, "de", FACTS)
    assert "Erinnerung an Ihren Termin" in made.text
    assert [(i.code, i.detail) for i in made.issues] == [("template_broken", "reminder.sms.de.j2")]


def test_a_template_reaches_no_file_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "reminder.sms.de.j2").write_text("{% include 'clinic/../secret.txt' %}")
    made = words(folder).render(MessageKind.REMINDER, Role.PATIENT, Channel.SMS, "de", FACTS)
    assert "secret" not in made.text


def test_importing_the_words_loads_neither_templates_nor_locales() -> None:
    code = (
        "import sys, sync.words, sync.words.titles;"
        "print([m for m in ('jinja2', 'babel', 'markupsafe') if m in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("wanted", "clinics", "used"),
    [
        ("es-MX", "de", "es"),
        ("pt-BR", "de", "pt"),
        ("pt_BR", "de", "pt"),
        ("zh-Hant-TW", "de", "zh"),  # simplified words rather than German ones
        ("sr-Latn-RS", "uk-UA", "uk"),
        ("sr-Latn-RS", "da", "en"),
    ],
)
def test_a_region_falls_back_to_its_language_then_the_clinics_then_english(
    wanted: str, clinics: str, used: str
) -> None:
    for channel in (Channel.SMS, Channel.EMAIL):
        ours = words(language=clinics)
        made = ours.render(MessageKind.REMINDER, Role.PATIENT, channel, wanted, FACTS)
        assert made.language == used


def test_a_mail_is_laid_out_for_light_dark_and_readers() -> None:
    html = mail().html or ""
    assert html.count("<table") == html.count('<table role="presentation"') == 2
    assert "prefers-color-scheme: dark" in html
    assert 'lang="en" dir="ltr"' in html
    light = dict(re.findall(r'class="(\w+)"[^>]*?[";](?:background|color):(#\w{6})', html))
    light |= dict(re.findall(r'class="(text|foot)"[^>]*;color:(#\w{6})', html))
    dark = dict(re.findall(r"\.(\w+) \{ (?:background|color): (#\w{6})", html))
    for colours in (light, dark):
        for written in ("text", "foot"):
            assert _contrast(colours[written], colours["card"]) >= 4.5, written


def test_a_link_can_be_read_in_both_schemes() -> None:
    video = replace(FACTS, modality=Modality.VIDEO, join_url="https://meet.example/k7x2")
    html = mail(video).html or ""
    assert 'class="link" style="color:#0f5f5a' in html
    assert ".link { color: #7fd6ce" in html
    assert _contrast("#0f5f5a", "#ffffff") >= 4.5
    assert _contrast("#7fd6ce", "#1f2529") >= 4.5


def _contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2."""
    darker, lighter = sorted(map(_luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("modality", [Modality.VIDEO, Modality.PHONE])
@pytest.mark.parametrize("kind", ["confirmation", "reminder", "change", "cancellation"])
@pytest.mark.parametrize("language", ["en", "de", "ar", "zh"])
def test_a_remote_visit_has_its_link_only_near_and_never_a_street(
    modality: Modality, kind: str, language: str
) -> None:
    link = "https://meet.example/k7x2"
    for ahead, near in ((timedelta(hours=20), True), (timedelta(days=21), False)):
        facts = replace(
            FACTS, at=FACTS.start - ahead, modality=modality, join_url=link, place="Elm Street 5"
        )
        for channel in (Channel.SMS, Channel.EMAIL):
            made = words().render(MessageKind(kind), Role.PATIENT, channel, language, facts)
            page = f"{made.subject or ''}\n{made.text}\n{made.html or ''}"
            assert "Elm Street" not in page
            due = near and modality is Modality.VIDEO and kind != "cancellation"
            assert (link in page) is due
