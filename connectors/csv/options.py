"""What a clinic may say about its CSV drops in settings.yaml."""

from __future__ import annotations

import codecs
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from clinicrelay.times import parse_span

DELIMITER_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}


def _duration(value: Any) -> Any:
    if isinstance(value, str):
        return parse_span(value).length
    if isinstance(value, timedelta):
        return value
    raise ValueError("a duration has a unit: write 60s, 5m or 1h")


def _contents(value: Any) -> Any:
    if value is None:
        raise ValueError(
            "contents is needed: snapshot (each file lists every coming visit, so a missing one is "
            "gone), delta (a column says insert, update or delete) or append (files only add and "
            "change). There is no default because a wrong guess cancels visits"
        )
    return value


def _plain_name(value: Any) -> Any:
    if isinstance(value, str) and ("/" in value or "\\" in value or value in ("", ".", "..")):
        raise ValueError("this is a name inside the inbox: no folders and no slashes")
    return value


def _encoding(value: Any) -> Any:
    if isinstance(value, str) and value != "auto":
        try:
            found = codecs.lookup(value)
        except LookupError:
            raise ValueError(
                "this encoding is not known: write auto, utf-8, cp1252, cp850, utf-16 …"
            ) from None
        # Some codecs turn bytes into bytes (base64, zip): no text comes out of those.
        if not getattr(found, "_is_text_encoding", True):
            raise ValueError("this is no text encoding: write auto, utf-8, cp1252, cp850 …")
    return value


def _delimiter(value: Any) -> Any:
    value = DELIMITER_NAMES.get(value, value) if isinstance(value, str) else value
    if value == "auto" or not isinstance(value, str):
        return value
    if len(value) != 1 or value.isalnum() or value in "\"'\r\n\0":
        raise ValueError('a delimiter is one character: auto, ",", ";", "|" or tab')
    if value == " ":
        raise ValueError(
            "a space between cells cannot be told from one inside a cell: export with a comma, a "
            "semicolon or tabs"
        )
    return value


Duration: TypeAlias = Annotated[timedelta, BeforeValidator(_duration)]
PlainName: TypeAlias = Annotated[str, BeforeValidator(_plain_name)]
Encoding: TypeAlias = Annotated[str, BeforeValidator(_encoding)]
Contents: TypeAlias = Annotated[Literal["snapshot", "delta", "append"], BeforeValidator(_contents)]

_STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Ready(BaseModel):
    """When a file in the inbox may be taken: one of three rules.

    A file that has not changed for a while may still be half written (a stalled transfer looks the
    same), so a done file or a manifest is the better rule wherever the sender can write one.
    """

    model_config = _STRICT

    settle: Duration | None = Field(
        default=None,
        description="Take a file once it has not been changed for this long.",
        examples=["60s"],
    )
    done_file: PlainName | None = Field(
        default=None,
        description="Take a file once this second file lies beside it; {name} is visits.csv, "
        "{stem} is visits.",
        examples=["{name}.done"],
    )
    manifest: Literal[True] | None = Field(
        default=None,
        description="Take a file once NAME.csv.manifest.json beside it names its rows or sha256, "
        "and they are right.",
    )

    @model_validator(mode="after")
    def _one_rule(self) -> Ready:
        if sum(rule is not None for rule in (self.settle, self.done_file, self.manifest)) != 1:
            raise ValueError(
                "name one rule: settle: 60s, done_file: '{name}.done' or manifest: true"
            )
        if self.done_file and not ("{name}" in self.done_file or "{stem}" in self.done_file):
            raise ValueError("done_file needs {name} or {stem}: '{name}.done' is visits.csv.done")
        return self


class Options(BaseModel):
    """A folder into which a system drops CSV exports."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra={"required": ["contents"]},
    )

    inbox: Path | None = Field(
        default=None,
        description="The folder watched for files, relative to the settings file; "
        "drops/NAME unless given.",
        examples=["drops/reception"],
    )
    pattern: PlainName = Field(
        default="*.csv",
        description="Which files in the inbox are taken, upper or lower case; packed as NAME.csv.gz "
        "or NAME.zip as well.",
    )
    contents: Contents = Field(
        default=None,
        validate_default=True,
        description="What a file is: snapshot (every coming visit), delta (a column says insert, "
        "update or delete) or append (only adds and changes).",
    )
    ready: Ready = Field(
        default=Ready(settle=timedelta(seconds=60)),
        description="When a file is taken: settle: 60s, done_file: '{name}.done' or manifest: true.",
    )
    encoding: Encoding = Field(
        default="auto",
        description="How the bytes are read: auto (byte order mark, UTF-16, UTF-8, then the "
        "fallback) or a name such as cp1252 or cp850.",
    )
    fallback_encoding: Encoding = Field(
        default="cp1252",
        description="What a file is read as when auto finds that it is not Unicode.",
    )
    delimiter: Annotated[str, BeforeValidator(_delimiter)] = Field(
        default="auto",
        description="The character between cells: auto, a comma, semicolon, pipe or tab.",
    )
    dates: Literal["auto", "dmy", "mdy", "ymd"] = Field(
        default="auto",
        description="The order in dates such as 03/04/2026; auto lets the whole column decide and "
        "asks when it cannot.",
    )
    header: Literal["auto"] = Field(
        default="auto",
        description="Where the column names stand: auto takes the first of 20 lines that has those "
        "the mapping needs.",
    )
    duplicates: Literal["reject", "last", "first"] = Field(
        default="reject",
        description="What happens when two different rows of a file have one key: both are set "
        "aside, or the last or first is taken.",
    )
    gone_after: int = Field(
        default=1,
        ge=1,
        description="How many complete files in a row must lack a visit before it counts as gone.",
    )
