"""The part of the settings that names where providers may report what became of messages."""

from __future__ import annotations

from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from clinicrelay import loopback
from clinicrelay.settings.values import Section, wrong


def read_public_address(value: str) -> str:
    """Accept an https address to build on, without anything in it that is secret or for one call."""
    try:
        parts = urlsplit(value.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", 0, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise wrong("this is not an address", "write it whole: https://relay.riverside.example")
    if parts.username or parts.password:
        raise wrong("an address that providers are given holds no login", "delete it up to the @")
    if parts.query or parts.fragment:
        raise wrong("an address to build on ends before ? and #", "delete what stands behind them")
    if parts.scheme == "http" and not loopback.is_loopback(host):
        raise wrong("what providers report would travel readable for others", "write https://")
    if "_" in host:  # https://www.twilio.com/docs/api/errors/21609
        raise wrong("Twilio calls no host with an underscore in its name", "give it another name")
    return value.strip().rstrip("/")


PublicUrl: TypeAlias = Annotated[str, AfterValidator(read_public_address)]


class Callbacks(Section):
    """Where providers may report what became of messages; nothing of ours listens there yet."""

    url: PublicUrl | None = Field(
        default=None,
        description="The public address that providers are given; below it stand the clinic, the "
        "notifier and the attempt. Absent: none is given, and they are asked.",
        examples=["https://relay.riverside.example"],
    )

    def of(self, clinic: str, notifier: str) -> str | None:
        """Return the address that a notifier's provider reports to."""
        return None if self.url is None else f"{self.url}/callbacks/{clinic}/{notifier}"
