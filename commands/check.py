"""`clinicrelay check`: settings, mappings, texts and plugins; every mistake at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from clinicrelay.contracts import Finding
from clinicrelay.counts import counted
from clinicrelay.errors import Refused, SettingsError, StoreRefused, TryLater
from commands import _reaches
from commands._call import Call, shared
from commands._costs import costs_json, show_costs, sms_texts
from commands._ending import DONE, SETTINGS, finding_json, finding_text, gravest
from commands._explain import as_json as values_as_json
from commands._explain import show_values, values
from commands._frame import clinic, headline, name_of, placed_in, print_json
from commands._samples import show_samples

if TYPE_CHECKING:
    from pathlib import Path

    from clinicrelay.contracts import Calendar, Connector, Notifier
    from clinicrelay.settings import Broken, Loaded
    from clinicrelay.settings.origins import Told
    from mappings.compile import Mapper
    from sync.clinic import Clinic
    from sync.previews import Preview
    from sync.sampling import Sample


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("check")(shared(check))


def check(
    call: Call,
    connect: Annotated[
        bool, typer.Option("--connect", help="Also try every system, changing nothing.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also print every value and where it comes from.")
    ] = False,
    no_secrets: Annotated[
        bool,
        typer.Option(
            "--no-secrets",
            help="Follow no ${NAME} and no ${file:…}, and open no store: for CI.",
        ),
    ] = False,
) -> int:
    """Check settings, mappings and texts, all mistakes at once. Exits 2 when something is wrong."""
    if connect and no_secrets:
        raise typer.BadParameter("nothing can be reached without secrets", param_hint="--connect")
    try:
        clinics = call.clinics(secrets=not no_secrets)
    except SettingsError as error:
        return _tell_all(call, {"": Checked("", [*error.findings])})
    checked = {}
    for one in clinics:
        several = len(clinics) > 1
        told = values(one.file, secrets=not no_secrets, among_others=several) if explain else None
        found = _findings(call, one, connect=connect, secrets=not no_secrets)
        checked[name_of(one)] = found._replace(values=told)
    return _tell_all(call, checked)


class Checked(NamedTuple):
    """What is to be said of one clinic; `values` where they were asked for."""

    first: str
    findings: list[Finding]
    samples: dict[str, Sample] = {}
    reached: dict[str, list[_reaches.Reached]] = {}
    values: list[Told] | None = None
    sms: list[Preview] = []


def _tell_all(call: Call, checked: dict[str, Checked]) -> int:
    codes, told = [], {}
    for name, one in checked.items():
        wrong = sum(finding.severity == "error" for finding in one.findings)
        codes.append(SETTINGS if wrong else DONE)
        more = {} if one.values is None else {"values": values_as_json(one.values)}
        told[name] = {"ok": not wrong, "findings": [finding_json(f) for f in one.findings], **more}
        if one.samples:
            told[name]["samples"] = {source: found.visits for source, found in one.samples.items()}
        if one.sms:
            told[name]["sms"] = costs_json(one.sms)
        if one.reached:
            told[name]["calendars"] = {n: _reaches.as_json(r) for n, r in one.reached.items()}
        if not call.as_json and (one.findings or not call.quiet):
            show_values(call, one.values or [])
            if one.first:
                print(one.first)
            for source, found in one.samples.items():
                show_samples(call, source, found)
            for calendar, reached in one.reached.items():
                _reaches.show_reached(call, calendar, reached)
            show_costs(call, one.sms, every=one.values is not None)
            print("\n".join(_lines(one.findings, wrong)))
    if call.as_json:
        print_json(told if len(told) > 1 else next(iter(told.values())))
    return gravest(codes)


def _findings(call: Call, loaded: Loaded | Broken, *, connect: bool, secrets: bool) -> Checked:
    """Return the first line of what is said, and all that is wrong."""
    from clinicrelay.settings import Broken

    if isinstance(loaded, Broken):
        return Checked(f"Settings: {loaded.file}", [*loaded.findings])
    try:
        return _looked_at(call, loaded, connect=connect, secrets=secrets)
    except StoreRefused as error:
        return Checked(f"Settings: {loaded.file}", [*loaded.findings, *error.findings])


def mistakes(call: Call, loaded: Loaded) -> list[Finding]:
    """Return what is wrong with a clinic as far as no system has to be asked for it."""
    found = _findings(call, loaded, connect=False, secrets=True).findings
    return [finding for finding in found if finding.severity == "error"]


def _looked_at(call: Call, loaded: Loaded, *, connect: bool, secrets: bool) -> Checked:
    """Look at what only a clinic at work shows. Raises StoreRefused."""
    found, samples, reached = (
        [*loaded.findings],
        dict[str, "Sample"](),
        dict[str, list[_reaches.Reached]](),
    )
    with _opened(call, loaded if secrets else _storeless(loaded)) as at_work:
        at_work.dry = False  # the real plugins are to be asked: a check changes nothing anyway
        at_work.watched = False  # and waits for no file to settle
        found += _mappings(at_work, loaded.opaque, loaded.file)
        told = "templates" not in loaded.opaque
        found += _texts(at_work, loaded.file) if told else ()
        costs = sms_texts(at_work.words, at_work.zone, call.moment(at_work.zone)) if told else []
        if secrets:
            found += _sources(at_work, samples, loaded.file, connect=connect)
            found += _calendars(at_work, reached, loaded.file, connect=connect)
            found += _notifiers(at_work, loaded.file, connect=connect)
            found += _broker(at_work, loaded.file) if connect else ()
        else:
            found += _advice(at_work, loaded)
        first = headline(at_work) if secrets else f"Settings: {loaded.file}"
    return Checked(first, found, samples, reached, sms=costs)


def _storeless(loaded: Loaded) -> Loaded:
    """Return the settings with a store in memory, as the real one may want a secret to be opened."""
    store = loaded.settings.store.model_copy(update={"url": "sqlite:///:memory:"})
    return replace(loaded, settings=loaded.settings.model_copy(update={"store": store}))


def _opened(call: Call, loaded: Loaded) -> AbstractContextManager[Clinic]:
    """Open the clinic without making a store where there is none yet."""
    from sync import store as stores

    with placed_in(loaded):
        there = stores.exists(loaded.settings.store_url)
    return clinic(call, loaded, scratch=not there)


# --- mappings and texts --------------------------------------------------------------------------


def _mappings(at_work: Clinic, opaque: frozenset[str], file: Path) -> Iterator[Finding]:
    from clinicrelay import plugins

    checked = set()
    for name, source in at_work.settings.sources.items():
        if not opaque.isdisjoint({f"sources.{name}.type", f"sources.{name}.mapping"}):
            continue
        plugin: Any = plugins.find("connectors", source.type)
        mapping = source.mapping or plugin.mapping
        if mapping is None:
            message = f"{name} names no mapping, and {source.type} has none of its own"
            fix = f"write mapping: NAME under sources.{name}"
            lacking = Finding("error", "no_mapping", message, fix, path="mapping")
            yield from _placed(f"sources.{name}", [lacking], file)
        elif mapping not in checked:
            checked.add(mapping)
            yield from _mapping(at_work, name, mapping)


def _mapping(at_work: Clinic, source: str, name: str) -> Iterator[Finding]:
    import mappings
    from mappings.testing import place_of_tests, run_tests

    try:
        mapping = mappings.load(name, at_work.settings.folder)
    except SettingsError as error:
        yield from error.findings
        return
    clinic = at_work.settings.clinic
    own = mappings.Context(source, clinic.timezone, clinic.country, clinic.language)
    for failure in run_tests(mapping, place_of_tests(mapping, own)):
        yield Finding(
            "error",
            "mapping_test",
            str(failure),
            "correct the mapping or its test",
            path=f"sources.{source}.mapping",
            file=str(mapping.file),
        )


def _texts(at_work: Clinic, settings: Path) -> Iterator[Finding]:
    """Yield what is wrong with texts; what is wrong with the settings about them, at its line there."""
    from clinicrelay.settings.tree import placed
    from sync.words.check import check_words

    for finding in check_words(at_work.words):
        yield finding if finding.file else placed(finding, settings)


# --- plugins -------------------------------------------------------------------------------------


def _sources(
    at_work: Clinic, samples: dict[str, Sample], file: Path, *, connect: bool
) -> Iterator[Finding]:
    """Yield what sources find wrong; what they show goes into `samples`."""
    for name in at_work.settings.sources:
        found = _source(at_work, name, samples, connect=connect)
        yield from _placed(f"sources.{name}", found, file)


def _calendars(
    at_work: Clinic, reached: dict[str, list[_reaches.Reached]], file: Path, *, connect: bool
) -> Iterator[Finding]:
    """Yield what calendars find wrong; how each doctor's stands goes into `reached`."""
    for name in at_work.settings.calendars:
        calendar = at_work.calendar(name)
        found = [*calendar.advise()]
        if connect or _is_here(calendar):
            found += calendar.check()
        yield from _placed(f"calendars.{name}", found, file)
        # Where the account itself is not let in, no calendar has anything else to say.
        if connect and calendar.connects and all(one.severity != "error" for one in found):
            reached[name] = _reaches.ask(at_work, name, calendar)
            for place, finding in _reaches.wrong(at_work, name, reached[name]):
                yield from _placed(place, [finding], file)


