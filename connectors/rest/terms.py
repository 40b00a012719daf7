"""On what terms an interface answers: a login first, limits, and what its errors look like."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, model_validator

from clinicrelay.settings.values import Section, SomeTime, wrong
from connectors.rest.requests import JsonPath, UrlPath


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
