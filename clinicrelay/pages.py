"""Generated pages: written from the code, or compared with what stands there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def outdated(files: Mapping[Path, str]) -> list[Path]:
    """Return the files that do not hold what they should."""
    return [
        file
        for file, content in files.items()
        if not file.is_file() or file.read_text(encoding="utf-8") != content
    ]


def generate(files: Mapping[Path, str], generator: str, arguments: Sequence[str]) -> int:
    """Write the files, or with `--check` name those that are out of date; returns an exit code."""
    if "--check" in arguments:
        stale = outdated(files)
        for file in stale:
            print(f"{file} is out of date: run python -m {generator}")
        return 1 if stale else 0
    for file, content in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return 0
