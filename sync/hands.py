"""What is done about events that somebody changed in a doctor's calendar. Pure.

Nothing a calendar says changes an appointment: at most it decides what that calendar is to show.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from clinicrelay import times
from clinicrelay.contracts import EventWrite, Hand

if TYPE_CHECKING:
    from clinicrelay.settings.schema import IfDoctor

MOST_REVERTS = 3  # of one event in a day: whoever moves it on means it
MOVED_TOO_OFTEN = "moved_too_often"
_MOST_KEPT = 20
_TIME = 6  # bytes of a fingerprint that are about the time alone
_NOT_OURS = (Hand.COPIED, Hand.ORPHANED)  # for `verify` to tell, and a person to decide

Span = tuple[int, int]  # the visit's own start and end, in seconds


class Deed(msgspec.Struct, frozen=True, array_like=True):
    """One thing that was done to an event in its calendar, and what we did about it."""

    at: int
    what: str  # deleted | moved | edited | missing
    done: str  # respected | restored | reverted | kept | held | left


class Hands(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of others' hands on one event.

    `hidden` and `kept` hold while the visit has this time: the event stays away, or where it was
    moved to; `asked` says that a person is to look at that. `held` and `refused` are fingerprints
    of what is not to be written: moved away too often, or refused for good.
    """

    hidden: Span | None = None
    kept: Span | None = None
    asked: bool = False
    held: str = ""
    refused: str = ""
    log: tuple[Deed, ...] = ()

    @property
    def text(self) -> str | None:
        """This as the store keeps it; None where nothing was ever done."""
        return None if self == NONE else msgspec.json.encode(self).decode()

    @property
    def touched_at(self) -> int | None:
        """When somebody's hand was last on the event."""
        return self.log[-1].at if self.log else None

    def noted(self, now: datetime, what: str, done: str) -> Hands:
        deed = Deed(int(now.timestamp()), what, done)
        return replace(self, log=(*self.log, deed)[-_MOST_KEPT:])


NONE = Hands()


def read(text: str | None) -> Hands:
    """Return what the store keeps of one event."""
    return msgspec.json.decode(text, type=Hands) if text else NONE


# --- fingerprints --------------------------------------------------------------------------------


def fingerprint(write: EventWrite) -> bytes:
    """What an event says, without how often it was written: 16 bytes, its time in the first six."""
    rest = (write.timezone, write.title, write.description, write.location, write.tentative)
    return _digest((write.start, write.end), _TIME) + _digest((*rest, write.video), 16 - _TIME)


def _digest(said: tuple[object, ...], size: int) -> bytes:
    return blake2b(msgspec.json.encode(said), digest_size=size).digest()


def to_write_again(written: bytes | None) -> bytes | None:
    """Return a fingerprint that says the time that was written, and that the event is not so now."""
    return written and written[:_TIME] + bytes(16 - _TIME)


def same_time(written: bytes | None, wanted: bytes) -> bool:
    """Whether an event was last written with the time that it is to have now."""
    return written is not None and written[:_TIME] == wanted[:_TIME]


def span(write: EventWrite) -> Span:
    """Return the visit's own time, for an event that has one."""
    assert write.start is not None
    assert write.end is not None
    return int(write.start.timestamp()), int(write.end.timestamp())


# --- somebody changed an event -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """An event as the store has it. `written` is the fingerprint of what was last written."""

    state: str
    written: bytes | None
    hands: Hands = NONE


@dataclass(frozen=True, slots=True)
class Rules:
    """What settings say of doctors' changes, and where the day begins that these are counted in."""

    if_doctor: IfDoctor
    zone: str
    now: datetime

    @property
    def today(self) -> int:
        day = times.day_of(self.now, self.zone)
        return int(times.first_instant(day, self.zone).timestamp())


def decide(hand: Hand | None, row: Row, wanted: EventWrite, rules: Rules) -> Row | None:
    """Return how an event stands after what was seen of it; None: it is not about our event.

    `wanted` is the event as it should be, were it not for anybody's hand.
    """
    if hand in _NOT_OURS:
        return None
    stays_away = row.state == "hidden" and hand in (Hand.DELETED, Hand.MISSING)
    if not wanted.put or stays_away:
        return row
    done = _BY_HAND.get(hand) if hand is not None else None
    return done(row, wanted, rules) if done else _as_written(row)


