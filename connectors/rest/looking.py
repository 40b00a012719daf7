"""What is wrong with a JSON interface or with how settings describe it, and what it offers instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any

from clinicrelay.contracts import Finding, Kit, Offer, Window
from clinicrelay.errors import Refused, TryLater
from connectors.rest.asking import asking_for, at_page
from connectors.rest.bodies import found_at
from connectors.rest.door import Door, Incomplete, Said
from connectors.rest.lookups import Lookups
from connectors.rest.options import List, RestOptions
from connectors.rest.parts import ids_of
from connectors.rest.placeholders import NAMES, Values
from connectors.rest.questions import zone_in
from connectors.rest.records import Shaper
from connectors.rest.single import reread
from connectors.rest.spelling import strangers_within

_SKEW = timedelta(minutes=2)
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,30}")
_TOTALS = ("total", "total_count", "totalcount", "total_entries", "total_results", "totalresults")
_LIKE_VISITS = re.compile(r"appoint|booking|visit|termin|cita|event|encounter|schedule", re.I)


def advice(options: RestOptions) -> Iterator[Finding]:
    """Yield what looks like a mistake in the settings as they stand."""
    for one in options.lists:
        parts = (one.request, one.changes_request)
        texts = [(r.path, r.params, r.json_, r.form, r.headers) for r in parts]
        for name in dict.fromkeys(strangers_within(texts)):
            near = get_close_matches(name.strip("{} ").partition(":")[0].lower(), NAMES, n=1)
            yield Finding(
                "warning",
                "no_placeholder",
                f"{name} is no placeholder: it is sent as it stands",
                f"write {{{near[0]}}}" if near else f"there are {', '.join(NAMES)}",
            )
    if options.tls.insecure:
        yield Finding("warning", "insecure", "any certificate is believed", "remove tls.insecure")


def findings(options: RestOptions, kit: Kit, door: Door, now: datetime) -> Iterator[Finding]:
    """Ask for the first page of each list, and yield what is wrong with it."""
    try:
        values = _values(options, kit, door)
        for one in options.lists:
            yield from _of_list(options, kit, door, one, values, now)
    except TryLater as error:
        yield Finding("error", "not_answered", str(error), "try again; else ask its administrators")
    except Refused as error:
        yield Finding("error", "refused", str(error), error.fix)
    except Incomplete as error:
        yield Finding("error", "incomplete", str(error), "look at errors in the settings")


def _values(options: RestOptions, kit: Kit, door: Door) -> Values:
    week = Window(kit.now, kit.now + timedelta(days=7))
    values = Values(
        zone_in(options, kit), kit.clinic.timezone, window_start=week.start, window_end=week.end
    )
    if options.partition is None:
        return values
    return values.but(partition=ids_of(options.partition, door, values)[0])


def _of_list(
    options: RestOptions, kit: Kit, door: Door, one: List, values: Values, now: datetime
) -> Iterator[Finding]:
    said = door.ask(at_page(asking_for(one.request, values), one.paging, one.paging.first()))
    yield from _clock(said, door, now)
    found = [] if said.nothing else found_at(one.records)(said.body)
    where = said.answer.where
    if not isinstance(found, list):
        yield Finding(
            "error",
            "no_records",
            f"{door.host} answers {where} with no list at {one.records}; at its top: "
            f"{_top(said.body)}",
            "set records to where the list is",
        )
        return
    yield from _of_paging(one, said, where)
    shaper = Shaper(options, lookups := Lookups(options.lookups, door, kit, values))
    entries = [item for item in found if isinstance(item, dict)]
    if entries and not any(shaper.name(item) for item in entries):
        yield Finding(
            "error",
            "no_key",
            f"no record of {where} has {' and '.join(options.key_paths)}; they have {_top(entries[0])}",
            "set key to what never changes about a visit",
        )
        return
    if entries and not one.gone:
        lookups.look_at(entries)
        for sentence in lookups.unmet:
            yield Finding("warning", "no_reference", sentence, "check the ref of that lookup")
        _, issues = lookups.lay(entries[0])
        for issue in issues:
            yield Finding(
                "error",
                "no_reference",
                f"the {issue.field} that the first record refers to is not there (404)",
                f"check lookups.{issue.field}: its path and ref",
            )
        yield from _by_id(options, kit, door, shaper.name(entries[0]))


def _of_paging(one: List, said: Said, where: str) -> Iterator[Finding]:
    """A path that leads nowhere would end each list at its first page, or let a cut one pass."""
    for name in ("total", "pages", "more", "next"):
        path = getattr(one.paging, name, None)
        likely = (_going_on(said) or {}).get("next") if name == "next" else name
        if path and likely and found_at(path)(said.body) is None:
            yield Finding(
                "warning",
                "nothing_there",
                f"the first answer of {where} has nothing at paging.{name} ({path})",
                f"is it {likely}?" if name == "next" else f"its top has {_top(said.body)}",
            )


def _by_id(options: RestOptions, kit: Kit, door: Door, key: str | None) -> Iterator[Finding]:
    """A path that is wrong says 404 of every visit, which would prove that all were deleted."""
    if options.read_by_id is None or key is None:
        return
    records = [r for page in reread(options, kit, door, [key]) for r in page.records]
    if not records or records[0].gone:
        yield Finding(
            "error",
            "not_by_id",
            f"a visit that {door.host} lists is not found by {options.read_by_id.path}",
            "check read_by_id: its path and record, and key",
        )


def _clock(said: Said, door: Door, now: datetime) -> Iterator[Finding]:
    told = said.answer.date
    if told is not None and abs(told - now) > _SKEW:
        minutes = abs(told - now) // timedelta(minutes=1)
        which = "ahead of" if told > now else "behind"
        yield Finding(
            "warning",
            "clock_skew",
            f"the clock of {door.host} is {minutes} min {which} ours",
            "set both by a time server (NTP)",
        )


def _top(body: Any) -> str:
    """Return the names at the top of an answer: its shape, and nothing of what it says."""
    if isinstance(body, list):
        return 'a list (records: "@")'
    names = [name for name in body if _NAME.fullmatch(str(name))] if isinstance(body, dict) else []
    return ", ".join(names[:12]) or "no names"


# --- what there is ---------------------------------------------------------------------------------


def offers(options: RestOptions, kit: Kit, door: Door) -> Iterator[Offer]:
    """Yield the lists in the first answers that look like records, likeliest first."""
    values = _values(options, kit, door)
    for one in options.lists:
        try:
            said = door.ask(
                at_page(asking_for(one.request, values), one.paging, one.paging.first())
            )
        except Incomplete:
            continue
        lists = sorted(_lists(said.body, ""), key=_likeliness, reverse=True)
        for path, entries in lists:
            settings: dict[str, Any] = {"records": path or "@", **_paging(said, options)}
            key = next((k for k in ("id", "uuid", "uid", "guid") if k in entries[0]), None)
            yield Offer(
                f"{one.request.path} {path}".strip(),
                settings | ({"key": key} if key else {}),
                entries[:5],
                [f"{len(entries)} entries in the first answer"],
            )


def _lists(body: Any, path: str, depth: int = 0) -> Iterator[tuple[str, list[Any]]]:
    if isinstance(body, list):
        entries = [item for item in body if isinstance(item, dict)]
        if entries and len(entries) == len(body):
            yield path, entries
    elif isinstance(body, dict) and depth < 3:
        for name, part in body.items():
            step = name if re.fullmatch(r"[A-Za-z_]\w*", str(name)) else f'"{name}"'
            yield from _lists(part, f"{path}.{step}" if path else step, depth + 1)


def _likeliness(found: tuple[str, list[Any]]) -> tuple[bool, int]:
    path, entries = found
    return bool(_LIKE_VISITS.search(path)), len(entries)


def _paging(said: Said, options: RestOptions) -> dict[str, Any]:
    """Propose how to page, from what an answer holds beside its list."""
    if options.paging.type != "none":
        return {}
    paging = _going_on(said)
    total = next((path for path, value in _scalars(said.body, "") if _is_total(path, value)), None)
    if total:  # with it, a list that was cut off shows, and nothing is taken for deleted
        paging = {**(paging or {"type": "none"}), "total": total}
    return {"paging": paging} if paging else {}


def _is_total(path: str, value: Any) -> bool:
    return path.rpartition(".")[2].lower() in _TOTALS and isinstance(value, int)


def _going_on(said: Said) -> dict[str, Any]:
    if 'rel="next"' in said.answer.headers.get("link", ""):
        return {"type": "link_header"}
    for path, value in _scalars(said.body, ""):
        if (
            path.rpartition(".")[2].lower() in ("next", "next_page", "next_url", "nextlink")
            and value
        ):
            if "/" in str(value):
                return {"type": "link", "next": path}
            return {"type": "cursor", "next": path, "param": "cursor"}
    return {}


def _scalars(body: Any, path: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if isinstance(body, Mapping) and depth < 3:
        for name, part in body.items():
            yield from _scalars(part, f"{path}.{name}" if path else str(name), depth + 1)
    elif isinstance(body, str | int):
        yield path, body
