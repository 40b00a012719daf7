"""Who may be reached: rehearsal until a person takes a part of the clinic live, and pauses.

A store is born in rehearsal. What is live, and what is paused, stands in the store and nowhere else,
so that a copied settings file can never reach anybody. Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import NamedTuple, TypeAlias

from clinicrelay.actions import Role

PARTS = ("calendars", "doctors", "patients")
PART_OF: Mapping[Role, str] = {Role.PATIENT: "patients", Role.DOCTOR: "doctors"}
ROLE_OF = {part: role for role, part in PART_OF.items()}
ELSEWHERE = "store_elsewhere"
LOOK_AGAIN = timedelta(minutes=1)  # a pause without an end may be lifted at any moment


class Live(NamedTuple):
    """A part that reaches people; `doctor` is "" for all, else only that doctor's patients."""

    part: str
    doctor: str
    since: datetime


class Pause(NamedTuple):
    """Something that a person stopped: a part, a plugin's name in settings, or "" for everything."""

    scope: str
    reason: str
    until: datetime | None
    since: datetime

    @property
    def what(self) -> str:
        return self.scope or "everything"

    @property
    def command(self) -> str:
        """The command that stopped it."""
        return f"clinicrelay pause {self.scope}".rstrip()

    @property
    def ended_by(self) -> str:
        """The command that lets it go on."""
        if self.reason == ELSEWHERE:
            return "clinicrelay live here"
        return f"clinicrelay resume {self.scope}".rstrip()


@dataclass(frozen=True, slots=True)
class Leave:
    """It may leave."""


@dataclass(frozen=True, slots=True)
class Rehearse:
    """Nobody is reached: what would leave is written to the rehearsal folder."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Not now: `reason` is `paused`; asked again at `until`."""

    until: datetime
    reason: str = "paused"


@dataclass(frozen=True, slots=True)
class NotNamed:
    """Never: `safety.only_recipients` does not name the address."""

    reason: str = "only_recipients"


Answer: TypeAlias = Leave | Rehearse | Stopped | NotNamed


@dataclass(frozen=True, slots=True)
class Standing:
    """What is live and what is paused. `elsewhere` says where a live store belongs, if not here."""

    live: tuple[Live, ...] = ()
    pauses: tuple[Pause, ...] = ()
    elsewhere: str | None = None

    def mode(self, now: datetime) -> str:
        """Return `paused`, `live` (in any part) or `rehearsal`."""
        if self.elsewhere or self.in_force(now):
            return "paused"
        return "live" if self.live else "rehearsal"

    def headline(self, now: datetime) -> str:
        """Return the first word of every command, and of what it holds where not of all."""
        if self.elsewhere:
            return "PAUSED (this store is live elsewhere)"
        if pauses := self.in_force(now):
            named = ", ".join(pause.what for pause in pauses)
            return "PAUSED" if named == "everything" else f"PAUSED ({named})"
        if not self.live:
            return "REHEARSAL"
        parts = [self._part(part) for part in PARTS]
        named = ", ".join(part for part in parts if part)
        return "LIVE" if named == ", ".join(PARTS) else f"LIVE ({named}; the rest in rehearsal)"

    def _part(self, part: str) -> str:
        if self.since(part) is not None:
            return part
        doctors = [one.doctor for one in self.live if one.part == part]
        return f"{part} of {' and '.join(doctors)}" if doctors else ""

    def in_force(self, now: datetime) -> tuple[Pause, ...]:
        """Return the pauses that hold now."""
        return tuple(p for p in self.pauses if p.until is None or now < p.until)

    def paused(self, part: str, plugin: str, now: datetime) -> Pause | None:
        """Return the pause that stops a part or a plugin now, of several the one that lasts longest.

        A store elsewhere stops everything.
        """
        if self.elsewhere:
            return Pause("", ELSEWHERE, None, now)
        hit = (p for p in self.in_force(now) if p.scope in ("", part, plugin))
        return max(hit, key=lambda p: (p.until is None, p.until or now), default=None)

    def since(self, part: str, doctors: Collection[str] = ()) -> datetime | None:
        """Return since when a part is live, as a whole or for one of these doctors; None: not."""
        hit = [o.since for o in self.live if o.part == part and o.doctor in ("", *doctors)]
        return min(hit, default=None)


@dataclass(frozen=True, slots=True)
class Leaving:
    """Something about to leave: for which part, about whose visits, by which plugin, to whom.

    `outside` says that the plugin reaches beyond this machine, `rehearsed` that the clock was set
    by hand, `named` are the patterns of `safety.only_recipients` (None: no restriction).
    """

    part: str
    plugin: str
    outside: bool
    doctors: Collection[str] = ()
    address: str | None = None
    named: tuple[str, ...] | None = None
    rehearsed: bool = False
    foretold: bool = False
    standing: Standing = field(default=Standing())


def may_leave(thing: Leaving, *, now: datetime) -> Answer:
    """Decide whether something may leave now.

    Folders and loopback addresses are always allowed; whoever `only_recipients` names is reached in
    rehearsal as well, and nobody else, live or not. Under a clock that was set by hand nothing goes
    outside. What is only foretold (`plan`) leaves wherever it would be sent or rehearsed.
    """
    if pause := thing.standing.paused(thing.part, thing.plugin, now):
        return Stopped(pause.until or now + LOOK_AGAIN)
    live = thing.standing.since(thing.part, thing.doctors) is not None
    named = thing.address is not None and named_by(thing.named, thing.address)
    if thing.address is not None and thing.named is not None and not named:
        return NotNamed() if live or not thing.outside else _rehearse(thing)
    if not thing.outside or (live and not thing.rehearsed):
        return Leave()
    reached = named and thing.named is not None and not thing.rehearsed
    return Leave() if reached else _rehearse(thing)


def _rehearse(thing: Leaving) -> Answer:
    return Leave() if thing.foretold else Rehearse()


def named_by(patterns: tuple[str, ...] | None, address: str) -> bool:
    """Return whether `only_recipients` lets an address through; without it everybody is reached."""
    if patterns is None:
        return True
    return any(fnmatchcase(address.lower(), pattern.lower()) for pattern in patterns)
