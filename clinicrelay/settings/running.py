"""The part of the settings about runs: how long one may take, and how workers wake each other."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo

from clinicrelay import loopback
from clinicrelay.settings.values import Section, SomeTime, wrong

_EXAMPLE = "write amqps://USER:PASSWORD@HOST/VHOST"
SCHEMES = ("amqp", "amqps")


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _read_broker(value: SecretStr) -> SecretStr:
    """Accept the address of a RabbitMQ. No sentence repeats any of it: it holds a password."""
    text = value.get_secret_value().strip()
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong("this is not an address", f"{_EXAMPLE}, with / in a password as %2F") from None
    if parts.scheme not in SCHEMES:
        raise wrong("workers wake each other by RabbitMQ, and this is another kind", _EXAMPLE)
    if not host or port == 0 or parts.query or parts.fragment:
        fix = f"{_EXAMPLE}; / in a password is %2F, # is %23 and ? is %3F"
        raise wrong("this is not the whole address of a RabbitMQ, or holds too much", fix)
    return SecretStr(text)


def _from_the_settings_file(value: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return Path(folder, value) if folder else value


Broker: TypeAlias = Annotated[SecretStr, AfterValidator(_read_broker)]


class Runner(Section):
    """How long a run may take, and what several workers wake each other by."""

    budget: SomeTime = Field(
        default=timedelta(minutes=25),
        description="How long `sync` or `send`, and each turn of `run`, may take: then it ends what it "
        "has in hand, and the next one goes on. `worker` cuts the line into smaller jobs.",
        examples=["25m"],
    )

    broker: Annotated[Broker | None, BeforeValidator(_none_if_empty)] = Field(
        default=None,
        description="The RabbitMQ of `worker`. It is told what to do next, never about whom. Absent or "
        "empty: none.",
        examples=["${RABBITMQ_URL:-}"],
    )
    queue: str = Field(
        default="clinicrelay",
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="The queue that all workers of a fleet share; another fleet of the same vhost "
        "needs another one.",
        examples=["clinicrelay"],
    )
    ca: Annotated[Path, AfterValidator(_from_the_settings_file)] | None = Field(
        default=None,
        description="Certificates that the RabbitMQ of an `amqps` address is known by. Absent: those "
        "that the system trusts.",
        examples=["secrets/rabbitmq-ca.pem"],
    )

    @property
    def is_open_to_others(self) -> bool:
        """Whether what is said to the broker can be read on its way to another machine."""
        if self.broker is None:
            return False
        parts = urlsplit(self.broker.get_secret_value())
        return parts.scheme == "amqp" and not loopback.is_loopback(parts.hostname or "")
