"""How often, as an option says it."""

from __future__ import annotations

from datetime import timedelta

import typer


def rhythm(text: str, option: str, shortest: timedelta, longest: timedelta) -> timedelta:
    """Return the length that an option names. Raises BadParameter."""
    from pydantic_core import PydanticCustomError

    from clinicrelay.settings.values import read_duration

    try:
        found = read_duration(text)
    except (PydanticCustomError, ValueError):
        raise typer.BadParameter("write a duration, such as 5m or 1h", param_hint=option) from None
    if not shortest <= found <= longest:
        least = f"{shortest.total_seconds():.0f}s"
        raise typer.BadParameter(f"write {least} or more, and a day at most", param_hint=option)
    return found
