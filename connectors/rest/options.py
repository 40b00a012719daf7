"""What a clinic may say of a JSON interface in settings.yaml."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, SecretStr, model_validator

from clinicrelay.http import HttpOptions
from clinicrelay.paths import compile_path
from clinicrelay.settings.values import CalendarSpan, Duration, Section, SomeTime, Whole, wrong
from clinicrelay.times import zone_of
from connectors.rest.paging import Paging, Single
from connectors.rest.placeholders import names_within


def _path(value: str) -> str:
    try:
        compile_path(value)
    except ValueError as error:
        raise wrong(str(error), "see https://jmespath.org") from None
    return value


def _zone(value: str) -> str:
    if value not in ("clinic", "utc"):
        try:
            zone_of(value)
        except ValueError as error:
            raise wrong(str(error), "write clinic, utc or a zone such as Europe/Berlin") from None
    return value


def _below_base(value: str) -> str:
    if "://" in value or "?" in value:
        raise wrong("a path is what follows base_url", "write /bookings, and the rest under params")
    return value


JsonPath: TypeAlias = Annotated[str, AfterValidator(_path)]
UrlPath: TypeAlias = Annotated[str, AfterValidator(_below_base)]
ZoneName: TypeAlias = Annotated[str, AfterValidator(_zone)]


class Request(Section):
    """One request. Texts may hold {window_start}, {window_end}, {watermark} and {partition}."""

    method: Literal["GET", "POST"] = Field(
        default="GET", description="GET, or POST for a search that changes nothing."
    )
    path: UrlPath = Field(description="What follows base_url.", examples=["/bookings"])
    params: dict[str, Any] = Field(
        default={},
        description="Parameters of the address; one whose placeholder has no value is left out.",
        examples=[{"from": "{window_start}", "to": "{window_end}"}],
    )
    json_: Any = Field(
        default=None,
        alias="json",
        description="Body of a POST search as JSON.",
        examples=[{"startDate": "{window_start}"}],
    )
    form: dict[str, Any] = Field(
        default={}, description="Body of a POST search as a form.", examples=[{"day": "today"}]
    )
    headers: dict[str, str] = Field(
        default={}, description="Headers of this request alone.", examples=[{"X-Site": "12"}]
    )

    @model_validator(mode="after")
    def _one_body(self) -> Request:
        if self.json_ is not None and self.form:
            raise wrong("a request has one body", "write json or form")
        if self.method == "GET" and (self.json_ is not None or self.form):
            raise wrong("a GET has no body", "write method: POST, or use params")
        return self

    @property
    def placeholders(self) -> frozenset[str]:
        """The names of the placeholders in it."""
        parts = (self.path, self.params, self.json_, self.form, self.headers)
        return frozenset(name for part in parts for name in names_within(part))


class Stream(Section):
    """One of several lists that together are the source, such as cancelled visits apart."""

    request: Request = Field(
        description="How the list is asked for.", examples=[{"path": "/bookings/cancelled"}]
    )
    changes: Request | None = Field(
        default=None,
        description="How only its changes are asked for. Absent: as `request`.",
        examples=[{"path": "/bookings", "params": {"updated_after": "{watermark}"}}],
    )
    records: JsonPath | None = Field(
        default=None,
        description="Where the records are in an answer. Absent: as for the source.",
        examples=["data.items"],
    )
    paging: Paging | None = Field(
        default=None,
        description="How to come to the next page. Absent: as for the source.",
        examples=[{"type": "link", "next": "links.next"}],
    )
    gone: bool | JsonPath = Field(
        default=False,
        description="Whether its records are deleted ones: true, or where a record says so.",
        examples=[True],
    )
    set: dict[str, Any] = Field(
        default={},
        description="Values laid over each of its records, for the mapping to read.",
        examples=[{"state": "cancelled"}],
    )


class Partition(Section):
    """Whom or what a list has to be asked for one by one: departments, practitioners."""

    by: str = Field(
        min_length=1,
        description="What it is parted by; practitioner, location and patient let absence count.",
        examples=["practitioner"],
    )
    ids: tuple[str, ...] = Field(
        default=(), description="The ids to ask for, one by one.", examples=[["12", "14"]]
    )
    request: Request | None = Field(
        default=None,
        description="Where the ids are listed. Absent: ids says them.",
        examples=[{"path": "/departments"}],
    )
    records: JsonPath = Field(
        default="@", description="Where the entries are in that list.", examples=["departments"]
    )
    paging: Paging = Field(default=Single(type="none"), description="How that list is paged.")
    id: JsonPath = Field(
        default="id", description="Where an entry's id is.", examples=["departmentid"]
    )

    @model_validator(mode="after")
    def _ids_or_request(self) -> Partition:
        if bool(self.ids) == (self.request is not None):
            raise wrong("name the parts in one way", "write ids, or request with records and id")
        return self


class Lookup(Section):
    """Something that a record only refers to, such as its patient: asked for, and laid into it."""

    ref: JsonPath = Field(
        description="Where the record holds the id, or an address that ends with it.",
        examples=["patient.links.self"],
    )
    path: UrlPath | None = Field(
        default=None,
        description="Where one is asked for, with {id}; or many, with {ids} in params. Absent: at "
        "the address that the record holds.",
        examples=["/patients/{id}"],
    )
    params: dict[str, Any] = Field(
        default={}, description="Parameters of that request.", examples=[{"ids": "{ids}"}]
    )
    records: JsonPath = Field(
        default="@", description="Where the answer holds what was asked for.", examples=["patients"]
    )
    id: JsonPath = Field(default="id", description="Where what is found holds its id.")
    size: Whole = Field(default=50, ge=1, description="Most ids in one request with {ids}.")
    cache: Duration = Field(
        default=timedelta(hours=6),
        description="For how long an unchanged visit does not ask again; half of it at least.",
        examples=["6h"],
    )

    @property
    def in_batches(self) -> bool:
        """Whether one request asks for many."""
        return "ids" in set(names_within([self.path or "", self.params]))


class ReadById(Section):
    """How one visit is asked for by its id."""

    path: UrlPath = Field(description="Its path, with {id}.", examples=["/bookings/{id}"])
    params: dict[str, Any] = Field(default={}, description="Parameters of that request.")
    record: JsonPath = Field(
        default="@", description="Where the answer holds the visit.", examples=["data"]
    )

    @model_validator(mode="after")
    def _names_it(self) -> ReadById:
        if "id" not in set(names_within([self.path, self.params])):
            raise wrong("this request names no visit", "write {id} where the id belongs")
        return self


class Rule(Section):
    """What an answer means that a plain reading of HTTP gets wrong; the first that fits counts."""

    status: int | tuple[int, ...] | None = Field(
        default=None, description="Status, or several. Absent: any.", examples=[404]
    )
    body: JsonPath | None = Field(
        default=None,
        description="True of the answer's body. Absent: any body.",
        examples=["error.code == 'BUSY'"],
    )
    means: Literal["retry", "fail", "reauth", "skip", "incomplete"] = Field(
        description="retry later in this run, fail the source, log in again, skip (nothing is "
        "there), or incomplete (leave this part out and say so).",
        examples=["skip"],
    )

    @model_validator(mode="after")
    def _says_when(self) -> Rule:
        if self.status is None and self.body is None:
            raise wrong("a rule without status and body fits every answer", "write status or body")
        return self

    @property
    def statuses(self) -> tuple[int, ...]:
        """The statuses that it looks at; none where all."""
        if self.status is None:
            return ()
        return (self.status,) if isinstance(self.status, int) else self.status


class Login(Section):
    """A session: credentials are posted once, and what comes back goes with each request."""

    path: UrlPath = Field(description="Where credentials are posted to.", examples=["/sessions"])
    json_: dict[str, SecretStr] = Field(
        default={},
        alias="json",
        description="Credentials as JSON.",
        examples=[{"user": "${PMS_USER}", "password": "${PMS_PASSWORD}"}],
    )
    form: dict[str, SecretStr] = Field(
        default={}, description="Credentials as a form.", examples=[{"user": "${PMS_USER}"}]
    )
    token: JsonPath = Field(
        description="Where the answer holds the token.", examples=["session.token"]
    )
    header: str = Field(
        default="Authorization",
        pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
        description="The header that the token goes into.",
    )
    prefix: str = Field(
        default="Bearer ", description="What stands before the token there.", examples=["Bearer "]
    )

    @model_validator(mode="after")
    def _one_body(self) -> Login:
        if bool(self.json_) == bool(self.form):
            raise wrong("a login has one body", "write json or form, with user and password")
        return self


class Limits(Section):
    """How an interface tells that we ask too often, beside `rate` and `budget`."""

    every: SomeTime | None = Field(
        default=None, description="Least time between two requests.", examples=["5s"]
    )
    remaining: str | None = Field(
        default=None,
        description="Header that counts the requests that are left.",
        examples=["X-RateLimit-Remaining"],
    )
    reset: str = Field(
        default="X-RateLimit-Reset",
        description="Header that says when there are new ones: seconds to go, seconds since 1970 or "
        "an ISO time.",
    )


class RestOptions(HttpOptions):
    """A JSON interface, described without code."""

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

    @property
    def lists(self) -> tuple[List, ...]:
        """Every list that the source is made of, with nothing left open."""
        if self.request is not None:
            only = Stream(request=self.request, changes=self.changes, gone=self.gone or False)
            return (List(only, self),)
        return tuple(List(stream, self) for stream in self.streams)

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


class List:
    """One list as it is read: what its stream leaves open is the source's."""

    def __init__(self, stream: Stream, options: RestOptions) -> None:
        self.request = stream.request
        self.changes_request = stream.changes or stream.request
        self.records = stream.records if stream.records is not None else options.records
        self.paging = stream.paging if stream.paging is not None else options.paging
        self.gone = stream.gone if stream.gone is not False else options.gone or False
        self.set = stream.set