def _notifiers(at_work: Clinic, file: Path, *, connect: bool) -> Iterator[Finding]:
    from sync.languages import unspoken

    for name in at_work.settings.notifiers:
        notifier = at_work.notifier(name)
        yield from _placed(f"notifiers.{name}", notifier.advise(), file)
        yield from _placed(f"notifiers.{name}", unspoken(at_work, name, notifier), file)
        if connect or _is_here(notifier):
            yield from _placed(f"notifiers.{name}", notifier.check(), file)


def _advice(at_work: Clinic, loaded: Loaded) -> Iterator[Finding]:
    """Yield what plugins say of their settings where secrets are not at hand, and none is needed."""
    settings = at_work.settings
    kinds: tuple[tuple[str, Mapping[str, Any], Callable[[str], Any]], ...] = (
        ("sources", settings.sources, at_work.connector),
        ("calendars", settings.calendars, at_work.calendar),
        ("notifiers", settings.notifiers, at_work.notifier),
    )
    for kind, entries, plugin in kinds:
        for name, entry in entries.items():
            place = f"{kind}.{name}"
            if entry.options is None or f"{place}.type" in loaded.opaque:
                continue  # what it needs is a secret as a whole
            with suppress(Refused, SettingsError):
                found = [*plugin(name).advise()]
                known = [one for one in found if f"{place}.{one.path}" not in loaded.opaque]
                yield from _placed(place, known, loaded.file)


