"""What monitoring sees of clinics, in the text format of Prometheus, as a projection of the store.

Nothing is counted while working: a run that is killed, a second process and a restart change no
number, and what cron leaves in a file says the same as the service. What each metric means stands in
`sync.measures`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from clinicrelay import __version__
from clinicrelay.errors import StoreBusy, StoreRefused
from sync import calendar_health
from sync.breaker import barred
from sync.coverage import tomorrow
from sync.freshness import is_stale, rhythms, stale_after, state_of
from sync.measures import MEASURES, PREFIX
from sync.reasons import base
from sync.store import alerts, counting, gauges, incoming, memory, progress, schema

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic

_MODES = ("rehearsal", "live", "paused")
_STATES = ("ok", "new", "partial", "failed", "held", "stale")
_COMMANDS = ("sync", "send", "worker")
_MANY = 10_000  # visits that wait: more are not counted
_CODE = re.compile(r"[a-z][a-z0-9_]{0,59}")


class Sample(NamedTuple):
    """One number, and what tells it from the others of its metric."""

    name: str
    value: float
    labels: Mapping[str, str] = {}

    def json(self) -> dict[str, Any]:
        return {"name": PREFIX + self.name, "labels": dict(self.labels), "value": self.value + 0}


_BUILD = Sample("build_info", 1, {"version": __version__})
UNREADABLE = (Sample("store_readable", 0), _BUILD)


def exposition(clinics: Iterable[Clinic]) -> bytes:
    """Return the metrics of these clinics; of one whose store does not answer, that it does not."""
    return written({clinic.store.clinic: samples(clinic) for clinic in clinics})


def written(read: Mapping[str, Iterable[Sample]]) -> bytes:
    """Return what was read of each clinic as Prometheus wants it."""
    from prometheus_client import generate_latest
    from prometheus_client.core import GaugeMetricFamily

    families = {
        one.name: GaugeMetricFamily(PREFIX + one.name, one.says, labels=("clinic", *one.labels))
        for one in MEASURES.values()
    }
    for clinic, found in read.items():
        for sample in found:
            labels = (sample.labels.get(name, "") for name in MEASURES[sample.name].labels)
            families[sample.name].add_metric((clinic, *labels), sample.value)
    return generate_latest(_Collected([one for one in families.values() if one.samples]))


class _Collected:
    """What the writer of the format wants instead of a list."""

    def __init__(self, families: list[Any]) -> None:
        self._families = families

    def collect(self) -> list[Any]:
        return self._families


def samples(clinic: Clinic) -> list[Sample]:
    """Read everything there is to say of a clinic, in one look at its store."""
    try:
        with clinic.store.read() as connection:
            found = [*_read(clinic, connection)]
        found += _needs(clinic)
    except (StoreBusy, StoreRefused):
        return [*UNREADABLE]
    return [Sample("store_readable", 1), _BUILD, *found]


def _read(clinic: Clinic, connection: Connection) -> Iterator[Sample]:
    yield from _clinic(clinic, connection)
    yield from _runs(clinic, connection)
    yield from _sources(clinic, connection)
    yield from _aside(clinic, connection)
    yield from _messages(clinic, connection)
    yield from _notifiers(clinic, connection)
    yield from _tomorrow(clinic, connection)
    yield from _calendars(clinic, connection)


def _clinic(clinic: Clinic, connection: Connection) -> Iterator[Sample]:
    store = clinic.store.clinic
    version = schema.version_in(connection)
    if version and version.isdigit():
        yield Sample("store_schema", int(version))
    now_in = clinic.standing_in(connection).mode(clinic.now)
    for mode in _MODES:
        yield Sample("mode", mode == now_in, {"mode": mode})
    told = Counter(_about(name) for name in gauges.open_alerts(connection, store))
    for about, number in told.items():
        yield Sample("alerts_open", number, {"about": about})
    for why, number in alerts.unsent(connection, store, now=clinic.now):
        yield Sample("alerts_unsent", number, {"reason": _code(why)})
    if made := memory.recall(connection, store, "store").get("backup_at"):
        yield Sample("backup_last_success_timestamp_seconds", made)


def _needs(clinic: Clinic) -> Iterator[Sample]:
    """Yield what alerts tell, whether anybody is named there or not."""
    from sync.conditions import conditions

    ripe = (
        _about(one.name)
        for one in conditions(clinic).values()
        if clinic.now - one.since >= one.patience
    )
    for about, number in Counter(ripe).items():
        yield Sample("needs_person", number, {"about": about})


def _about(name: str) -> str:
    """Return what sort of thing an alert is about: after that comes which one."""
    return name.partition("/")[0]


def _runs(clinic: Clinic, connection: Connection) -> Iterator[Sample]:
    begun = gauges.last_begun(connection, clinic.store.clinic)
    for command in _COMMANDS:
        which = {"command": command}
        if command in begun:
            yield Sample("run_last_started_timestamp_seconds", begun[command], which)
        if run := gauges.last_run(connection, clinic.store.clinic, command):
            yield Sample("run_last_finished_timestamp_seconds", run.finished, which)
            yield Sample("run_last_exit_code", run.exit, which)
            yield Sample("run_last_duration_seconds", max(0, run.finished - run.started), which)


def _sources(clinic: Clinic, connection: Connection) -> Iterator[Sample]:
    usual = rhythms(connection, clinic.store.clinic)
    held = {hold["source"] for hold in incoming.open_holds(connection, clinic.store.clinic)}
    for name in clinic.settings.sources:
        known = progress.progress(connection, clinic.store.clinic, name)
        which, patience = {"source": name}, stale_after(clinic, name, usual.get(name))
        found = state_of(clinic, connection, name, known, usual.get(name))
        state = "held" if name in held else found
        for one in _STATES:
            yield Sample("source_state", one == state, {**which, "state": one})
        yield Sample("source_stale_after_seconds", patience.total_seconds(), which)
        last = known.last_complete_at
        if last is not None:
            yield Sample("source_last_success_timestamp_seconds", last, which)
        stale = last is not None and is_stale(clinic, connection, name, last, usual.get(name))
        yield Sample("source_stale", stale, which)
        if known.last_count is not None:
            yield Sample("source_records", known.last_count, which)
        if (mark := _instant((known.cursor or {}).get("watermark"))) is not None:
            yield Sample("source_watermark_timestamp_seconds", mark, which)


def _instant(mark: object) -> float | None:
    """Return a watermark that is a time; many are a number, or a word of the source's own."""
    try:
        at = datetime.fromisoformat(str(mark))
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _aside(clinic: Clinic, connection: Connection) -> Iterator[Sample]:
    store = clinic.store.clinic
    aside: Counter[tuple[str, str, str]] = Counter()
    for kind, source, why, number in gauges.set_aside(connection, store):
        aside[kind, _named(source), _code(why)] += number
    for (kind, source, why), number in aside.items():
        which = {"kind": kind, "source": source, "reason": why}
        yield Sample("quarantine_records", number, which)
    holds: Counter[tuple[str, str]] = Counter()
    visits: Counter[tuple[str, str]] = Counter()
    for hold in incoming.open_holds(connection, store):
        holds[hold["source"], hold["guard"]] += 1
        visits[hold["source"], hold["guard"]] += hold["visits"]
    for (source, guard), number in holds.items():
        which = {"source": source, "guard": guard}
        yield Sample("guard_held", number, which)
        yield Sample("guard_held_visits", visits[source, guard], which)


