"""The part of the settings that decides who is told what, when, and on which channel."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema

from clinicrelay.model import Channel
from clinicrelay.settings.values import (
    SPAN_PATTERN,
    CalendarSpan,
    ClockTime,
    Section,
    SomeTime,
    wrong,
)
from clinicrelay.times import Span

Consent: TypeAlias = Literal["recorded", "implied", "off"]
Preference: TypeAlias = Literal["preferred", "sms", "whatsapp", "email"]

CONSENT: dict[Channel, Consent] = {
    Channel.SMS: "implied",
    Channel.WHATSAPP: "recorded",
    Channel.EMAIL: "implied",
}


class Channels(Section):
    """Which way a person is reached first, and what consent each way wants."""

    order: tuple[Preference, ...] = Field(
        default=("preferred", "sms", "email"),
        min_length=1,
        description="Which channel is tried first; `preferred` is the patient's own choice.",
        examples=[["preferred", "sms", "email"]],
    )
    email: tuple[str, ...] | None = Field(
        default=None,
        description="Notifiers for e-mail in their order; the next one only if the first is proven "
        "to have failed. Absent: all that can, in the order of the file.",
        examples=[["sendgrid", "smtp"]],
    )
    sms: tuple[str, ...] | None = Field(
        default=None,
        description="Notifiers for SMS in their order.",
        examples=[["twilio", "aws_sms"]],
    )
    whatsapp: tuple[str, ...] | None = Field(
        default=None,
        description="Notifiers for WhatsApp in their order.",
        examples=[["twilio_whatsapp"]],
    )
    consent: dict[Channel, Consent] = Field(
        default=CONSENT,
        description="What allows a message on a channel: consent `recorded` in the source, "
        "`implied` by the treatment, or `off`.",
        examples=[{"sms": "implied", "whatsapp": "recorded", "email": "implied"}],
    )

    @field_validator("consent")
    @classmethod
    def _keep_the_unsaid(cls, value: dict[Channel, Consent]) -> dict[Channel, Consent]:
        return {**CONSENT, **value}

    def named(self, channel: Channel) -> tuple[str, ...] | None:
        """Return the notifiers that settings name for a channel; None where they name none."""
        if channel is Channel.EMAIL:
            return self.email
        return self.sms if channel is Channel.SMS else self.whatsapp


def default_latest(before: Span) -> timedelta:
    """Return how long before the visit a late reminder is still worth sending.

    Half the lead from two days on; below that an eighth (3 h for a day), at least 15 minutes, yet
    never more than half the lead.
    """
    lead = before.length
    if lead >= timedelta(days=2):
        return lead / 2
    return min(max(lead / 8, timedelta(minutes=15)), lead / 2)


class Step(Section):
    """One reminder: how long before the visit, and until when it is still worth sending."""

    before: CalendarSpan = Field(
        description="How long before the visit; days are counted on the clinic's wall clock.",
        examples=["1d"],
    )
    latest: SomeTime = Field(
        default_factory=lambda said: default_latest(said["before"]),
        description="Not sent later than this long before the visit. Default: half the lead from "
        "2d on, 3h for 1d, 15m for 1h.",
        examples=["3h"],
    )
    channels: tuple[Channel, ...] | None = Field(
        default=None,
        min_length=1,
        description="Only these channels for this step, instead of `channels.order`.",
        examples=[["sms"]],
    )

    def __hash__(self) -> int:
        """Plan looks steps up for every visit: pydantic's own would go through all fields each time."""
        return hash(self.before.text)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> dict[str, Any]:
        word = {"type": "string", "pattern": SPAN_PATTERN, "examples": ["1d"]}
        return {"anyOf": [word, handler(core_schema)]}

    @model_validator(mode="before")
    @classmethod
    def _from_a_word(cls, value: Any) -> Any:
        return {"before": value} if isinstance(value, str | int | Span) else value

    @field_validator("before")
    @classmethod
    def _some_time_ahead(cls, value: Span) -> Span:
        if not value.length:
            raise wrong("a reminder must come before the visit", "write 1h or 1d")
        return value

    @field_validator("latest")
    @classmethod
    def _between_step_and_visit(cls, value: timedelta, info: ValidationInfo) -> timedelta:
        before = info.data.get("before")
        if before and value >= before.length:
            raise wrong(
                f"`latest` must be nearer to the visit than `before` ({before})",
                f"write less than {before}, or leave `latest` out",
            )
        return value

    @property
    def name(self) -> str:
        """The step's name in messages and in the ledger, as it was written: `1d`."""
        return self.before.text


