"""What an event in a doctor's calendar says, at the level of detail a clinic chose.

A first fill writes a hundred thousand of them: no templates and no locale data here.
"""

from __future__ import annotations

from typing import NamedTuple

from clinicrelay.contracts import ClinicFacts
from clinicrelay.model import Appointment, Kind, Modality
from sync.words.facts import one_line, web_link


class EventText(NamedTuple):
    """The three texts of an event, in the order calendars show them."""

    title: str
    description: str
    location: str


class _Language(NamedTuple):
    busy: str
    visit: str
    video: str
    phone: str
    booked_by: str
    join: str
    call: str
    dial: str
    name: str = "{}"  # what a person or the clinic is called, among words of the language


# The marks in the Arabic ones keep what runs from left to right in one piece: `page.isolated`.
LANGUAGES = {
    "en": _Language(
        "Busy",
        "Appointment",
        "Video visit",
        "Phone visit",
        "Booked by {}. Changes here do not change the appointment.",
        "Join:",
        "Please call {} if you cannot come.",
        "Dial in:",
    ),
    "de": _Language(
        "Belegt",
        "Termin",
        "Videotermin",
        "Telefontermin",
        "Gebucht über {}. Änderungen hier ändern den Termin nicht.",
        "Beitreten:",
        "Bitte rufen Sie {} an, falls Sie verhindert sind.",
        "Einwahl:",
    ),
    "es": _Language(
        "Ocupado",
        "Cita",
        "Cita por videollamada",
        "Cita por teléfono",
        "Reserva de {}. Los cambios hechos aquí no cambian la cita.",
        "Entrar:",
        "Si no puede asistir, por favor llame al {}.",
        "Número de acceso:",
    ),
    "fr": _Language(
        "Occupé",
        "Rendez-vous",
        "Rendez-vous en vidéo",
        "Rendez-vous par téléphone",
        "Réservé par {}. Les modifications faites ici ne changent pas le rendez-vous.",
        "Se connecter :",
        "Si vous ne pouvez pas venir, merci d'appeler le {}.",
        "Numéro à composer :",
    ),
    "it": _Language(
        "Occupato",
        "Appuntamento",
        "Appuntamento in videochiamata",
        "Appuntamento telefonico",
        "Prenotato tramite {}. Le modifiche fatte qui non cambiano l'appuntamento.",
        "Per collegarsi:",
        "Se non può venire, La preghiamo di chiamare il {}.",
        "Numero da comporre:",
    ),
    "pt": _Language(
        "Ocupado",
        "Consulta",
        "Consulta por videochamada",
        "Consulta por telefone",
        "Consulta marcada por {}. As alterações feitas aqui não alteram a consulta.",
        "Entrar:",
        "Se tiver algum impedimento, por favor, ligue para {}.",
        "Para a consulta, ligue para:",
    ),
    "nl": _Language(
        "Bezet",
        "Afspraak",
        "Videoafspraak",
        "Telefonische afspraak",
        "Geboekt via {}. Wijzigingen hier veranderen de afspraak niet.",
        "Deelnemen:",
        "Kunt u niet komen? Bel dan alstublieft {}.",
        "Inbelnummer:",
    ),
    "pl": _Language(
        "Termin zajęty",
        "Wizyta",
        "Wizyta wideo",
        "Wizyta telefoniczna",
        "Rezerwacja: {}. Zmiany wprowadzone tutaj nie zmieniają terminu wizyty.",
        "Link do wizyty wideo:",
        "W razie rezygnacji prosimy o telefon: {}.",
        "Numer do połączenia:",
    ),
    "tr": _Language(
        "Meşgul",
        "Randevu",
        "Görüntülü randevu",
        "Telefon randevusu",
        "Randevuyu veren: {}. Burada yapılan değişiklikler randevuyu değiştirmez.",
        "Katılmak için:",
        "Gelemezseniz lütfen arayınız: {}.",
        "Aranacak numara:",
    ),
    "ru": _Language(
        "Занято",
        "Приём",
        "Видеоприём",
        "Телефонный приём",
        "Запись: {}. Изменения здесь не влияют на запись.",
        "Ссылка для подключения:",
        "Если Вы не сможете прийти, позвоните нам: {}.",
        "Номер для звонка:",
    ),
    "uk": _Language(
        "Зайнято",
        "Прийом",
        "Відеоприйом",
        "Телефонний прийом",
        "Запис: {}. Зміни тут не впливають на запис.",
        "Посилання для підключення:",
        "Якщо Ви не зможете прийти, зателефонуйте нам: {}.",
        "Номер для дзвінка:",
    ),
    "ar": _Language(
        "مشغول",
        "موعد",
        "موعد عبر الفيديو",
        "موعد هاتفي",
        "جهة الحجز: \u2068{}\u2069. التغييرات هنا لا تغير الموعد.",
        "رابط الدخول:",
        "إذا تعذر حضوركم، يرجى الاتصال على: \u2066{}\u2069.",
        "رقم الاتصال:",
        "\u2068{}\u2069",
    ),
    "zh": _Language(
        "忙碌",
        "就诊",
        "视频问诊",
        "电话问诊",
        "由{}安排。在此处修改不会更改预约。",
        "视频链接",
        "如您无法赴约，请致电{}。",
        "拨入号码",
    ),
    "hi": _Language(
        "व्यस्त",
        "अपॉइंटमेंट",
        "वीडियो अपॉइंटमेंट",
        "फ़ोन अपॉइंटमेंट",
        "बुकिंग: {}। यहाँ किए गए बदलावों से अपॉइंटमेंट नहीं बदलता।",
        "यहाँ जुड़ें:",
        "यदि आना संभव न हो, तो कृपया {} पर फ़ोन करें।",
        "कॉल करने का नंबर:",
    ),
    "vi": _Language(
        "Bận",
        "Cuộc hẹn",
        "Cuộc hẹn qua video",
        "Cuộc hẹn qua điện thoại",
        "Nơi đặt hẹn: {}. Thay đổi ở đây không làm thay đổi cuộc hẹn.",
        "Liên kết tham gia:",
        "Nếu không đến được, vui lòng gọi {}.",
        "Số gọi vào:",
    ),
}


