"""What other scripts ask for: direction, letters, numbers, and room for little in an SMS."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clinicrelay.actions import MessageKind, Role
from clinicrelay.model import Appointment, Channel, Modality, Patient, Status
from clinicrelay.sms import segments
from clinicrelay.testing import CLINIC
from sync.words import DigestLine, Rendered, TextFacts, Words, dates
from sync.words.page import isolated
from sync.words.titles import event_text, invitation_text

START = datetime(2026, 9, 30, 8, 30, tzinfo=UTC)
LINK = "https://meet.example/k7x2m9q"  # 28 letters
FACTS = TextFacts(
    at=START - timedelta(hours=20),
    start=START,
    timezone="Europe/Berlin",
    place="Main site",
    practitioner_name="Dr. Elif Acar",
    first_name="Robin",
    before_start=START - timedelta(days=7),
    before_place="North branch",
)
VIDEO = replace(FACTS, modality=Modality.VIDEO, join_url=LINK)
LRI, FSI, PDI = "\u2066", "\u2068", "\u2069"
PHONE = f"{LRI}{CLINIC.phone}{PDI}"
OTHER_SCRIPTS = pytest.mark.parametrize("language", ["ar", "hi", "ru", "uk", "zh"])


def made(
    language: str, kind: str = "reminder", facts: TextFacts = FACTS, **clinic: object
) -> tuple[Rendered, Rendered]:
    """The SMS and the mail of a text to a patient, or of a doctor's digest."""
    words = Words("en", replace(CLINIC, **clinic), None)  # type: ignore[arg-type]
    role = Role.DOCTOR if kind == "digest" else Role.PATIENT
    sms, mail = (
        words.render(MessageKind(kind), role, channel, language, facts)
        for channel in (Channel.SMS, Channel.EMAIL)
    )
    return sms, mail


def bare(text: str) -> str:
    return text.translate(dict.fromkeys(map(ord, (LRI, FSI, PDI))))


def sms(language: str, kind: str = "reminder", facts: TextFacts = FACTS, **clinic: object) -> str:
    return made(language, kind, facts, **clinic)[0].text


# --- how many there are --------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 11, 12, 14, 21, 22, 25, 100, 101, 111])
@pytest.mark.parametrize(
    ("language", "said"),
    [
        # Set so that one form is right for each number: Russian has three, Arabic six.
        ("ru", "приёмов: {}"),
        ("uk", "прийомів: {}"),
        ("ar", "عدد المواعيد: {}"),
        # No forms to choose from.
        ("zh", "共{}个预约"),
        ("hi", "{} अपॉइंटमेंट"),
        ("vi", "{} cuộc hẹn"),
    ],
)
def test_a_digest_counts_as_the_language_does(language: str, said: str, count: int) -> None:
    visits = (DigestLine(START, initials="R.M."),) * count
    short, mail = made(language, "digest", replace(FACTS, visits=visits))
    for text in (short.text, mail.subject or ""):
        assert re.search(rf"(?<!\d){said.format(count)}(?!\w)", text)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        *(("ru", "приёмов нет"), ("uk", "прийомів немає"), ("ar", "لا توجد مواعيد")),
        *(("zh", "没有预约"), ("hi", "कोई अपॉइंटमेंट नहीं"), ("vi", "không có cuộc hẹn")),
    ],
)
def test_a_day_without_visits_is_said_in_words(language: str, said: str) -> None:
    short, mail = made(language, "digest")
    assert said in short.text
    assert said in (mail.subject or "")
    assert said in mail.text


# --- from right to left --------------------------------------------------------------------------


def test_what_runs_from_left_to_right_is_fenced_off_in_an_arabic_text() -> None:
    short, mail = made("ar")
    assert short.text.startswith(f"{FSI}{CLINIC.name}{PDI}: ")
    assert f" {PHONE}." in short.text
    for name in ("Robin", "Dr. Elif Acar", "Main site", CLINIC.name):
        assert f"{FSI}{name}{PDI}" in mail.text
    assert mail.text.endswith(f"\n{PHONE}")


