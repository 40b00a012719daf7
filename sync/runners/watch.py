"""What a service answers monitoring: whether it lives, whether it can work, whether clinics are well.

The three are different questions. A dead EHR must not have a living process restarted, and a loop that
turns says nothing of whether anything was read: a clinic is well by what its last cycle found, and by
that one having ended not long ago.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from clinicrelay.errors import ClinicrelayError
from sync.runners import looks, turns
from sync.runners.verdict import Reason

if TYPE_CHECKING:
    from sync.runners.service import Service, Unit


class Answer(NamedTuple):
    """What is answered: whether all is well, and as JSON what it is that is not."""

    well: bool
    json: dict[str, Any]


class Watch:
    """The view of a service from one address. `whose` are the ids of the clinics that it shows.

    `broken` names the files of which no clinic could be made.
    """

    def __init__(
        self,
        service: Service,
        whose: Callable[[], Collection[str]],
        broken: Callable[[], Sequence[str]],
    ) -> None:
        self._service, self._whose, self._broken = service, whose, broken

    def live(self) -> Answer:
        """Whether the process works at all, whatever others do: for who would restart it."""
        service, now = self._service, self._service.clock()
        found = [Reason("loop_stopped")] if turns.is_stopped(service.beat, now) else []
        reasons = [one.json("") for one in found]
        for turn in list(service.running):
            if turns.is_stuck(turn.wrote[1], now):
                reasons.append(Reason("thread_stuck", turn.command).json(turn.unit.name))
        return _answer("alive", reasons)

    def ready(self) -> Answer:
        """Whether the stores answer, and are of the version that this program works with."""
        units, now = self._looked_at()
        reasons = [
            Reason(code).json(unit.name)
            for unit in units
            if (code := _trouble(unit, now)) is not None
        ]
        return _answer("ready", reasons)

    def healthy(self) -> Answer:
        """Whether every clinic is green, and its last cycle ended not long ago."""
        units, now = self._looked_at()
        reasons = [{"file": file, "code": "settings_broken"} for file in self._broken()]  # type: list[dict[str, Any]]
        if turns.is_stopped(self._service.beat, now):
            reasons.append(Reason("loop_stopped").json(""))
        for unit in units:
            reasons += [one.json(unit.name) for one in _of_clinic(unit, now)]
        return _answer("healthy", reasons)

    def metrics(self) -> bytes:
        """Return the metrics of the clinics; of one whose store cannot be opened, that it cannot."""
        from sync.metrics import UNREADABLE, Sample, samples, written

        found: dict[str, Sequence[Sample]] = {}
        for unit in self._units():  # a thousand of them are not open at once
            found[unit.name] = UNREADABLE
            with suppress(ClinicrelayError), unit.kept.at_work(lambda _sentence: None) as clinic:
                found[unit.name] = samples(clinic)
        return written(found)

    def _looked_at(self) -> tuple[list[Unit], float]:
        units = self._units()
        looks.refresh([(unit.look, unit.kept) for unit in units], self._service.clock)
        return units, self._service.clock()

    def _units(self) -> list[Unit]:
        whose = self._whose()
        return [unit for unit in list(self._service.units.values()) if unit.name in whose]


def _trouble(unit: Unit, now: float) -> str | None:
    return "store_silent" if unit.look.is_silent(now) else unit.look.store


def _of_clinic(unit: Unit, now: float) -> Iterator[Reason]:
    if (trouble := _trouble(unit, now)) is not None:
        yield Reason(trouble)
    if unit.is_late(now):
        yield Reason("cycle_late")
    yield from unit.look.reasons


def _answer(name: str, reasons: list[dict[str, Any]]) -> Answer:
    for one in reasons:
        if not one.get("clinic", True):
            del one["clinic"]
    return Answer(not reasons, {name: not reasons, "reasons": reasons})
