"""`clinicrelay check`: settings, mappings, texts and plugins; every mistake at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError
from commands._frame import (
    DONE,
    SETTINGS,
    AsJson,
    Call,
    Now,
    SettingsPath,
    clinic,
    finding_text,
    print_json,
)

if TYPE_CHECKING:
    from pathlib import Path

    from clinicrelay.contracts import Calendar, Connector, Notifier
    from clinicrelay.settings import Loaded
    from sync.clinic import Clinic


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("check")(check)


def check(
    connect: Annotated[
        bool, typer.Option("--connect", help="Also try every system, changing nothing.")
    ] = False,
    settings: SettingsPath = None,
    as_json: AsJson = False,
    now: Now = None,
) -> None:
    """Check settings, mappings and texts, all mistakes at once. Exits 2 when something is wrong."""
    call = Call(settings, as_json, now)
    file, findings = _findings(call, connect=connect)
    wrong = sum(finding.severity == "error" for finding in findings)
    if as_json:
        print_json({"ok": not wrong, "findings": [_json(finding) for finding in findings]})
    else:
        print("\n".join(_lines(file, findings, wrong)))
    raise typer.Exit(SETTINGS if wrong else DONE)


def _findings(call: Call, *, connect: bool) -> tuple[Path | None, list[Finding]]:
    try:
        loaded = call.load()
    except SettingsError as error:
        return None, list(error.findings)
    found = [*loaded.findings]
    with _opened(call, loaded) as at_work:
        at_work.dry = False  # the real plugins are to be asked: a check changes nothing anyway
        mappings = list(_mappings(at_work))
        found += [*mappings, *_texts(at_work)]
        if not any(finding.severity == "error" for finding in mappings):
            found += _plugins(at_work, connect=connect)
    return loaded.file, found


def _opened(call: Call, loaded: Loaded) -> AbstractContextManager[Clinic]:
    """Open the clinic without making a store where there is none yet."""
    from sync import store as stores

    return clinic(call, loaded, scratch=not stores.exists(loaded.settings.store_url))


# --- mappings and texts --------------------------------------------------------------------------


def _mappings(at_work: Clinic) -> Iterator[Finding]:
    from clinicrelay import plugins

    checked = set()
    for name, source in at_work.settings.sources.items():
        plugin: Any = plugins.find("connectors", source.type)
        mapping = source.mapping or plugin.mapping
        if mapping is None:
            yield Finding(
                "error",
                "no_mapping",
                f"{name} names no mapping, and {source.type} has none of its own",
                f"write mapping: NAME under sources.{name}",
                path=f"sources.{name}.mapping",
            )
        elif mapping not in checked:
            checked.add(mapping)
            yield from _mapping(at_work, name, mapping)


def _mapping(at_work: Clinic, source: str, name: str) -> Iterator[Finding]:
    import mappings
    from mappings.testing import run_tests

    try:
        mapping = mappings.load(name, at_work.settings.folder)
    except SettingsError as error:
        yield from error.findings
        return
    for failure in run_tests(mapping):
        yield Finding(
            "error",
            "mapping_test",
            str(failure),
            "correct the mapping or its test",
            path=f"sources.{source}.mapping",
            file=str(mapping.file),
        )


def _texts(at_work: Clinic) -> Iterator[Finding]:
    from sync.words.check import check_words

    yield from check_words(at_work.words)


# --- plugins -------------------------------------------------------------------------------------


def _plugins(at_work: Clinic, *, connect: bool) -> Iterator[Finding]:
    settings = at_work.settings
    if connect:
        for name in settings.sources:
            yield from _placed(f"sources.{name}", at_work.source(name)[0])
    for name in settings.calendars:
        calendar = at_work.calendar(name)
        if connect or not calendar.outside:
            yield from _placed(f"calendars.{name}", calendar)
    for name in settings.notifiers:
        notifier = at_work.notifier(name)
        if connect or not notifier.outside:
            yield from _placed(f"notifiers.{name}", notifier)


def _placed(path: str, plugin: Connector | Calendar | Notifier) -> Iterator[Finding]:
    """Yield what a plugin finds wrong, at its place in the settings."""
    from msgspec.structs import replace

    for finding in plugin.check():
        yield finding if finding.path else replace(finding, path=path)


# --- telling -------------------------------------------------------------------------------------


def _lines(file: Path | None, findings: list[Finding], wrong: int) -> Iterator[str]:
    if file is not None:
        yield f"Settings: {file}"
    yield from (finding_text(finding) for finding in findings)
    warnings = len(findings) - wrong
    if not findings:
        yield "All is right."
    else:
        yield f"{_counted(wrong, 'mistake')}, {_counted(warnings, 'warning')}."


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _json(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity,
        "file": finding.file or None,
        "line": finding.line or None,
        "column": finding.column or None,
        "path": finding.path or None,
        "code": finding.code,
        "message": finding.message,
        "fix": finding.fix or None,
    }
