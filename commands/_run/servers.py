"""Which address shows which clinics: each those that name it, and one that is alone shows all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError
from commands._run.endpoints import Endpoints
from sync.runners.watch import Watch

if TYPE_CHECKING:
    from clinicrelay.settings import Settings
    from clinicrelay.settings.monitoring import Place
    from sync.runners.service import Service


def shown_at(settings: Sequence[Settings]) -> dict[Place, set[str]]:
    """Return which clinics (ids) each address shows."""
    found: dict[Place, set[str]] = {}
    for one in settings:
        if one.monitoring.metrics is not None:
            found.setdefault(one.monitoring.metrics, set()).add(one.clinic.id)
    if len(found) == 1:
        return {place: {one.clinic.id for one in settings} for place in found}
    return found


class Servers:
    """The addresses of a service. `broken` are the names of files that no clinic could be made of."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._servers: dict[Place, Endpoints] = {}
        self._shown: Mapping[Place, set[str]] = {}
        self.broken: list[str] = []

    def follow(self, files: Mapping[Path, Settings]) -> list[Finding]:
        """Listen where these settings say; return why at some address nothing can.

        What is shown elsewhere goes on, and so does what no other address could take over.
        """
        wanted, before, wrong = shown_at([*files.values()]), self._shown, list[Finding]()
        self._shown = wanted
        for place in wanted:
            if place not in self._servers:
                naming = (f for f, one in files.items() if one.monitoring.metrics == place)
                try:
                    self._servers[place] = self._listen(place, str(next(naming)))
                except SettingsError as error:
                    wrong += error.findings
        for place in [place for place in self._servers if place not in wanted]:
            if wrong:
                wanted[place] = before[place]
            else:
                self._servers.pop(place).close()
        shown = set[str]().union(*(wanted[place] for place in self._servers))
        for unit in self._service.units.values():
            unit.watched = unit.name in shown
        return wrong

    def close(self) -> None:
        for server in self._servers.values():
            server.close()

    def _listen(self, place: Place, file: str) -> Endpoints:
        watch = Watch(
            self._service, lambda: self._shown.get(place, set()), lambda: tuple(self.broken)
        )
        return Endpoints(place, watch, file=file)

    def __str__(self) -> str:
        return ", ".join(map(str, self._servers))
