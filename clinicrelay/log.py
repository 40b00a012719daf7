"""The log: one JSON line an event, and nothing in it that an allow-list does not name.

A processor drops every field it does not know and masks whatever looks like a secret, a phone or an
address in those it does. structlog is imported with the first line that is written:
a run with nothing to say does not pay for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping
from functools import cache
from pathlib import Path
from typing import Any, TextIO

# Codes, ids of ours, counts and times; never a name, a contact, a body or a secret.
FIELDS = frozenset(
    {
        "event",
        "level",
        "at",
        "run",
        "clinic",
        "command",
        "source",
        "calendar_kind",
        "guard",
        "held",
        "exit",
        "mode",
        "reason",
        "read",
        "unchanged",
        "set_aside",
        "written",
        "removed",
        "sent",
        "failed",
        "unknown",
        "changes",
        "error_type",
        "place",
        "reference",
        "version",
        "duration_ms",
    }
)

_MASKED = (
    (re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+"), "<email>"),
    (re.compile(r"\+?\d(?:[\s()/-]?\d){7,}"), "<number>"),
    (re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*"), "<token>"),
    (re.compile(r"(?i)(password|secret|token|key)=\S+"), r"\1=<secret>"),
)
_NEVER_MASKED = frozenset({"at", "run", "reference", "version", "event", "level"})


class Log:
    """Writes events of one clinic's runs to its log file, and to a terminal where that is wanted."""

    def __init__(
        self,
        file: Path | None,
        *,
        level: str = "info",
        echo: TextIO | None = None,
        tell: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self._file = file
        self._tell = tell
        self._echo = echo
        self._level = level

    def info(self, event: str, **fields: Any) -> None:
        """Write down that something happened."""
        self._write("info", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Write down that something went wrong."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if level == "info" and self._level in ("warning", "error"):
            return
        line = render(level, event, fields)
        if self._echo is not None:
            self._echo.write(line + "\n")
        if self._file is not None:
            self._append(self._file, line)

    def _append(self, file: Path, line: str) -> None:
        """Write a line; a log that cannot be written is told of once, and nothing fails by it."""
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8") as log:
                log.write(line + "\n")
        except OSError as error:
            self._file = None
            self._tell(
                f"Nothing is logged in {file}: {error.strerror}. Let the user that runs clinicrelay "
                "write there."
            )


def render(level: str, event: str, fields: MutableMapping[str, Any]) -> str:
    """Return the JSON line of an event, allowed fields only, masked, on one line."""
    import structlog

    values: MutableMapping[str, Any] = {"event": event, "level": level, **fields}
    for processor in _processors():
        values = processor(None, level, values)
    return str(structlog.processors.JSONRenderer(sort_keys=False)(None, level, values))


@cache
def _processors() -> tuple[Any, ...]:
    import structlog

    return (structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"), allow, mask)


def allow(_logger: Any, _name: str, values: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop every field that is not known to be harmless."""
    return {name: value for name, value in values.items() if name in FIELDS}


def mask(_logger: Any, _name: str, values: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask what looks personal or secret in the fields that remain: the second net."""
    return {
        name: value if name in _NEVER_MASKED else _mask(value) for name, value in values.items()
    }


def masked(text: str) -> str:
    """Return what somebody typed without whatever looks personal or secret in it."""
    for pattern, instead in _MASKED:
        text = pattern.sub(instead, text)
    return text


def _mask(value: Any) -> Any:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {key: _mask(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mask(item) for item in value]
    return value
