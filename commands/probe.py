"""`clinicrelay probe`: how a source should be read, and a draft of what its words mean."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicrelay.contracts import Finding
from clinicrelay.errors import Refused, SettingsError, TryLater
from commands._call import Call, shared
from commands._ending import NEEDS_PERSON
from commands._frame import Answer, only
from commands.sync import check_names

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.probing import Proposal


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("probe")(shared(probe))


def probe(
    call: Call,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A source of the settings.")],
    write: Annotated[
        bool,
        typer.Option("--write", help="Also write the draft to mappings/NAME.yaml, if not there."),
    ] = False,
) -> int:
    """Look at a source and propose how to read it: settings to paste, and a draft mapping.

    Only looks: nothing is kept, and nobody is named in what it shows.
    """

    def probed(at_work: Clinic) -> Answer:
        from sync.probing import probe as look

        check_names(at_work, [name])
        try:
            found = look(at_work, name)
        except (TryLater, Refused) as error:
            fix = getattr(error, "fix", "")
            raise SettingsError([_finding(at_work, name, str(error), fix)]) from error
        if found is None:
            said = f"{name} shows nothing that could be a list of appointments."
            return Answer({"offer": None}, [said], NEEDS_PERSON)
        file = _write(at_work, name, found) if write and found.mapping else None
        return Answer(_json(found, file), _lines(name, found, file))

    return only(call, probed, scratch=True)


def _finding(at_work: Clinic, name: str, message: str, fix: str) -> Finding:
    path = f"sources.{name}"
    return Finding("error", "cannot_read", message, fix, path, str(at_work.file))


def _write(at_work: Clinic, name: str, found: Proposal) -> Path:
    file = at_work.settings.folder / "mappings" / f"{name}.yaml"
    if file.exists():
        fix = "move it away first, or probe without --write and compare"
        raise SettingsError([_finding(at_work, name, f"{file} is there already", fix)])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(found.mapping or "", encoding="utf-8")
    return file


def _lines(name: str, found: Proposal, file: Path | None) -> Iterator[str]:
    yield f"{name}: {found.offer}"
    yield from (f"  {note}" for note in found.notes)
    if found.others:
        yield f"  There are also: {', '.join(found.others)}"
    if found.tried:
        yield f"  {found.understood} of {found.tried} sample records are understood"
    yield from (f"    {number}x {why}" for why, number in sorted(found.reasons.items()))
    if found.lacking:
        yield f"  Nothing looks like: {', '.join(found.lacking)}"
    yield "\nIn settings.yaml, beside what stands there:\n"
    yield _yaml({"sources": {name: dict(found.settings)}})
    if found.mapping and file is None:
        yield f"In mappings/{name}.yaml (--write puts it there):\n"
        yield found.mapping
    elif file is not None:
        yield f"The draft is in {file}: read it, correct it, then: clinicrelay check --connect"


def _yaml(value: Any) -> str:
    from ruamel.yaml import YAML
    from ruamel.yaml.scalarstring import LiteralScalarString

    def literal(one: Any) -> Any:
        if isinstance(one, dict):
            return {key: literal(inner) for key, inner in one.items()}
        return LiteralScalarString(one) if isinstance(one, str) and "\n" in one else one

    written, yaml = StringIO(), YAML()
    yaml.width = 100
    yaml.dump(literal(value), written)
    return written.getvalue()


def _json(found: Proposal, file: Path | None) -> dict[str, Any]:
    return {
        "offer": found.offer,
        "others": list(found.others),
        "notes": list(found.notes),
        "settings": dict(found.settings),
        "mapping": found.mapping,
        "file": str(file) if file else None,
        "places": dict(found.places),
        "lacking": list(found.lacking),
        "samples": {"tried": found.tried, "understood": found.understood, "reasons": found.reasons},
    }
