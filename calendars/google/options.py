"""What settings may say of `type: google`."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from clinicrelay.http.options import BaseUrl
from clinicrelay.settings.values import Duration, Rate, RateLimit, Section, SomeTime, wrong

_ACCOUNT = {"client_email", "private_key", "token_uri"}
_CLIENT = {"client_id", "client_secret", "token_uri"}
_GET_ONE = "in the Google Cloud console: IAM > Service accounts > Keys > Add key > JSON"
_MOST_REMINDERS, _LONGEST_REMINDER = 5, timedelta(weeks=4)  # Google refuses more


def _is_key_file(value: SecretStr) -> SecretStr:
    try:
        read = json.loads(value.get_secret_value())
    except ValueError:
        raise wrong(
            "this is not the content of a key file",
            "write ${file:secrets/google.json}: the JSON file as Google gave it",
        ) from None
    parts = read.get("installed") or read.get("web") or read if isinstance(read, dict) else {}
    if not (parts.keys() >= _ACCOUNT or parts.keys() >= _CLIENT):
        missing = ", ".join(sorted(_ACCOUNT - parts.keys()))
        raise wrong(f"this key file lacks {missing}", f"make a new one {_GET_ONE}")
    if urlsplit(str(parts["token_uri"])).scheme not in ("http", "https"):
        raise wrong("the token_uri of this key file is no address", f"make a new one {_GET_ONE}")
    return value


def _ahead(value: timedelta) -> timedelta:
    if not timedelta(0) <= value <= _LONGEST_REMINDER:
        raise wrong("Google takes alarms of up to four weeks", "write 10m, 1h or 2d")
    return value


KeyFile: TypeAlias = Annotated[SecretStr, AfterValidator(_is_key_file)]
Ahead: TypeAlias = Annotated[Duration, AfterValidator(_ahead)]


class Quota(Section):
    """How many requests Google admits; each part of a batch is one."""

    per_user: RateLimit = Field(
        default=Rate(600, "m"),
        description="Requests for one user, as the project's quota page says.",
        examples=["600/m"],
    )
    per_project: RateLimit = Field(
        default=Rate(10_000, "m"),
        description="Requests for all users together, as the project's quota page says.",
        examples=["10000/m"],
    )
    by: Literal["account", "doctor"] | None = Field(
        default=None,
        description="Who counts as a user: the account for all calendars, or each doctor. Absent: "
        "the account in mode shared, each doctor in the others.",
        examples=["doctor"],
    )


class Options(Section):
    """The keys of a Google calendar."""

    credentials: KeyFile = Field(
        description="Content of the service account's key file; in mode oauth of the OAuth "
        "client's. Its token_uri is used as it stands.",
        examples=["${file:secrets/google.json}"],
    )
    mode: Literal["shared", "delegated", "oauth"] = Field(
        default="shared",
        description="shared: each doctor shares the calendar with the account; delegated: the "
        "account acts as the doctor (Workspace); oauth: with a token that each doctor gave.",
        examples=["shared"],
    )
    tokens: dict[str, SecretStr] = Field(
        default={},
        description="Mode oauth: the refresh token of each calendar.",
        examples=[{"elif.acar@riverside.example": "${file:secrets/acar.token}"}],
    )
    base_url: BaseUrl = Field(
        default="https://www.googleapis.com",
        description="Where Google is; batches go there too.",
        examples=["https://www.googleapis.com"],
    )
    timeout: SomeTime = Field(
        default=timedelta(seconds=30), description="Longest wait for one answer.", examples=["30s"]
    )
    quota: Quota = Field(
        default=Quota(),
        description="How fast Google lets us write. One tenth of it is left to others.",
        examples=[{"per_user": "600/m", "per_project": "10000/m"}],
    )
    reminders: tuple[Ahead, ...] | None = Field(
        default=None,
        description="Alarms on the doctor's phone, this long before; not in mode shared, where "
        "Google keeps them for the account alone. Absent: the calendar's own.",
        examples=[["10m"]],
        max_length=_MOST_REMINDERS,
    )
    meet: bool = Field(
        default=False,
        description="Whether a video visit without a link gets a Google Meet; not in mode shared.",
        examples=[True],
    )

    @model_validator(mode="after")
    def _fits_the_mode(self) -> Options:
        client = "client_email" not in self.key
        if client != (self.mode == "oauth"):
            is_for = "mode oauth" if client else "a service account, for shared or delegated"
            raise wrong(
                f"this key file is for {is_for}, and the mode is {self.mode}",
                "write the mode it is for, or the other key file",
            )
        return self

    @property
    def key(self) -> dict[str, Any]:
        """What the key file says."""
        read: dict[str, Any] = json.loads(self.credentials.get_secret_value())
        return read.get("installed") or read.get("web") or read
