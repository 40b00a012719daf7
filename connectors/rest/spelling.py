"""Placeholders that are misspelt: found before anything is asked, as a server would not say so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, TypeVar

from clinicrelay.settings.values import wrong
from clinicrelay.times import zone_of
from connectors.rest.placeholders import FORMS, NAMES, PLACE, texts_within

T = TypeVar("T")

_MOMENTS = ("window_start", "window_end", "watermark")
_ZONES = ("clinic", "utc")
_MEANT = re.compile(rf"\{{({'|'.join(NAMES)})(?::([^{{}}@]*))?(?:@([^{{}}]*))?\}}")
_LIKELY = re.compile(r"\{\s*([A-Za-z_-]{2,20})\s*(?:[:.!@][^{}]*)?\}")
# What Python promises of strftime, and what C libraries have known since 1999; no seconds since 1970
# (%s), as they would be told by this machine's zone.
_DIRECTIVE = re.compile(r"%%|%-?[aAbBcdeDfFGHIjmMpRSTuUVwWxXyYzZ]")


def proved(template: T) -> T:
    """Return a template whose placeholders say in a way that exists how their values are written."""
    for text in texts_within(template):
        for found in _MEANT.finditer(text):
            _prove(found[0], found[1], found[2], found[3])
    return template


def strangers_within(template: Any) -> Iterator[str]:
    """Yield what looks like a placeholder and is none."""
    for text in texts_within(template):
        for found in _LIKELY.finditer(text):
            if not PLACE.fullmatch(found[0]):
                yield found[0]


def _prove(place: str, name: str, form: str | None, zone: str | None) -> None:
    if name not in _MOMENTS and (form, zone) != (None, None):
        raise wrong(f"{place} is no time: it has no format and no zone", f"write {{{name}}}")
    if form is not None and not _is_form(form):
        near = get_close_matches(form, FORMS, n=1)
        raise wrong(
            f"the format of {place} does not exist",
            f"there are {', '.join(FORMS)}, and those of strftime such as %d.%m.%Y"
            + (f"; did you mean {near[0]}?" if near else ""),
        )
    if zone is not None and not _is_zone(zone):
        raise wrong(
            f"the zone of {place} does not exist",
            "write @clinic, @utc or a zone such as @Europe/Berlin",
        )


def _is_form(form: str) -> bool:
    rest, directives = _DIRECTIVE.subn("", form)
    return form in FORMS or (directives > 0 and "%" not in rest)


def _is_zone(zone: str) -> bool:
    try:
        return zone in _ZONES or bool(zone_of(zone))
    except ValueError:
        return False