class Confirmation(Section):
    """The message that answers a booking."""

    channels: tuple[Channel, ...] | None = Field(
        default=None,
        min_length=1,
        description="Only these channels, instead of `channels.order`.",
        examples=[["email"]],
    )
    invite: bool = Field(
        default=False,
        description="Whether the e-mail carries a calendar invitation for the patient.",
        examples=[True],
    )


def _steps_of(value: Any) -> Any:
    if isinstance(value, str):
        raise wrong("steps are a list", f"write [{value}]")
    return value


Steps: TypeAlias = Annotated[tuple[Step, ...], BeforeValidator(_steps_of)]


class PatientReminders(Section):
    """What patients are told; what is absent is not said."""

    confirmation: Confirmation | None = Field(
        default=None,
        description="Confirm each new booking. Absent: bookings are not confirmed.",
        examples=[{"channels": ["email"], "invite": True}],
    )
    steps: Steps = Field(
        default=(),
        description="Reminders before the visit, each a time ahead or a section.",
        examples=[["3d", "1d", "1h"]],
    )
    name_in_sms: Literal["shared", "always", "never"] = Field(
        default="shared",
        description="When an SMS says by first name whom it is for: `shared`, where several patients "
        "have that number or it is a guardian's; `always`; `never`.",
        examples=["shared"],
    )
    on_change: bool = Field(
        default=True,
        description="Tell a patient, who was told of a visit, that it was moved.",
        examples=[True],
    )
    on_cancel: bool = Field(
        default=True,
        description="Tell a patient, who was told of a visit, that it was cancelled.",
        examples=[True],
    )
    on_gone: bool = Field(
        default=False,
        description="Tell a patient when a visit has vanished from its source without a "
        "cancellation.",
        examples=[False],
    )
    guardian_until: int = Field(
        default=18,
        ge=0,
        le=99,
        description="Younger patients, by their age on the day of the visit, are reached through the "
        "guardian whom the source names; 0: nobody is.",
        examples=[16],
    )


class Digest(Section):
    """A doctor's list of the coming day, and of what changed since the last list."""

    at: ClockTime = Field(
        description="When the list is sent, on the clinic's clock.", examples=["18:00"]
    )
    channels: tuple[Channel, ...] = Field(
        default=(Channel.EMAIL,),
        min_length=1,
        description="Channels of the list.",
        examples=[["email"]],
    )
    empty: Literal["skip", "send"] = Field(
        default="skip",
        description="What happens on a day without visits: `skip` sends nothing, unless something "
        "changed since the last list; `send` says that there are none, to doctors who have visits "
        "in the two weeks after.",
        examples=["send"],
    )


class DoctorReminders(Section):
    """What doctors are told; what is absent is not said."""

    steps: Steps = Field(default=(), description="Reminders before each visit.", examples=[["1h"]])
    digest: Digest | None = Field(
        default=None,
        description="One list of the next day's visits, or of the same day's where `at` is before "
        "noon. Absent: none.",
        examples=[{"at": "18:00"}],
    )


class Reminders(Section):
    """Who is told about visits; an absent section says nothing."""

    patient: PatientReminders | None = Field(
        default=None,
        description="What patients are told. Absent: nothing.",
        examples=[{"steps": ["1d"]}],
    )
    doctor: DoctorReminders | None = Field(
        default=None,
        description="What doctors are told. Absent: nothing.",
        examples=[{"steps": ["1h"]}],
    )


class QuietHours(Section):
    """The night, in which nobody is disturbed; on the clinic's clock."""

    start: ClockTime = Field(
        default=time(21), alias="from", description="When the quiet begins.", examples=["21:00"]
    )
    end: ClockTime = Field(
        default=time(8),
        alias="to",
        description="When it ends, usually next morning.",
        examples=["08:00"],
    )

    @model_validator(mode="after")
    def _lasts(self) -> QuietHours:
        if self.start == self.end:
            raise wrong("quiet hours begin and end at the same time", "write `off` to have none")
        return self

    @property
    def open(self) -> timedelta:
        """How much of a day is left for messages."""
        start, end = (timedelta(hours=t.hour, minutes=t.minute) for t in (self.start, self.end))
        return (start - end) % timedelta(days=1)
