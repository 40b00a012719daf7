"""Tells of a message that is about no visit: an alert to the clinic's own people, or a day's list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from clinicrelay.times import local
from sync.alerts import SETTING
from sync.chronicle import Line, entries
from sync.explain import with_attempts
from sync.reasons import in_words, reason
from sync.store import alerts, looking
from sync.store.said import say_of

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.store.alerts import Episode

_FATE = {
    "planned": "It has not left yet",
    "sending": "It is being sent",
    "sent": "It was sent",
    "skipped": "It was not sent",
    "failed": "It failed for good",
    "unknown": "Nobody knows yet whether it arrived",
    "unproven": "Nobody can find out whether it arrived",
    "held": "It is held for a person (clinicrelay held list)",
}


class Notice(NamedTuple):
    """What became of such a message, line by line, as the ledger has it, and in short."""

    history: Sequence[Line]
    message: Mapping[str, Any]
    answer: str


def notice(clinic: Clinic, reference: str) -> Notice | None:
    """Return what is known of the alert or list that an id names; None: it names none."""
    with clinic.store.read() as connection:
        row = looking.of_no_visit(connection, clinic.store.clinic, reference.strip())
        if row is None:
            return None
        (message,) = with_attempts(connection, [row])
        say = say_of(message["say"])
        episode = alerts.numbered(connection, clinic.store.clinic, say.about or 0)
    history = sorted([*_lines(episode), *entries(message)], key=lambda line: line.at)
    answer = f"{_head(clinic, message, episode)} {_fate(clinic, message)}"
    return Notice(history, message, answer)


def _lines(episode: Episode | None) -> Iterator[Line]:
    if episode is not None:
        yield Line(episode.since, "a person is needed", None, SETTING, episode.what)
        if episode.closed_at is not None:
            yield Line(episode.closed_at, "it is over", None, SETTING)


def _head(clinic: Clinic, message: Mapping[str, Any], episode: Episode | None) -> str:
    if episode is None:
        return f"This is the {message['kind']} {message['step']} for {message['recipient']}."
    over = f", over since {_when(clinic, episode.closed_at)}" if episode.closed_at else ""
    return f"This alert ({message['step']}) tells: {episode.what}{over}."


def _fate(clinic: Clinic, message: Mapping[str, Any]) -> str:
    """Say how a message ended, or why it waits, and what helps."""
    told = _FATE.get(message["state"], message["state"])
    if message["channel"]:
        told += f", by {message['notifier']}"
    if message["settled_at"]:
        told += f" on {_when(clinic, message['settled_at'])}"
    if not message["reason"]:
        return f"{told}."
    return f"{told}: {in_words(message['reason'])}. {reason(message['reason']).to_do}"


def _when(clinic: Clinic, at: datetime) -> str:
    return local(at, clinic.zone).strftime("%a %-d %b %H:%M")
