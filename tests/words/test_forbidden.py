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


def test_the_line_is_told_in_any_script() -> None:
    assert forbidden("{{ clinic }}\n{# СТОП #}\nОтправьте СТОП") == (3, "СТОП")
