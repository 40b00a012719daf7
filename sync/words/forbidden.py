"""Words that no text may hold: those that opt a patient out, and any request for a reply."""

from __future__ import annotations

import re

# A carrier takes these, sent in reply, for an opt-out: it sends that patient nothing more, and tells
# nobody. Those of Twilio and AWS, and what senders of the country ask for. In capitals, or in quotes.
_WORDS = (
    "STOPALL|STOPP|STOP|UNSUBSCRIBE|CANCELAR|CANCEL|END|QUIT|REVOKE|OPT-?OUT|REMOVE|TD|ARR[EÊ]T|ALTO"
    "|BAJA|PARAR|SAIR|ABMELDEN|AFMELDEN|WYPISZ|[Iİ]PTAL|RET"
)
_KEYWORD = re.compile(rf"(?<![\w-])(?:{_WORDS})(?![\w-])")
_QUOTED = re.compile(rf"(?<=[\"'„“”«‘’])\s?(?:{_WORDS})(?=\s?[\"'“”»’])", re.IGNORECASE)

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
    """,
    re.IGNORECASE | re.VERBOSE,
)
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)


def forbidden(source: str) -> tuple[int, str] | None:
    """Return the line and the words of the first thing in a template that may not be said (N26)."""
    said = _COMMENT.sub(lambda comment: "\n" * comment.group().count("\n"), source)
    found = _KEYWORD.search(said) or _QUOTED.search(said) or _REPLY.search(said)
    return (said.count("\n", 0, found.start()) + 1, found.group().strip()) if found else None