def test_an_arabic_text_is_laid_out_from_the_right_though_it_begins_with_a_latin_name() -> None:
    outside = re.sub(f"[{LRI}{FSI}][^{PDI}]*{PDI}", "", sms("ar"))
    first = next(c for c in outside if unicodedata.bidirectional(c) in ("L", "R", "AL"))
    assert unicodedata.bidirectional(first) == "AL"  # rule P2 of UAX #9 looks past what is fenced


def test_initials_keep_their_dots_and_times_their_order() -> None:
    visits = tuple(DigestLine(START + timedelta(hours=n), initials="J.R.") for n in (0, 4))
    short, mail = made("ar", "digest", replace(FACTS, visits=visits))
    assert f"10:30 ص {FSI}J.R.{PDI}\n2:30 م {FSI}J.R.{PDI}" in mail.text
    assert "من 10:30 ص إلى 2:30 م" in short.text


def test_no_mark_touches_a_link() -> None:
    """Android takes any letter from U+00A0 on for a part of the address (`Patterns.WEB_URL`)."""
    for text in (*(one.text for one in made("ar", facts=VIDEO)), made("ar", facts=VIDEO)[1].html):
        assert re.search(rf"[ >\"]{LINK}(?=$|[\n<\"])", text or "", re.MULTILINE)


def test_what_is_written_in_arabic_is_neither_fenced_nor_paid_for() -> None:
    assert sms("ar", name="عيادة النهر").startswith("عيادة النهر: ")
    assert isolated("شارع 5", "ar") == f"{FSI}شارع 5{PDI}"
    assert isolated("", "ar") == ""


@pytest.mark.parametrize("language", ["en", "ru", "zh", "hi", "vi"])
def test_other_languages_have_no_marks(language: str) -> None:
    for text in (one.text for one in made(language)):
        assert not set(text) & {LRI, FSI, PDI}


def test_a_clinics_own_hebrew_is_fenced_as_arabic_is(tmp_path: Path) -> None:
    (tmp_path / "reminder.sms.he.j2").write_text("{{ clinic }}: תור {{ phone }}", "utf-8")
    words = Words("he", CLINIC, tmp_path)
    text = words.render(MessageKind.REMINDER, Role.PATIENT, Channel.SMS, "he", FACTS).text
    assert text == f"{FSI}{CLINIC.name}{PDI}: תור {PHONE}"


def test_an_arabic_page_says_the_same_by_markup() -> None:
    html = made("ar", facts=VIDEO)[1].html or ""
    assert '<html lang="ar" dir="rtl">' in html
    assert 'class="card" lang="ar" dir="rtl"' in html  # some mail programs keep only what is inside
    assert f'<span dir="ltr">{CLINIC.phone}</span>' in html
    assert f'<span dir="auto">{CLINIC.name}</span>' in html
    assert re.search(f'<a href="{LINK}" dir="ltr"[^>]*>{LINK}</a>', html)
    body = html.partition("</title>")[2]
    assert not set(body) & {LRI, FSI, PDI}


def test_a_fence_in_a_page_lets_no_markup_through() -> None:
    odd = replace(FACTS, place="<b>x</b>", practitioner_name="</span><i>&")
    html = made("ar", facts=odd)[1].html or ""
    assert '<span dir="auto">&lt;b&gt;x&lt;/b&gt;</span>' in html
    assert '<span dir="auto">&lt;/span&gt;&lt;i&gt;&amp;</span>' in html


@pytest.mark.parametrize("language", ["ar", "en"])
@pytest.mark.parametrize("mark", "\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069\u061c\u200f")
def test_no_value_brings_a_direction_of_its_own(language: str, mark: str) -> None:
    odd = f"a{mark}b"
    facts = replace(VIDEO, place=odd, practitioner_name=odd, first_name=odd, join_url=LINK + odd)
    for modality in (Modality.VIDEO, Modality.IN_PERSON):
        short, mail = made(language, facts=replace(facts, modality=modality), name=odd)
        for text in (short.text, mail.text, mail.html or ""):
            assert odd not in text
            assert "meet.example" not in text  # a link that hides something is none
        assert mail.text.count(FSI) + mail.text.count(LRI) == mail.text.count(PDI)


