"""How a server is read: what settings and preset say, else what it declares that it can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clinicrelay.errors import Refused
from connectors.fhir.capability import Capability
from connectors.fhir.options import FhirOptions
from connectors.fhir.presets import Preset

# What visits refer to, by the search parameter that leads there.
_ACTOR = "Appointment:actor"
_SINGLE = ("Appointment:patient", "Appointment:practitioner", "Appointment:location")


@dataclass(frozen=True, slots=True)
class Way:
    """How a server is read, and why so, as the end of a sentence.

    `changes` is how what changed is asked for between two listings: watermark, history, or nothing.
    `by_days` says that a listing asks for days; without it, for all there is.
    """

    strategy: str
    why: str
    changes: str | None = None
    by_days: bool = True

    @property
    def told(self) -> str:
        """The choice as a sentence."""
        return f"read by {self.strategy}: {self.why}"


def choose(options: FhirOptions, preset: Preset, known: Capability) -> Way:
    """Return how to read. Raises Refused where no way leads there."""
    if known.lacks_appointments:
        raise Refused(
            "this server does not offer appointments: its /metadata does not list them",
            fix="check base_url, or ask its vendor for another interface (REST, SQL, CSV)",
        )
    wanted = options.strategy
    if wanted == "auto":
        way = _by_itself(options, preset, known)
    else:
        way = _way(wanted, "settings say so", known)
    if way.strategy == "partition" and options.partition is None:
        whose = f"servers of {options.preset} do" if options.preset else "strategy: partition does"
        raise Refused(
            f"{whose} not answer before it is said whose appointments are wanted",
            fix=_partition_fix(preset),
        )
    return way


def _by_itself(options: FhirOptions, preset: Preset, known: Capability) -> Way:
    if options.partition:
        return _way("partition", "settings name whose appointments are wanted", known)
    if preset.strategy != "auto":
        return _way(preset.strategy, f"that is what servers of {options.preset} want", known)
    if not known.declared:
        raise Refused(
            "this server does not say what it can (/metadata)",
            fix="check base_url; if it is right, set strategy: window and version: R4",
        )
    if known.can_search("_lastUpdated"):
        return _way("watermark", "the server can search by _lastUpdated", known)
    if known.can_search("date"):
        return _way("window", "the server can search by date, and not by _lastUpdated", known)
    if known.history and not options.params:  # which a history would not heed
        return _way("history", "the server can search neither by date nor by _lastUpdated", known)
    if known.params:
        raise Refused(
            "this server searches appointments neither by date nor by change",
            fix="set strategy: snapshot to read all there is, or partition with whose they are",
        )
    return _way("window", "the server does not say what it can search by", known)


def _way(strategy: str, why: str, known: Capability) -> Way:
    datable = known.can_search("date") or not known.params
    if strategy in ("watermark", "history"):
        return Way(strategy, why, changes=strategy, by_days=datable)
    return Way(strategy, why, by_days=strategy != "snapshot")


def _partition_fix(preset: Preset) -> str:
    by = preset.who[0] if preset.who else "practitioner"
    others = f" (or {', '.join(preset.who[1:])})" if len(preset.who) > 1 else ""
    return f"write partition: {{by: {by}, ids: […]}}, or file: with an id on each line{others}"


def undeclared(options: FhirOptions, known: Capability) -> tuple[str, ...]:
    """Return which parameters we ask with although the server does not list them."""
    names = [name.partition(":")[0] for name in options.params]
    if options.partition:
        names.append(options.partition.by)
    if not known.params:
        return ()
    plain = (name.partition(".")[0] for name in dict.fromkeys(names))
    return tuple(name for name in plain if not name.startswith("_") and name not in known.params)


def includes(known: Capability) -> tuple[str, ...]:
    """Return what is to be brought along with visits, as far as the server declares it."""
    declared = set(known.includes)
    if _ACTOR in declared:
        return (_ACTOR,)
    single = tuple(one for one in _SINGLE if one in declared)
    return single or (("*",) if "*" in declared else ())


def ids_of(options: FhirOptions) -> Sequence[str]:
    """Return the ids of the partition. Raises Refused where their file cannot be read."""
    partition = options.partition
    if partition is None:
        return ()
    if partition.file is None:
        return tuple(dict.fromkeys(partition.ids))
    try:
        lines = partition.file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise Refused(
            f"{partition.file.name} (partition.file) cannot be read: {why}",
            fix="let the user that runs clinicrelay read it, an id on each line",
        ) from error
    ids = (line.partition("#")[0].strip() for line in lines)
    found = tuple(dict.fromkeys(one for one in ids if one))
    if not found:
        raise Refused(
            f"{partition.file.name} (partition.file) holds no ids", fix="write an id on each line"
        )
    return found
