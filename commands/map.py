"""`clinicrelay map`: a mapping applied to a sample, and mappings' own tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicrelay.contracts import ClinicFacts, Finding, Kit, Record, Unreadable, Window
from clinicrelay.counts import counted
from clinicrelay.errors import BadRecord, Refused, SettingsError
from commands._call import Call, shared
from commands._ending import DONE, NEEDS_PERSON
from commands._frame import print_json
from commands._table import Table, show

if TYPE_CHECKING:
    from clinicrelay.model import Appointment
    from clinicrelay.settings.schema import Source
    from mappings import Mapper
    from mappings import Mapping as MappingFile

# Where no settings say otherwise, local times and numbers are read as in Berlin.
_SOMEWHERE = ClinicFacts("sample", "Sample", "Europe/Berlin", "DE", "de")
_MANNER = {
    "encoding",
    "fallback_encoding",
    "delimiter",
    "dates",
}  # how a CSV source reads its files


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("map")(shared(map_))


def map_(
    call: Call,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A mapping's name, or its path.")
    ] = None,
    sample: Annotated[
        Path | None, typer.Argument(metavar="SAMPLE", help="A CSV or JSON file to apply it to.")
    ] = None,
    test: Annotated[
        bool, typer.Option("--test", help="Run the tests in the mappings (all, or NAME).")
    ] = False,
    dates: Annotated[
        str | None, typer.Option("--dates", help="How a CSV writes dates: auto, dmy, mdy or ymd.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option("--encoding", help="How a CSV's bytes are read, such as cp1250.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            help="Read the sample as this source of the settings would. Absent: the only CSV source "
            "with this mapping.",
        ),
    ] = None,
) -> int:
    """Apply a mapping to a sample file, or run mappings' own tests. Stores and sends nothing."""
    around = _surroundings(call)
    if test:
        return _tests(call, name, around)
    if name is None or sample is None:
        raise typer.BadParameter("name a mapping and a sample file, or say --test")
    said = {"dates": dates, "encoding": encoding}
    manner = around.manner(source, name) | {k: v for k, v in said.items() if v is not None}
    _apply(call, name, sample, around, manner)
    return DONE


@dataclass(frozen=True, slots=True)
class _Around:
    """The clinic a sample is read for, the folder of its settings, and its sources."""

    facts: ClinicFacts
    folder: Path
    sources: Mapping[str, Source] = field(default_factory=dict)

    def manner(self, source: str | None, mapping: str) -> dict[str, Any]:
        """Return how a source's files are read; without a name, of the only one that could be meant."""
        if source is not None and source not in self.sources:
            raise typer.BadParameter(f"the settings have no source {source}", param_hint="--source")
        fitting = [
            one
            for name, one in self.sources.items()
            if one.type == "csv" and source in (None, name) and (source or _maps(one, mapping))
        ]
        if len(fitting) != 1 or fitting[0].options is None:
            return {}
        manner: dict[str, Any] = fitting[0].options.model_dump(include=_MANNER)
        return manner


def _maps(source: Source, mapping: str) -> bool:
    return (source.mapping or "clinic_csv") == mapping


def _surroundings(call: Call) -> _Around:
    """Return the clinic of the settings, or one somewhere where there are no settings yet."""
    from clinicrelay.settings import Loaded

    try:
        first = call.clinics()[0]
    except SettingsError as error:
        if call.settings is None and [f.code for f in error.findings] == ["no_settings"]:
            return _Around(_SOMEWHERE, Path.cwd())
        raise
    if not isinstance(first, Loaded):
        raise SettingsError(first.findings)
    settings = first.settings
    return _Around(settings.clinic.facts(), settings.folder, settings.sources)


# --- a sample ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Out:
    """What became of a sample's records."""

    visits: list[Appointment] = field(default_factory=list)
    set_aside: list[dict[str, Any]] = field(default_factory=list)
    skipped: int = 0
    notes: list[str] = field(default_factory=list)


def _apply(call: Call, name: str, sample: Path, around: _Around, manner: dict[str, Any]) -> None:
    import mappings

    facts = around.facts
    mapping = mappings.load(name, _folder_of(name, around.folder))
    context = mappings.Context("sample", facts.timezone, facts.country, facts.language)
    out = _Out()
    try:
        records = _records(sample, mapping, facts, manner, out.notes)
        _map_all(mapping.compile(context), records, out)
    except Refused as error:
        raise _refused(sample, str(error), error.fix) from error
    if call.as_json:
        print_json(_json(out))
    else:
        _print(call, out, facts.timezone)


def _folder_of(name: str, folder: Path) -> Path:
    """A path is meant from where one stands, as shells have it; else from the settings' folder."""
    return Path.cwd() if Path(name).is_file() else folder


def _refused(sample: Path, message: str, fix: str = "") -> SettingsError:
    return SettingsError([Finding("error", "sample", message, fix, file=str(sample))])