def test_events_in_a_calendar_are_fenced_too() -> None:
    visit = Appointment(
        source="main",
        key="7",
        status=Status.BOOKED,
        timezone="Europe/Berlin",
        start=START,
        patients=(Patient("p1", "Jane Roe"), Patient("p2", "Li Na")),
    )
    assert event_text("initials", visit, CLINIC, "ar").title == (
        f"موعد {FSI}J.R.{PDI} {FSI}L.N.{PDI}"
    )
    assert event_text("full", visit, CLINIC, "ar").title == (
        f"موعد: {FSI}Jane Roe{PDI}, {FSI}Li Na{PDI}"
    )
    invited = invitation_text(visit, CLINIC, "ar")
    assert invited.title == f"موعد - {FSI}{CLINIC.name}{PDI}"
    assert PHONE in invited.description


# --- days, times, cities -------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["ar", "ar-EG", "ar-SA", "hi", "hi-IN"])
def test_numbers_are_those_of_the_telephone(language: str) -> None:
    for text in (one.text for one in made(language, "change")):
        assert all(c.isascii() for c in text if c.isdigit())


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("ar", "الأربعاء، 30 سبتمبر، 10:30 ص"),
        ("ar-SY", "الأربعاء، 30 أيلول، 10:30 ص"),
        ("ar-MA", "الأربعاء، 30 شتنبر، 10:30"),
        ("hi", "बुध, 30 सित॰, 10:30 am"),
        ("ru", "ср, 30 сент., 10:30"),
        ("uk", "ср, 30 вер., 10:30"),
        ("vi", "10:30, Th 4, 30 thg 9"),
        ("zh", "9月30日周三10:30"),
        ("zh-TW", "9月30日 週三上午10:30"),
    ],
)
def test_a_time_is_said_as_people_say_it_there(language: str, said: str) -> None:
    assert said in sms(language)


def test_an_arabic_month_has_one_name_in_all_texts() -> None:
    far = replace(FACTS, at=START - timedelta(days=400))
    for facts in (FACTS, far):
        assert all("30 أيلول" in one.text for one in made("ar-SY", facts=facts))


@pytest.mark.parametrize(
    ("zone", "language", "city"),
    [
        ("Europe/Kyiv", "uk", "Київ"),
        ("Asia/Kolkata", "hi", "कोलकाता"),
        ("Asia/Ho_Chi_Minh", "vi", "TP Hồ Chí Minh"),
        ("America/Argentina/Buenos_Aires", "ru", "Буэнос-Айрес"),
        ("America/Argentina/Buenos_Aires", "en", "Buenos Aires"),
        ("Europe/Berlin", "zh", "柏林"),
        ("UTC", "ar", "UTC"),
    ],
)
def test_a_city_is_spelt_in_the_language_under_old_names_of_its_zone_too(
    zone: str, language: str, city: str
) -> None:
    assert dates.city(zone, language, "DE") == city


def test_chinese_has_its_own_stops_and_no_needless_spaces() -> None:
    for kind, facts in (("reminder", VIDEO), ("change", replace(FACTS, kind_of_change={"time"}))):
        for text in (one.text.replace(LINK, "") for one in made("zh", kind, facts)):
            said = re.sub(r"Dr\. Elif Acar|\d:\d", "", text.replace(CLINIC.name, ""))
            assert not re.search(r"[,.:;!?()]", said)
            assert not re.search(r"[\u4e00-\u9fff，。：（）] | [\u4e00-\u9fff，。：（）]", said)


# --- what an SMS costs ---------------------------------------------------------------------------


@OTHER_SCRIPTS
@pytest.mark.parametrize("kind", ["confirmation", "reminder", "change"])
def test_a_video_visit_with_an_ordinary_link_costs_two_sms(language: str, kind: str) -> None:
    for changes in ({"time"}, {"place"}, {"practitioner"}, {"reinstated"}):
        short, _ = made(language, kind, replace(VIDEO, kind_of_change=changes))
        assert short.segments == 2
        assert not short.issues
        assert short.text.endswith(LINK)


@OTHER_SCRIPTS
def test_a_text_says_all_while_it_fits(language: str) -> None:
    said = sms(language, name="Qwx")
    assert CLINIC.phone in bare(said)
    assert "\u260e" not in said


