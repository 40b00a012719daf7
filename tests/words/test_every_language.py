"""What holds in every language there is a folder for; a new one is tested by being there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import pytest
from jinja2 import meta

from clinicrelay.actions import MessageKind, Role
from clinicrelay.model import Channel, Modality
from clinicrelay.sms import plain, segments, to_gsm7
from clinicrelay.testing import CLINIC
from sync.words import DigestLine, Rendered, TextFacts, Words, dates
from sync.words.check import check_words
from sync.words.forbidden import forbidden
from sync.words.samples import samples
from sync.words.templates import OURS, TEXTS, languages
from sync.words.titles import LANGUAGES

EVERY = pytest.mark.parametrize("language", languages())
FIFTEEN = ["ar", "de", "en", "es", "fr", "hi", "it", "nl", "pl", "pt", "ru", "tr", "uk", "vi", "zh"]
# Left out on purpose: Polish greets by name only with Pan or Pani, Vietnamese only with a word for a
# younger or an older man or woman, and we guess nobody's gender or age. Ukrainian calls people in a case
# of its own, which no system holds. In Chinese the first name alone is for friends.
LEFT_OUT = {language: {"first_name"} for language in ("pl", "vi", "uk", "zh")}
OTHER_SCRIPTS = ("ar", "hi", "ru", "uk", "zh")  # GSM-7 has none of their letters

START = datetime(2026, 9, 30, 8, 30, tzinfo=UTC)  # a Wednesday in September: the longest names
LINK = "https://meet.example/k7x2"
FACTS = TextFacts(
    at=START - timedelta(hours=20),
    start=START,
    timezone="Europe/Berlin",
    place="Zzyzx",
    practitioner_name="Dr. Qwrt",
    first_name="Xq",
    before_start=START - timedelta(days=7),
    before_place="Vvhx",
)
NASTY = (
    "\"quoted\" 'twice' `thrice`",
    "one\r\nBcc: evil@evil.example\r\n\r\n<script>alert(1)</script>",
    "\u202ereversed\u202c \u200f",
    "\u2067\u2066o\u2069\u2069ut\u2069 \u202d\u061cover\u202a\u202b",
    "🦷🏥 ❤️",
    "W" * 200,
    "Subject: evil",
    "{{ clinic }} {% include 'x' %} {{ 7 * 7 }} {#",
)
CHANGES = (("time",), ("place",), ("practitioner",), ("time", "place", "practitioner"),
           ("reinstated",), ())  # fmt: skip


def words(language: str, phone: str | None = CLINIC.phone) -> Words:
    return Words(language, replace(CLINIC, name="Qwx", phone=phone), None)


def files(language: str) -> list[Path]:
    return sorted((OURS / language).glob("*.j2"))


def turns(kind: MessageKind) -> Iterator[TextFacts]:
    """Every modality, with and without place, practitioner, link and zone; every change."""
    if kind is MessageKind.DIGEST:
        line = DigestLine(START, Modality.PHONE, "Q.W.")
        for count, name in product((0, 1, 2, 5, 22), ("Dr. Qwrt", None)):
            yield replace(FACTS, visits=(line,) * count, practitioner_name=name)
        return
    changes = CHANGES if kind is MessageKind.CHANGE else ((),)
    for modality, place, name, link, zone, changed in product(
        Modality, ("Zzyzx", None), ("Dr. Qwrt", None), (LINK, None), ("Asia/Tokyo", None), changes
    ):
        yield replace(
            FACTS,
            modality=modality,
            place=place,
            practitioner_name=name,
            first_name="Xq" if name else None,
            join_url=link,
            recipient_timezone=zone,
            kind_of_change=frozenset(changed),
        )
    if kind is MessageKind.CHANGE:
        yield from ways()


def ways() -> Iterator[TextFacts]:
    """Every change of how patient and practitioner meet, early and late."""
    late, early = (START - timedelta(hours=hours) for hours in (20, 90))
    for before, modality, place, way_in, at, changed in product(
        (*Modality, None), Modality, ("Zzyzx", None), (True, False), (late, early),
        (("place", "link"), ("time", "place", "link"), ("practitioner", "link"), ("reinstated",)),
    ):  # fmt: skip
        yield replace(
            FACTS,
            at=at,
            modality=modality,
            before_modality=before,
            place=place,
            join_url=LINK if way_in else None,
            call_in="+493055501234" if way_in else None,
            kind_of_change=frozenset(changed),
        )


@cache
def everything(language: str, phone: str | None = CLINIC.phone) -> list[Rendered]:
    ours = words(language, phone)
    return [
        ours.render(kind, role, channel, language, facts)
        for (kind, role), channels in TEXTS.items()
        for channel, facts in product((*channels, Channel.WHATSAPP), turns(kind))
    ]


def names_in(file: Path) -> set[str]:
    return meta.find_undeclared_variables(
        words("en").templates.sandbox.parse(file.read_text("utf-8"))
    )


def bare(text: str) -> str:
    """Return a text without the marks around what runs from left to right in it."""
    return text.translate(dict.fromkeys((0x2066, 0x2068, 0x2069)))


def test_fifteen_languages_are_spoken() -> None:
    assert languages() == FIFTEEN


# --- the same in all -----------------------------------------------------------------------------


@EVERY
def test_a_language_has_the_texts_that_english_has(language: str) -> None:
    assert [file.name for file in files(language)] == [file.name for file in files("en")]


@EVERY
def test_a_text_says_what_the_english_one_says(language: str) -> None:
    left_out = LEFT_OUT.get(language, set())
    for file in files(language):
        english = names_in(OURS / "en" / file.name)
        assert names_in(file) == english - left_out, f"{language}/{file.name}"


@EVERY
@pytest.mark.parametrize("phone", [CLINIC.phone, None])
def test_every_turn_of_every_text_is_a_tidy_sentence(language: str, phone: str | None) -> None:
    odd = re.compile(
        r"None|undefined|[{}]|\.\.|  | [,.;،।。，：！](?!\w)|[(（]\s*[)）]|[:：]\s*$|: :|, \."
        r"|[،，] ?[.。]|[。，：！（】](?:[。，：！】]| )|） |।।|।\."
    )
    for made in everything(language, phone):
        for line in f"{made.subject or ''}\n{made.text}".split("\n"):
            heading = line.endswith((":", "：")) and made.html is not None
            assert not odd.search(line[:-1] if heading else line), line
        assert not made.issues
        assert made.language == language


@EVERY
def test_no_text_is_that_of_another_language(language: str) -> None:
    others = {made.text for other in languages() if other != language for made in everything(other)}
    assert not {made.text for made in everything(language)} & others


ENGLISH = (
    r"(?i)\b(your|you|appointment|visits?|please|call|cannot|with|join|here|reminder|booked|moved"
    r"|cancelled|changed|hello|next|another|team member|phone|the|by)\b"
)
GERMAN = r"\b(Ihr(e[nm])?|Termine?|Uhr|[Bb]itte|rufen|falls|wurde|nicht|keine|bei|Guten|Ortszeit)\b"


@EVERY
def test_no_english_or_german_word_is_left_over(language: str) -> None:
    for made in everything(language):
        shown = f"{made.subject or ''}\n{made.text}".replace(LINK, "")
        if language != "en":
            assert not re.search(ENGLISH, shown), shown
        if language != "de":
            assert not re.search(GERMAN, shown), shown


# Said to a friend, to a man or to a woman: none of it to a patient.
TOO_CLOSE = {
    "de": r"\b(du|dir|dich|dein\w*|Herr|Frau)\b",
    "es": r"\b(tu|tus|tú|te|ti|estimad[oa]|bienvenid[oa]|señora?|atendid[oa])\b",
    "fr": r"\b(tu|ton|ta|tes|toi|chère?|Monsieur|Madame|reçue?|empêchée?)\b",
    "it": r"\b(tu|tuo|tua|ti|tuoi|Signora?|ricevut[oa]|benvenut[oa])\b",
    "nl": r"\b(je|jij|jou|jouw|meneer|mevrouw)\b",
    "pl": r"\b(Pana?|Panu|Panem|Panią?|Pani|Twoja|Twój|Ci|Cię|\w+(łeś|łaś|łbyś|łabyś))\b",
    "pt": r"\b(tu|teu|tua|te|você|prezad[oa]|senhora?|atendid[oa]|telemóvel|celular)\b",
    "tr": r"\b(sen|seni|sana|senin|randevun|gelemezsen|ara|Bey|Hanım)\b",
    "ru": r"\b(ты|тебя|тебе|тво[йяёе]\w*|уважаем\w+|дорог(ой|ая)|господин|госпожа|записана?|врач\w*)\b",
    "uk": r"\b(ти|тебе|тобі|тво[йяєї]\w*|шановн\w+|дорог(ий|а)|пане?|пані|записан(ий|а)|лікар\w*)\b",
    "ar": r"\b(أنت|لديك|موعدك|حضورك|اتصل|اتصلي|بك|عزيزي|عزيزتي|السيدة?|سيدي|سيدتي|الطبيبة?)\b",
    "zh": r"你|先生|女士|小姐|亲爱|医生",
    "hi": r"तुम|तू |तेर|श्री|सकते|सकती|आएँगे|आएँगी|डॉक्टर|करते|करती|भाई|बहन",
    "vi": r"\b(anh|chị|ông|bà|bạn|em|cô|chú|bác sĩ)\b",
}


@EVERY
def test_a_patient_is_addressed_politely_and_nobodys_gender_is_guessed(language: str) -> None:
    close = TOO_CLOSE.get(language)
    for made in everything(language) if close else ():
        assert not re.search(close, made.text, re.IGNORECASE if language != "pl" else 0), made.text


@EVERY
def test_no_text_offers_a_word_that_opts_out_or_asks_for_a_reply(language: str) -> None:
    for file in files(language):
        assert forbidden(file.read_text("utf-8")) is None, file
    for made in everything(language):
        assert forbidden(f"{made.subject or ''}\n{made.text}") is None


@EVERY
def test_check_finds_nothing_wrong_with_our_own(language: str) -> None:
    assert check_words(Words(language, CLINIC, None)) == []


# --- what a person's or a clinic's data cannot do ------------------------------------------------


@EVERY
@pytest.mark.parametrize("nasty", NASTY, ids=range(len(NASTY)))
def test_no_value_leaves_its_place(language: str, nasty: str) -> None:
    ours = Words(language, replace(CLINIC, name=nasty), None)
    for (kind, role), channels in TEXTS.items():
        for channel, modality, link in product(
            (*channels, Channel.WHATSAPP), Modality, (nasty, f"https://a.example/{nasty}")
        ):
            facts = replace(
                FACTS,
                modality=modality,
                place=nasty,
                before_place=nasty,
                practitioner_name=nasty,
                first_name=nasty,
                join_url=link,
                kind_of_change=frozenset({"place"}),
                visits=(DigestLine(START, modality, nasty),),
            )
            made = ours.render(kind, role, channel, language, facts)
            shown = f"{made.subject or ''}\n{made.text}"
            assert {issue.code for issue in made.issues} <= {"sms_too_long"}
            assert not set(shown) & set("\r\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2067\u061c")
            fences = re.sub("[^\u2066\u2068\u2069]", "", shown).replace("\u2066", "\u2068")
            assert fences == "\u2068\u2069" * (len(fences) // 2)
            assert not fences or language == "ar"
            assert "\n" not in (made.subject or "")
            assert not re.search(r"(?m)^(Bcc|Subject):", made.text) or nasty == "Subject: evil"
            assert "evil" not in (made.subject or "")
            assert _elements(made.html or "") <= PAGE
            assert not set((made.html or "").partition("</title>")[2]) & set("\u2066\u2068\u2069")
            if kind is not MessageKind.DIGEST:
                assert "10:30" in made.text, "whatever a name holds, it is said when the visit is"
            assert "49" not in shown.replace(CLINIC.phone or "", "")


PAGE = {
    *("html", "head", "meta", "title", "style", "body", "table", "tr", "td", "p"),
    *("strong", "br", "a", "span"),
}


def _elements(page: str) -> set[str]:
    """Return the elements that a mail program finds in a page."""
    found: set[str] = set()
    reader = HTMLParser()
    reader.handle_starttag = lambda tag, attrs: found.add(tag)  # type: ignore[method-assign]
    reader.feed(page)
    return found


NEXT = {
    "ar": "القادم|التالي", "de": "nächst", "en": "next", "es": "siguiente|próxim", "fr": "prochain",
    "hi": "अगल", "it": "prossim", "nl": "volgende", "pl": "następn", "pt": "próxim|proxim",
    "ru": "следующ", "tr": "sıradaki", "uk": "наступн", "vi": "tiếp theo|tiep theo", "zh": "下一",
}  # fmt: skip


@EVERY
def test_a_doctors_reminder_does_not_call_a_visit_the_next_one(language: str) -> None:
    ours = words(language)
    for channel, facts in product(
        (Channel.SMS, Channel.WHATSAPP, Channel.EMAIL), turns(MessageKind.REMINDER)
    ):
        made = ours.render(MessageKind.REMINDER, Role.DOCTOR, channel, language, facts)
        assert not re.search(NEXT[language], f"{made.subject}\n{made.text}", re.IGNORECASE)


# --- how long it is ------------------------------------------------------------------------------


@EVERY
def test_an_sms_of_ordinary_length_costs_two_at_most(language: str) -> None:
    ours = Words(language, CLINIC, None)
    for (kind, role), facts in ((text, facts) for text in TEXTS for facts in samples(text[0])):
        made = ours.render(kind, role, Channel.SMS, language, facts)
        most = 3 if facts.link and language in OTHER_SCRIPTS else 2  # the link has 81 letters
        assert made.segments == segments(made.text).messages <= most, made.text


@EVERY
def test_an_sms_is_written_in_the_cheap_alphabet_where_it_has_the_letters(language: str) -> None:
    alphabets = {segments(made.text).encoding for made in everything(language) if made.segments}
    if language in OTHER_SCRIPTS:
        assert alphabets == {"UCS-2"}
    else:
        assert alphabets == ({"GSM-7", "UCS-2"} if language in ("tr", "vi") else {"GSM-7"})


@pytest.mark.parametrize("language", ["de", "en", "es", "fr", "it", "nl"])
def test_our_own_sms_lose_no_accent(language: str) -> None:
    for file in files(language):
        if file.name.endswith("sms.j2") or file.name.count(".") == 1:
            said = plain(file.read_text("utf-8"))
            assert said == to_gsm7(said), file


def test_turkish_keeps_its_letters_until_they_cost_a_third_sms() -> None:
    def sms(place: str) -> Rendered:
        moved = replace(FACTS, place=place, kind_of_change={"place"})
        return words("tr").render(MessageKind.CHANGE, Role.PATIENT, Channel.SMS, "tr", moved)

    assert "değişti" in sms("Ş").text
    assert "degisti" in sms("Ş" * 40).text
    assert sms("Ş" * 40).segments == 1


def test_whatsapp_costs_no_sms_and_keeps_its_accents() -> None:
    made = words("pl").render(MessageKind.REMINDER, Role.PATIENT, Channel.WHATSAPP, "pl", FACTS)
    assert "śr., 30 wrz" in made.text
    assert made.segments == 0


@EVERY
def test_a_subject_can_be_read_in_a_list_of_mails(language: str) -> None:
    city = dates.city(FACTS.timezone, language, CLINIC.country)
    for made in everything(language):
        if made.subject:
            assert len(made.subject) <= (110 if city in made.subject else 78), made.subject


@EVERY
def test_a_patients_mail_has_the_clinic_and_its_telephone(language: str) -> None:
    ours = words(language)
    for kind in ("confirmation", "reminder", "change", "cancellation"):
        for facts in turns(MessageKind(kind)):
            made = ours.render(MessageKind(kind), Role.PATIENT, Channel.EMAIL, language, facts)
            assert bare(made.text).endswith(f"\nQwx\n{CLINIC.phone}")
            assert made.text.count(str(CLINIC.phone)) == 2


# --- grammar that depends on a value -------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "hour", "said"),
    [
        ("es-ES", 11, "a las 13:00"),
        ("es-MX", 11, "a la 1:00 p.m. Si"),
        ("es-MX", 8, "a las 10:00 a.m. Si"),
        ("pt-PT", 11, "às 13:00"),
        ("pt-BR", 11, "às 13:00"),
        ("fr-FR", 11, "mer. 30 sept. à 13:00"),
        ("fr-CA", 11, "à 13 h 00"),
        ("it", 11, "mer 30 set, ore 13:00"),
        ("nl", 11, "op wo 30 sep om 13:00 uur"),
        ("pl", 11, "sr., 30 wrz, godz. 13:00"),
        ("tr", 11, "30 Eyl Çar, saat 13:00"),
        ("en-US", 11, "Wed, Sep 30, 1:00 PM. Please"),
        ("en-AU", 11, "1:00 pm. Please"),
        ("en-CA", 11, "1:00 p.m. Please"),
    ],
)
def test_a_time_is_said_as_people_say_it_there(language: str, hour: int, said: str) -> None:
    start = START.replace(hour=hour, minute=0)
    facts = replace(FACTS, start=start, at=start - timedelta(days=1))
    made = words("en").render(MessageKind.REMINDER, Role.PATIENT, Channel.SMS, language, facts)
    assert said in made.text


@pytest.mark.parametrize("language", ["fr", "fr-CA", "fr-CH"])
def test_french_says_first_of_the_month(language: str) -> None:
    first = replace(FACTS, start=datetime(2026, 12, 1, 9, 30, tzinfo=UTC))
    for channel, said in ((Channel.EMAIL, "1er décembre 2026"), (Channel.SMS, "1er déc")):
        made = words("en").render(MessageKind.REMINDER, Role.PATIENT, channel, language, first)
        assert said in made.text
    made = words("en").render(MessageKind.REMINDER, Role.PATIENT, Channel.EMAIL, language, FACTS)
    assert "30 septembre" in made.text


def test_an_english_mail_begins_with_a_capital_after_the_greeting() -> None:
    for made in everything("en"):
        if made.subject is None:
            continue
        _greeting, said, *_rest = made.text.split("\n\n")
        assert not said[0].islower(), said


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("es", "Nuevo horario"),
        ("fr", "Nouvel horaire"),
        ("it", "Nuovo orario"),
        ("pt", "Novo horário"),
    ],
)
def test_another_hour_of_the_same_day_is_announced_as_no_other_date(
    language: str, said: str
) -> None:
    facts = replace(FACTS, before_start=START - timedelta(hours=2), kind_of_change={"time"})
    made = words(language).render(MessageKind.CHANGE, Role.PATIENT, Channel.EMAIL, language, facts)
    assert said in (made.subject or "")
    assert not re.search(r"(?i)\b(fecha|date|data)\b", made.text)


@pytest.mark.parametrize(
    ("language", "said"),
    [("zh", "您的就诊（Xq）时间为"), ("de", "Termin (Xq)"), ("en", "appointment (Xq)")],
)
def test_a_name_stands_in_the_brackets_of_its_language(language: str, said: str) -> None:
    facts = replace(FACTS, names_whom=True)
    made = words(language).render(MessageKind.REMINDER, Role.PATIENT, Channel.SMS, language, facts)
    assert said in made.text


@EVERY
@pytest.mark.parametrize("channel", [Channel.SMS, Channel.WHATSAPP])
def test_whatever_happens_a_shared_telephone_is_told_whose_visit_it_is(
    language: str, channel: Channel
) -> None:
    ours = words(language)
    brackets = "（Xq）" if language == "zh" else "(Xq)"
    patients = [kind for kind, role in TEXTS if role is Role.PATIENT]
    for kind, facts in ((one, facts) for one in patients for facts in turns(one)):
        shared = replace(facts, names_whom=True, first_name="Xq")
        made = ours.render(kind, Role.PATIENT, channel, language, shared)
        assert brackets in bare(made.text), made.text
        assert "Xq" not in ours.render(kind, Role.PATIENT, channel, language, facts).text


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "Qwx (Xq): Another member"), ("fr", "Qwx (Xq) : Un autre"), ("zh", "【Qwx（Xq）】")],
)
def test_a_sentence_without_room_for_a_name_leaves_it_to_the_clinics(
    language: str, said: str
) -> None:
    facts = replace(FACTS, names_whom=True, kind_of_change={"practitioner"})
    made = words(language).render(MessageKind.CHANGE, Role.PATIENT, Channel.SMS, language, facts)
    assert made.text.startswith(said)
    assert made.text.count("Xq") == 1


# --- events in calendars -------------------------------------------------------------------------


def test_events_have_words_in_every_language() -> None:
    assert sorted(LANGUAGES) == languages()
    for field in LANGUAGES["en"]._fields:
        said = [getattr(one, field) for one in LANGUAGES.values()]
        assert all(text.count("{}") == said[0].count("{}") for text in said)
        assert all(said)


@EVERY
def test_an_invitation_asks_to_call_as_the_messages_do(language: str) -> None:
    made = words(language).render(
        MessageKind.REMINDER, Role.PATIENT, Channel.EMAIL, language, FACTS
    )
    assert LANGUAGES[language].call.format(CLINIC.phone) in made.text