def _edited(row: Row, _wanted: EventWrite, rules: Rules) -> Row:
    state = "put" if row.state == "hidden" else row.state
    hands = replace(row.hands, hidden=None)  # it is there again
    return Row(state, row.written, hands.noted(rules.now, "edited", "left"))


def _as_written(row: Row) -> Row:
    """Somebody may have undone what was done before."""
    hands = replace(row.hands, hidden=None, kept=None, asked=False, held="")
    shown = row.state in ("hidden", "held")
    return Row("put" if shown else row.state, row.written, hands)


def _again(row: Row, rules: Rules, what: str, done: str) -> Row:
    hands = replace(row.hands, hidden=None, kept=None, asked=False, held="")
    return Row("put", to_write_again(row.written), hands.noted(rules.now, what, done))


def _deleted(row: Row, wanted: EventWrite, rules: Rules) -> Row:
    policy = rules.if_doctor.deletes
    if policy == "restore" or not same_time(row.written, fingerprint(wanted)):
        return _again(row, rules, "deleted", "restored")
    hands = row.hands.noted(rules.now, "deleted", "respected")
    hands = replace(hands, hidden=span(wanted), kept=None, asked=policy == "ask", held="")
    return Row("hidden", to_write_again(row.written), hands)


def _moved(row: Row, wanted: EventWrite, rules: Rules) -> Row:
    policy = rules.if_doctor.moves
    if row.state == "held":
        return row
    if not same_time(row.written, fingerprint(wanted)):
        return _again(row, rules, "moved", "reverted")
    if policy != "revert":
        hands = row.hands.noted(rules.now, "moved", "kept")
        hands = replace(hands, hidden=None, kept=span(wanted), asked=policy == "propose")
        return Row("put" if row.state == "hidden" else row.state, row.written, hands)
    if reverted(row.hands, rules.today) < MOST_REVERTS:
        return _again(row, rules, "moved", "reverted")
    hands = row.hands.noted(rules.now, "moved", "held")
    return Row("held", to_write_again(row.written), replace(hands, held=fingerprint(wanted).hex()))


def _missing(row: Row, _wanted: EventWrite, rules: Rules) -> Row:
    return _again(row, rules, "missing", "restored")


_BY_HAND = {
    Hand.EDITED: _edited,
    Hand.MISSING: _missing,
    Hand.DELETED: _deleted,
    Hand.MOVED: _moved,
}


def reverted(hands: Hands, since: int) -> int:
    """Return how often an event was moved and put back."""
    return sum(deed.done == "reverted" and deed.at >= since for deed in hands.log)


# --- an event is to be written -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Turn:
    """What is to be done about an event that is to be put: only state `put` is written."""

    state: str
    hands: Hands
    keep_time: bool = False


def turn(row: Row, wanted: EventWrite, rules: Rules) -> Turn:
    """Decide whether what was done to an event before still keeps it from being written.

    A visit that changes releases what was held or refused; one that gets another time, or other
    settings, what a doctor's hand had hidden or moved.
    """
    hands, policy, own = row.hands, rules.if_doctor, fingerprint(wanted)
    if hands.hidden == span(wanted) and policy.deletes != "restore":
        return Turn("hidden", replace(hands, asked=hands.asked and policy.deletes == "ask"))
    for state, mark in (("held", hands.held), ("blocked", hands.refused)):
        if mark == own.hex() and (state == "blocked" or policy.moves == "revert"):
            return Turn(state, hands)
    if hands.kept == span(wanted) and policy.moves != "revert":
        asked = hands.asked and policy.moves == "propose"
        still = replace(hands, hidden=None, asked=asked, held="", refused="")
        return Turn("synced" if row.written == own else "put", still, keep_time=True)
    free = replace(hands, hidden=None, kept=None, asked=False, held="", refused="")
    as_it_is = row.written == own and hands.kept is None
    return Turn("synced" if as_it_is else "put", free)