def event_text(detail: str, visit: Appointment, clinic: ClinicFacts, language: str) -> EventText:
    """Return title, description and location of a visit's event.

    `detail` is busy, minimal, initials or full. Up to `initials` nothing on a locked telephone
    tells who comes or why; a street address is never shown, and no place at all for a remote visit.
    A block of time is always just busy.
    """
    words = _words(language)
    if detail == "busy" or visit.kind is Kind.BLOCK:
        return EventText(words.busy, "", "")
    return EventText(
        _title(detail, visit, words), _description(detail, visit, clinic, words), _location(visit)
    )


def invitation_text(
    visit: Appointment, clinic: ClinicFacts, language: str, link: str = "", number: str = ""
) -> EventText:
    """Return the same for the patient's own calendar: with the clinic, and never the doctor's link."""
    words = _words(language)
    call = words.call.format(clinic.phone) if clinic.phone else ""
    if link:
        call = f"{words.join} {link}\n{call}".rstrip()
    if number:
        call = f"{words.dial} {words.name.format(number)}\n{call}".rstrip()
    title = f"{_kind(visit.modality, words)} - {words.name.format(clinic.name)}"
    return EventText(title, call, _location(visit) or _at_the_clinic(visit, clinic))


def invitation_link(visit: Appointment) -> str:
    """Return the patient's own link to a video visit: in their calendar they will look for it."""
    return web_link(visit.join_url) if visit.modality is Modality.VIDEO else ""


def invitation_number(visit: Appointment) -> str:
    """Return the number at which all sides of a phone visit meet; without one the clinic calls."""
    return one_line(visit.call_in) if visit.modality is Modality.PHONE else ""


def initials(name: str | None) -> str:
    """Return `J.R.` for `Jane Roe`, `Roe, Jane` and `Dr. Jane Maria Roe`; nothing for no name."""
    if not name:
        return ""
    last, comma, first = name.partition(",")
    parts = (f"{first} {last}" if comma else name).split()
    words = [w for w in parts if not w.endswith(".") and w[0].isalpha()]
    if not words:
        return ""
    ends = words if len(words) == 1 else (words[0], words[-1])
    return "".join(f"{w[0].upper()}." for w in ends)


def _words(language: str) -> _Language:
    return LANGUAGES.get(language.lower().split("-")[0], LANGUAGES["en"])


def _title(detail: str, visit: Appointment, words: _Language) -> str:
    title = _kind(visit.modality, words)
    if detail == "initials":
        known = filter(None, (initials(p.name) for p in visit.patients))
        return " ".join((title, *map(words.name.format, known)))
    if detail == "full":
        names = ", ".join(words.name.format(p.name) for p in visit.patients if p.name)
        return f"{title}: {names}" if names else title
    return title


def _kind(modality: Modality, words: _Language) -> str:
    if modality is Modality.VIDEO:
        return words.video
    return words.phone if modality is Modality.PHONE else words.visit


def _description(detail: str, visit: Appointment, clinic: ClinicFacts, words: _Language) -> str:
    text = words.booked_by.format(clinic.name)
    if visit.modality is Modality.VIDEO and visit.join_url_practitioner:
        text = f"{words.join} {visit.join_url_practitioner}\n{text}"
    if number := invitation_number(visit):
        text = f"{words.dial} {words.name.format(number)}\n{text}"
    if detail == "full" and visit.service:
        text = f"{visit.service}\n{text}"
    return text


def _at_the_clinic(visit: Appointment, clinic: ClinicFacts) -> str:
    """Return the clinic's address for a visit in person that has no place of its own."""
    here = visit.modality is Modality.IN_PERSON and visit.location is None
    return one_line(clinic.address) if here else ""


def _location(visit: Appointment) -> str:
    """Return the name of the site; its key or its street could say more than that."""
    here = visit.modality is Modality.IN_PERSON
    return visit.location.name or "" if visit.location and here else ""
