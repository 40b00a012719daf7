"""The words that dates and times are written with, in English, German, Spanish, French, Italian,
Portuguese, Dutch, Polish and Turkish: months, weekdays, noon. All without
accents and case, as `plain` leaves them."""

from __future__ import annotations

import unicodedata

_NAMES = (
    "january jan januar janner jaenner enero ene janvier janv gennaio gen janeiro januari "
    "styczen stycznia sty ocak oca",
    "february feb februar feber febrero fevrier fevr fev febbraio fevereiro februari luty "
    "lutego lut subat sub",
    "march mar marz maerz mrz marzo mars marco maart mrt marzec marca mart",
    "april apr abril abr avril avr aprile kwiecien kwietnia kwi nisan nis",
    "may mai mayo maggio mag maio mei maj maja mayis mayıs",
    "june jun juni junio juin giugno giu junho czerwiec czerwca cze haziran haz",
    "july jul juli julio juillet juil luglio lug julho lipiec lipca lip temmuz tem",
    "august aug agosto ago aout augustus sierpien sierpnia sie agustos agu",
    "september sep sept septiembre setiembre septembre settembre set setembro wrzesien "
    "wrzesnia wrz eylul eyl",
    "october oct oktober okt octubre octobre ottobre ott outubro out pazdziernik pazdziernika "
    "ekim eki",
    "november nov noviembre novembre novembro listopad listopada lis kasim kasım kas",
    "december dec dezember dez diciembre dic decembre dicembre dezembro grudzien grudnia gru "
    "aralik aralık ara",
)

MONTHS: dict[str, int] = {
    word: number for number, words in enumerate(_NAMES, start=1) for word in words.split()
}

# Words around a date that add nothing to it. `mar` (a Tuesday in three languages) is a month first;
# `paz` is a Turkish Sunday here and so no Polish October, which nobody can tell apart.
_AROUND = """
    st nd rd th er de del d of the den am le el il o a
    monday tuesday wednesday thursday friday saturday sunday
    mon tue tues wed thu thur thurs fri sat sun
    montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag mo di mi do fr sa so
    lunes martes miercoles jueves viernes sabado domingo lun mie jue vie sab dom
    lundi mardi mercredi jeudi vendredi samedi dimanche mer jeu ven sam dim
    lunedi martedi mercoledi giovedi venerdi domenica gio
    maandag dinsdag woensdag donderdag vrijdag zaterdag zondag ma wo vr za zo
    poniedzialek wtorek sroda czwartek piatek sobota niedziela pon wt sr czw pt sob nd
    poniedziałek wto sro roku r
    pazartesi sali salı sal carsamba persembe cuma cumartesi pazar pzt cars car per cum cmt paz
    segunda terca quarta quinta sexta feira seg ter qua qui sex
"""

FILLERS: frozenset[str] = frozenset(_AROUND.split())

NAMED_TIMES: dict[str, int] = {
    **dict.fromkeys(("noon", "midday", "12 noon", "mittag", "mediodia", "midi"), 12),
    **dict.fromkeys(("mezzogiorno", "meio-dia", "meio dia"), 12),
    **dict.fromkeys(("midnight", "mitternacht", "medianoche", "minuit", "mezzanotte"), 0),
    **dict.fromkeys(("meia-noite", "meia noite", "middernacht", "polnoc", "północ"), 0),
    **dict.fromkeys(("gece yarisi", "gece yarısı"), 0),
    **dict.fromkeys(("middag", "poludnie", "południe", "ogle", "oglen"), 12),
}


def plain(text: str) -> str:
    """Return a text without case and accents; `º` and `ª` are gone with them."""
    bare = unicodedata.normalize("NFKD", text.casefold().replace("º", "").replace("ª", ""))
    return "".join(c for c in bare if not unicodedata.combining(c))
