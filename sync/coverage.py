"""Tomorrow's visits: whose patient is told in time, for what reason not, and to which nobody sees.

A notifier that is switched off raises no error: nothing fails, and nobody is reminded. So it is not
errors that are counted here but visits, and what is still to come is judged as the gate would.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from clinicrelay import times
from clinicrelay.actions import MessageKind, facts_of
from clinicrelay.model import Kind
from sync import seeing
from sync.breaker import Barred, barred
from sync.outlook import Next, ahead, outlook, ways_to
from sync.reasons import base, reason
from sync.store import counting, wakes
from sync.store.together import TOLD_TOGETHER
from sync.store.wakes import ALL, Share

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from clinicrelay.actions import Facts, Say
    from clinicrelay.model import Patient
    from clinicrelay.settings.schema import Step
    from sync.clinic import Clinic
    from sync.plan import Seen
    from sync.standing import Standing
    from sync.store.counting import Entry
    from sync.ways import Ways

AT_MOST = 1000  # visits of a day: of thousands they tell as much
_REHEARSAL = "rehearsal"  # a person has yet to end it: `live patients`


class Coverage(NamedTuple):
    """Booked visits of a day: those whose patients are told in time, or for a reason not.

    `open` names the others (`source/key`): there nobody is told, and nobody decided so. Of a day with
    more than `AT_MOST` a share is judged, and these are its numbers; `of` is how many there are.
    """

    visits: int = 0
    covered: int = 0
    explained: int = 0
    open: tuple[str, ...] = ()
    of: int = 0

    def json(self) -> dict[str, int]:
        return {
            "visits": self.visits,
            "covered": self.covered,
            "explained": self.explained,
            "of": self.of,
        }


class Stands(NamedTuple):
    """How a visit stands. Open, it is so as something was tried in vain, or for reasons to be mended."""

    verdict: str
    failed: bool = False
    why: tuple[str, ...] = ()


class Day(NamedTuple):
    """What is found out of a day, in numbers and of each open visit (`source/key`)."""

    coverage: Coverage
    open: Mapping[str, Stands]


class Heard(NamedTuple):
    """What one patient of one visit was told and will be, all of it about the present time.

    `news` says that a confirmation or a change told it. `silenced` are the reasons for which
    something was not said, or will not be; `failed` that something was tried in vain, or is held.
    """

    reminded: bool = False
    coming: bool = False
    news: bool = False
    silenced: tuple[str, ...] = ()
    failed: bool = False


def verdict(heard: Heard, *, reminders: bool) -> str:
    """Return covered, explained or open; `reminders`: whether the settings ask for any.

    Who was told of the time long ago still counts as open where a reminder is asked for and
    something has to be mended before it can leave.
    """
    if heard.reminded or heard.coming:
        return "covered"
    if _to_be_mended(heard) or heard.failed:
        return "open"
    if heard.news:
        return "covered"
    return "explained" if heard.silenced or not reminders else "open"


def _to_be_mended(heard: Heard) -> list[str]:
    """Return the reasons that somebody here has to mend; that rehearsal goes on is none."""
    return [why for why in heard.silenced if reason(why).ours and base(why) != _REHEARSAL]


def next_day(clinic: Clinic) -> tuple[datetime, datetime]:
    """Return when the clinic's next day begins and ends."""
    day = times.day_of(clinic.now, clinic.zone) + timedelta(days=1)
    first, end = (times.first_instant(day + timedelta(days=n), clinic.zone) for n in (0, 1))
    return first, end


def tomorrow(clinic: Clinic, connection: Connection, at_most: int | None = AT_MOST) -> Day:
    """Look at the visits of the clinic's next day, found by an index."""
    first, end = next_day(clinic)
    return of_day(clinic, connection, first, end, at_most)


def of_day(
    clinic: Clinic,
    connection: Connection,
    first: datetime,
    end: datetime,
    at_most: int | None = AT_MOST,
) -> Day:
    """Look at the visits of a day, found by an index: of more than `at_most` at an even share."""
    store = clinic.store.clinic
    coming, first_id = counting.coming(connection, store, first=first, end=end)
    share = ALL if at_most is None else Share.of(coming, at_most, first_id)
    visits = [
        woken
        for woken in wakes.of_day(connection, store, first=first, end=end, share=share)
        if woken.visit.status.reminds
        and woken.visit.kind is Kind.VISIT
        and woken.visit.patients
        and woken.replaced_by is None
    ]
    said: dict[int, list[Entry]] = {}
    for visit, entry in counting.said_about(connection, store, first=first, end=end, share=share):
        said.setdefault(visit, []).append(entry)
    seen = seeing.look(clinic, connection, visits)
    asked = [one.visit for one in visits if _asks(seen[one.id], said.get(one.id, ()))]
    known = ways_to(clinic, connection, asked)
    looking = _Looking(clinic, clinic.standing(), barred(connection, store), known)
    found = {
        f"{one.source}/{one.source_key}": looking.at(seen[one.id], said.get(one.id, ()))
        for one in visits
    }
    verdicts = [one.verdict for one in found.values()]
    open_ = {name: one for name, one in found.items() if one.verdict == "open"}
    counts = verdicts.count("covered"), verdicts.count("explained")
    of = len(visits) if share == ALL else coming
    return Day(Coverage(len(visits), *counts, tuple(open_), of), open_)


