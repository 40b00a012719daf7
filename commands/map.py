"""`clinicrelay map`: a mapping applied to a sample, and mappings' own tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicrelay.contracts import ClinicFacts, Finding, Kit, Record, Unreadable, Window
from clinicrelay.errors import BadRecord, Refused, SettingsError
from commands._frame import DONE, NEEDS_PERSON, AsJson, Call, SettingsPath, print_json

if TYPE_CHECKING:
    from clinicrelay.model import Appointment
    from mappings import Mapper, Mapping

# Where no settings say otherwise, local times and numbers are read as in Berlin.
_SOMEWHERE = ClinicFacts("sample", "Sample", "Europe/Berlin", "DE", "de")


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("map")(map_)


def map_(
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
        str, typer.Option("--dates", help="How a CSV writes dates: auto, dmy, mdy or ymd.")
    ] = "auto",
    settings: SettingsPath = None,
    as_json: AsJson = False,
) -> None:
    """Apply a mapping to a sample file, or run mappings' own tests. Stores and sends nothing."""
    call = Call(settings, as_json)
    facts, folder = _surroundings(call)
    if test:
        raise typer.Exit(_tests(call, name, folder))
    if name is None or sample is None:
        raise typer.BadParameter("name a mapping and a sample file, or say --test")
    _apply(call, name, sample, facts, folder, dates)


def _surroundings(call: Call) -> tuple[ClinicFacts, Path]:
    """Return the clinic of the settings, or one somewhere where there are no settings yet."""
    try:
        loaded = call.load()
    except SettingsError as error:
        if call.settings is None and [f.code for f in error.findings] == ["no_settings"]:
            return _SOMEWHERE, Path.cwd()
        raise
    return loaded.settings.clinic.facts(), loaded.settings.folder


# --- a sample ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Out:
    """What became of a sample's records."""

    visits: list[Appointment] = field(default_factory=list)
    set_aside: list[dict[str, Any]] = field(default_factory=list)
    skipped: int = 0


def _apply(
    call: Call, name: str, sample: Path, facts: ClinicFacts, folder: Path, dates: str
) -> None:
    import mappings

    mapping = mappings.load(name, _folder_of(name, folder))
    context = mappings.Context("sample", facts.timezone, facts.country, facts.language)
    try:
        out = _mapped(mapping.compile(context), _records(sample, mapping, facts, dates))
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
    sample: Path, mapping: Mapping, facts: ClinicFacts, dates: str
) -> Iterator[Record | Unreadable]:
    if not sample.is_file():
        raise _refused(sample, f"there is no file {sample}", "name a CSV or JSON file")
    return (
        _json_records(sample)
        if sample.suffix.lower() == ".json"
        else _csv_records(sample, mapping, facts, dates)
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
    sample: Path, mapping: Mapping, facts: ClinicFacts, dates: str
) -> Iterator[Record | Unreadable]:
    """Read a CSV exactly as a drop would be, from a copy: the sample stays where it lies."""
    from clinicrelay import plugins

    plugin: Any = plugins.find("connectors", "csv")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sample.csv").write_bytes(sample.read_bytes())
        options = plugin.Options(
            inbox=Path(folder), contents="append", ready={"settle": "0s"}, dates=dates
        )
        now = datetime.now(UTC)
        kit = Kit("sample", facts, Path(folder), now, find_columns=lambda: mapping.columns)
        for page in plugin(options, kit).pull(None, Window(now, now)):
            yield from page.records
            yield from page.unreadable


def _mapped(mapper: Mapper, records: Iterator[Record | Unreadable]) -> _Out:
    out = _Out()
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
    return out


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
    }


def _print(call: Call, out: _Out, zone: str) -> None:
    from commands._table import show
    from commands._visits import row_of

    if out.visits:
        rows = [row_of(visit, zone) for visit in out.visits]
        show(call, ("appointment", "start", "status", "doctor", "issues"), rows)
    if out.set_aside:
        print("Set aside:")
        show(call, ("place", "what", "detail"), [_aside_row(one) for one in out.set_aside])
    print(
        f"{len(out.visits)} mapped, {len(out.set_aside)} set aside, {out.skipped} skipped. "
        "Nothing was stored."
    )


def _aside_row(one: dict[str, Any]) -> Sequence[str]:
    where = f" ({one['field']})" if one["field"] else ""
    return one["place"], f"{one['reason']}{where}", one["detail"]


# --- mappings' own tests -------------------------------------------------------------------------


def _tests(call: Call, name: str | None, folder: Path) -> int:
    import mappings
    from mappings.testing import run_tests

    names = [name] if name else mappings.names()
    loaded = [mappings.load(one, _folder_of(one, folder)) for one in names]
    failures = [failure for mapping in loaded for failure in run_tests(mapping)]
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
            print(f"{mapping.name}: {len(mapping.tests)} tests, {len(broken)} failed")
        print("\n".join(str(failure) for failure in failures) or "All passed.")
    return NEEDS_PERSON if failures else DONE