def _records(
    sample: Path, mapping: MappingFile, facts: ClinicFacts, manner: dict[str, Any], notes: list[str]
) -> Iterator[Record | Unreadable]:
    if not sample.is_file():
        raise _refused(sample, f"there is no file {sample}", "name a CSV or JSON file")
    return (
        _json_records(sample)
        if sample.suffix.lower() == ".json"
        else _csv_records(sample, mapping, facts, manner, notes)
    )


def _json_records(sample: Path) -> Iterator[Record]:
    """Yield the objects of a JSON file: of its list, of the first list in it, or itself."""
    import json

    try:
        found = json.loads(sample.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise _refused(sample, "this is not JSON in UTF-8", "export it again") from error
    if isinstance(found, dict):
        found = next((value for value in found.values() if isinstance(value, list)), [found])
    for number, one in enumerate(found, start=1):
        if isinstance(one, dict):
            yield Record(data=one, digest=b"", place=f"{sample.name}:{number}")


def _csv_records(
    sample: Path, mapping: MappingFile, facts: ClinicFacts, manner: dict[str, Any], notes: list[str]
) -> Iterator[Record | Unreadable]:
    """Read a CSV exactly as a drop would be, from a copy: the sample stays where it lies."""
    from clinicrelay import plugins

    plugin: Any = plugins.find("connectors", "csv")
    # One that an inbox would not take (~$visits.csv) is taken here all the same.
    taken = sample.suffix == ".csv" and sample.name[0].isalnum()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / (sample.name if taken else "sample.csv")).write_bytes(sample.read_bytes())
        options = _options(plugin.Options, folder, manner)
        now = datetime.now(UTC)
        kit = Kit("sample", facts, Path(folder), now, find_columns=lambda: mapping.columns)
        for page in plugin(options, kit).pull(None, Window(now, now)):
            yield from page.records
            yield from page.unreadable
            if all(one.line is not None for one in page.unreadable):
                notes += page.notes  # those on a file that is set aside say where it was moved


def _options(made: Any, folder: str, manner: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    try:
        return made(inbox=Path(folder), contents="append", ready={"settle": "0s"}, **manner)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise typer.BadParameter(
            str(wrong["msg"]).removeprefix("Value error, "), param_hint=f"--{wrong['loc'][0]}"
        ) from error


def _map_all(mapper: Mapper, records: Iterator[Record | Unreadable], out: _Out) -> None:
    for record in records:
        if isinstance(record, Unreadable):
            out.set_aside.append(_aside(record, record))
            continue
        try:
            visit = mapper(record)
        except BadRecord as error:
            out.set_aside.append(_aside(record, error))
            continue
        if visit is None:
            out.skipped += 1
        else:
            out.visits.append(visit)


def _aside(record: Record | Unreadable, why: Unreadable | BadRecord) -> dict[str, Any]:
    return {
        "place": record.place,
        "line": record.line,
        "key": why.key,
        "field": why.field,
        "reason": why.reason,
        "detail": why.detail,
    }


def _json(out: _Out) -> dict[str, Any]:
    from commands._visits import visit_json

    return {
        "appointments": [visit_json(visit) for visit in out.visits],
        "set_aside": out.set_aside,
        "skipped": out.skipped,
        "notes": out.notes,
    }


def _print(call: Call, out: _Out, zone: str) -> None:
    from commands._visits import row_of

    if out.visits:
        rows = [row_of(visit, zone) for visit in out.visits]
        show(call, Table(("appointment", "start", "status", "doctor", "issues"), rows))
    if out.set_aside:
        print("Set aside:")
        rows = [[*_aside_row(one)] for one in out.set_aside]
        show(call, Table(("place", "what", "detail"), rows))
    for note in out.notes:
        print(note)
    if not (out.visits or out.set_aside or out.skipped or out.notes):
        print("There is no record in it.")
    print(
        f"{len(out.visits)} mapped, {len(out.set_aside)} set aside, {out.skipped} skipped. "
        "Nothing was stored."
    )


def _aside_row(one: dict[str, Any]) -> Sequence[str]:
    where = f" ({one['field']})" if one["field"] else ""
    return one["place"], f"{one['reason']}{where}", one["detail"]


# --- mappings' own tests -------------------------------------------------------------------------


def _tests(call: Call, name: str | None, around: _Around) -> int:
    import mappings
    from mappings.testing import place_of_tests, run_tests

    names = [name] if name else mappings.names()
    loaded = [mappings.load(one, _folder_of(one, around.folder)) for one in names]
    facts = around.facts
    own = mappings.Context("test", facts.timezone, facts.country, facts.language)
    failures = [
        failure
        for mapping in loaded
        for failure in run_tests(mapping, place_of_tests(mapping, own))
    ]
    if call.as_json:
        print_json(
            {
                "ok": not failures,
                "mappings": {mapping.name: len(mapping.tests) for mapping in loaded},
                "failures": [failure._asdict() for failure in failures],
            }
        )
    else:
        for mapping in loaded:
            broken = {failure.number for failure in failures if failure.mapping == mapping.name}
            print(f"{mapping.name}: {counted(len(mapping.tests), 'test')}, {len(broken)} failed")
        print("\n".join(str(failure) for failure in failures) or "All passed.")
    return NEEDS_PERSON if failures else DONE
