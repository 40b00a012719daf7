"""What a clinic may say of a JSON interface in settings.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from clinicrelay.http import HttpOptions
from clinicrelay.settings.values import CalendarSpan, Duration, SomeTime, wrong
from clinicrelay.times import zone_of
from connectors.rest.paging import Paging, Single
from connectors.rest.placeholders import names_within
from connectors.rest.requests import JsonPath, Lookup, Partition, ReadById, Request, Stream
from connectors.rest.terms import Limits, Login, Rule


def _zone(value: str) -> str:
    if value not in ("clinic", "utc"):
        try:
            zone_of(value)
        except ValueError as error:
            raise wrong(str(error), "write clinic, utc or a zone such as Europe/Berlin") from None
    return value


_OF_LISTS = {"window_start", "window_end", "watermark", "partition"}
ZoneName: TypeAlias = Annotated[str, AfterValidator(_zone)]


class RestOptions(HttpOptions):
    """A JSON interface, described without code."""

    model_config = ConfigDict(json_schema_extra={"shown": ["request"]})

    request: Request | None = Field(
        default=None,
        description="How the list of visits is asked for. Absent: see streams.",
        examples=[{"path": "/bookings", "params": {"from": "{window_start}"}}],
    )
    changes: Request | None = Field(
        default=None,
        description="How only changes are asked for, with {watermark}. Absent: as `request`.",
        examples=[{"path": "/bookings", "params": {"updated_after": "{watermark}"}}],
    )
    records: JsonPath = Field(
        default="@",
        description="Where the records are in an answer. Absent: the answer is the list.",
        examples=["data.items"],
    )
    paging: Paging = Field(
        default=Single(type="none"),
        description="How to come to the next page: link, link_header, cursor, page or offset.",
        examples=[{"type": "cursor", "next": "meta.next", "param": "page_token"}],
    )
    streams: tuple[Stream, ...] = Field(
        default=(),
        description="Several lists that together are the source, instead of `request`.",
        examples=[[{"request": {"path": "/bookings/deleted"}, "gone": True}]],
    )
    key: JsonPath | tuple[JsonPath, ...] = Field(
        default="id",
        description="Where a record holds its id, or the parts of it.",
        examples=["id"],
    )
    gone: JsonPath | None = Field(
        default=None,
        description="Where a record says that it was deleted.",
        examples=["deleted_at"],
    )
    strategy: Literal["auto", "watermark", "window", "snapshot"] = Field(
        default="auto",
        description="How it is read: only what changed (watermark), the days ahead (window), or "
        "everything (snapshot); auto goes by the placeholders.",
    )
    cursor: JsonPath | None = Field(
        default=None,
        description="Where a record says when it was last changed. Absent: the server's clock alone "
        "moves the watermark.",
        examples=["updated_at"],
    )
    clock: JsonPath | None = Field(
        default=None,
        description="Where an answer tells the server's time. Absent: its Date header.",
        examples=["[0].serverDateTime"],
    )
    overlap: Duration = Field(
        default=timedelta(minutes=15),
        description="How far before the watermark changes are asked for.",
        examples=["15m"],
    )
    reconcile_every: SomeTime = Field(
        default=timedelta(hours=24),
        description="How often everything is read, though only changes are asked for otherwise.",
        examples=["24h"],
    )
    zone: ZoneName = Field(
        default="clinic",
        description="Zone of dates and local times in requests, and of a clock without an offset: "
        "clinic, utc or an IANA name.",
        examples=["utc"],
    )
    slice: CalendarSpan | None = Field(
        default=None,
        description="Longest stretch of days to ask for at once. Absent: the whole window.",
        examples=["7d"],
    )
    partition: Partition | None = Field(
        default=None,
        description="Whom or what has to be asked for one by one, as {partition}.",
        examples=[{"by": "practitioner", "ids": ["12", "14"]}],
    )
    lookups: dict[str, Lookup] = Field(
        default={},
        description="What a record refers to, by the name under which it is laid into the record.",
        examples=[{"patient": {"ref": "patient_id", "path": "/patients/{id}"}}],
    )
    read_by_id: ReadById | None = Field(
        default=None,
        description="How one visit is asked for; then a missing one is settled at once.",
        examples=[{"path": "/bookings/{id}"}],
    )
    missing: Literal["gone", "kept"] = Field(
        default="gone", description="What becomes of a visit that complete lists no longer name."
    )
    errors: tuple[Rule, ...] = Field(
        default=(),
        description="What answers mean that are not what they look like.",
        examples=[[{"status": 404, "means": "skip"}]],
    )
    login: Login | None = Field(
        default=None,
        description="A session to begin first, where the interface knows no lasting credentials.",
        examples=[{"path": "/sessions", "json": {"user": "${PMS_USER}"}, "token": "token"}],
    )
    limits: Limits = Field(
        default=Limits(), description="How the interface limits us.", examples=[{"every": "5s"}]
    )

    @model_validator(mode="after")
    def _one_list(self) -> RestOptions:
        if bool(self.streams) == (self.request is not None):
            raise wrong("name what to read in one way", "write request, or streams")
        return self

    @model_validator(mode="after")
    def _fits_its_strategy(self) -> RestOptions:
        asks = any("watermark" in s.changes_request.placeholders for s in self.lists)
        if self.strategy == "watermark" and not asks:
            raise wrong(
                "strategy watermark needs a request that says since when",
                'write {watermark} where the time belongs, such as updated_after: "{watermark}"',
            )
        parted = any("partition" in s.request.placeholders for s in self.lists)
        if parted != (self.partition is not None):
            raise wrong(
                "partition and {partition} belong together",
                "write {partition} into the request, and under partition what it stands for",
            )
        return self

    @model_validator(mode="after")
    def _placeholders_have_their_values(self) -> RestOptions:
        for one in self.lists:
            if "watermark" in set(names_within(one.request.path)):
                raise wrong(
                    "the path of request holds {watermark}, which has no value at first",
                    "write {watermark} under params, or into the path of changes",
                )
            _only("request", one.request.placeholders, _OF_LISTS)
            _only("changes", one.changes_request.placeholders, _OF_LISTS)
        if self.partition is not None and self.partition.request is not None:
            _only("partition.request", self.partition.request.placeholders, set())
        for name, lookup in self.lookups.items():
            whom: set[str] = (
                set() if lookup.path is None else {"ids" if lookup.in_batches else "id"}
            )
            _only(f"lookups.{name}", lookup.placeholders, whom)
        if self.read_by_id is not None:
            _only("read_by_id", self.read_by_id.placeholders, {"id"})
        return self

    @property
    def lists(self) -> tuple[List, ...]:
        """Every list that the source is made of, with nothing left open."""
        if self.request is not None:
            only = Stream(request=self.request, changes=self.changes, gone=self.gone or False)
            return (List(only, self),)
        return tuple(List(stream, self) for stream in self.streams)

    @property
    def by_itself(self) -> List:
        """The list that a visit asked for by its id is read as.

        What a stream lays over its records is true of that list alone: cancelled ones, listed apart,
        are asked for at the same place as all others.
        """
        plain = (one for one in self.lists if one.gone is not True and not one.set)
        return next(plain, List(Stream(request=self.lists[0].request), self))

    @property
    def reads(self) -> Literal["watermark", "window", "snapshot"]:
        """How it is read, auto decided."""
        if self.strategy != "auto":
            return self.strategy
        named = {name for one in self.lists for name in one.changes_request.placeholders}
        named |= {name for one in self.lists for name in one.request.placeholders}
        if "watermark" in named:
            return "watermark"
        return "window" if {"window_start", "window_end"} & named else "snapshot"

    @property
    def key_paths(self) -> tuple[str, ...]:
        """The paths that a key is made of."""
        return (self.key,) if isinstance(self.key, str) else self.key


def _only(place: str, names: Iterable[str], allowed: set[str]) -> None:
    """Refuse a placeholder that has no value there: nothing, or something else, would be asked for."""
    for name in dict.fromkeys(names):
        if name not in allowed:
            can = " or ".join(f"{{{one}}}" for one in sorted(allowed)) or "no placeholder"
            raise wrong(f"{place} holds {{{name}}}, which has no value there", f"it can hold {can}")


class List:
    """One list as it is read: what its stream leaves open is the source's."""

    def __init__(self, stream: Stream, options: RestOptions) -> None:
        self.request = stream.request
        self.changes_request = stream.changes or stream.request
        self.records = stream.records if stream.records is not None else options.records
        self.paging = stream.paging if stream.paging is not None else options.paging
        self.gone = stream.gone if stream.gone is not False else options.gone or False
        self.set = stream.set
