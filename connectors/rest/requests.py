"""How something is asked for: one request, one list of several, a part, a reference, one visit."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from clinicrelay.paths import compile_path
from clinicrelay.settings.values import Duration, Section, Whole, wrong
from connectors.rest.paging import Paging, Single
from connectors.rest.placeholders import names_within
from connectors.rest.spelling import proved


def _path(value: str) -> str:
    try:
        compile_path(value)
    except ValueError as error:
        raise wrong(str(error), "see https://jmespath.org") from None
    return value


def _below_base(value: str) -> str:
    if "://" in value or "?" in value:
        raise wrong("a path is what follows base_url", "write /bookings, and the rest under params")
    return value


JsonPath: TypeAlias = Annotated[str, AfterValidator(_path)]
UrlPath: TypeAlias = Annotated[str, AfterValidator(_below_base), AfterValidator(proved)]
Texts: TypeAlias = Annotated[dict[str, Any], AfterValidator(proved)]


class Request(Section):
    """One request. Texts may hold {window_start}, {window_end}, {watermark} and {partition}."""

    method: Literal["GET", "POST"] = Field(
        default="GET", description="GET, or POST for a search that changes nothing."
    )
    path: UrlPath = Field(description="What follows base_url.", examples=["/bookings"])
    params: Texts = Field(
        default={},
        description="Parameters of the address; one whose placeholder has no value is left out.",
        examples=[{"from": "{window_start}", "to": "{window_end}"}],
    )
    json_: Annotated[Any, AfterValidator(proved)] = Field(
        default=None,
        alias="json",
        description="Body of a POST search as JSON.",
        examples=[{"startDate": "{window_start}"}],
    )
    form: Texts = Field(
        default={}, description="Body of a POST search as a form.", examples=[{"day": "today"}]
    )
    headers: Annotated[dict[str, str], AfterValidator(proved)] = Field(
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
    set: Texts = Field(
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
    params: Texts = Field(
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

    @model_validator(mode="after")
    def _names_it(self) -> Lookup:
        if self.path is not None and not {"id", "ids"} & self.placeholders:
            raise wrong("this request names nobody", "write {id} or {ids} where the id belongs")
        return self

    @property
    def placeholders(self) -> frozenset[str]:
        """The names of the placeholders in it."""
        return frozenset(names_within([self.path or "", self.params]))

    @property
    def in_batches(self) -> bool:
        """Whether one request asks for many."""
        return "ids" in self.placeholders


class ReadById(Section):
    """How one visit is asked for by its id."""

    path: UrlPath = Field(description="Its path, with {id}.", examples=["/bookings/{id}"])
    params: Texts = Field(
        default={}, description="Parameters of that request.", examples=[{"expand": "patient"}]
    )
    record: JsonPath = Field(
        default="@", description="Where the answer holds the visit.", examples=["data"]
    )

    @model_validator(mode="after")
    def _names_it(self) -> ReadById:
        if "id" not in self.placeholders:
            raise wrong("this request names no visit", "write {id} where the id belongs")
        return self

    @property
    def placeholders(self) -> frozenset[str]:
        """The names of the placeholders in it."""
        return frozenset(names_within([self.path, self.params]))
