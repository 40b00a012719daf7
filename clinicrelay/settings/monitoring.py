"""The part of the settings by which the clinic's own people hear that something is wrong."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import Field, PlainValidator, ValidationInfo, WithJsonSchema

from clinicrelay.model import Channel
from clinicrelay.settings.upkeep import ADDRESS
from clinicrelay.settings.values import Name, Section, read_email, read_number


def read_address(value: Any, info: ValidationInfo) -> str:
    """Accept a phone in E.164 or an e-mail address."""
    if isinstance(value, str) and "@" in value:
        return read_email(value)
    return read_number(value, info)


def channel_of(address: str) -> Channel:
    """Return on which channel an address of the clinic's staff is written to."""
    return Channel.EMAIL if "@" in address else Channel.SMS


Address: TypeAlias = Annotated[
    str,
    PlainValidator(read_address),
    WithJsonSchema({"type": "string", "pattern": ADDRESS, "examples": ["it@riverside.example"]}),
]


class Alerts(Section):
    """Who is told when something needs a person, once when it begins and once when it is over."""

    to: tuple[Address, ...] = Field(
        min_length=1,
        description="The addresses that are told, in rehearsal and during a pause as well.",
        examples=[["it@riverside.example"]],
    )
    via: Name = Field(
        description="The notifier that takes alerts there; where it is itself out of use, another one "
        "of its channel does.",
        examples=["smtp"],
    )


class Monitoring(Section):
    """How the clinic's own people hear that something is wrong."""

    alerts: Alerts | None = Field(
        default=None,
        description="Who is told when something needs a person. Absent: nobody; `status` says it.",
        examples=[{"to": ["it@riverside.example"], "via": "smtp"}],
    )
