"""Tells the life of a visit: every version, decision, message and event, what comes next, and why.

A projection of the store: nothing here decides anything. What comes next is asked of the same
functions that will decide it (`sync.outlook`, `sync.together`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import structs

from clinicrelay.model import Appointment, Channel
from clinicrelay.times import day_of, first_instant
from sync import languages, seeing
from sync.answers import Case, answer
from sync.because import Because, because
from sync.chronicle import Life, Line, chronicle
from sync.freshness import source_state
from sync.outlook import Next, ahead, outlook_now
from sync.sentences import IN_DOUBT
from sync.settle import repeats
from sync.showing import Trouble, as_paused, places
from sync.store import looking, progress, together, wakes
from sync.store.said import say_of
from sync.together import led_by

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from clinicrelay.actions import Say
    from sync.clinic import Clinic
    from sync.plan import Seen
    from sync.standing import Pause
    from sync.store.wakes import Woken


@dataclass(frozen=True, slots=True)
class Story:
    """One visit's life. `next` and `answer` are about its first patient."""

    woken: Woken
    visit: Appointment
    history: list[Line]
    events: Sequence[Mapping[str, Any]]
    messages: Sequence[Mapping[str, Any]]
    answer: str
    next: Next | None = None
    because: Because | None = None
    unlinked: Sequence[Trouble] = ()

    @property
    def name(self) -> str:
        return f"{self.woken.source}/{self.woken.source_key}"

    def ahead(self, now: datetime) -> bool:
        """Whether it is still to take place."""
        return nearness(self.woken, self.visit, now)[0] == 0


def stories(clinic: Clinic, visits: Sequence[int]) -> list[Story]:
    """Return the life of each visit, the nearest one first: those ahead, then the latest past."""
    with clinic.store.read() as connection:
        found = wakes.by_ids(connection, visits)
        seen = seeing.look(clinic, connection, list(found.values()))
        past = wakes.history(connection, list(found))
        told = [_story(clinic, connection, found[n], seen[n], past.get(n, ())) for n in found]
    return sorted(told, key=lambda story: nearness(story.woken, story.visit, clinic.now))


def nearest(clinic: Clinic, visits: Sequence[int], most: int) -> list[int]:
    """Return at most so many of the visits, the nearest first."""
    with clinic.store.read() as connection:
        found = wakes.by_ids(connection, visits)
    order = sorted(found.values(), key=lambda woken: nearness(woken, woken.visit, clinic.now))
    return [woken.id for woken in order[:most]]


def nearness(woken: Woken, visit: Appointment, now: datetime) -> tuple[int, float, int]:
    """Order visits: those that stand and are ahead, other ones ahead, past ones, timeless ones."""
    if visit.start is None:
        return 3, 0.0, woken.id
    away = (visit.start - now).total_seconds()
    if away <= 0:
        return 2, -away, woken.id
    stands = woken.gone_at is None and not visit.status.called_off
    return (0 if stands else 1), away, woken.id


def _story(
    clinic: Clinic, connection: Connection, woken: Woken, seen: Seen, past: Sequence[wakes.Past]
) -> Story:
    life = _life(clinic, connection, woken, seen.appointment, past)
    coming = _coming(clinic, connection, seen, life.messages)
    case = _case(clinic, connection, seen, life, coming)
    return Story(
        woken,
        life.visit,
        chronicle(life, clinic.when),
        life.events,
        life.messages,
        answer(case),
        coming[1] if coming else None,
        because(case),
        case.unlinked,
    )


def _life(
    clinic: Clinic,
    connection: Connection,
    woken: Woken,
    visit: Appointment,
    past: Sequence[wakes.Past],
) -> Life:
    store, source, key = clinic.store.clinic, woken.source, woken.source_key
    messages = with_attempts(connection, looking.messages_of(connection, woken.id))
    for message in messages:
        message["source"] = source
    languages.note(clinic, visit, messages)
    return Life(
        woken,
        visit,
        past,
        runs=looking.runs_of_versions(connection, woken.id),
        first_run=looking.first_run(connection, woken.id),
        messages=messages,
        events=as_paused(looking.events_of(connection, woken.id), _stopping(clinic)),
        waiting=looking.waiting_of(connection, store, source, key),
        aside=looking.set_aside_of(connection, store, source, key),
        mended=looking.mended_of(connection, store, source, key),
    )


