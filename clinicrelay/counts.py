"""Numbers of things, as a sentence says them."""

from __future__ import annotations


def counted(number: int, thing: str, several: str = "") -> str:
    """Return `1 visit`, `2 visits`; `several` is a plural that is more than an s."""
    return f"{number:,} {thing if number == 1 else several or f'{thing}s'}"
