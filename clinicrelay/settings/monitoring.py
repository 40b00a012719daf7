"""The part of the settings by which the clinic's own people hear that something is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    PlainValidator,
    SecretStr,
    Tag,
    ValidationInfo,
    WithJsonSchema,
)

from clinicrelay import heartbeat
from clinicrelay.model import Channel
from clinicrelay.settings.local import LocalPath
from clinicrelay.settings.upkeep import ADDRESS
from clinicrelay.settings.values import Name, Section, read_email, read_number, wrong

_PLACE_PATTERN = r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})"


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


class Place(str):
    """An address of this machine that something listens at, as `host:port`."""

    __slots__ = ()

    @property
    def host(self) -> str:
        """The host, an IPv6 address without its brackets."""
        return self.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.rpartition(":")[2])


def read_place(value: Any) -> Place:
    """Accept an address of this machine with a port, such as 127.0.0.1:9464 or [::1]:9464."""
    if isinstance(value, Place):
        return value
    example = 'write host and port in quotes: "127.0.0.1:9464"'
    if not isinstance(value, str) or not (parts := re.fullmatch(_PLACE_PATTERN, value.strip())):
        raise wrong("this is not an address with a port", example)
    if not 0 < int(parts[2]) < 65536:
        raise wrong("there is no such port", "write one from 1 to 65535, such as 9464")
    return Place(value.strip())


ListensAt: TypeAlias = Annotated[
    Place,
    PlainValidator(read_place),
    WithJsonSchema(
        {"type": "string", "pattern": f"^{_PLACE_PATTERN}$", "examples": ["127.0.0.1:9464"]}
    ),
]


def read_ping_address(value: SecretStr) -> SecretStr:
    """Accept an address that a run reports to; an empty one is none."""
    if wrong_with := heartbeat.fault(value.get_secret_value()):
        raise wrong(*wrong_with)
    return value


PingAddress: TypeAlias = Annotated[SecretStr, AfterValidator(read_ping_address)]
Job: TypeAlias = Literal["sync", "send"]


class Heartbeats(Section):
    """Where each job reports that it began and how it ended."""

    sync: PingAddress | None = Field(
        default=None,
        description="Pinged by `sync`. Absent: its runs are not told.",
        examples=["${HEARTBEAT_SYNC_URL}"],
    )
    send: PingAddress | None = Field(
        default=None,
        description="Pinged by `send`. Absent: its runs are not told.",
        examples=["${HEARTBEAT_SEND_URL}"],
    )


def _kind_of_heartbeat(value: Any) -> str:
    return "each" if isinstance(value, dict | Heartbeats) else "one"


Heartbeat: TypeAlias = Annotated[
    Annotated[Heartbeats, Tag("each")] | Annotated[PingAddress, Tag("one")],
    Discriminator(_kind_of_heartbeat),
]


def read_textfile(value: Path) -> Path:
    """Accept a file that node-exporter would read."""
    if value.suffix != ".prom":
        raise wrong(
            "node-exporter reads only files that end in .prom",
            f"call it {value.with_suffix('.prom').name}",
        )
    return value


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
    metrics: ListensAt | None = Field(
        default=None,
        description="The address of this machine at which `run` tells monitoring how the clinic stands: "
        "`/livez`, `/readyz`, `/healthz` and `/metrics`, with counts and codes, and nobody's data. Who "
        "reaches the address reads them. Absent: nowhere.",
        examples=["127.0.0.1:9464"],
    )
    textfile: Annotated[LocalPath, AfterValidator(read_textfile)] | None = Field(
        default=None,
        description="A file in the folder of node-exporter's textfile collector: `sync` and `send` "
        "leave the metrics there, however they end. Its folder has to be there. Absent: nowhere.",
        examples=["/var/lib/prometheus/node-exporter/clinicrelay.prom"],
    )
    heartbeat: Heartbeat | None = Field(
        default=None,
        description="An address by the protocol of healthchecks.io that hears of the beginning and the "
        "end of each `sync`, or one for `sync` and one for `send`. Absent or empty: nowhere.",
        examples=["${HEARTBEAT_URL:-}"],
    )

    def pinged_by(self, job: Job) -> str:
        """Return the address that a job reports to; it is a secret. Empty: none."""
        if isinstance(self.heartbeat, Heartbeats):
            found: SecretStr | None = getattr(self.heartbeat, job)
        else:
            found = self.heartbeat if job == "sync" else None
        return found.get_secret_value().strip() if found else ""
