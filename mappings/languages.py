"""Languages as sources write them (`Deutsch`, `German`, `ger`, `es_MX`), as BCP 47 tags."""

from __future__ import annotations

import re
from functools import lru_cache

from clinicrelay.paths import fold

_TAG = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|\d{3}))?")

# The code, its ISO 639-2 codes, and its names in itself and in the languages of our mappings; those
# that we speak (`sync/words`) also in one another.
_KNOWN = """
en eng english englisch ingles anglais inglese engels angielski ingilizce
de ger deu german deutsch aleman allemand tedesco alemao duits niemiecki almanca
es spa spanish spanisch espanol espagnol spagnolo espanhol castellano castilian
es spaans hiszpanski ispanyolca
fr fre fra french franzosisch frances francais francese frans francuski fransızca
it ita italian italienisch italiano italien italiaans włoski italyanca
pt por portuguese portugiesisch portugues portugais portoghese portugees portugalski portekizce
nl dut nld dutch niederlandisch holandes neerlandais olandese nederlands hollandisch
nl niderlandzki holenderski felemenkce hollandaca
tr tur turkish turkisch turco turc turkce turks turecki
pl pol polish polnisch polaco polonais polacco polski polones pools lehce
ru rus russian russisch ruso russe russo русскии
uk ukr ukrainian ukrainisch ucraniano ukrainien ucraino українська
ar ara arabic arabisch arabe arabo العربية
fa per fas persian farsi persisch persa persan persiano فارسی
ro rum ron romanian rumanisch rumano roumain rumeno romana romeno
el gre ell greek griechisch griego grec greco ελληνικα grego
hr hrv croatian kroatisch croata croate hrvatski
sr srp serbian serbisch serbio serbe serbo
bg bul bulgarian bulgarisch bulgaro bulgare
sq alb sqi albanian albanisch albanes albanais albanese shqip
hu hun hungarian ungarisch hungaro hongrois ungherese magyar
cs cze ces czech tschechisch checo tcheque ceco cestina
da dan danish danisch danes danois danese dansk
sv swe swedish schwedisch sueco suedois svedese svenska
no nor norwegian norwegisch noruego norvegien norvegese norsk
fi fin finnish finnisch fines finnois finlandese suomi
zh chi zho chinese chinesisch chino chinois cinese chines mandarin 中文
ja jpn japanese japanisch japones japonais giapponese 日本語
ko kor korean koreanisch coreano coreen 한국어
vi vie vietnamese vietnamesisch vietnamita vietnamien
hi hin hindi
ur urd urdu
ca cat catalan katalanisch catala
eu baq eus basque baskisch vasco euskera
gl glg galician gallego galego
"""

_NAMES = {
    fold(name): line.split()[0] for line in _KNOWN.strip().splitlines() for name in line.split()
}


@lru_cache(maxsize=4096)
def read_language(text: str) -> str:
    """Return the BCP 47 tag: `de`, `es-MX`, `zh-Hant-TW`. Raises ValueError for no language."""
    if found := _TAG.fullmatch(text):
        language, script, region = found.groups()
        code = _NAMES.get(language.lower()) or _registered(language.lower())
        if code:
            parts = (code, script and script.title(), region and region.upper())
            return "-".join(part for part in parts if part)
    named = _NAMES.get(fold(re.split(r"[(,/;]", text)[0]))
    if named is None:
        raise ValueError("not a language: expected a code such as de or es-MX")
    return named


def _registered(code: str) -> str | None:
    """Whether the world knows a two-letter code that is not in our short list."""
    if len(code) != 2:
        return None
    from babel import Locale

    known = Locale("en").languages
    return code if code in known else None
