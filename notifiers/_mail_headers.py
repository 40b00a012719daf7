"""The headers of mails: what Python's registry makes anew for each of them is made once."""

from __future__ import annotations

from email.headerregistry import BaseHeader, HeaderRegistry
from functools import lru_cache
from typing import Any

# What is the same in all mails of a clinic, and says nothing of whom one is for.
_SHARED = frozenset(
    {
        "auto-submitted",
        "content-disposition",
        "content-language",
        "content-transfer-encoding",
        "list-unsubscribe",
        "mime-version",
        "x-auto-response-suppress",
    }
)
_TEXTS = frozenset(
    f"text/{kind}{charset}" for kind in ("plain", "html") for charset in ("", '; charset="utf-8"')
)


class Headers(HeaderRegistry):
    """Python's registry of kinds of headers.

    It makes a class for each header that it parses, and classes are garbage that comes dear.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kind = lru_cache(maxsize=64)(super().__getitem__)
        self._header = lru_cache(maxsize=256)(super().__call__)

    def __getitem__(self, name: str) -> type[BaseHeader]:
        return self._kind(name.lower())

    def __call__(self, name: str, value: Any) -> BaseHeader:
        if type(value) is str and (name.lower() in _SHARED or value in _TEXTS):
            return self._header(name, value)
        return super().__call__(name, value)
