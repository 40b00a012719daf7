"""What a clinic may say about its FHIR server in settings.yaml."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from clinicrelay.http import HttpOptions
from clinicrelay.settings.local import LocalPath
from clinicrelay.settings.values import CalendarSpan, Duration, Section, SomeTime, Whole, wrong
from clinicrelay.times import parse_span

Strategy: TypeAlias = Literal["auto", "watermark", "window", "partition", "history", "snapshot"]
Status: TypeAlias = Literal[  # R5's value set; the older ones are parts of it
    "proposed",
    "pending",
    "booked",
    "arrived",
    "fulfilled",
    "cancelled",
    "noshow",
    "entered-in-error",
    "checked-in",
    "waitlist",
]
PresetName: TypeAlias = Literal[
    "epic", "cerner", "hapi", "openemr", "medplum", "azure", "google", "healthlake"
]

# These the connector says itself; a second one would contradict it.
_OURS = ("date", "_lastupdated", "_since", "_count", "_include", "_id", "_format", "_elements")


def _id(value: Any) -> Any:
    """Ids are texts, though most look like numbers and are written as such."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and (not value.strip() or "," in value or "|" in value):
        raise wrong("this is not one id", "write a list: [593923, 593924]")
    return value.strip() if isinstance(value, str) else value


def _params(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    for name in value:
        if str(name).partition(":")[0].lower() in _OURS:
            raise wrong(f"{name} is set by the connector itself", "use window, slice or strategy")
    return {k: v if isinstance(v, list) else [v] for k, v in value.items()}


def _one(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else value


_ID = {"type": ["string", "integer"]}
_VALUE = {"type": ["string", "integer", "boolean"]}
_VALUES = {"anyOf": [_VALUE, {"type": "array", "items": _VALUE}]}

Id: TypeAlias = Annotated[str, BeforeValidator(_id), WithJsonSchema(_ID)]
Value: TypeAlias = Annotated[str, BeforeValidator(_one)]
Params: TypeAlias = Annotated[
    dict[str, list[Value]],
    BeforeValidator(_params),
    WithJsonSchema({"type": "object", "additionalProperties": _VALUES}),
]


class Partition(Section):
    """Whose appointments are asked for, where a server refuses open searches."""

    by: Literal["practitioner", "location", "patient"] = Field(
        description="What the ids are of.", examples=["practitioner"]
    )
    ids: tuple[Id, ...] = Field(
        default=(), description="The ids, as that server knows them.", examples=[[593923, 593924]]
    )
    file: LocalPath | None = Field(
        default=None,
        description="File with an id on each line; empty lines and those after # do not count.",
        examples=["patients.txt"],
    )
    ids_per_request: Whole | None = Field(
        default=None,
        ge=1,
        le=500,
        description="How many ids go into one request. Absent: what the preset allows, else 1.",
        examples=[20],
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Partition:
        if bool(self.ids) == (self.file is not None):
            raise wrong("a partition has either ids or a file of them", "write ids: [593923]")
        return self


class Paging(Section):
    """How pages after the first are found."""

    rewrite_links: bool = Field(
        default=False,
        description="Whether links to further pages keep our address, for a server behind a proxy "
        "that writes another host into them.",
        examples=[True],
    )
    max_pages: Whole = Field(
        default=2000,
        ge=1,
        description="Most pages of one search; more than that is taken for a loop.",
        examples=[2000],
    )


class FhirOptions(HttpOptions):
    """A FHIR server: STU3, R4, R4B or R5."""

    preset: PresetName | None = Field(
        default=None,
        description="Whose server it is: sets what that vendor wants. All of it can be overridden.",
        examples=["cerner"],
    )
    strategy: Strategy = Field(
        default="auto",
        description="How changes are found: by watermark, by reading the whole window, in "
        "partitions, by history, or all there is; auto chooses by what the server declares.",
        examples=["auto"],
    )
    partition: Partition | None = Field(
        default=None,
        description="Whose appointments are asked for, where a server refuses open searches.",
        examples=[{"by": "practitioner", "ids": [593923, 593924]}],
    )
    params: Params = Field(
        default={},
        description="Search parameters to add to each search for appointments.",
        examples=[{"status:not": "proposed"}],
    )
    paging: Paging = Field(
        default=Paging(), description="How pages after the first are found.", examples=[{}]
    )
    page_size: Whole = Field(
        default=200,
        ge=1,
        le=5000,
        description="How many appointments are asked for at once; servers may send fewer.",
        examples=[200],
    )
    slice: CalendarSpan = Field(
        default=parse_span("14d"),
        description="How many days of the window one search asks for.",
        examples=["14d"],
    )
    overlap: Duration = Field(
        default=timedelta(minutes=15),
        description="How far before the watermark changes are asked for; longer than any change "
        "takes to be seen by others.",
        examples=["15m"],
    )
    reconcile_every: SomeTime = Field(
        default=timedelta(hours=24),
        description="How often the whole window is read beside the changes.",
        examples=["24h"],
    )
    on_ignored_parameter: Literal["fail", "incomplete"] = Field(
        default="fail",
        description="What a search means of which the server ignored a parameter: a mistake in "
        "the settings, or a read that is not complete.",
        examples=["fail"],
    )
    version: Literal["STU3", "R4", "R4B", "R5"] | None = Field(
        default=None,
        description="Version of FHIR. Absent: what the server declares.",
        examples=["R4"],
    )
    statuses: dict[str, Status] = Field(
        default={},
        description="What a status of this server means in FHIR's words: its code, or what the "
        "extension of `status_extension` says.",
        examples=[{"proposed": "booked", "Pre-registration completed": "booked"}],
    )
    status_extension: str | None = Field(
        default=None,
        description="URL of the extension in which this server says a visit's status in words of its "
        "own; they count where `statuses` knows them.",
        examples=["https://ehr.example/fhir/StructureDefinition/appointment-status"],
    )
    trust_unlabelled_link: bool = Field(
        default=False,
        description="Whether the only link of a video visit is the patient's where nothing says so.",
    )
    by_display: dict[str, str] = Field(
        default={},
        description="Practitioners of whom a visit says only the name: name to key.",
        examples=[{"Dr. Elif Acar": "Practitioner/17"}],
    )
    cache_ttl: Duration = Field(
        default=timedelta(hours=24),
        description="How long a patient is believed unchanged where each has to be asked for; those "
        "with a visit in the next two days are always asked again.",
        examples=["24h"],
    )

    @model_validator(mode="after")
    def _partition_fits(self) -> FhirOptions:
        if self.slice.elapsed or self.slice.days < 1:
            raise wrong("a slice is whole days", "write 7d")
        if self.partition and self.strategy in ("watermark", "history", "snapshot"):
            raise wrong(
                f"strategy {self.strategy} asks for all appointments at once, without partition",
                "write strategy: partition, or leave partition out",
            )
        if self.params and self.strategy == "history":
            # It would bring the visits of others, which params are there to keep out.
            raise wrong(
                "a history cannot be searched: params mean nothing to it", "write strategy: auto"
            )
        return self
