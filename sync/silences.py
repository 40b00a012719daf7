"""What fails without an error: nobody is reminded, a doctor sees nothing, nobody reads any more.

Nothing raises when a notifier, a link, a source or a text is taken away. So it is looked at what should
be: each of these is a projection of the store, tells of many as one thing, and goes by visits, so that
nights, week-ends and holidays are no silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from clinicrelay import times
from clinicrelay.counts import counted
from sync import instance, lacking, own_texts, proving
from sync.alerts import Condition
from sync.attendance import attendance
from sync.breaker import barred
from sync.coverage import Day, next_day, of_day
from sync.gate import NO_NOTIFIER
from sync.guard import UNLINKED
from sync.reasons import base, in_words
from sync.report import ANEW
from sync.store import alerts, incoming, seconds, silent

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic

# An alert of coverage begins with this share of a day's visits, and ends below the other: a day with
# one patient more or less of the same kind is no news.
_BEGINS, _ENDS = 0.2, 0.1
_FAR = timedelta(days=8)
_NAMED = 3
_OWN_ALERTS = frozenset({"source_stale", "change_held", "awaiting_approval"})
# What only `sync` looks at, and `status`: too much for a `send` each minute.
_NOT_BY_SEND = ("coverage", "unlinked/", "texts/", "mapping/")


def looked_at(*, whole: bool) -> Callable[[str], bool]:
    """Return which names of alerts a look says something about: one that is not `whole`, not of all."""
    return lambda name: whole or not name.startswith(_NOT_BY_SEND)


def silences(
    clinic: Clinic,
    connection: Connection,
    *,
    running: str | None,
    whole: bool,
    coming: Day | None = None,
) -> Iterator[Condition]:
    """Yield what is silent; `running` is the command that asks, None for one that only looks.

    `coming` is the clinic's next day, where it was looked at already.
    """
    yield from attendance(clinic, connection, running=running)
    yield from _begun_anew(clinic, connection)
    yield from _removed_sources(clinic, connection)
    if whole:
        missed = lacking.missed(connection, clinic)
        gone = _lost_channels(clinic, connection, missed.unreached)
        yield from [gone] if gone else _uncovered(clinic, connection, coming)
        yield from _unlinked(clinic, connection, missed.unlinked)
        yield from _texts(clinic, connection, missed.unspoken)
        yield from _mappings(clinic, connection)


# --- nothing is known any more --------------------------------------------------------------------


def _begun_anew(clinic: Clinic, connection: Connection) -> Iterator[Condition]:
    if instance.has_begun_anew(connection, clinic.store.clinic):
        yield Condition(
            "store/anew",
            ANEW.what,
            "A new store is in rehearsal: nobody is reached, and whoever was told before is not known.",
            ANEW.command,
            clinic.now,
        )


# --- nobody is reminded --------------------------------------------------------------------------


def _lost_channels(clinic: Clinic, connection: Connection, unreached: int) -> Condition | None:
    """Return that nobody sends on a channel any more, and somebody has no other way, or waits for it."""
    store, name = clinic.store.clinic, "coverage"
    waiting = alerts.waiting(connection, store, NO_NOTIFIER, now=clinic.now)
    if not clinic.lost or not (waiting or unreached or name in alerts.open_(connection, store)):
        return None
    channels = ", ".join(sorted(clinic.lost))
    return Condition(
        name,
        f"nobody sends by {channels} any more: its notifier is gone from the settings",
        f"{counted(waiting, 'message')} for patients and doctors "
        f"{'waits' if waiting == 1 else 'wait'} for it; of {counted(unreached, 'visit')} in the next "
        "two weeks nobody can be reached otherwise.",
        "put it back into settings.yaml; clinicrelay check",
        clinic.now,
    )


def _uncovered(clinic: Clinic, connection: Connection, coming: Day | None) -> Iterator[Condition]:
    """Yield that nobody is reminded of many visits of the next day that has any."""
    if coming is not None and coming.coverage.visits:
        day: tuple[datetime, Day] | None = next_day(clinic)[0], coming
    else:
        day = _next_day_with_visits(clinic, connection)
    if day is None:
        return
    first, found = day
    elsewhere = _told_elsewhere(clinic, connection)
    alone = {
        name: one
        for name, one in found.open.items()
        if not one.failed and not (one.why and elsewhere.issuperset(one.why))
    }
    visits, known = found.coverage.visits, alerts.open_(connection, clinic.store.clinic)
    if not alone or len(alone) < (_ENDS if "coverage" in known else _BEGINS) * visits:
        return
    reasons = Counter(why for one in alone.values() for why in one.why if why not in elsewhere)
    why = f": {in_words(reasons.most_common(1)[0][0])}" if reasons else ""
    yield Condition(
        "coverage",
        f"{len(alone)} of {counted(visits, 'visit')} on {times.local(first, clinic.zone):%a %d %b}: "
        f"nobody is reminded{why}",
        "Nothing failed, and their patients hear nothing.",
        _shown_by(clinic, first),
        clinic.now,
    )


def _shown_by(clinic: Clinic, first: datetime) -> str:
    if first == next_day(clinic)[0]:
        return "clinicrelay appointments --uncovered"
    date = f"{times.local(first, clinic.zone):%Y-%m-%d}"
    return f"clinicrelay appointments --from {date} --to {date}"


def _told_elsewhere(clinic: Clinic, connection: Connection) -> frozenset[str]:
    """Return the reasons of which an alert of their own tells: of a notifier, a source, a hold."""
    stuck = barred(connection, clinic.store.clinic).values()
    return _OWN_ALERTS | {base(one.reason) for one in stuck}


def _next_day_with_visits(clinic: Clinic, connection: Connection) -> tuple[datetime, Day] | None:
    """Return the next day with visits whose patients could be reminded; it is tomorrow on most days."""
    first, end = next_day(clinic)
    until = first + _FAR
    while first < until:
        within = {"first": seconds(first), "end": seconds(until)}
        start = silent.first_start(connection, clinic.store.clinic, **within)
        if start is None:
            return None
        day = times.day_of(datetime.fromtimestamp(start, UTC), clinic.zone)
        first, end = (times.first_instant(day + timedelta(days=n), clinic.zone) for n in (0, 1))
        found = of_day(clinic, connection, first, end)
        if found.coverage.visits:
            return first, found
        first = end
    return None


# --- a source that nobody reads any more ---------------------------------------------------------


def _removed_sources(clinic: Clinic, connection: Connection) -> Iterator[Condition]:
    store = clinic.store.clinic
    for name in silent.strange_sources(connection, store, clinic.settings.sources):
        number = silent.count_ahead(connection, store, name, now=clinic.now)
        if number:
            yield Condition(
                f"removed/{name}",
                f"{name} is no longer in the settings, and has {counted(number, 'visit')} ahead",
                "Nobody hears of what was booked, moved or cancelled there since; reminders go by what "
                "was last known.",
                "put it back into settings.yaml; clinicrelay check",
                clinic.now,
            )


# --- a doctor without a calendar -----------------------------------------------------------------


def _unlinked(
    clinic: Clinic, connection: Connection, missed: Mapping[tuple[str, str], int]
) -> Iterator[Condition]:
    """Yield, once a calendar, who lost their place there; what a guard holds is told as held."""
    holds = incoming.open_holds(connection, clinic.store.clinic)
    held = {hold["source"] for hold in holds if hold["guard"] == UNLINKED}
    for calendar in clinic.settings.calendars:
        whose = {who: number for (name, who), number in missed.items() if name == calendar}
        if not whose or calendar in held:
            continue
        named = ", ".join(sorted(whose)[:_NAMED]) + (" …" if len(whose) > _NAMED else "")
        what = "has" if len(whose) == 1 else "have"
        yield Condition(
            f"unlinked/{calendar}",
            f"{named} {what} no calendar in {calendar}, and {counted(sum(whose.values()), 'visit')} "
            "in the next two weeks",
            "These visits stand in no calendar.",
            "clinicrelay doctors",
            clinic.now,
        )


# --- texts ---------------------------------------------------------------------------------------


def _texts(
    clinic: Clinic, connection: Connection, unspoken: Mapping[str, int]
) -> Iterator[Condition]:
    """Yield what texts lack: a language that lacks any because its file is gone is told by the file."""
    says = {own_texts.BROKEN: "cannot be filled in", own_texts.GONE: "is gone"}
    found = own_texts.faults(connection, clinic)
    told = [f"{name} {says[fault]}" for fault, names in found.items() for name in names]
    if told:
        more = f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
        yield Condition(
            "texts/own",
            f"a text of your own: {', '.join(told[:_NAMED])}{more}",
            "Ours is sent instead, in that language where we have it, else in the clinic's.",
            "clinicrelay check",
            clinic.now,
        )
    explained = {lacking.language_of(name).split("-")[0] for name in found.get(own_texts.GONE, ())}
    whom = ", ".join(
        f"{language} ({number})"
        for language, number in sorted(unspoken.items())
        if language not in explained
    )
    if whom:
        yield Condition(
            "texts/language",
            f"patients of the next two weeks read a language without texts: {whom}",
            f"They are written to in {clinic.settings.clinic.language}.",
            "write texts of your own (docs/howto/languages.md); clinicrelay check",
            clinic.now,
        )


# --- mappings ------------------------------------------------------------------------------------


def _mappings(clinic: Clinic, connection: Connection) -> Iterator[Condition]:
    for source, which in proving.failing(clinic, connection):
        yield Condition(
            f"mapping/{source}",
            f"the mapping of {source}: {which}",
            "Visits may be understood otherwise than they are meant.",
            "clinicrelay check",
            clinic.now,
        )
