"""Several clinics beside each other: each is read by itself, and none may take another's things."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError
from clinicrelay.settings.folders import folders, real
from clinicrelay.settings.load import TEXTS, Loaded, Reading, read, tell_of_texts
from clinicrelay.settings.places import clinics_in, find
from clinicrelay.settings.schema import Settings
from clinicrelay.settings.tree import Where, dotted


@dataclass(frozen=True, slots=True)
class Broken:
    """A clinic whose settings cannot stand, and everything that is to be said about them."""

    findings: tuple[Finding, ...]
    file: Path


def load_all(
    path: Path | None = None, *, environ: Mapping[str, str] = os.environ, secrets: bool = True
) -> list[Loaded | Broken]:
    """Read a settings file, or each `*.yaml` of a folder as a clinic, in the order of their names.

    Without `secrets`, what `${NAME}` and `${file:…}` lead to is neither read nor missed.
    Raises SettingsError only where there is nothing to read: no file, or a folder without any.
    """
    place = find(path, environ)
    files, misnamed = clinics_in(place) if place.is_dir() else ([place], [])
    several = len(files) > 1
    readings = [_read(file, environ, among_others=several, secrets=secrets) for file in files]
    return [*_settled(readings), *map(_misnamed, misnamed)]


def _read(file: Path, environ: Mapping[str, str], **how: bool) -> Reading | Broken:
    try:
        return read(file, environ, **how)
    except SettingsError as error:
        return Broken(error.findings, file)


def _settled(readings: Sequence[Reading | Broken]) -> list[Loaded | Broken]:
    legible = [one for one in readings if isinstance(one, Reading)]
    _tell_of_shared(legible)
    _tell_of_idle_texts(legible)
    return [_outcome(one) if isinstance(one, Reading) else one for one in readings]


def _outcome(reading: Reading) -> Loaded | Broken:
    try:
        return reading.loaded()
    except SettingsError as error:
        return Broken(error.findings, reading.file)


def _misnamed(file: Path) -> Broken:
    """A clinic that nobody reads because of its file's name would be missed by its patients only."""
    finding = Finding(
        "error",
        "file_name",
        f"{file.name} is not read: a clinic's file ends in .yaml",
        f"call it {file.stem}.yaml, or put it somewhere else",
        file=str(file),
    )
    return Broken((finding,), file)


def _tell_of_idle_texts(readings: Sequence[Reading]) -> None:
    """A folder of texts beside several clinics is that of those who name it; of nobody, by mistake."""
    folder = readings[0].file.absolute().parent / TEXTS if len(readings) > 1 else None
    named = {one.settings.templates for one in readings if one.settings is not None}
    if folder is not None and folder.is_dir() and folder not in named:
        for reading in readings:
            tell_of_texts(reading.tree)


# --- what two clinics claim ------------------------------------------------------------------


class Claim(NamedTuple):
    """Something that one clinic can have to itself: its id, a folder or a file."""

    thing: str | Path
    where: Where


def _tell_of_shared(readings: Iterable[Reading]) -> None:
    claimed: dict[str | Path, list[tuple[Reading, Where]]] = defaultdict(list)
    for reading in readings:
        for claim in _claims(reading):
            claimed[claim.thing].append((reading, claim.where))
    for thing, claims in claimed.items():
        for reading, where in claims:
            others = [other for other, _ in claims if other is not reading]
            if others:
                _tell(reading, where, thing, dict.fromkeys(other.file.name for other in others))


def _claims(reading: Reading) -> Iterator[Claim]:
    """Yield what a file claims, as far as it is legible: a broken clinic is back tomorrow."""
    data = reading.tree.data
    clinic = data.get("clinic") if isinstance(data, dict) else None
    name = clinic.get("id") if isinstance(clinic, dict) else None
    if isinstance(name, str):
        yield Claim(str(name), ("clinic", "id"))
    if reading.settings is None:
        return
    wrong = [f.path for f in reading.tree.findings if f.severity == "error"]
    for where, folder in (*folders(reading.settings), *_textfile(reading.settings)):
        # What was wrong was mended with a default, which the clinic never asked for.
        if not any(path and dotted(where).startswith(path) for path in wrong):
            yield Claim(folder, where)


def _textfile(settings: Settings) -> Iterator[tuple[Where, Path]]:
    """Yield the file that a clinic leaves its metrics in: another clinic would write over it."""
    if settings.monitoring.textfile is not None:
        yield ("monitoring", "textfile"), real(settings.monitoring.textfile)


def _tell(reading: Reading, where: Where, thing: str | Path, others: Iterable[str]) -> None:
    names = " and ".join(others)
    if isinstance(thing, str):
        code, message = "same_clinic", f"the clinic id {thing!r} is that of {names} too"
        fix = "give each clinic an id of its own"
    elif where[-1] == "textfile":
        code, message = (
            "same_file",
            f"{thing} is that of {names} too: one would write over the other",
        )
        fix = "give each clinic a file of its own"
    else:
        code, message = "same_folder", f"{thing} is a folder of {names} too: files would be mixed"
        fix = f"write `{where[-1]}:` with a folder of its own into each file"
    reading.tree.report(reading.tree.mark(where), where, code, message, fix)