def _broker(at_work: Clinic, file: Path) -> Iterator[Finding]:
    """Yield why the RabbitMQ of workers would not have them."""
    from importlib.util import find_spec

    from clinicrelay.settings.tree import placed

    runner = at_work.settings.runner
    if runner.broker is not None and find_spec("celery") is not None:  # else `worker` says so
        from sync.runners.celery import refused

        if wrong := refused(runner):
            yield placed(wrong, file)


def _source(
    at_work: Clinic, name: str, samples: dict[str, Sample], *, connect: bool
) -> Iterator[Finding]:
    """Ask a source's connector; a source that answers is also asked for a few records."""
    mapper: Mapper | None = None
    try:
        connector, mapper = at_work.source(name)
    except (SettingsError, Refused):  # what is wrong with its mapping is told already
        connector = at_work.connector(name)
    try:
        unwise = [*connector.advise()]
        yield from unwise
        if not connect or any(finding.severity == "error" for finding in unwise):
            return
        found = [*connector.check()]
        yield from found
        wrong = any(finding.severity == "error" for finding in found)
        if mapper and not wrong and connector.waiting():
            yield from _sample(at_work, name, connector, mapper, samples)
    finally:
        connector.close()


def _sample(
    at_work: Clinic, name: str, connector: Connector, mapper: Mapper, samples: dict[str, Sample]
) -> Iterator[Finding]:
    from sync.sampling import sample

    try:
        found = samples[name] = sample(at_work, name, connector, mapper)
    except (TryLater, Refused) as error:
        yield Finding("error", "cannot_read", str(error), getattr(error, "fix", ""))
        return
    for reason, number in sorted(found.reasons.items()):
        message = f"{number} of {found.looked_at} sample records are not understood: {reason}"
        fix = f"clinicrelay sync {name} sets such records aside, and quarantine list shows them"
        yield Finding("warning", "not_understood", message, fix)


def _is_here(plugin: Calendar | Notifier) -> bool:
    """Whether a look at a plugin's destination opens no connection and leaves this machine alone."""
    return not plugin.connects and not plugin.outside


def _placed(path: str, findings: Iterable[Finding], file: Path) -> Iterator[Finding]:
    """Yield what a plugin finds wrong, at its place in the settings: the option, else the plugin."""
    from msgspec.structs import replace

    from clinicrelay.settings.tree import placed

    for finding in findings:
        inside = finding.path.removeprefix(path).lstrip(".")
        option = placed(replace(finding, path=f"{path}.{inside}" if inside else path), file)
        if option.file:
            yield option
        else:  # what is missing stands on no line; its plugin does
            plugin = placed(replace(finding, path=path), file)
            yield replace(plugin, path=option.path)


# --- telling -------------------------------------------------------------------------------------


def _lines(findings: list[Finding], wrong: int) -> Iterator[str]:
    yield from (finding_text(finding) for finding in findings)
    warnings = sum(finding.severity == "warning" for finding in findings)
    if not wrong and not warnings:
        yield "All is right."
    else:
        yield f"{counted(wrong, 'mistake')}, {counted(warnings, 'warning')}."
