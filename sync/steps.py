"""The steps that runners share. Each may be run again at any time, by anyone, twice at once."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from clinicrelay.errors import Refused, SettingsError
from clinicrelay.times import day_of
from sync import planner, push, reads, receipts, restored, second_look, send
from sync import settle as settling
from sync.connections import Connections
from sync.store import gap, high_water, memory
from sync.store.high_water import SENDING
from sync.store.leases import LeaseLost, lease, renewed, soon
from sync.store.said import Pass
from sync.store.shards import SHARDS, lease_of

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.push import CalendarRun
    from sync.send import MessageRun
    from sync.store.leases import Lease

_LONGEST_LOOK = timedelta(minutes=10)
_LONGEST_SENDING = timedelta(hours=1)
_LONGEST_TIDYING = 60.0  # seconds
TIDIED = "sync/purge"  # what remembers when that was
_SEEN = ("sync/settings", "seen")


def plan(clinic: Clinic) -> int | None:
    """Decide about every visit that woke; None when another run is at it."""
    if restored.open_gap(clinic) is None and not planner.waits(clinic):
        return 0
    with lease(clinic.store, "plan", clinic.settings.store.lease) as held:
        return None if held is None else restored.plan(clinic, held)


def keeps_back(clinic: Clinic) -> bool:
    """Whether `plan` may have kept back what left before the store was put back from a copy."""
    if clinic.dry:
        return False
    with clinic.store.read() as connection:
        return gap.waits(connection, clinic.store.clinic)


def deliver_events(clinic: Clinic, names: Collection[str] | None = None) -> dict[str, CalendarRun]:
    """Bring every calendar up to date, or those of some plugins (their names in settings)."""
    return push.push(clinic, names)


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


def deliver_messages(
    clinic: Clinic, run: MessageRun, shards: Collection[int] = range(SHARDS)
) -> bool:
    """Send what is due in all or some shards, beside other senders; False: they are at all of it."""
    if not clinic.dry:  # in a plan time goes on, and nothing is read
        clinic.overdue = clinic.held_back = None
    with _connected(clinic, run):
        if restored.open_gap(clinic) is None:
            return _deliver(clinic, run, shards)
        # What others plan meanwhile may have left before, and has to be kept back first.
        with _soon(clinic, "plan") as held:
            if held is None:
                return False
            with renewed(clinic.store, held, at_most=_LONGEST_SENDING):
                restored.keep_back(clinic, held)
                return _deliver(clinic, run, shards)


def _deliver(clinic: Clinic, run: MessageRun, shards: Collection[int]) -> bool:
    sending = False
    for which in Pass:
        if which is Pass.UNTRIED and not _look_again(
            clinic, run, shards
        ):  # news wait for no source
            return True
        due = [shard for shard in _shards(clinic, which) if shard in shards]
        if not due:
            continue
        if not sending and not (sending := _begin_to_send(clinic, run)):
            return False
        free = [_send_shard(clinic, shard, which, run) for shard in due]
        if which is Pass.ALL and not any(free):
            return False
    return True


def _look_again(clinic: Clinic, run: MessageRun, shards: Collection[int]) -> bool:
    """Ask about the visits of due reminders once more; what they have become is planned at once.

    False when another process is at it: it sends what is due once it knows.
    """
    clinic.unasked = frozenset()
    if clinic.dry or not (doubtful := second_look.doubtful(clinic, shards)):
        return True
    with lease(clinic.store, "look", clinic.settings.store.lease) as held:
        if held is None:
            return False
        with renewed(clinic.store, held, at_most=_LONGEST_LOOK * len(doubtful)):
            for name, keys in doubtful.items():
                _ask_source(clinic, name, keys, run)
    run.looked_again = True
    plan(clinic)
    return True


def _ask_source(clinic: Clinic, name: str, keys: list[str], run: MessageRun) -> None:
    with lease(clinic.store, f"source:{name}", clinic.settings.store.lease) as held:
        if held is None or clinic.ending.is_set():
            return  # it is being read
        try:
            source = reads.source_of(clinic, name, held)
        except (Refused, SettingsError):
            return  # the next read meets the same, and tells it
        try:
            with renewed(clinic.store, held, at_most=_LONGEST_LOOK):
                looked = second_look.look(clinic, source, keys)
        finally:
            source.connector.close()
        if looked.failure:
            # Nobody waits for it again before it was read: that takes as long as its timeouts.
            with suppress(LeaseLost):  # it is read by now, which says more
                reads.failed(clinic, name, held, str(looked.failure), reads.AGAIN)
        clinic.unasked |= {(name, key) for key in looked.left}
        run.holds += source.holds


def _soon(clinic: Clinic, name: str) -> AbstractContextManager[Lease | None]:
    return soon(clinic.store, name, clinic.settings.store.lease, clinic.ending)


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


def _send_shard(clinic: Clinic, shard: int, which: Pass, run: MessageRun) -> bool:
    if clinic.ending.is_set():
        return True
    with lease(clinic.store, lease_of(shard), clinic.settings.store.lease) as held:
        if held is not None:
            send.send(clinic, held, shard, which, run)
        return held is not None


def take_stock(clinic: Clinic) -> None:
    """Remember which doctors, languages and texts there are, so that it is noticed when one is not."""
    if not clinic.dry and not clinic.ending.is_set():
        from sync import lacking, own_texts

        lacking.take_stock(clinic)
        own_texts.take_stock(clinic)


def changed_alerts(clinic: Clinic, command: str, *, whole: bool) -> bool:
    """Whether something began to need the clinic's own people since the last look, or is over."""
    from sync import alerts
    from sync.conditions import conditions
    from sync.silences import looked_at

    found = conditions(clinic, running=command, whole=whole)
    return bool(alerts.look(clinic, found, looked_at(whole=whole)))


