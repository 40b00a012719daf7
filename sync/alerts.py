"""Alerts: tells the clinic's own people once when something needs them, and once when it is over.

Each thing that needs a person is an episode with a beginning and an end. What is told travels through
the ledger as any message does, so it is written down before it leaves and is never sent twice; an
alert that could not leave before its cause was over is dropped, and its end with it.

They are in English, as the commands are that they name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from clinicrelay import times
from clinicrelay.actions import Facts, MessageKind, Role, Say
from clinicrelay.contracts import Message
from clinicrelay.model import Channel, Practitioner
from clinicrelay.settings.monitoring import channel_of
from sync.gate import Drop, GateOptions, Wait
from sync.store import alerts, said
from sync.store.alerts import Episode
from sync.store.said import Owed

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.gate import Go
    from sync.store.leases import Lease
    from sync.store.said import Due

OPENED, RESOLVED = "opened", "resolved"
SETTING = "monitoring.alerts"
_OF_USE = timedelta(days=7)
_MAY_HAVE_IT = ("sent", "unknown", "unproven")
_LOOK_AGAIN = timedelta(minutes=1)
About: TypeAlias = "Callable[[str], bool]"


class Condition(NamedTuple):
    """Something that needs a person as it stands now: what, what follows from it, what helps.

    `patience` is how long it may last before anybody is told: some things pass by themselves.
    """

    name: str
    what: str
    follows: str
    command: str
    since: datetime
    patience: timedelta = timedelta(0)


class Step(NamedTuple):
    """An episode before and after a look; `after` None: it was over before anybody was told."""

    before: Episode | None
    after: Episode | None

    @property
    def tells(self) -> str | None:
        """Return what is to be told of it, if anything."""
        if self.after is None or self.after.told_at is None:
            return None
        if self.before is None or self.before.told_at is None:
            return OPENED
        return RESOLVED if self.after.closed_at else None


def judge(
    conditions: Mapping[str, Condition], known: Mapping[str, Episode], *, now: datetime
) -> list[Step]:
    """Return the episodes that begin, are to be told, or end; what goes on as it was is left out."""
    steps = [
        Step(known.get(name), _after(known.get(name), conditions.get(name), now))
        for name in sorted({*conditions, *known})
    ]
    return [step for step in steps if step.after != step.before]


def _after(episode: Episode | None, condition: Condition | None, now: datetime) -> Episode | None:
    if condition is None:
        over = episode is not None and episode.told_at is not None
        return episode._replace(closed_at=now) if episode and over else None
    if episode is not None and episode.told_at is not None:
        return episode
    due = not condition.patience or now - condition.since >= condition.patience
    return Episode(
        condition.name,
        condition.since,
        condition.what,
        condition.follows,
        condition.command,
        told_at=now if due else None,
        number=episode.number if episode else 0,
    )


# --- kept --------------------------------------------------------------------------------------


def note(
    clinic: Clinic, lease: Lease, conditions: Mapping[str, Condition], about: About = lambda _: True
) -> list[Step]:
    """Write down what began and ended, and enter what is to be told; return what that is of."""
    steps = look(clinic, conditions, about)
    if not steps:
        return []
    with clinic.store.write() as connection:
        lease.fence(connection)
        owed: list[Owed] = []
        for step in steps:
            if step.after is None:
                assert step.before is not None
                alerts.forget(connection, step.before)
                continue
            if step.before is None:
                episode = alerts.begin(connection, clinic.store.clinic, step.after)
            else:
                alerts.replace(connection, episode := step.after)
            if step.tells:
                owed += _messages(clinic, episode, step.tells)
        said.owe(
            connection,
            clinic.store.clinic,
            owed,
            run=clinic.run,
            now=clinic.now,
            reopens=lambda _owed, _ended: False,
        )
    return [step for step in steps if step.tells]


def look(
    clinic: Clinic, conditions: Mapping[str, Condition], about: About = lambda _: True
) -> list[Step]:
    """Return what began and ended since the last look; `about` says which names were looked at."""
    with clinic.store.read() as connection:
        known = alerts.open_(connection, clinic.store.clinic)
    return judge(
        conditions, {name: one for name, one in known.items() if about(name)}, now=clinic.now
    )


def _messages(clinic: Clinic, episode: Episode, step: str) -> Iterator[Owed]:
    told = clinic.settings.monitoring.alerts
    for address in told.to if told else ():
        say = Say(
            kind=MessageKind.ALERT,
            role=Role.STAFF,
            recipient=f"staff/{address}",
            facts=Facts(on=step == OPENED),
            due_at=clinic.now,
            useless_after=clinic.now + _OF_USE,
            setting=SETTING,
            step=step,
            about=episode.number,
        )
        yield Owed(_dedupe(episode.number, step, say.recipient), None, say)


def _dedupe(number: int, step: str, recipient: str) -> str:
    parts = ("alert", str(number), step, recipient)
    return sha256("\x1f".join(parts).encode()).hexdigest()[:32]


# --- on its way --------------------------------------------------------------------------------


def still(clinic: Clinic, say: Say) -> Drop | Wait | None:
    """Return why an alert is not to leave: it is over, or nobody heard that it had begun."""
    store, episode = clinic.store.clinic, _episode(clinic, say)
    with clinic.store.read() as connection:
        first = alerts.state_of(connection, store, _dedupe(say.about or 0, OPENED, say.recipient))
    if episode is None or (say.step == OPENED and episode.closed_at):
        return Drop("alert_over", SETTING)
    if say.step == OPENED:
        way = any(options(clinic, say, stopped=False).senders.values())
        return None if way else Wait(clinic.now + _LOOK_AGAIN, "alert_no_way")
    if first in _MAY_HAVE_IT:
        return None
    if first == "sending":
        return Wait(clinic.now + _LOOK_AGAIN, "alert_not_told")
    return Drop("alert_not_told", SETTING)


def person(clinic: Clinic, say: Say) -> Practitioner | None:
    """Return whom an alert is for; None: settings name them no more."""
    told, address = clinic.settings.monitoring.alerts, say.recipient.partition("/")[2]
    if told is None or address not in told.to:
        return None
    if channel_of(address) is Channel.EMAIL:
        return Practitioner(key=address, email=address)
    return Practitioner(key=address, phone=address)


def options(clinic: Clinic, say: Say, *, stopped: bool) -> GateOptions:
    """Return what the gate goes by: the night, a pause and `only_recipients` hold no alert back.

    Another notifier of the channel takes it where the one that is named is out of use; but not one
    that only writes files, which nobody would be told by. None takes the news that it does not work.
    """
    channel = channel_of(say.recipient)
    told, episode = clinic.settings.monitoring.alerts, _episode(clinic, say)
    via = told.via if told else ""
    ailing = episode.name if episode and say.step == OPENED else ""
    able = [name for name in clinic.senders[channel] if ailing != f"notifier/{name}"]
    others = [name for name in able if name != via and clinic.notifier(name).connects]
    return GateOptions(
        order=(channel.value,),
        order_setting=SETTING,
        senders={channel: tuple([via] * (via in able) + others)},
        consent={},
        zone=clinic.zone,
        paused=stopped,
    )


def _episode(clinic: Clinic, say: Say) -> Episode | None:
    with clinic.store.read() as connection:
        return alerts.numbered(connection, clinic.store.clinic, say.about or 0)


def message(clinic: Clinic, due: Due, go: Go, attempt: str) -> Message:
    """Return an alert as it is to leave."""
    episode = _episode(clinic, due.say)
    assert episode is not None
    return worded(clinic, due.say, episode, go.channel, go.address, attempt)


def worded(
    clinic: Clinic, say: Say, episode: Episode, channel: Channel, address: str, attempt: str
) -> Message:
    """Return an alert in words."""
    name, opened = clinic.settings.clinic.name, say.step == OPENED
    head = episode.what if opened else f"over: {episode.what}"
    lines = _beginning(clinic, episode) if opened else _end(clinic, episode)
    short = f"{name}: {head}. {episode.command if opened else ''}".rstrip()
    return Message(
        id=attempt,
        channel=channel,
        to=address,
        text="\n".join(lines) if channel is Channel.EMAIL else short,
        subject=f"{name}: {head}" if channel is Channel.EMAIL else None,
        language="en",
        kind=say.kind.value,
        useless_after=say.useless_after,
        written_at=clinic.now,
        template=say.kind.value,
    )


def _beginning(clinic: Clinic, episode: Episode) -> Iterator[str]:
    yield f"{episode.what}."
    yield ""
    yield f"Since         {_when(clinic, episode.since)}"
    yield f"What follows  {episode.follows}"
    yield f"What helps    {episode.command}"
    yield ""
    yield "You are told once more, when this is over. How all stands: clinicrelay status"


def _end(clinic: Clinic, episode: Episode) -> Iterator[str]:
    yield f"This is over: {episode.what}."
    yield ""
    yield f"Since         {_when(clinic, episode.since)}"
    yield f"Until         {_when(clinic, episode.closed_at or clinic.now)}"


def _when(clinic: Clinic, at: datetime) -> str:
    return f"{times.local(at, clinic.zone):%a %d %b %Y %H:%M} ({clinic.zone})"