@OTHER_SCRIPTS
@pytest.mark.parametrize("letters", [3, 20, 40])
def test_what_is_spared_is_never_when_or_where(language: str, letters: int) -> None:
    moved = replace(FACTS, kind_of_change={"time", "place"}, place="Main site, second floor")
    said = sms(language, "change", moved, name="Q" * letters)
    assert segments(said).messages <= 2
    assert "10:30" in said
    assert "Main site, second floor" in said


def test_first_the_sentence_whom_to_call_is_spared_then_what_was_before_then_the_number() -> None:
    moved = replace(FACTS, kind_of_change={"time"})
    elsewhere = replace(moved, recipient_timezone="Asia/Tokyo")
    texts = [sms("ru", "change", moved, name="Q" * letters) for letters in (3, 23)]
    texts += [sms("ru", "change", elsewhere, name="Q" * 40)]
    assert "Было: ср, 23 сент., 10:30. Если Вы не сможете прийти" in texts[0]
    assert texts[1].endswith("Было: ср, 23 сент., 10:30. (\u260e +4930555010)")
    assert texts[2].endswith("перенесён: ср, 30 сент., 10:30 (время: Берлин). (\u260e +4930555010)")
    video = sms("ru", "change", replace(VIDEO, kind_of_change={"time"}), name="Q" * 33)
    assert video.endswith(f"(время: Берлин). Видео: {LINK}")


def test_a_clinics_own_text_is_sent_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "change.sms.ru.j2").write_text(
        "Было: {{ before_day }}, {{ before_time }}. {{ call }} " + "ж" * 100, "utf-8"
    )
    words = Words("ru", CLINIC, tmp_path)
    made = words.render(MessageKind.CHANGE, Role.PATIENT, Channel.SMS, "ru", FACTS)
    assert made.text.startswith("Было: ср, 23 сент., 10:30. Если Вы не сможете прийти")
    assert [issue.code for issue in made.issues] == ["sms_too_long"]


def test_without_a_telephone_no_sign_of_one_is_left() -> None:
    text = sms("ru", facts=VIDEO, phone=None, name="Q" * 30)
    assert "\u260e" not in text
    assert "()" not in text


# --- Vietnamese ----------------------------------------------------------------------------------

MARKED = "".join(
    unicodedata.normalize("NFC", letter + hat + tone)
    for letter, hats in (("a", "\u0302\u0306"), ("e", "\u0302"), ("o", "\u0302\u031b"), ("u", "\u031b"),
                         ("i", ""), ("y", ""))
    for hat in ("", *hats)
    for tone in ("", "\u0300", "\u0301", "\u0303", "\u0309", "\u0323")
)  # fmt: skip


def test_vietnamese_keeps_its_marks_until_they_cost_a_third_sms() -> None:
    assert "Nhắc quý vị về cuộc hẹn: 10:30" in sms("vi")
    without = made("vi", facts=VIDEO)[0]
    assert "Nhac quy vi ve cuoc hen qua video: 10:30 (gio Berlin)" in without.text
    assert segments(without.text) == ("GSM-7", 2)


def test_without_marks_no_vietnamese_letter_keeps_any() -> None:
    assert len(set(MARKED)) == 12 * 6
    for letters in (MARKED + "đ", (MARKED + "đ").upper()):
        for place in (letters[n : n + 30] for n in range(0, len(letters), 30)):
            facts = replace(VIDEO, modality=Modality.IN_PERSON, place=place)
            moved = replace(facts, kind_of_change={"time", "place"})
            short = made("vi", "change", moved)[0]
            assert short.text.isascii()
            assert segments(short.text).encoding == "GSM-7"


def test_a_letter_in_several_pieces_costs_no_more_than_in_one() -> None:
    place = "Cơ sở Bến Thành"
    split = unicodedata.normalize("NFD", place)
    for kind_of_change in ({"place"}, {"time", "place"}):
        texts = [
            sms("vi", "change", replace(FACTS, place=one, kind_of_change=kind_of_change))
            for one in (place, split)
        ]
        assert texts[0] == texts[1]
