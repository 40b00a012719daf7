"""What init proposes before anybody answers: from the folder, the machine, and earlier answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

from clinicrelay.settings.quoting import slug

# tzdata lists a country's zones from east to west or in the order of its states; these are the ones
# most of its people live in. Everywhere else that is the first of the list.
_MOST_PEOPLE = {
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "RU": "Europe/Moscow",
}
_LOCALE = re.compile(r"[a-z]{2,3}_([A-Z]{2})\b")


def name_for(folder: Path) -> str:
    """Propose a clinic's name from its folder: `riverside-clinic` is Riverside Clinic."""
    words = re.split(r"[\s_.-]+", folder.absolute().name)
    return " ".join(word[:1].upper() + word[1:] for word in words if word) or "My Clinic"


def id_for(name: str) -> str:
    """Propose a clinic's id: its name in small ASCII letters; `clinic` where nothing is left of it."""
    return slug(name)[:40].strip("_") or "clinic"


def country_for(environ: Mapping[str, str], zone: str) -> str:
    """Propose the country that locale and time zone of the machine name; empty where they differ.

    Either may name none: `C.UTF-8` and UTC say nothing of where a machine is.
    """
    by_zone = {country for country, zones in _zones().items() if zone in zones}
    named = by_zone | _by_locale(environ)
    return named.pop() if len(named) == 1 else ""


def _by_locale(environ: Mapping[str, str]) -> set[str]:
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if found := _LOCALE.match(environ.get(variable, "")):
            return {found[1]}
    return set()


def zone_for(country: str, machine: str) -> str:
    """Propose a country's time zone: the machine's own if it is there, else that of most people."""
    zones = zones_of(country)
    if machine in zones:
        return machine
    return _MOST_PEOPLE.get(country) or (zones[0] if zones else "Europe/London")


def knows_zone(country: str, machine: str) -> bool:
    """Whether a country's time zone is beyond doubt: the machine's own, or all of them tell the same.

    Without a country there is nothing to doubt yet.
    """
    zones = zones_of(country)
    return machine in zones or len({_offsets(zone) for zone in zones}) <= 1


def _offsets(zone: str) -> tuple[timedelta | None, ...]:
    year = datetime.now(UTC).year
    return tuple(datetime(year, month, 1, tzinfo=ZoneInfo(zone)).utcoffset() for month in (1, 7))


def zones_of(country: str) -> tuple[str, ...]:
    """Return the IANA zones of a country."""
    return _zones().get(country, ())


def zone_of_machine(environ: Mapping[str, str], clock: Path = Path("/etc/localtime")) -> str:
    """Return the IANA zone this machine is set to; empty where it does not say."""
    if zone := environ.get("TZ", "").removeprefix(":"):
        return zone
    try:
        return clock.resolve().as_posix().rpartition("/zoneinfo/")[2]
    except OSError:
        return ""


def language_for(country: str) -> str:
    """Propose the language that most people of a country read, if we speak it; else English."""
    from babel import Locale, UnknownLocaleError

    try:
        language = str(Locale.parse(f"und_{country}").language)
    except (UnknownLocaleError, ValueError):
        return "en"
    return language if language in languages() else "en"


@lru_cache(maxsize=1)
def languages() -> tuple[str, ...]:
    """Return the languages that we have texts in."""
    from sync.words.templates import OURS

    return tuple(sorted(path.parent.name for path in OURS.glob("*/when.j2")))


@lru_cache(maxsize=1)
def _zones() -> dict[str, tuple[str, ...]]:
    """Return each country's zones (tzdata's own table, so that no server is asked)."""
    package = find_spec("tzdata")
    place = (package and package.submodule_search_locations) or ["/usr/share"]
    table = Path(place[0], "zoneinfo", "zone.tab").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for line in table.splitlines():
        if line and not line.startswith("#"):
            country, _, zone, *_ = line.split("\t")
            found.setdefault(country, []).append(zone)
    return {country: tuple(zones) for country, zones in found.items()}
