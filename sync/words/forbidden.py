"""Words that no text may hold: those that opt a patient out, and any request for a reply."""

from __future__ import annotations

import re

# A carrier takes these, sent in reply, for an opt-out: it sends that patient nothing more, and tells
# nobody. Those of Twilio and AWS, and what senders of the country ask for. In capitals, or in quotes.
_WORDS = (
    "STOPALL|STOPP|STOP|UNSUBSCRIBE|CANCELAR|CANCEL|END|QUIT|REVOKE|OPT-?OUT|REMOVE|TD|ARR[EÊ]T|ALTO"
    "|BAJA|PARAR|SAIR|ABMELDEN|AFMELDEN|WYPISZ|[Iİ]PTAL|RET"
    "|СТОП|ОТПИСАТЬСЯ|ОТПИСКА|ОТКАЗ|ОТМЕНА|ВІДПИСАТИСЯ|ВІДПИСКА|ВІДМОВА|СКАСУВАТИ"
)
# Of scripts without capitals, and words that are common as such: TC is on Turkish identity cards.
_IN_QUOTES = (
    "إيقاف|ايقاف|إلغاء|الغاء|توقف|قف|الغ|退订|退訂|取消|停止|拒收|वापस|रोकें|रोको|बंद|बंद करें|रद्द|रद्द करें"
    "|TC|HUY|HỦY|HUỶ|TỪ CHỐI|TU CHOI|DỪNG|DUNG"
)
_QUOTES = "\"'„“”«»‘’‹›「」『』"
_KEYWORD = re.compile(rf"(?<![\w-])(?:{_WORDS})(?![\w-])")
_QUOTED = re.compile(
    rf"(?<=[{_QUOTES}])\s?(?:{_WORDS}|{_IN_QUOTES})(?=\s?[{_QUOTES}])", re.IGNORECASE
)

# Nobody hears a reply. "Do not reply" is welcome in every language.
_REPLY = re.compile(
    r"""
      (?<!not\s)(?<!n't\s)\b(?:reply|respond|text\sback)\b
    | \bantworten\sSie\s(?!nicht)|\bAntwort(?:e|en)?\smit\b
    | (?<!no\s)(?<!não\s)\b(?:responda|responde|responder|conteste|contesta)\b
    | (?<!ne\s)(?<!pas\s)\brépond(?:ez|re|s)\b
    | (?<!non\s)\brispond(?:a|i|ete|ere)\b
    | \b(?:antwoord|reageer|beantwoord)\s(?!niet)
    | (?<!nie\s)\b(?:odpowiedz|odpowiedzieć|odpowiadać|odpisz|odpisać)\b
    | \b(?:yanıtlayın|yanıtlayınız|cevaplayın|cevaplayınız)\b|\b(?:cevap|yanıt)\s(?:yaz|ver|gönder)
    | (?<!не\s)(?<!не\sнужно\s)(?<!не\sнадо\s)\b(?:ответьте|отвечайте|ответить|отвечать)\b
    | \b(?:пришлите|отправьте)\s(?:нам\s)?(?:ответ|слово|код|цифру|СМС|SMS|сообщение)\b
    | (?<!не\s)(?<!не\sпотрібно\s)\b(?:відповідайте|відповісти|відповідати|дайте\sвідповідь)\b
    | \b(?:надішліть|відправте)\s(?:нам\s)?(?:відповідь|слово|код|цифру|СМС|SMS|повідомлення)\b
    | (?<!عدم\s)(?<!بدون\s)\b(?:الرد|للرد|بالرد)\s(?:ب|على|عبر)
    | (?<!لا\s)\b(?:رد|ردوا|أجب|أجيبوا)\s(?:ب|على)
    | (?<!لا\s)\b(?:[أا]رسل(?:وا|ي)?|إرسال)\s(?:كلمة|رسالة|رقم|نعم)
    | (?<![勿需用必要能])(?:回复|回覆|回復) | 回\s?[A-Z0-9]{1,4}\s?[退拒取] | [退拒][订訂收]\s?[请請]?回
    | (?:उत्तर|जवाब|रिप्लाई)\s(?:दें|दीजिए|भेजें|लिखें|करें) | जवाब\sमें
    | (?<!न\s)(?:एसएमएस|SMS|मैसेज|संदेश)\s(?:भेजें|भेजिए|करें)
    | (?<!không\s)(?<!không\scần\s)(?<!đừng\s)\b(?:trả\slời|hồi\sâm|phản\shồi|nhắn\stin|soạn)\b
    | (?<!khong\s)(?<!khong\scan\s)(?<!dung\s)\b(?:tra\sloi|hoi\sam|phan\shoi|nhan\stin|soan)\b
    | \b(?:gửi|gui)\s(?:TC|HUY|tin)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)


def forbidden(source: str) -> tuple[int, str] | None:
    """Return the line and the words of the first thing in a template that may not be said (N26)."""
    said = _COMMENT.sub(lambda comment: "\n" * comment.group().count("\n"), source)
    found = _KEYWORD.search(said) or _QUOTED.search(said) or _REPLY.search(said)
    return (said.count("\n", 0, found.start()) + 1, found.group().strip()) if found else None
