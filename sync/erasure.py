"""forget: erases a patient from the store, the calendars and the files of this machine.

Files first, then every row in one transaction that leaves a keyed hash behind, then the calendars by
the ordinary push, then the free space of the store's file. Killed anywhere it is typed again, or
finished by the next `purge`: what is found a second time is what was left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clinicrelay import files
from clinicrelay.errors import StoreBusy
from clinicrelay.times import local
from sync import outward, searching, steps
from sync.erased import of_member, of_patient, of_record, of_visit
from sync.mentioning import Mentions, addresses_of, mentions
from sync.purging import leftovers
from sync.standing import Rehearse
from sync.store import audit, dialects, erased, erasing, events, high_water, looking, quarantine
from sync.store.erasing import Person, Rows, Visit
from sync.store.leases import Lease, lease
from sync.store.shards import SHARDS, lease_of

if TYPE_CHECKING:
    from clinicrelay.contracts import Connector, Notifier
    from sync.clinic import Clinic
    from sync.store.erased import Mark


@dataclass(frozen=True, slots=True)
class Holdings:
    """All that there is of a patient: rows, what was set aside, files; and visits still to come."""

    who: Person
    rows: Rows
    set_aside: Sequence[int]
    records: Sequence[tuple[str, str | None, str]]  # source, key, fingerprint
    files: Sequence[Path]
    ahead: Sequence[Visit]
    known_by: Mentions = field(repr=False)

    @property
    def counts(self) -> dict[str, int]:
        return {
            "visits": len(self.rows.ids(mine=True)),
            "visits_of_others": len(self.rows.ids(mine=False)),
            "messages": len(self.rows.messages),
            "events": self.rows.events,
            "set_aside": len(self.set_aside),
            "files": len(self.files),
        }


@dataclass(slots=True)
class Erasure:
    """How far an erasure has come: events that are still in calendars, and whether space is clean."""

    events_left: list[str] = field(default_factory=list)
    written_anew: bool = True
    troubles: list[str] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return not self.events_left and self.written_anew and not self.troubles


# --- finding -----------------------------------------------------------------------------------------


def find(clinic: Clinic, reference: str) -> list[Person]:
    """Return the patients whom SOURCE/KEY, a key, an e-mail address, a phone or a name means."""
    wanted = reference.strip().removeprefix("patient/")
    if not wanted:
        return []
    with clinic.store.read() as connection:
        name = clinic.store.clinic
        asked = [*_keyed(clinic, wanted)]
        known = [one for one in asked if erasing.is_known(connection, name, one)]
        if known:
            return known
        return [Person(*one) for one in searching.people(clinic, connection, wanted)]


def _keyed(clinic: Clinic, wanted: str) -> Iterator[Person]:
    with clinic.store.read() as connection:
        there = looking.sources(connection, clinic.store.clinic)
    sources = sorted({*there, *clinic.settings.sources})
    source, slash, key = wanted.partition("/")
    if slash and source in sources:
        yield Person(source, key)
    yield from (Person(one, wanted) for one in sources)


def erased_as(clinic: Clinic, reference: str) -> Mark | None:
    """Return the mark of an erased patient, or of a visit of theirs, that a key means."""
    wanted = reference.strip().removeprefix("patient/")
    with clinic.store.read() as connection:
        known = erased.known(connection, clinic.store.clinic)
    if not known:
        return None
    marks = [
        make(clinic.opaque, *one)
        for one in _keyed(clinic, wanted)
        for make in (of_patient, of_visit)
    ]
    return next((known[mark] for mark in marks if mark in known), None)


def erased_words(clinic: Clinic, mark: Mark) -> str:
    """Return the sentence about somebody who was erased."""
    at = local(mark.erased_at, clinic.zone)
    return f"Erased on {at:%d %b %Y %H:%M} by {mark.who}. Nothing else is known of it here."


def holdings(clinic: Clinic, who: Person, *, look_into_files: bool = True) -> Holdings:
    """Return all that there is of a patient, without changing anything; files take the longest."""
    with clinic.store.read() as connection:
        name = clinic.store.clinic
        rows = erasing.rows_of(connection, name, who)
        addresses = {
            address
            for one in rows.known_as
            for pair in addresses_of(one)
            for address in filter(None, pair)
        }
        known_by = mentions(
            rows.known_as,
            who.key,
            shared=erasing.shared(connection, name, who, addresses),
            visits=[one.key for one in rows.visits if one.mine],
            ids=rows.attempts,
        )
        keys = {one.key for one in rows.visits if one.mine}
        aside = [
            (number, (source, key, fingerprint))
            for number, fingerprint, source, key, place, raw in quarantine.told(connection, name)
            if (source == who.source and key in keys)
            or place in {f"{who.source}/{one}" for one in keys}
            or known_by(raw)
        ]
    now = clinic.now.timestamp()
    return Holdings(
        who,
        rows,
        [number for number, _ in aside],
        [record for _, record in aside],
        list(_holding(clinic, known_by)) if look_into_files else (),
        [one for one in rows.visits if one.stands and one.start_at and one.start_at > now],
        known_by,
    )


def _holding(clinic: Clinic, known_by: Mentions) -> Iterator[Path]:
    for _, plugin, leftover in leftovers(clinic):
        try:
            if plugin.holds(leftover.path, known_by):
                yield leftover.path
        except OSError:
            yield leftover.path  # who cannot read it cannot say that it is clean: it is told below


# --- erasing -----------------------------------------------------------------------------------------


def erase(
    clinic: Clinic,
    who: Person,
    *,
    by: str,
    reason: str = "",
    exports: bool = True,
    ahead: bool = False,
) -> Erasure:
    """Erase a patient; what cannot be done now is told, and done by the next `purge`.

    Visits that are still to come go as well only with `ahead`. Raises StoreBusy while another run
    reads the source, plans or sends.
    """
    done = Erasure()
    _erase(clinic, who, done, by=by, reason=reason, exports=exports, ahead=ahead)
    steps.deliver_events(clinic)
    _finish(clinic, done)
    return done


def go_on(clinic: Clinic) -> Erasure | None:
    """Finish erasures that did not come to their end; None where there is none.

    Who was erased and is there again came with a backup that was restored.
    """
    with clinic.store.read() as connection:
        name = clinic.store.clinic
        begun = {one.mark: one for one in erased.unfinished(connection, name)}
        back = erasing.person_of(
            connection, name, lambda *who: of_patient(clinic.opaque, *who) in begun
        )
    if not begun:
        return None
    done = Erasure()
    while back is not None:
        by = begun[of_patient(clinic.opaque, *back)].who
        _erase(clinic, back, done, by=by, ahead=True, again=True)
        with clinic.store.read() as connection:
            back = erasing.person_of(
                connection, name, lambda *who: of_patient(clinic.opaque, *who) in begun
            )
    steps.deliver_events(clinic)
    _finish(clinic, done)
    return done


def _erase(
    clinic: Clinic,
    who: Person,
    done: Erasure,
    *,
    by: str,
    reason: str = "",
    exports: bool = True,
    ahead: bool = False,
    again: bool = False,
) -> None:
    """Take a patient out of the files and the store. Years of exports take long: those go first, and
    only what came meanwhile while others have to wait."""
    cut = _Cut(clinic, done, exports=exports)
    cut.all(holdings(clinic, who, look_into_files=False).known_by)
    with _alone(clinic, who) as leases:
        there = holdings(clinic, who, look_into_files=False)
        if there.ahead and not ahead:
            raise StoreBusy("a visit of theirs that is still to come was read meanwhile")
        cut.all(there.known_by)
        _cut_log(clinic, there.known_by)
        counts = {**there.counts, "files": cut.number}
        word = "forget.again" if again else "forget"
        _take_out(clinic, there, leases, by, audit.Deed(by, word, "", reason, counts))


@contextmanager
def _alone(clinic: Clinic, who: Person) -> Iterator[Sequence[Lease]]:
    """Let nobody read the source, plan or send meanwhile. Raises StoreBusy."""
    length = clinic.settings.store.lease
    names = (f"source:{who.source}", "plan", high_water.SENDING, *map(lease_of, range(SHARDS)))
    with ExitStack() as all_:
        held = []
        for name in names:
            one = all_.enter_context(lease(clinic.store, name, length))
            if one is None:
                raise StoreBusy("another run is reading, planning or sending")
            held.append(one)
        yield held


class _Cut:
    """Takes a patient out of the files that lie here; what was looked at already is not again."""

    def __init__(self, clinic: Clinic, done: Erasure, *, exports: bool) -> None:
        self._clinic, self._done, self._exports = clinic, done, exports
        self._looked: set[tuple[Path, int]] = set()
        self.number = 0

    def all(self, known_by: Mentions) -> None:
        for what, plugin, leftover in leftovers(self._clinic):
            if what == "exports" and not self._exports:
                continue
            try:
                self._one(plugin, leftover.path, known_by, again=what != "exports")
            except OSError as error:
                told = f"{leftover.path}: {error.strerror}"
                if told not in self._done.troubles:
                    self._done.troubles.append(told)

    def _one(
        self, plugin: Connector | Notifier, path: Path, known_by: Mentions, *, again: bool
    ) -> None:
        state = path, path.stat().st_mtime_ns
        if state in self._looked and not again:
            return
        if plugin.holds(path, known_by):
            plugin.cut(path, known_by)
            self.number += 1
        if path.exists():
            self._looked.add((path, path.stat().st_mtime_ns))


def _cut_log(clinic: Clinic, known_by: Mentions) -> None:
    """No line of the log should name anybody; one that does all the same goes."""
    file = clinic.settings.log_file
    if not file.is_file():
        return
    by_name = Mentions(
        known_by.key, known_by.names, known_by.emails, known_by.phones, frozenset(), frozenset()
    )
    lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines(keepends=True)
    kept = [line for line in lines if not by_name(line)]
    if len(kept) < len(lines):
        content = "".join(kept).encode("utf-8", "surrogateescape")
        files.replace(file, content, mode=file.stat().st_mode & 0o777)


def _take_out(
    clinic: Clinic,
    there: Holdings,
    leases: Sequence[Lease],
    by: str,
    deed: audit.Deed,
) -> None:
    """Take everything out of the store, and leave the marks by which it stays away: all or nothing."""
    who, name, opaque = there.who, clinic.store.clinic, clinic.opaque
    patient = of_patient(opaque, *who)
    marks = [(patient, erased.PATIENT)]
    for one in there.rows.visits:
        if one.mine:
            marks.append((of_visit(opaque, who.source, one.key), erased.VISIT))
        else:
            marks.append((of_member(opaque, who.source, one.key, who.key), erased.VISIT))
    marks += [(of_record(opaque, *one), erased.RECORD) for one in there.records]
    with clinic.store.write() as connection:
        dialects.overwrite_what_goes(connection)
        for held in leases:
            held.fence(connection)
        erasing.take_out(
            connection,
            name,
            who,
            there.rows,
            set_aside=there.set_aside,
            mark_of=lambda key: of_visit(opaque, who.source, key),
            now=clinic.now,
        )
        emptied, _ = erasing.waiting(connection, name)
        erasing.want_away(connection, name, emptied, events.another_wish, clinic.now)
        erasing.empty_lists(connection, name)
        erased.put(connection, name, marks, now=clinic.now, who=by)
        audit.note(connection, name, deed._replace(about=f"patient/{patient}"))


def _finish(clinic: Clinic, done: Erasure) -> None:
    """Drop what only waited for its events, clean the store's free space, and note what is done."""
    name = clinic.store.clinic
    with clinic.store.write() as connection:
        dialects.overwrite_what_goes(connection)
        emptied, events_left = erasing.waiting(connection, name)
        still = [one for one in events_left if one.written or not _rehearses(clinic, one.calendar)]
        open_ = {one.appointment for one in still}
        erasing.drop(connection, name, [number for number in emptied if number not in open_])
    done.events_left = [f"{one.calendar}: {one.reason or 'not gone yet'}" for one in still]
    done.written_anew = dialects.write_anew(clinic.store.engine)
    if not done.done:
        return
    with clinic.store.write() as connection:
        for one in erased.unfinished(connection, name):
            erased.finish(connection, name, one.mark, now=clinic.now)


def _rehearses(clinic: Clinic, calendar: str) -> bool:
    """Whether nothing was ever written to a calendar, as it is only rehearsed."""
    plugin = calendar.partition(":")[0]
    if plugin not in clinic.settings.calendars:
        return False
    leaving = outward.events(clinic, clinic.standing(), clinic.calendar(plugin))
    return isinstance(leaving, Rehearse)
