"""Words that opt a patient out, and requests for a reply, in scripts with capitals and without."""

from __future__ import annotations

import pytest

from sync.words.forbidden import forbidden


@pytest.mark.parametrize(
    "text",
    [
        *("Отправьте СТОП", "Напишите «стоп»", "Ответьте 1", "Пришлите нам слово ДА", "ОТПИСАТЬСЯ"),
        *("Надішліть SMS", "Щоб відмовитися: СТОП", "слово «відмова»", "Дайте відповідь ТАК"),
        *("يرجى الرد على هذه الرسالة", "أرسل كلمة إيقاف", "أرسلوا رسالة", "ردوا بنعم"),
        *("اكتبوا «إلغاء»", 'كلمة "توقف"', "الرجاء الرد بكلمة نعم"),
        *("确认请回复1", "回TD退订", "拒收请回复R", "退订回T", "发送“取消”", "請回覆1", "「停止」"),
        *("कृपया उत्तर दें", "जवाब में 1 भेजें", "'रद्द' लिखें", "“बंद करें”", "हाँ लिखकर SMS भेजें"),
        *("«वापस»", "रिप्लाई करें"),
        *("Trả lời 1 để xác nhận", "Soạn TC gửi 8066", "Vui lòng phản hồi", "Nhắn tin HUY"),
        *("Soan TC gui 8066", "tra loi 1", "Gửi TC", "'Hủy'"),
    ],
)
def test_what_asks_for_a_reply_or_opts_out_is_found(text: str) -> None:
    assert forbidden(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        *("Text stop to cancel", "Text Cancel to this number", "Answer yes to confirm"),
        *("Send us the word 'yes'", "To confirm, just text back: Yes.", "send Confirm to 12345"),
        *("Schreiben Sie Stop, um abzusagen", "Senden Sie ABSAGE an diese Nummer"),
        *("Bitte schicken Sie uns einfach „Ja“", "Antworten Sie mit ja", "Schreib stopp an uns"),
        *("Envoyez ANNULER", "Répondez OUI", "Envoyez « oui » pour confirmer", "écrivez stop"),
        *("Envíe cancelar a este número", "Escriba SÍ para confirmar", "Conteste sí"),
        *("Envie sim para confirmar", "Digite cancelar", "Invii annulla", "Scrivi sì"),
        *("Stuur ja naar dit nummer", "App ons: ja", "Wyślij tak", "Napisz do nas: odwołaj"),
        *("İptal yazın", "Evet yanıtı için iptal yazıp gönderin"),
        *("Отправьте стоп", "Напишите нам да", "Надішліть так", "Напишіть скасувати"),
        *("أرسل إلغاء", "أرسلوا لنا نعم", "اكتب إيقاف", "रद्द लिखें", "हाँ भेजें"),
        *("发送取消至本号码", "输入 是", "Gửi hủy", "Nhắn từ chối"),
    ],
)
def test_a_word_that_is_to_be_sent_is_found_however_it_is_written(text: str) -> None:
    assert forbidden(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        *("Please call us if you want to cancel", "Your visit was cancelled", "Yes, we are open"),
        *("We will send confirmation by e-mail", "The bus stops here", "Write down your questions"),
        *(
            "Text messages are not read",
            "Please call to cancel or confirm",
            "We text one day ahead",
        ),
        *("Bitte rufen Sie an, um abzusagen", "Ihr Termin wurde abgesagt", "Ja, wir haben offen"),
        *(
            "Bitte senden Sie keine Nachricht",
            "Schreiben Sie uns eine E-Mail",
            "Sagen Sie bitte ab",
        ),
        *(
            "Appelez-nous pour annuler",
            "écrivez-nous pour annuler ou confirmer",
            "Arrêt de bus Oui",
        ),
        *("Llame para cancelar", "Escriba a la clínica si no puede venir", "Lo confirmamos, sí"),
        *("Ligue para cancelar", "Chiami per disdire", "Ci scriva se non può venire"),
        *("Bel ons om te annuleren", "Zadzwoń, aby odwołać", "Napisz, jeśli nie możesz przyjść"),
        *("İptal için bizi arayın", "Позвоните, чтобы отменить", "Напишите, если не сможете"),
        *("Зателефонуйте, щоб скасувати", "Напишіть, якщо не зможете"),
        *("اتصلوا بنا للإلغاء", "سنرسل إلغاء الموعد", "रद्द करने के लिए कॉल करें"),
        *("如需取消请致电", "我们将发送取消通知", "Gọi để hủy lịch hẹn"),
    ],
)
def test_a_word_that_is_not_to_be_sent_may_stand(text: str) -> None:
    assert forbidden(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *("Ваш приём отменён", "Отмена записи по телефону", "ответственный специалист"),
        *("Не отвечайте на это сообщение", "На это сообщение не нужно отвечать"),
        *("Прийом скасовано", "Не відповідайте на це повідомлення", "відповідальний фахівець"),
        *("تم إلغاء موعدكم", "يرجى عدم الرد على هذه الرسالة", "لا تردوا على هذه الرسالة"),
        *("إيقاف السيارة أمام العيادة", "سنرسل رسالة"),
        *("您的就诊预约已取消", "请勿回复", "无需回复此短信", "您的预约已恢复"),
        *("अपॉइंटमेंट रद्द हो गया है", "कृपया वापस आएँ", "कृपया उत्तर न दें", "क्लिनिक बंद रहेगा"),
        *("Cuộc hẹn đã bị hủy", "Vui lòng không trả lời tin nhắn này", "gửi xe ở tầng hầm"),
        *("Cuoc hen da bi huy", "Vui long khong tra loi"),
        "TC kimlik kartınızı getiriniz",  # Turkish: your identity card
    ],
)
def test_what_only_looks_like_it_may_be_said(text: str) -> None:
    assert forbidden(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *("Text C to cancel.", "Send 1 to confirm.", "Write NO if you cannot come.", "Text OK"),
        *(
            "send C to cancel your visit",
            "Press 1 to confirm",
            "Text Y or N to +491",
            "type 1 to go",
        ),
        *(
            'Text "no" if you cannot',
            "To confirm, send us 1.",
            "To confirm, press 1.",
            "Send 1, please",
        ),
        *(
            'SMS "C" an uns',
            "Senden Sie 1 an diese Nummer",
            "SMS mit C an uns",
            "Schreiben Sie NEIN.",
        ),
        *("Drücken Sie die 1, um zu bestätigen", "Antworten Sie C", "Schicken Sie 1 oder 2!"),
        *("Envoyez 1 pour confirmer", "Envoyez C au 38000", "Appuyez sur 1 pour confirmer"),
        *("Envíe 1 para confirmar", "Escriba SI para confirmar", "Pulse 1 para cancelar"),
        *("Envie 1 para confirmar", "Inviare SI per confermare", "Prema 1 per confermare"),
        *("Stuur 1 om te bevestigen", "Wyślij 1, aby potwierdzić", "Naciśnij 1, aby potwierdzić"),
        *(
            "Отправьте 1 для подтверждения",
            "Нажмите 1, чтобы отменить",
            "Надішліть 1, щоб скасувати",
        ),
        *(
            "Onay için 1 yazın",
            "E yazıp gönderin",
            "1 भेजें",
            "发送1确认预约",
            "发送 C 到本号码",
        ),
        *("Gửi 1 đến 8066", "أرسلوا 1 إلى الرقم"),
        *("Text C\nSee you soon", "Text 1{% if phone %} or call {{ phone }}{% endif %}"),
    ],
)
def test_a_letter_or_a_digit_to_be_sent_is_found(text: str) -> None:
    assert forbidden(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Please send a message to the front desk",
            "Text a friend",
            "press the bell",
            "Press B-12",
        ),
        *(
            "call us on 1 800 555 0100",
            "Call us and press 1 to confirm",
            "Call {{ phone }}, press 1.",
        ),
        *("Write no more than two lines", "Send no original documents", "We send 1 for each visit"),
        *("Send 2 photos", "We text 1 to 2 days ahead", "Write 3 to 5 lines", "Send 5 to 10 pages"),
        *(
            "for people with diabetes type 1.",
            "hepatitis type B, too",
            "Type 2 diabetes to be checked",
        ),
        *("Text messages come at 9.", "We write by 1 December", "send 1.5 ml", "Send 1/2 of it"),
        *(
            "Bei Diabetes Typ 1, bitte nüchtern",
            "Wir senden 1 an jeden",
            "Erinnerung per SMS 1 Tag vorher",
        ),
        *("Schreiben Sie 1.12. auf den Bogen", "SMS um 9:30", "Drücken Sie die Klingel an Tür 1"),
        *(
            "Envoyez 2 à 3 photos",
            "Écrivez à la clinique",
            "diabète de type 1.",
            "Appuyez sur la sonnette",
        ),
        *("Escriba a recepcion@clinica.example", "Escriba si no puede venir", "ESCRIBA Y LLAME"),
        *("Envie 2 fotos", "Escreva a recepcao@clinica.example", "Pulse el timbre 1 vez"),
        *(
            "Scriva a info@clinica.example",
            "Scriva se non può venire",
            "Invii 2 copie",
            "SCRIVA A NOI",
        ),
        *("Stuur een bericht", "NAPISZ W SPRAWIE WIZYTY", "Wyślij 2 zdjęcia", "Напишите 2 вопроса"),
        *("发送1条短信", "我们会发送SMS给您", "Saat 10:1 yazın", "2 प्रतियाँ भेजें"),
        *("Tue, 1 Dec, 10:30", "am Di., 1. Dez., 10:30 Uhr", "{{ clinic }}: {{ when }}"),
    ],
)
def test_a_letter_or_a_digit_that_is_not_to_be_sent_may_stand(text: str) -> None:
    assert forbidden(text) is None


def test_the_line_is_told_in_any_script() -> None:
    assert forbidden("{{ clinic }}\n{# СТОП #}\nОтправьте СТОП") == (3, "СТОП")