def _messages(clinic: Clinic, connection: Connection) -> Iterator[Sample]:
    store, now = clinic.store.clinic, clinic.now
    ended: Counter[tuple[str, str, str, str]] = Counter()
    for one in gauges.settled(connection, store, now=now):
        ended[one.state, _code(one.reason), one.kind, one.notifier] += one.number
    for (state, why, kind, notifier), number in ended.items():
        labels = {"state": state, "reason": why, "kind": kind, "notifier": notifier}
        yield Sample("messages_24h", number, labels)
    open_ = gauges.unknown(connection, store)
    for notifier in sorted({*clinic.settings.notifiers, *open_}):
        yield Sample("messages_unknown", open_.get(notifier, 0), {"notifier": notifier})
    yield Sample("messages_held", gauges.held_messages(connection, store))
    yield from _due(clinic, connection)
    yield Sample("visits_waiting", counting.awake(connection, store, now=now, at_most=_MANY))
    if first := gauges.first_awake(connection, store, now=now):
        yield Sample("visits_waiting_oldest_seconds", now.timestamp() - first)


def _due(clinic: Clinic, connection: Connection) -> Iterator[Sample]:
    due: dict[str, tuple[int, int]] = {"": (0, int(clinic.now.timestamp()))}
    for one in gauges.waiting(connection, clinic.store.clinic, now=clinic.now):
        number, oldest = due.get(_code(one.reason), (0, one.oldest))
        due[_code(one.reason)] = number + one.number, min(oldest, one.oldest)
    for why, (number, oldest) in due.items():
        yield Sample("messages_due", number, {"reason": why})
        if number:
            age = clinic.now.timestamp() - oldest
            yield Sample("messages_due_oldest_seconds", age, {"reason": why})


def _notifiers(clinic: Clinic, connection: Connection) -> Iterator[Sample]:
    stuck, standing = barred(connection, clinic.store.clinic), clinic.standing_in(connection)
    pauses = {pause.scope for pause in standing.in_force(clinic.now)}
    for name in clinic.settings.notifiers:
        which = {"notifier": name}
        yield Sample("notifier_barred", name in stuck, which)
        yield Sample("notifier_paused", bool({"", name} & pauses), which)
        if one := stuck.get(name):
            since = one.since.timestamp()
            labels = {**which, "reason": _code(one.reason)}
            yield Sample("notifier_barred_since_timestamp_seconds", since, labels)


def _tomorrow(clinic: Clinic, connection: Connection) -> Iterator[Sample]:
    day = tomorrow(clinic, connection).coverage
    yield Sample("coverage_tomorrow_booked", day.of)
    yield Sample("coverage_tomorrow_visits", day.visits)
    yield Sample("coverage_tomorrow_covered", day.covered)
    yield Sample("coverage_tomorrow_explained", day.explained)
    yield Sample("coverage_tomorrow_open", len(day.open))


def _calendars(clinic: Clinic, connection: Connection) -> Iterator[Sample]:
    for name, all_ in calendar_health.look(clinic, connection).items():
        which = {"calendar": name}
        why = Counter(_code(one.reason) for one in all_.each)
        for reason, number in {"": 0, **why}.items():
            yield Sample("calendars", number, {**which, "reason": reason})
        states = {
            "pending": all_.pending - all_.refused,
            "blocked": all_.refused,
            "hidden": all_.hidden,
            "held": all_.held,
        }
        for state, number in states.items():
            yield Sample("events", number, {**which, "state": state})
        oldest = max((one.lag for one in all_.each if one.lag), default=None)
        if oldest is not None:
            yield Sample("events_pending_oldest_seconds", oldest.total_seconds(), which)


# --- labels --------------------------------------------------------------------------------------


def _code(reason: str) -> str:
    """Return a reason code without what a provider adds in brackets; what is no code stays out."""
    code = base(reason) if reason else ""
    return code if not code or _CODE.fullmatch(code) else "other"


def _named(plugin: str) -> str:
    """Return the name in settings of a calendar's `NAME:ADDRESS`."""
    return plugin.partition(":")[0]
