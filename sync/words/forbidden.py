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

# Whoever is told to send one of these would do it, however it is written: "Text stop to cancel".
_ANSWERS = (
    f"{_IN_QUOTES}|stopp?|cancel|unsubscribe|quit|opt-?out|yes|confirm|arr[eê]t|abmelden|afmelden"
    "|absagen?|stornieren|storno|bestätigen|ja|annuler|oui|confirmer|cancelar|baja|confirmar|sí|sim"
    "|parar|sair|disdire|annulla|conferma|sì|annuleren|bevestigen|wypisz|anuluj|odwołaj|potwierdzam"
    "|tak|[iİı]ptal|evet|onay|стоп|отмена|отказ|отписаться|да|відмова|скасувати|відписатися|так"
    "|نعم|हाँ|是"
).replace(" ", r"\s")
# One letter, one digit, or a word that has other meanings: "Text C to cancel", yet "Write no more than
# two lines". In quotes it is an answer however it is written. Else only in capitals, where the sentence
# ends or goes on with what for; and no vowel, which is a word by itself in some languages.
_LETTER = "[B-DF-HJ-NP-TV-Z]"
_MEANT = "OK|NO|SI|NEIN|NEE|NON|NÃO|NIE|НЕТ|НІ"
_SHORT = rf"[0-9](?![\w-])|(?-i:{_LETTER}|{_MEANT})(?![\w-])"
_OR = r"\s(?:or|and|oder|und|ou|et|o|e|of|en|lub|i|или|або)\s"
_WHAT_FOR = (
    "to|for|if|by|when|um|für|zum|zur|an|falls|wenn|per|pour|si|à|au|par|para|se|al|por|alla|om|als"
    "|naar|voor|via|aby|żeby|jeśli|na|do|чтобы|если|на|для|щоб|якщо|để|đến|tới|nếu|إلى|إذا"
)
_END = r"$|\n|\{%|[,;!?)=。，।]|\.(?!\d)"
_ALONE = rf"""
  (?:
    [{_QUOTES}]\s?(?:\w|{_MEANT})\s?[{_QUOTES}]
  | (?:{_SHORT})(?:{_OR}(?:{_SHORT}))?(?=\s?(?:{_END}|(?:{_WHAT_FOR})\s(?!\d{{1,2}}\s)))
  )
"""
_SENT = re.compile(
    rf"""
      (?<!\bwe\s)(?<!\bwill\s)(?<!\bwir\s)
      (?:
        (?<!you\s)\b(?:text|send|(?:(?<!\w\s)type|type(?!\s\w\b))|write|answer)
        (?:\s(?:us|back|with|the\sword|the\skeyword))*
      | \b(?:schreib|send|schick|antwort|tipp|sims)(?:e|en|et|t|n)?
        (?:\s(?:Sie|einfach|bitte|uns|mit|das\sWort|die\sAntwort))*
      | \b(?:envoy|écri|tap|text|répond)(?:ez|er|s|re|vez|e|ie)(?:[\s-](?:nous|par|le\smot))*
      | \b(?:env[ií]|escrib|mand|tecle|respond|contest|escrev|digit)(?:e|a|ar|er|ir)
        (?:\s(?:nos|con|com|la\spalabra|a\spalavra))*
      | \b(?:inv[iî]|scriv|mand|digit|rispond)(?:i|a|o|are|ere|ete|ate)(?:\s(?:ci|con|la\sparola))*
      | \b(?:stuur|sms|schrijf|(?:(?<!\w\s)typ|typ(?!\s\w\b))|app\sons)
        (?:\s(?:ons|met|het\swoord|mit|with|avec|con|com))*
      | \b(?:wyślij|wysłać|prześlij|napisz|wpisz)(?:\s(?:nam|do\snas|słowo))*
      | \b(?:отправьте|напишите|пришлите|введите)(?:\s(?:нам|слово))*
      | \b(?:надішліть|відправте|напишіть|введіть)(?:\s(?:нам|слово))*
      | (?<!لا\s)\b(?:[أا]رسل(?:وا|ي)?|إرسال|[اأ]كتب(?:وا|ي)?)(?:\s(?:كلمة|لنا))*
      | \b(?:gửi|nhắn|soạn|viết)(?:\s(?:tin|từ|chữ))*
      )
      :?\s(?:(?:[{_QUOTES}]\s?)?(?:{_ANSWERS})(?![\w-])|{_ALONE})
    | (?<![\w:.,/-])(?:{_ANSWERS}|[0-9]|(?-i:[A-Z]))[{_QUOTES}]?\s
      (?:(?:yaz|gönder)(?:[ıi]n|[ıi]n[ıi]z|[ıi]p|arak|erek)?\b|लिखें|लिखिए|लिख\s?कर|भेजें|भेजिए|भेज\s?कर|टाइप)
    | (?:发送|發送|输入|輸入|编辑|編輯)\s?[{_QUOTES}]?(?:退订|退訂|取消|停止|拒收|是|[0-9A-Z]{{1,2}})
      (?=[{_QUOTES}]|\s?[至到给給以即可确確,，。.;；]|\s|$)
    """,
    re.IGNORECASE | re.VERBOSE,
)

# An SMS has no keys to press; the clinic's telephone may: "Call us and press 1".
_PRESSED = re.compile(
    rf"""
      (?<!\sand\s)(?<!\sthen\s)(?<!\sund\s)(?<!\sdann\s)(?<!\set\s)(?<!\sy\s)(?<!\se\s)(?<!\sen\s)
      (?<!\si\s)(?<!\sи\s)(?<!\sта\s)(?<!\}}\}},\s)(?<!\d,\s)
      \b(?:press|drücken\sSie(?:\sdie)?|appuyez\ssur|pulse|presione|oprima|marque|aperte|prema|premi
        |druk\sop|toets|naciśnij|wciśnij|нажмите|натисніть|bấm|nhấn)
      \s[{_QUOTES}]?(?:[0-9]|(?-i:{_LETTER}))(?![\w-])[{_QUOTES}]?
      (?=
        \s?(?:{_END})
      | (?:\s\w+){{0,3}}?\s(?:confirm|cancel|bestätig|absag|abzusag|stornier|annul|anul|desmarc
          |disdi|conferm|bevestig|afzeg|potwierdz|odwoł|подтверд|отмен|підтверд|скасув|xác\snhận|hủy|huỷ)
      )
    """,
    re.IGNORECASE | re.VERBOSE,
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
    """Return the line and the words of the first thing in a template that may not be said."""
    said = _COMMENT.sub(lambda comment: "\n" * comment.group().count("\n"), source)
    rules = (_KEYWORD, _QUOTED, _SENT, _PRESSED, _REPLY)
    found = next(filter(None, (rule.search(said) for rule in rules)), None)
    return (said.count("\n", 0, found.start()) + 1, found.group().strip()) if found else None
