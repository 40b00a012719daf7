"""The steps that runners share. Each may be run again at any time, by anyone, twice at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from clinicrelay.contracts import Page
from clinicrelay.errors import Refused, SettingsError, StoreRefused, TryLater
from clinicrelay.times import day_of
from sync import absence, keep, planner, push, receipts, second_look, send
from sync import pull as pulling
from sync import settle as settling
from sync.connections import Connections
from sync.erased import Gone
from sync.pull import SourceRun
from sync.report import SourceReport
from sync.store import high_water, memory, progress, quarantine, seconds
from sync.store.high_water import SENDING
from sync.store.leases import lease, renewed
from sync.store.said import Pass
from sync.store.shards import lease_of

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.push import CalendarRun
    from sync.send import MessageRun
    from sync.store.leases import Lease

_LONGEST_READ = timedelta(hours=1)
_LONGEST_LOOK = timedelta(minutes=10)
_LONGEST_TIDYING = 60.0  # seconds
TIDIED = "sync/purge"  # what remembers when that was
_MOMENT, _MOMENTS = 0.05, 40  # seconds, and how many of them to wait for a lease
_AGAIN = "the next run tries again; if it goes on: clinicrelay check --connect"


def pull(clinic: Clinic, name: str) -> SourceReport:
    """Read one source to its end; a failure of it is in the report, not raised."""
    with lease(clinic.store, f"source:{name}", clinic.settings.store.lease) as held:
        if held is None:
            return SourceReport("busy")
        try:
            connector = clinic.connector(name)
            if not connector.waiting():
                return _nothing_waits(clinic, name, connector.nothing_to_read())
            with _patiently(clinic, held):
                return _read(clinic, _source(clinic, name, held))
        except TryLater as error:
            return _failed(clinic, name, str(error), _AGAIN)
        except Refused as error:
            return _failed(clinic, name, str(error), error.fix)
        except StoreRefused:
            raise
        except SettingsError as error:
            return _failed(clinic, name, _placed(error), "clinicrelay check")


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


def _source(clinic: Clinic, name: str, held: Lease) -> SourceRun:
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
        told=lambda records: clinic.tell(f"{name} {records} records"),
    )


def _read(clinic: Clinic, source: SourceRun) -> SourceReport:
    try:
        return _read_to_its_end(clinic, source)
    finally:
        source.connector.close()


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
        idle=None if read_anything else source.connector.nothing_to_read(),
        notes=source.notes,
        held=source.holds,
    )


def _failed(clinic: Clinic, name: str, error: str, fix: str) -> SourceReport:
    with clinic.store.write() as connection:
        progress.note(connection, clinic.store.clinic, name, state="failed", error=error)
    return SourceReport("failed", error=error, fix=fix, complete=False)


def broken(clinic: Clinic, name: str, error: Exception) -> SourceReport:
    """Return the report of a source whose read met a mistake of ours: it is red until that is mended."""
    sentence = f"a mistake of ours ended its read ({type(error).__name__}): please report it"
    return replace(_failed(clinic, name, sentence, "clinicrelay sync"), bug=error)


def plan(clinic: Clinic) -> int | None:
    """Decide about every visit that woke; None when another run is at it."""
    if not planner.waits(clinic):
        return 0
    with lease(clinic.store, "plan", clinic.settings.store.lease) as held:
        return None if held is None else planner.plan(clinic, held)


def deliver_events(clinic: Clinic) -> dict[str, CalendarRun]:
    """Bring every calendar up to date."""
    return push.push(clinic)


def settle(clinic: Clinic, run: MessageRun) -> None:
    """Find out what became of attempts without an end; before `plan`, which goes by what was told."""
    from sync.store import said

    with clinic.store.read() as connection:
        shards = said.shards_with_open(connection, clinic.store.clinic, now=clinic.now)
    with _connected(clinic, run):
        for shard in shards:
            with lease(clinic.store, lease_of(shard), clinic.settings.store.lease) as held:
                if held is not None:  # else they have a living sender
                    settling.settle(clinic, held, shard, run)


def look_back(clinic: Clinic, run: MessageRun) -> None:
    """Ask how far accepted messages came; before `plan`, which goes by what was told."""
    from sync.store import receipts as kept

    with clinic.store.read() as connection:
        if not kept.to_ask(connection, clinic.store.clinic, now=clinic.now, limit=1):
            return
    with lease(clinic.store, "receipts", clinic.settings.store.lease) as held:
        if held is not None:
            with _connected(clinic, run):
                receipts.look_back(clinic, held, run)


@contextmanager
def _connected(clinic: Clinic, run: MessageRun) -> Iterator[None]:
    """Keep to how many processes may use a notifier at once; a plan calls none."""
    if clinic.dry:
        yield
        return
    with ExitStack() as held:
        run.connections = Connections(clinic, held)
        yield


def deliver_messages(clinic: Clinic, run: MessageRun) -> bool:
    """Send what is due, beside other senders; False when they are at all of it."""
    if not clinic.dry:  # in a plan time goes on, and nothing is read
        clinic.overdue = clinic.held_back = None
    with _connected(clinic, run):
        return _deliver(clinic, run)


def _deliver(clinic: Clinic, run: MessageRun) -> bool:
    sending = False
    for which in Pass:
        if which is Pass.UNTRIED and not _look_again(clinic, run):  # news wait for no source
            return True
        shards = _shards(clinic, which)
        if not shards:
            continue
        if not sending and not (sending := _begin_to_send(clinic, run)):
            return False
        free = [_send_shard(clinic, shard, which, run) for shard in shards]
        if which is Pass.ALL and not any(free):
            return False
    return True


def _look_again(clinic: Clinic, run: MessageRun) -> bool:
    """Ask about the visits of due reminders once more; what they have become is planned at once.

    False when another process is at it: it sends what is due once it knows.
    """
    clinic.unasked = frozenset()
    if clinic.dry or not (doubtful := second_look.doubtful(clinic)):
        return True
    with lease(clinic.store, "look", clinic.settings.store.lease) as held:
        if held is None:
            return False
        with renewed(clinic.store, held, at_most=_LONGEST_LOOK * len(doubtful)):
            for name, keys in doubtful.items():
                _ask_source(clinic, name, keys, run)
    plan(clinic)
    return True


def _ask_source(clinic: Clinic, name: str, keys: list[str], run: MessageRun) -> None:
    with lease(clinic.store, f"source:{name}", clinic.settings.store.lease) as held:
        if held is None or clinic.ending.is_set():
            return  # it is being read
        try:
            source = _source(clinic, name, held)
        except (Refused, SettingsError):
            return  # the next read meets the same, and tells it
        try:
            with renewed(clinic.store, held, at_most=_LONGEST_LOOK):
                looked = second_look.look(clinic, source, keys)
        finally:
            source.connector.close()
        if looked.failure:
            # Nobody waits for it again before it was read: that takes as long as its timeouts.
            _failed(clinic, name, str(looked.failure), _AGAIN)
        clinic.unasked |= {(name, key) for key in looked.left}
        run.holds += source.holds


def _shards(clinic: Clinic, which: Pass) -> list[int]:
    from sync.store import said

    with clinic.store.read() as connection:
        return said.shards_with_due(connection, clinic.store.clinic, which, now=clinic.now)


def _begin_to_send(clinic: Clinic, run: MessageRun) -> bool:
    """Judge whether it is too much, and note how far the store has come; False: somebody else does."""
    with _soon(clinic, SENDING) as held:
        if held is None:
            return False
        send.hold_surplus(clinic, held, run)
        if not clinic.dry:
            high_water.note(clinic.settings.data, held.token)
        return True


@contextmanager
def _soon(clinic: Clinic, name: str) -> Iterator[Lease | None]:
    """Hold a lease that others hold for moments only; None when one is not."""
    for _ in range(_MOMENTS):
        with lease(clinic.store, name, clinic.settings.store.lease) as held:
            if held is not None:
                yield held
                return
        clinic.ending.wait(_MOMENT)
    yield None


def _send_shard(clinic: Clinic, shard: int, which: Pass, run: MessageRun) -> bool:
    if clinic.ending.is_set():
        return True
    with lease(clinic.store, lease_of(shard), clinic.settings.store.lease) as held:
        if held is not None:
            send.send(clinic, held, shard, which, run)
        return held is not None


def alert(clinic: Clinic, run: MessageRun) -> dict[str, str]:
    """Tell the clinic's own people what began to need them since the last look, and what is over.

    Returns what was to be told (opened or resolved), by the name of what it is about.
    """
    if clinic.settings.monitoring.alerts is None or clinic.dry or clinic.ending.is_set():
        return {}
    from sync import alerts
    from sync.conditions import conditions

    if not alerts.look(clinic, conditions(clinic)):
        return {}
    with lease(clinic.store, "alerts", clinic.settings.store.lease) as held:
        told = alerts.note(clinic, held, conditions(clinic)) if held is not None else []
    if told:
        deliver_messages(clinic, run)
    return {step.after.name: str(step.tells) for step in told if step.after}


def heed_settings(clinic: Clinic) -> None:
    """Note in the audit trail that the settings file is not what it was at the last run."""
    if clinic.dry or clinic.file is None:
        return
    now = clinic.opaque("settings", sha256(clinic.file.read_bytes()).hexdigest())
    at = (clinic.store.clinic, "sync/settings", "seen")
    with clinic.store.read() as connection:
        before = memory.text_of(connection, *at)
    if before == (seen := json.dumps(now)):
        return
    from sync.store import audit

    with clinic.store.write() as connection:
        if memory.replace(connection, *at, before, seen):
            details = {"before": json.loads(before)} if before else {}
            deed = audit.Deed(clinic.actor, "settings.seen", f"settings/{now}", details=details)
            audit.note(connection, clinic.store.clinic, deed)


def tidy(clinic: Clinic) -> None:
    """Delete what is older than settings keep it: once a day, for a minute at most.

    What is left by then goes the next day. A clock that was set by hand deletes nothing by itself.
    """
    if clinic.dry or clinic.rehearsed or clinic.ending.is_set():
        return
    today = json.dumps(day_of(clinic.now, clinic.zone).isoformat())
    with clinic.store.read() as connection:
        if memory.text_of(connection, clinic.store.clinic, TIDIED, "day") == today:
            return
    from sync import purging

    purging.purge(clinic, within=_LONGEST_TIDYING, who="clinicrelay")


def counts(clinic: Clinic) -> dict[str, Any]:
    """Return what is still open: holds, messages due later, and notifiers that cannot send."""
    from sync.breaker import barred
    from sync.store import incoming, said

    with clinic.store.read() as connection:
        return {
            "holds": len(incoming.open_holds(connection, clinic.store.clinic)),
            "later": said.count_later(connection, clinic.store.clinic, now=clinic.now),
            "barred": barred(connection, clinic.store.clinic),
        }
