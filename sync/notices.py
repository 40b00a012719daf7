"""Tells of messages that are no patient's: an alert, a day's list, or the latest to one doctor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from sync.alerts import SETTING
from sync.because import Because
from sync.chronicle import Line, decided_by, entries
from sync.explain import with_attempts
from sync.reasons import advice, in_words, to_do
from sync.store import alerts, looking
from sync.store.said import say_of

if TYPE_CHECKING:
    from clinicrelay.settings.schema import Doctor
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


_LOOK_BACK = timedelta(days=14)
_MOST = 20  # messages to a doctor


class Notice(NamedTuple):
    """What became of such messages, line by line, as the ledger has them, and in short."""

    history: Sequence[Line]
    messages: Sequence[Mapping[str, Any]]
    answer: str
    because: Because | None = None


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
    return Notice(history, [message], answer, _because(message))


def of_doctor(clinic: Clinic, reference: str) -> Notice | None:
    """Return what was lately said to the doctor whom `doctor/KEY`, a key or an id of settings names.

    None where nothing was, and settings know nobody of that name.
    """
    name = reference.strip().removeprefix("doctor/")
    named = [one for one in clinic.settings.doctors if name in (one.id, *_keys(one))]
    keys = {name, *(key for one in named for key in _keys(one))}
    with clinic.store.read() as connection:
        rows = looking.messages_to(
            connection,
            clinic.store.clinic,
            [f"doctor/{key}" for key in sorted(keys)],
            since=clinic.now - _LOOK_BACK,
            most=_MOST,
        )
        messages = with_attempts(connection, rows)
    if not messages:
        told = f"Nothing was said to this doctor in the last {_LOOK_BACK.days} days."
        return Notice([], [], told) if named else None
    lines = [line for one in messages for line in _about(one)]
    latest = messages[0]
    head = f"The latest to this doctor is the {latest['kind']} {latest['step']}."
    answer = f"{head} {_fate(clinic, latest)}"
    history = sorted(lines, key=lambda line: line.at)
    return Notice(history, messages, answer, _because(latest))


def _because(message: Mapping[str, Any]) -> Because | None:
    code = message["reason"]
    return Because(code, decided_by(message), to_do(code)) if code else None


def _keys(doctor: Doctor) -> Iterator[str]:
    """Yield the keys under which sources know a doctor of the settings."""
    yield from doctor.match.values() if isinstance(doctor.match, dict) else (doctor.match,)


def _about(message: Mapping[str, Any]) -> Iterator[Line]:
    for line in entries(message):
        parts = filter(None, (message["visit"], line.detail))
        yield line._replace(detail=", ".join(parts))


def _lines(episode: Episode | None) -> Iterator[Line]:
    if episode is not None:
        yield Line(episode.since, "a person is needed", None, SETTING, episode.what)
        if episode.closed_at is not None:
            yield Line(episode.closed_at, "it is over", None, SETTING)


def _head(clinic: Clinic, message: Mapping[str, Any], episode: Episode | None) -> str:
    if episode is None:
        return f"This is the {message['kind']} {message['step']} for {message['recipient']}."
    over = f", over since {clinic.when(episode.closed_at)}" if episode.closed_at else ""
    return f"This alert ({message['step']}) tells: {episode.what}{over}."


def _fate(clinic: Clinic, message: Mapping[str, Any]) -> str:
    """Say how a message ended, or why it waits, and what helps."""
    told = _FATE.get(message["state"], message["state"])
    if message["channel"]:
        told += f", by {message['notifier']}"
    if message["settled_at"]:
        told += f" on {clinic.when(message['settled_at'])}"
    if not message["reason"]:
        return f"{told}."
    return f"{told}: {in_words(message['reason'])}. {advice(message['reason'])}"
