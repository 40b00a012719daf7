"""Days, times and cities as a language writes them (Babel, CLDR).

Numbers are written 0 to 9 in every language, Arabic and Hindi among them: they agree with the telephone
and the link beside them, and all who read those languages read them. Babel's dates know no others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from clinicrelay.sms import plain
from clinicrelay.times import local

if TYPE_CHECKING:
    from babel import Locale

# Within this time a day without its year is understood.
_NEAR = timedelta(days=300)


@lru_cache(maxsize=4096)
def day(instant: datetime, zone: str, language: str, country: str) -> str:
    """Return `Dienstag, 1. Dezember 2026`, for an e-mail."""
    from babel.dates import format_date

    there, locale = local(instant, zone), locale_of(language, country)
    return _first(plain(format_date(there, "full", locale)), locale)


@lru_cache(maxsize=4096)
def short_day(instant: datetime, zone: str, language: str, country: str, *, year: bool) -> str:
    """Return `Di., 1. Dez.` or `Di., 1. Dez. 2026`, for an SMS."""
    from babel.dates import format_skeleton

    there, locale = local(instant, zone), locale_of(language, country)
    skeleton = "yMMMEd" if year else "MMMEd"
    # Arabic has no short months: as such CLDR lists Egypt's even for Syria, where others are in use.
    if locale.language == "ar":
        if year:
            return day(instant, zone, language, country)
        skeleton = "MMMMEd"
    return _first(plain(format_skeleton(skeleton, there, there.tzinfo, locale=locale)), locale)


def _first(text: str, locale: Locale) -> str:
    """Write `1er décembre`, as French does for this one day; CLDR's patterns cannot."""
    return re.sub(r"\b1 (?=\w)", "1er ", text) if locale.language == "fr" else text


def far(instant: datetime, at: datetime) -> bool:
    """Whether a day has to be told with its year."""
    return instant - at > _NEAR


def listed(words: Sequence[str], language: str, country: str) -> str:
    """Return `10:30 and 14:00`."""
    from babel.lists import format_list

    return plain(format_list(words, locale=locale_of(language, country)))


@lru_cache(maxsize=4096)
def clock(instant: datetime, zone: str, language: str, country: str) -> str:
    """Return `10:30`, or `10:30 AM` where people write so; in an hour that comes twice, which one."""
    from babel.dates import format_time, get_timezone_name

    there, locale = local(instant, zone), locale_of(language, country)
    told = plain(format_time(there, "short", there.tzinfo, locale))
    if there.utcoffset() == there.replace(fold=1 - there.fold).utcoffset():
        return told
    return f"{told} ({plain(get_timezone_name(there, 'short', locale=locale))})"


@lru_cache(maxsize=1024)
def city(zone: str, language: str, country: str) -> str:
    """Return the city that a zone is named after, as the language spells it."""
    from babel.dates import get_timezone_location

    if zone == "UTC":
        return "UTC"
    locale = locale_of(language, country)
    named = get_timezone_location(zone, locale=locale, return_city=True)
    return _named_before(zone, locale) or plain(named).rpartition("/")[2]


def _named_before(zone: str, locale: Locale) -> str:
    """Return the city of a zone that was renamed: CLDR lists it as Europe/Kiev or Asia/Calcutta.

    Babel 2.18 looks under the new name only, finds nothing, and takes the English one.
    """
    from babel.core import get_global

    if zone in locale.time_zones:
        return ""
    older = (old for old, new in get_global("zone_aliases").items() if new == zone)
    found = (locale.time_zones.get(name, {}).get("city", "") for name in older)
    return plain(next(filter(None, found), ""))


def differs(instant: datetime, zone: str, other: str | None) -> bool:
    """Whether clocks show another time there at that instant: Paris and Berlin agree."""
    if other is None or other == zone:
        return False
    return local(instant, zone).utcoffset() != local(instant, other).utcoffset()


@lru_cache(maxsize=256)
def locale_of(language: str, country: str) -> Locale:
    """Return the locale of a language tag; where it names no region, as written in `country`."""
    from babel import Locale, UnknownLocaleError

    primary, _, region = language.partition("-")
    tags = [language] if region else []
    for tag in (*tags, f"{primary}-{country}", primary):
        try:
            return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError):
            continue  # no such language, or not spoken there as far as CLDR knows
    return Locale("en")
