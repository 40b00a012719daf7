"""Paths in settings: they begin at the settings file, and are absolute from then on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, ValidationInfo


def _from_the_settings_file(value: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return Path(folder, value) if folder else value


LocalPath: TypeAlias = Annotated[Path, AfterValidator(_from_the_settings_file)]
