"""A step: reads one source to its end, or maps once more what it said."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from clinicrelay.contracts import Page
from clinicrelay.errors import Refused, SettingsError, StoreRefused, TryLater
from clinicrelay.times import iso
from sync import absence, keep, planner, proving, restored, rewording
from sync import pull as pulling
from sync.erased import Gone
from sync.pull import SourceRun
from sync.report import SourceReport
from sync.store import progress, quarantine, seconds
from sync.store.leases import lease, renewed, soon

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.store.leases import Lease

AGAIN = "the next run tries again; if it goes on: clinicrelay check --connect"
_LONGEST_READ = timedelta(hours=1)


def pull(clinic: Clinic, name: str) -> SourceReport:
    """Read one source to its end; a failure of it is in the report, not raised."""
    return _alone(clinic, name, lambda held: _pull(clinic, name, held))


def _pull(clinic: Clinic, name: str, held: Lease) -> SourceReport:
    if not _may_be_read(clinic):
        return SourceReport("busy")
    connector = clinic.connector(name)
    restored.take_back(clinic, name, connector)
    if not connector.waiting():
        return _nothing_waits(clinic, name, connector.nothing_to_read())
    with _patiently(clinic, held):
        source = source_of(clinic, name, held)
        try:
            return _read_to_its_end(clinic, source)
        finally:
            source.connector.close()


def replay(clinic: Clinic, name: str, since: datetime) -> SourceReport:
    """Map once more what a source said since a moment; a failure of it is in the report, not raised."""
    return _alone(clinic, name, lambda held: _replay(clinic, name, since, held))


def _replay(clinic: Clinic, name: str, since: datetime, held: Lease) -> SourceReport:
    from sync import replaying

    with _patiently(clinic, held):
        source = source_of(clinic, name, held)
        try:
            _forget_unjudged(source)
            _note_replay(source, clinic.actor, since)
            replaying.replay(clinic, source, since)
            return _report(source, source.read > 0)
        finally:
            source.connector.close()


def _alone(clinic: Clinic, name: str, read: Callable[[Lease], SourceReport]) -> SourceReport:
    """Read a source that nobody else is reading, and note it where that fails."""
    with lease(clinic.store, f"source:{name}", clinic.settings.store.lease) as held:
        if held is None:
            return SourceReport("busy")
        try:
            return read(held)
        except TryLater as error:
            return failed(clinic, name, held, str(error), AGAIN)
        except Refused as error:
            return failed(clinic, name, held, str(error), error.fix)
        except StoreRefused:
            raise
        except SettingsError as error:
            return failed(clinic, name, held, _placed(error), "clinicrelay check")


def _may_be_read(clinic: Clinic) -> bool:
    """Whether what was due before is known to be: after a restore, what is read may be new."""
    found = restored.open_gap(clinic)
    if found is None or found.begun:
        return True
    with soon(clinic.store, "plan", clinic.settings.store.lease, clinic.ending) as held:
        if held is not None:
            restored.begin(clinic, held)
        return held is not None


def _patiently(clinic: Clinic, held: Lease) -> AbstractContextManager[None]:
    """Keep the lease up while a source takes its time; a scratch store is for one thread alone."""
    return nullcontext() if clinic.dry else renewed(clinic.store, held, at_most=_LONGEST_READ)


def _placed(error: SettingsError) -> str:
    """Return what is wrong, and in which line of which file."""
    return "; ".join(
        f"{one.file}:{one.line}: {one.message}" if one.file and one.line else one.message
        for one in error.findings
    )


def _nothing_waits(clinic: Clinic, name: str, why: str | None) -> SourceReport:
    with clinic.store.read() as connection:
        known = progress.progress(connection, clinic.store.clinic, name)
    return SourceReport("held" if known.state == "held" else "ok", idle=why)


def source_of(clinic: Clinic, name: str, held: Lease) -> SourceRun:
    failing = proving.prove(clinic, name)
    connector, mapper = clinic.source(name)
    return SourceRun(
        name=name,
        connector=connector,
        mapper=mapper,
        store=clinic.store,
        lease=held,
        run=clinic.run,
        now=clinic.now,
        remembered=dict(connector.kit.memory),
        erased=Gone(clinic.store, clinic.opaque, name),
        oldest=seconds(clinic.too_old("appointments")),
        dry=clinic.dry,
        first_look=planner.first_look(clinic),
        reword=partial(rewording.reword, clinic),
        told=lambda records: clinic.tell(f"{name} {records} records"),
        failing=failing,
    )


def _read_to_its_end(clinic: Clinic, source: SourceRun) -> SourceReport:
    if not clinic.dry:
        source.connector.claim()
    _forget_unjudged(source)
    limits = clinic.settings.safety.hold_if
    if answers := absence.ask_again(source):
        page = Page("by id", last=True, correction=True)
        keep.end_read(source, answers, page, limits=limits, zone=clinic.zone)
    read_anything = False
    for reading, page in pulling.pull(source, clinic.window(source.name)):
        read_anything, source.unfinished = True, page.unfinished
        absence.ask_by_key(source, reading, page, limits=limits, zone=clinic.zone)
        keep.end_read(source, reading, page, limits=limits, zone=clinic.zone)
    return _report(source, read_anything)


def _note_replay(source: SourceRun, who: str, since: datetime) -> None:
    if source.dry:
        return
    from sync.store import audit

    with source.store.write() as connection:
        source.lease.fence(connection)
        deed = audit.Deed(who, "replay", f"source/{source.name}", details={"since": iso(since)})
        audit.note(connection, source.clinic, deed)


def _forget_unjudged(source: SourceRun) -> None:
    from sync.store import incoming

    with source.store.read() as connection:
        left = incoming.any_unjudged(connection, source.clinic, source.name)
    if left:
        with source.store.write() as connection:
            source.lease.fence(connection)
            incoming.forget_unjudged(connection, source.clinic, source.name)


def _report(source: SourceRun, read_anything: bool) -> SourceReport:
    with source.store.read() as connection:
        known = progress.progress(connection, source.clinic, source.name)
        fresh = quarantine.new_in(connection, source.clinic, source.name, source.run)
    told = read_anything and source.complete is not None  # corrections tell nothing of the whole
    state = known.state if told else "held" if known.state == "held" else "ok"
    return SourceReport(
        state="held" if source.holds else state,
        strategy=source.connector.strategy,
        unfinished=source.unfinished,
        read=source.read,
        kept=source.read - source.set_aside - source.skipped,
        unchanged=source.unchanged,
        changes={str(what): n for what, n in sorted(source.changes.items()) if n},
        set_aside=source.set_aside,
        set_aside_new=fresh,
        skipped=source.skipped,
        complete=source.complete,
        idle=_names_none(source, known) if read_anything else source.connector.nothing_to_read(),
        notes=source.notes,
        held=source.holds,
        failing=source.failing,
    )


def _names_none(source: SourceRun, known: progress.Progress) -> str | None:
    """Say that a source answers and has no visit: so does one whose account may see none."""
    if source.read or source.holds or known.last_count != 0:
        return None
    return "answers, and names no visit: is there none, or may our account see none?"


def failed(clinic: Clinic, name: str, held: Lease | None, error: str, fix: str) -> SourceReport:
    """Note that a read failed, unless another run has meanwhile taken its place and read."""
    with clinic.store.write() as connection:
        if held is not None:
            held.fence(connection)
        progress.note(connection, clinic.store.clinic, name, state="failed", error=error)
    return SourceReport("failed", error=error, fix=fix, complete=False)


def broken(clinic: Clinic, name: str, error: Exception) -> SourceReport:
    """Return the report of a source whose read met a mistake of ours: it is red until that is mended."""
    sentence = f"a mistake of ours ended its read ({type(error).__name__}): please report it"
    return replace(failed(clinic, name, None, sentence, "clinicrelay sync"), bug=error)