@dataclass(frozen=True, slots=True)
class _Looking:
    """What is the same for all visits of a day."""

    clinic: Clinic
    standing: Standing
    barred: Mapping[str, Barred]
    known: Ways

    @property
    def steps(self) -> Sequence[Step]:
        rules = self.clinic.settings.reminders.patient
        return rules.steps if rules else ()

    def at(self, seen: Seen, said: Sequence[Entry]) -> Stands:
        """Return how a visit stands: as its patient does of whom it is worst."""
        heard = [self._heard(seen, patient, said) for patient in seen.appointment.patients]
        each = [verdict(one, reminders=bool(self.steps)) for one in heard]
        worst = next(one for one in ("open", "covered", "explained") if one in each)
        if worst != "open":
            return Stands(worst)
        of = [one for one, how in zip(heard, each, strict=True) if how == "open"]
        why = tuple(base(why) for one in of for why in _to_be_mended(one))
        return Stands(worst, any(one.failed for one in of), why)

    def _heard(self, seen: Seen, patient: Patient, said: Sequence[Entry]) -> Heard:
        who, facts = f"patient/{patient.key}", facts_of(seen.appointment)
        mine = _said_to(who, facts, said)
        if any(_reminds(entry) for entry in mine):
            return Heard(reminded=True)
        why_not: list[str] = []
        for say, again in self._still_to_come(seen, who, mine):
            at = self._at(say, again)
            one = outlook(self.clinic, self.standing, seen, patient, say, at=at, known=self.known)
            why = self._why_not(one, say.useless_after)
            if why is None:
                return Heard(coming=True)
            why_not.append(why)
        return Heard(
            news=_is_news(seen, who, facts),
            silenced=(
                *why_not,
                *(e.reason for e in mine if e.state in ("skipped", "unproven") and e.reason),
            ),
            failed=any(e.state in ("failed", "held") for e in mine),
        )

    def _still_to_come(
        self, seen: Seen, who: str, mine: Sequence[Entry]
    ) -> Iterator[tuple[Say, datetime | None]]:
        yield from ((entry.say, entry.again) for entry in mine if entry.state == "planned")
        yield from ((say, None) for say in self._ahead(seen, who, mine))

    def _ahead(self, seen: Seen, who: str, mine: Sequence[Entry]) -> Iterator[Say]:
        """Yield what is to fall due for a patient, and what did since plan last looked."""
        decided = {entry.say.step for entry in mine}
        for say in ahead(self.clinic, seen):
            if say.recipient == who and say.step not in decided:
                yield say

    def _at(self, say: Say, again: datetime | None) -> datetime:
        return max(say.due_at, again or self.clinic.now, self.clinic.now)

    def _why_not(self, one: Next, useless_after: datetime) -> str | None:
        """Return why a message will not leave in time; None: it will."""
        if one.reason is not None:
            return one.reason
        if one.pause is not None:
            ends = one.pause.until
            return None if ends is not None and ends < useless_after else "paused"
        stuck = [self.barred[name].reason for name in one.notifiers if self._is_stuck(name)]
        return stuck[0] if stuck and len(stuck) == len(one.notifiers) else None

    def _is_stuck(self, name: str) -> bool:
        return name in self.barred and self.barred[name].needs_person


def _asks(seen: Seen, said: Sequence[Entry]) -> bool:
    """Whether a patient of a visit was not reminded, so that what is to come has to be judged."""
    facts = facts_of(seen.appointment)
    return not all(
        any(_reminds(entry) for entry in _said_to(f"patient/{patient.key}", facts, said))
        for patient in seen.appointment.patients
    )


def _said_to(who: str, facts: Facts, said: Sequence[Entry]) -> list[Entry]:
    """Return what was said to one person about the present time."""
    return [e for e in said if e.say.recipient == who and e.say.facts.start == facts.start]


def _reminds(entry: Entry) -> bool:
    """Whether somebody was reminded, or may have been, by a message or within another one."""
    return (
        (entry.state == "sent" and entry.say.kind is MessageKind.REMINDER)
        or entry.state in ("sending", "unknown")
        or entry.reason == TOLD_TOGETHER
    )


def _is_news(seen: Seen, who: str, facts: Facts) -> bool:
    """Whether a message told a patient of the present time; an import, or perhaps, is none."""
    told = seen.told.get(who)
    if told is None or told.by is None or told.kind is None:
        return False
    return told.facts.on and told.facts.start == facts.start