def alert(clinic: Clinic, run: MessageRun, command: str, *, whole: bool) -> dict[str, str]:
    """Tell the clinic's own people what began to need them since the last look, and what is over.

    `command` is what runs; `whole` False leaves out what takes long to look at. Returns what was to
    be told (opened or resolved), by the name of what it is about.
    """
    if clinic.settings.monitoring.alerts is None or clinic.dry or clinic.ending.is_set():
        return {}
    from sync import alerts
    from sync.conditions import conditions
    from sync.silences import looked_at

    if not changed_alerts(clinic, command, whole=whole):
        return {}
    with lease(clinic.store, "alerts", clinic.settings.store.lease) as held:
        if held is None:
            return {}
        found = conditions(clinic, running=command, whole=whole)
        told = alerts.note(clinic, held, found, looked_at(whole=whole))
    if told:
        deliver_messages(clinic, run)
    return {step.after.name: str(step.tells) for step in told if step.after}


def waits(clinic: Clinic) -> bool:
    """Whether anything is to be settled, asked about, planned or sent: one look, nothing written."""
    from sync.store import receipts as kept
    from sync.store import said

    name, now = clinic.store.clinic, clinic.now
    with clinic.store.read() as connection:
        return (
            bool(said.shards_with_open(connection, name, now=now))
            or bool(kept.to_ask(connection, name, now=now, limit=1))
            or bool(said.shards_with_due(connection, name, Pass.ALL, now=now))
            or restored.is_open(connection, clinic)
            or planner.waits_in(connection, clinic)
        )


def due(clinic: Clinic) -> bool:
    """Whether a `send` would find anything to do; writes nothing, as a service asks every minute."""
    if waits(clinic):
        return True
    if clinic.settings.monitoring.alerts is None:
        return False
    from sync import alerts
    from sync.conditions import conditions

    return bool(alerts.look(clinic, conditions(clinic)))


def heed_settings(clinic: Clinic) -> None:
    """Note in the audit trail that the settings file is not what it was at the last run."""
    before, now = heeded(clinic)
    if clinic.dry or before == now:
        return
    from sync.store import audit

    at = (clinic.store.clinic, *_SEEN)
    with clinic.store.write() as connection:
        old = json.dumps(before) if before else None
        if memory.replace(connection, *at, old, json.dumps(now)):
            details = {"before": before} if before else {}
            deed = audit.Deed(clinic.actor, "settings.seen", f"settings/{now}", details=details)
            audit.note(connection, clinic.store.clinic, deed)


def heeded(clinic: Clinic) -> tuple[str, str]:
    """Return opaque names of the settings file that the last run read, and of the file as it is."""
    with clinic.store.read() as connection:
        before = memory.text_of(connection, clinic.store.clinic, *_SEEN)
    if clinic.file is None:
        return "", ""
    now = clinic.opaque("settings", sha256(clinic.file.read_bytes()).hexdigest())
    return json.loads(before) if before else "", now


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
    """Return what is still open: holds, messages due later, notifiers that cannot send, a store anew."""
    from sync import instance
    from sync.breaker import barred
    from sync.report import hold_json
    from sync.store import incoming, said

    with clinic.store.read() as connection:
        return {
            "holds": [*map(hold_json, incoming.open_holds(connection, clinic.store.clinic))],
            "later": said.count_later(connection, clinic.store.clinic, now=clinic.now),
            "unknown": said.count_unknown(connection, clinic.store.clinic),
            "barred": barred(connection, clinic.store.clinic),
            "anew": instance.has_begun_anew(connection, clinic.store.clinic),
        }