def with_attempts(connection: Connection, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return entries of the ledger with their attempts, instants as such."""
    numbers = [row["id"] for row in rows]
    attempts = looking.attempts_of(connection, numbers)
    leads = together.leads(connection, numbers)
    written = looking.languages_of(connection, numbers)
    for row in rows:
        lead = leads.get(row["id"])
        row["together"], row["left"], row["left_by"] = lead or (None, None, None)
        _to_instants(row, "due_at", "useless_after", "next_try_at", "created_at", "settled_at")
        row["attempts"], row["language"] = attempts.get(row["id"], []), written.get(row["id"])
        for attempt in row["attempts"]:
            _to_instants(attempt, "started_at", "finished_at")
    return rows


def _to_instants(row: dict[str, Any], *names: str) -> None:
    for name in names:
        if row[name] is not None:
            row[name] = datetime.fromtimestamp(row[name], UTC)


def _case(
    clinic: Clinic,
    connection: Connection,
    seen: Seen,
    life: Life,
    coming: tuple[Say, Next] | None,
) -> Case:
    woken = life.woken
    visit = seen.appointment
    who = f"patient/{visit.patients[0].key}" if visit.patients else ""
    rules = clinic.settings.reminders.patient
    mine = [m for m in life.messages if m["recipient"] == who]
    doubted = [m for m in mine if m["state"] in IN_DOUBT]
    last = progress.progress(connection, clinic.store.clinic, woken.source).last_complete_at
    return Case(
        visit=visit,
        now=clinic.now,
        when=clinic.when,
        told=seen.told.get(who),
        messages=mine,
        gone_at=datetime.fromtimestamp(woken.gone_at, UTC) if woken.gone_at else None,
        replaced_by=f"{woken.source}/{seen.replaced_by}" if seen.replaced_by else None,
        imported=seen.imported,
        waiting=life.waiting,
        aside=life.aside,
        mended=life.mended,
        was_aside=life.was_aside,
        next=coming[1] if coming else None,
        waits=_waits(clinic, connection, seen, mine),
        mute={m["notifier"] for m in doubted if not clinic.tells(m["notifier"])},
        repeated={m["id"] for m in mine if _is_repeated(clinic, m)},
        guardian=bool(visit.patients)
        and clinic.as_reached(visit.patients[0], visit).guardian is not None,
        silent=rules is None or not rules.steps,
        on_gone=rules is not None and rules.on_gone,
        pause=_pause(clinic),
        beside=_beside(clinic, connection, woken, seen, coming[0]) if coming else (),
        source_state=source_state(clinic, connection, woken.source),
        last_complete=datetime.fromtimestamp(last, UTC) if last else None,
        events=life.events,
        unlinked=_unlinked(clinic, seen),
        left=[m for m in life.messages if _is_of_somebody_else(m, visit)],
    )


def _is_of_somebody_else(message: Mapping[str, Any], visit: Appointment) -> bool:
    """Whether a message was to tell a patient who is no longer named that the visit is off."""
    here = {f"patient/{patient.key}" for patient in visit.patients}
    told = message["role"] == "patient" and message["kind"] == "cancellation"
    return told and message["recipient"] not in here


def _unlinked(clinic: Clinic, seen: Seen) -> list[Trouble]:
    """Return the calendars of the settings in which nobody of a visit has a place."""
    visit = seen.appointment
    if seen.gone or visit.start is None or not visit.status.on_calendar:
        return []
    linked = {
        who.key: {one.partition(":")[0] for one in clinic.calendars_of(visit.source, who)}
        for who in visit.practitioners
    }
    known = {who.key: clinic.doctor(visit.source, who) for who in visit.practitioners}
    asked = {
        name: [(known[key] is not None, name in places_) for key, places_ in linked.items()]
        for name in clinic.settings.calendars
    }
    return list(places(asked, anybody=bool(visit.practitioners)))


def _is_repeated(clinic: Clinic, message: Mapping[str, Any]) -> bool:
    """Whether a message leaves once more, or will if nobody can say what became of it."""
    say = say_of(message["say"])
    if message["state"] not in IN_DOUBT:
        return say.repeated and message["state"] == "planned"
    at = max(filter(None, (clinic.now, message["next_try_at"])))
    return repeats(say, Channel(message["channel"]), now=at)


def _waits(
    clinic: Clinic, connection: Connection, seen: Seen, messages: Sequence[Mapping[str, Any]]
) -> Next | None:
    """Return what will become of the first patient's last planned message at its hour."""
    planned = [one for one in messages if one["state"] == "planned"]
    if not planned:
        return None
    last, patient = planned[-1], seen.appointment.patients[0]
    ours = {attempt["id"] for attempt in last["attempts"]}
    others = {
        who: told for who, told in seen.told.items() if told.by is None or told.by not in ours
    }
    seen = structs.replace(seen, told=others)
    hours = (clinic.now, last["due_at"], last["next_try_at"])
    at = max(hour for hour in hours if hour is not None)
    return outlook_now(clinic, connection, seen, patient, say_of(last["say"]), at=at)


def _beside(
    clinic: Clinic, connection: Connection, woken: Woken, seen: Seen, say: Say
) -> Sequence[str]:
    """Return the patient's other visits of that day with whose reminder this one may leave."""
    start = seen.appointment.start
    assert start is not None
    day = day_of(start, clinic.zone)
    some = together.booked(
        connection,
        clinic.store.clinic,
        [say.recipient.partition("/")[2]],
        first=first_instant(day, clinic.zone),
        end=first_instant(day + timedelta(days=1), clinic.zone),
    )
    numbers = [one.id for one in some if one.source == woken.source and one.id != woken.id]
    others = seeing.look(clinic, connection, list(wakes.by_ids(connection, numbers).values()))
    return [
        f"{woken.source}/{one.appointment.key}"
        for one in led_by(clinic, connection, seen, say, others.values())
    ]


def _pause(clinic: Clinic) -> Pause | None:
    """Return what stops patients' messages now: a pause of all of them, else of what sends them."""
    standing, now = clinic.standing(), clinic.now
    names = ("", *clinic.settings.notifiers)
    found = (standing.paused("patients", name, now) for name in names)
    return next(filter(None, found), None)


def _stopping(clinic: Clinic) -> Callable[[str], Pause | None]:
    """Return what tells which pause stops a calendar of the settings now."""
    standing = clinic.standing()
    return lambda name: standing.paused("calendars", name, clinic.now)


# --- what comes next -----------------------------------------------------------------------------


def _coming(
    clinic: Clinic, connection: Connection, seen: Seen, messages: Sequence[Mapping[str, Any]]
) -> tuple[Say, Next] | None:
    """Return the first patient's next reminder, judged as the gate would judge it then.

    One that fell due while nothing ran is the next; what stands in the ledger is decided already.
    """
    if not seen.appointment.patients:
        return None
    patient = seen.appointment.patients[0]
    who = f"patient/{patient.key}"
    decided = {_what(say_of(one["say"])) for one in messages}
    mine = [say for say in ahead(clinic, seen) if say.recipient == who]
    left = [say for say in mine if _what(say) not in decided]
    if not left:
        return None
    first = next((say for say in left if say.skip is None), left[0])
    at = max(first.due_at, clinic.now)
    return first, outlook_now(clinic, connection, seen, patient, first, at=at)


def _what(say: Say) -> tuple[str, str, str, str]:
    """Return by what the ledger tells reminders of one visit from each other."""
    return say.kind.value, say.recipient, say.step, say.facts.hash
