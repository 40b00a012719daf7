"""The part of the settings that keeps and protects: store, guards, logging, retention."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from clinicrelay.settings import databases
from clinicrelay.settings.values import (
    CalendarSpan,
    Factor,
    Section,
    Share,
    SomeTime,
    Whole,
    none_if_off,
    read_email,
    read_number,
    with_off,
    wrong,
)
from clinicrelay.times import Span


class Store(Section):
    """Where clinicrelay keeps its own copy and its memory."""

    # No repr: the address of a database server holds its password.
    url: Annotated[str, AfterValidator(databases.read_database)] = Field(
        default="sqlite:///clinicrelay.db",
        repr=False,
        description="SQLAlchemy URL of the store; a relative SQLite file lies in `data`.",
        examples=["postgresql+psycopg://clinicrelay@db.example/clinicrelay"],
    )
    lease: SomeTime = Field(
        default=timedelta(seconds=60),
        description="How long a killed run blocks the next one at most; one on another machine that "
        "was waiting for a mail server's answer, as long as that may take.",
        examples=["60s"],
    )
    instance_key: SecretStr | None = Field(
        default=None,
        description="The key of this installation, where `data` does not last; best set by "
        "CLINICRELAY__STORE__INSTANCE_KEY.",
        examples=["${INSTANCE_KEY}"],
    )

    def resolved_url(self, data: Path) -> str:
        """Return the URL as SQLAlchemy wants it; it may hold a password."""
        return databases.resolved(self.url, data)


class HoldIf(Section):
    """From when on a change is too big to be believed; counted on known future visits of a source."""

    gone: Share = Field(
        default=0.10, description="Share of visits missing from a complete read.", examples=["10%"]
    )
    rescheduled: Share = Field(
        default=0.30, description="Share of visits moved in one read.", examples=["30%"]
    )
    cancelled: Share = Field(
        default=0.30, description="Share of visits cancelled in one read.", examples=["30%"]
    )
    reassigned: Share = Field(
        default=0.30,
        description="Share of visits given to another practitioner or patient in one read.",
        examples=["30%"],
    )
    reinstated: Share = Field(
        default=0.30,
        description="Share of visits, of those still to come, that are back after they were "
        "cancelled or gone.",
        examples=["30%"],
    )
    unlinked: Share = Field(
        default=0.20,
        description="Share of the events of visits to come that would leave a calendar though the "
        "visits stand, as nobody of theirs is linked to it any more; 20 may always leave.",
        examples=["20%"],
    )
    shifted: Whole = Field(
        default=10,
        ge=1,
        description="Visits moved by one and the same time: a wrong time zone looks so.",
        examples=[10],
    )
    storm: Factor = Field(
        default=5.0,
        description="Messages falling due, as a multiple of the usual.",
        examples=["5x"],
    )
    set_aside: Share = Field(
        default=0.20, description="Share of records that could not be understood.", examples=["20%"]
    )
    at_least: Whole = Field(
        default=5,
        ge=1,
        description="Fewer than this never hold a read, whatever the share.",
        examples=[5],
    )


ADDRESS = r"^\+[1-9]\d{7,14}$|^[^@\s]+@[^@\s]+\.[^@\s]+$"


def read_recipient(value: Any, info: ValidationInfo) -> str:
    """Accept a phone in E.164, an e-mail address, or `*@domain`."""
    if isinstance(value, str) and "@" in value:
        read_email(value.replace("*@", "anyone@", 1) if value.startswith("*@") else value)
        return str(value)
    return read_number(value, info)


Recipient: TypeAlias = Annotated[
    str,
    PlainValidator(read_recipient),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": ADDRESS,
            "examples": ["*@riverside.example"],
        }
    ),
]


def _never_empty(schema: dict[str, Any]) -> None:
    """An empty list would let everybody through who thinks it lets nobody."""
    items = schema.pop("anyOf")[0]["items"]
    schema |= {"type": "array", "items": items, "minItems": 1, "never_empty": True}


class Caps(Section):
    """The most confirmations and reminders one patient gets at one address; other news always leave."""

    day: Whole = Field(
        default=3, ge=1, description="Most on one day of the clinic's.", examples=[1]
    )
    week: Whole = Field(default=6, ge=1, description="Most within seven days.", examples=[3])


class Safety(Section):
    """What stops a disaster before anybody hears of it."""

    hold_if: HoldIf = Field(
        default=HoldIf(),
        description="When a read is held for a person to look at.",
        examples=[{"gone": "10%"}],
    )
    max_messages_per_run: Whole = Field(
        default=500,
        ge=1,
        description="Messages in one run and in any hour; what is above it is held.",
        examples=[500],
    )
    caps: Annotated[Caps | None, BeforeValidator(none_if_off)] = Field(
        default=Caps(),
        json_schema_extra=with_off,
        description="The most confirmations and reminders a patient gets; what is above waits, or goes "
        "another way, or is not said. `off` switches it off, with a warning.",
        examples=[{"day": 3, "week": 6}],
    )
    only_recipients: tuple[Recipient, ...] | None = Field(
        default=None,
        json_schema_extra=_never_empty,
        description="Messages to patients and doctors reach nobody else; `*@domain` means a whole "
        "domain. Absent: no restriction.",
        examples=[["+4915100000000", "*@riverside.example"]],
    )

    @field_validator("only_recipients")
    @classmethod
    def _somebody(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not value:
            raise wrong(
                "`only_recipients` is there but names nobody",
                "name somebody, or delete the key to have no restriction",
            )
        return value


class Logging(Section):
    """What is written down of each run; never names, numbers or texts."""

    file: Path = Field(
        default=Path("log/clinicrelay.jsonl"),
        description="The log file, in `data`.",
        examples=["log/clinicrelay.jsonl"],
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is worth a line.", examples=["info"]
    )


def _days(count: int) -> Span:
    return Span(count, timedelta(), f"{count}d")


def _not_under(days: int, why: str) -> AfterValidator:
    """Refuse a stretch that is shorter than what still works with what would be deleted."""

    def long_enough(value: Span) -> Span:
        if value.length < timedelta(days=days):
            raise wrong(f"this is too short: {why}", f"write {days}d or more")
        return value

    return AfterValidator(long_enough)


_Visits: TypeAlias = Annotated[
    CalendarSpan, _not_under(14, "calendars and caps still go by visits of the last two weeks")
]
_ADay: TypeAlias = Annotated[CalendarSpan, _not_under(1, "what was sent or read today is at work")]


class Retention(Section):
    """How long things are kept; what is older is deleted once a day by `sync`, or by `purge`."""

    appointments: _Visits = Field(
        default=_days(400),
        description="Visits, counted from their end, with all that was said about them.",
        examples=["400d"],
    )
    bodies: _ADay = Field(
        default=_days(30),
        description="Texts of messages, counted from their sending; also those in the outbox and in "
        "rehearsal.",
        examples=["30d"],
    )
    quarantine: _ADay = Field(
        default=_days(30),
        description="The text of records that were set aside, counted from when they were last seen.",
        examples=["30d"],
    )
    exports: _ADay = Field(
        default=_days(90),
        description="Files in `processed` and `quarantine` of an inbox, counted from when they were "
        "written.",
        examples=["90d"],
    )
    runs: _ADay = Field(
        default=_days(400),
        description="What single runs did, and alerts that are over.",
        examples=["400d"],
    )
    audit: _ADay = Field(
        default=_days(2192),
        description="Who did what (`clinicrelay audit`): six years.",
        examples=["2192d"],
    )
