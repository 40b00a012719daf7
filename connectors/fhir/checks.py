"""What `check` says of a FHIR server: the way there, the credentials, what it can, its clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from clinicrelay.contracts import Finding
from clinicrelay.errors import Refused, TryLater
from connectors.fhir import declared
from connectors.fhir.capability import Capability
from connectors.fhir.following import NotOurs, followed
from connectors.fhir.options import FhirOptions
from connectors.fhir.presets import Preset
from connectors.fhir.search import Part, Searching
from connectors.fhir.server import Query, Server, Sheet
from connectors.fhir.strategies import Way, choose, ids_of, undeclared

_SKEW = timedelta(minutes=2)
_SOON = timedelta(days=14)  # in which there is more than one visit, and so a next page
_NEEDED = ("Patient", "Practitioner", "Location")


def advise(options: FhirOptions, preset: Preset) -> Iterator[Finding]:
    """Yield what the settings lack, as far as that can be seen without asking anybody."""
    wanted = options.strategy if options.strategy != "auto" else preset.strategy
    if wanted == "partition" and options.partition is None:
        try:
            choose(options, preset, Capability(declared=True))
        except Refused as error:
            yield Finding("error", "no_partition", str(error), error.fix, path="partition")


def check(
    server: Server, options: FhirOptions, preset: Preset, now: datetime, *, clock: datetime
) -> Iterator[Finding]:
    """Yield what is wrong, and how the server will be read; asks a handful of questions.

    `clock` is this machine's, whatever `now` is rehearsed.
    """
    known = Capability()
    try:
        known = declared.ask(server, options)
        way = choose(options, preset, known)
        yield Finding("note", "strategy", _told(way, known))
        yield from _appointments(server, options, way, now)
    except (Refused, TryLater) as error:
        told = finding(error)
        yield told
        if "preset" not in told.fix:
            yield from _vendor(options, known)
        return
    yield from _vendor(options, known)
    for name in undeclared(options, known):
        message = f"the server does not list the search parameter {name}"
        yield Finding("warning", "undeclared_parameter", message, "check params and partition")
    yield from _skew(server, clock)
    yield from _permissions(server)


def finding(error: Refused | TryLater) -> Finding:
    """Return an error as what `check` prints."""
    code = "refused" if isinstance(error, Refused) else "not_answered"
    return Finding("error", code, str(error), getattr(error, "fix", ""))


def _told(way: Way, known: Capability) -> str:
    version = f"FHIR {known.version}" if known.version else "a FHIR server of unknown version"
    return f"{version}; {way.told}"


def _vendor(options: FhirOptions, known: Capability) -> Iterator[Finding]:
    if known.vendor and known.vendor != options.preset:
        told = f"preset is {options.preset}" if options.preset else "no preset says so"
        yield Finding(
            "warning",
            "preset",
            f"the server says that it is of {known.vendor}, and {told}",
            f"write preset: {known.vendor}",
        )


def _appointments(
    server: Server, options: FhirOptions, way: Way, now: datetime
) -> Iterator[Finding]:
    """Ask for one appointment the way they will be asked for. Raises what the search raises."""
    given = tuple((name, value) for name, values in options.params.items() for value in values)
    searching = Searching(given, (), 1)
    part = Part()
    if way.strategy == "partition" and options.partition:
        part = Part(by=options.partition.by, ids=tuple(ids_of(options)[:1]))
    sheet = server.search(searching.listing(_soon(part, way, now)))
    for remark in sheet.remarks:
        if remark.about:
            names = ", ".join(remark.about)
            message = f"the server ignores the search parameter {names}"
            yield Finding("error", "ignored_parameter", message, "take it out of params")
    yield from _next_page(server, options, sheet)


def _next_page(server: Server, options: FhirOptions, sheet: Sheet) -> Iterator[Finding]:
    """See whether a next page could be followed, which a read would find out half-way."""
    rewrite = options.paging.rewrite_links
    for link in sheet.bundle.links:
        if link.relation == "next" and link.url:
            try:
                followed(link.url, options.base_url, rewrite=rewrite)
            except NotOurs as error:
                message = f"{server.client.host}: {error}"
                yield Finding("error", "next_page", message, "see to it before the first read")


def _soon(part: Part, way: Way, now: datetime) -> Part:
    from dataclasses import replace

    from connectors.fhir.search import Days

    if not way.by_days:
        return part
    day = now.date()
    return replace(part, days=Days(day, day + _SOON, "UTC"))


def _skew(server: Server, clock: datetime) -> Iterator[Finding]:
    if server.clock and abs(server.clock - clock) > _SKEW:
        minutes = round(abs(server.clock - clock) / timedelta(minutes=1))
        message = f"the clocks of {server.client.host} and of this machine differ by {minutes} min"
        yield Finding("warning", "clock_skew", message, "let both be set by a time server (NTP)")


def _permissions(server: Server) -> Iterator[Finding]:
    for kind in _NEEDED:
        try:
            server.search(Query(kind, (("_count", "1"),)))
        except TryLater as error:
            yield finding(error)
        except Refused as error:
            if getattr(error, "status", 0) == 403:
                message = f"{server.client.host} does not let us read {kind} (403)"
                fix = f"ask its administrators for the scope system/{kind}.read"
                yield Finding("warning", "no_permission", message, fix)
