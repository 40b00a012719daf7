"""The words that dates and times are written with, in English, German, Spanish, French, Italian
and Portuguese: months, weekdays, noon. All without accents and case, as `plain` leaves them."""

from __future__ import annotations

import unicodedata

_NAMES = (
    "january jan januar janner jaenner enero ene janvier janv gennaio gen janeiro",
    "february feb februar feber febrero fevrier fevr fev febbraio fevereiro",
    "march mar marz maerz mrz marzo mars marco",
    "april apr abril abr avril avr aprile",
    "may mai mayo maggio mag maio",
    "june jun juni junio juin giugno giu junho",
    "july jul juli julio juillet juil luglio lug julho",
    "august aug agosto ago aout",
    "september sep sept septiembre setiembre septembre settembre set setembro",
    "october oct oktober okt octubre octobre ottobre ott outubro out",
    "november nov noviembre novembre novembro",
    "december dec dezember dez diciembre dic decembre dicembre dezembro",
)

MONTHS: dict[str, int] = {
    word: number for number, words in enumerate(_NAMES, start=1) for word in words.split()
}

# Words around a date that add nothing to it. `mar` (a Tuesday in three languages) is a month first.
_AROUND = """
    st nd rd th er de del d of the den am le el il o a
    monday tuesday wednesday thursday friday saturday sunday
    mon tue tues wed thu thur thurs fri sat sun
    montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag mo di mi do fr sa so
    lunes martes miercoles jueves viernes sabado domingo lun mie jue vie sab dom
    lundi mardi mercredi jeudi vendredi samedi dimanche mer jeu ven sam dim
    lunedi martedi mercoledi giovedi venerdi domenica gio
    segunda terca quarta quinta sexta feira seg ter qua qui sex
"""

FILLERS: frozenset[str] = frozenset(_AROUND.split())

NAMED_TIMES: dict[str, int] = {
    **dict.fromkeys(("noon", "midday", "12 noon", "mittag", "mediodia", "midi"), 12),
    **dict.fromkeys(("mezzogiorno", "meio-dia", "meio dia"), 12),
    **dict.fromkeys(("midnight", "mitternacht", "medianoche", "minuit", "mezzanotte"), 0),
    **dict.fromkeys(("meia-noite", "meia noite"), 0),
}


def plain(text: str) -> str:
    """Return a text without case and accents; `º` and `ª` are gone with them."""
    bare = unicodedata.normalize("NFKD", text.casefold().replace("º", "").replace("ª", ""))
    return "".join(c for c in bare if not unicodedata.combining(c))
