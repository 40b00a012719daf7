"""How one page of an answer leads to the next: seven ways, each a few lines.

A token is what stands for the next page: an address, a server's own cursor, or a number. None ends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field

from clinicrelay.paths import compile_path
from clinicrelay.settings.values import Section, Whole, wrong

Token: TypeAlias = str | int
_DIGITS = 12  # of a number of records or pages

_LINK = re.compile(r"<([^>]*)>((?:\s*;\s*[\w*-]+\s*=\s*(?:\"[^\"]*\"|[^,;\s]*))*)")
_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^,;\s]*))", re.IGNORECASE)


class Astray(ValueError):
    """An answer says how to go on in a way that cannot be followed; str() says why, without data."""


def _path(value: str) -> str:
    try:
        compile_path(value)
    except ValueError as error:
        raise wrong(str(error), "see https://jmespath.org") from None
    return value


_JsonPath: TypeAlias = Annotated[str, AfterValidator(_path)]
_MAX: Any = Field(
    default=1000, ge=1, description="Pages of one list after which something is wrong."
)
_TOTAL: Any = Field(
    default=None,
    description="Where an answer tells how many records there are; with fewer the read is incomplete.",
    examples=["meta.total"],
)
_MORE: Any = Field(
    default=None,
    description="Where an answer says whether there is more.",
    examples=["page_info.has_next_page"],
)
_IN: Any = Field(
    default=None,
    alias="in",
    description="Where that goes: query, body or header. Absent: into the body of a request that "
    "has one, else into the query.",
)
_SIZE_PARAM: Any = Field(
    default=None, description="Parameter for the size of a page.", examples=["per_page"]
)
_SIZE: Any = Field(default=None, ge=1, description="Records of a page.", examples=[100])
_STOP: Any = Field(
    default="empty_page",
    description="What ends the list: an empty page, or one with fewer records than `size` "
    "(spares one request; wrong where the server gives less than asked for).",
)
_REWRITE: Any = Field(
    default=False,
    description="Keep our host where a server behind a proxy names another one in its links.",
)
Place: TypeAlias = Literal["query", "body", "header"] | None


class Single(Section):
    """Everything comes at once."""

    type: Literal["none"] = Field(default="none", description="One answer holds everything.")
    at_most: Whole | None = Field(
        default=None,
        ge=1,
        description="Records after which the server cuts without saying so: with as many the read "
        "is incomplete.",
        examples=[1000],
    )
    max_pages: Whole = _MAX
    total: _JsonPath | None = _TOTAL

    def first(self) -> Token | None:
        return None

    def then(self, token: Token | None, found: Found) -> Token | None:
        if self.at_most is not None and found.rows >= self.at_most:
            raise Astray(f"{found.rows} records are as many as it ever gives: there may be more")
        return None

    @property
    def sizes(self) -> dict[str, Any]:
        return {}


class Linked(Section):
    """Each answer holds the address of the next."""

    type: Literal["link"] = Field(description="The next address stands in the answer.")
    next: _JsonPath = Field(description="Where it stands.", examples=["links.next"])
    rewrite_links: bool = _REWRITE
    max_pages: Whole = _MAX
    total: _JsonPath | None = _TOTAL

    def first(self) -> Token | None:
        return None

    def then(self, token: Token | None, found: Found) -> Token | None:
        link = compile_path(self.next)(found.body)
        if link in (None, "", False):
            return None
        if not isinstance(link, str):
            raise Astray(f"{self.next} is no address")
        return link

    @property
    def sizes(self) -> dict[str, Any]:
        return {}


class LinkHeader(Section):
    """Each answer names the next in its Link header (RFC 8288)."""

    type: Literal["link_header"] = Field(description="The next address stands in the Link header.")
    rewrite_links: bool = _REWRITE
    max_pages: Whole = _MAX
    total: _JsonPath | None = _TOTAL

    def first(self) -> Token | None:
        return None

    def then(self, token: Token | None, found: Found) -> Token | None:
        for link in _LINK.finditer(found.headers.get("link", "")):
            rels = (rel[1] or rel[2] for rel in _REL.finditer(link[2]))
            if any("next" in rel.lower().split() for rel in rels):
                return link[1]
        return None

    @property
    def sizes(self) -> dict[str, Any]:
        return {}


class Cursored(Section):
    """Each answer holds a word that asks for the next."""

    type: Literal["cursor"] = Field(description="A word of the server's asks for the next page.")
    next: _JsonPath | None = Field(
        default=None, description="Where the answer holds it.", examples=["meta.next"]
    )
    next_header: str | None = Field(
        default=None, description="The header that holds it instead.", examples=["X-Next-Token"]
    )
    param: str = Field(
        min_length=1,
        description="Where it goes: a parameter, a key of the body (paging.after) or a header.",
        examples=["page_token"],
    )
    place: Place = _IN
    more: _JsonPath | None = _MORE
    size_param: str | None = _SIZE_PARAM
    size: Whole | None = _SIZE
    max_pages: Whole = _MAX
    total: _JsonPath | None = _TOTAL

    def first(self) -> Token | None:
        return None

    def then(self, token: Token | None, found: Found) -> Token | None:
        if self.more and not compile_path(self.more)(found.body):
            return None
        value = compile_path(self.next)(found.body) if self.next else None
        if self.next_header:
            value = found.headers.get(self.next_header)
        if value in (None, "", False):
            if self.more:
                raise Astray(f"{self.more} says that there is more, and nothing says where")
            return None
        if not isinstance(value, str | int):
            raise Astray(f"{self.next or self.next_header} is no text")
        if self.place == "header" and not (str(value).isascii() and str(value).isprintable()):
            raise Astray(f"{self.next or self.next_header} is nothing that a header can hold")
        return value

    @property
    def sizes(self) -> dict[str, Any]:
        return {self.size_param: self.size} if self.size_param and self.size else {}


class Numbered(Section):
    """Pages have numbers."""

    type: Literal["page"] = Field(description="Pages are asked for by their numbers.")
    param: str = Field(
        default="page", min_length=1, description="Parameter for the number.", examples=["page"]
    )
    first_page: Whole = Field(
        default=1, ge=0, alias="first", description="Number of the first page: 1 or 0."
    )
    place: Place = _IN
    pages: _JsonPath | None = Field(
        default=None,
        description="Where an answer tells how many pages there are.",
        examples=["meta.pages"],
    )
    more: _JsonPath | None = _MORE
    size_param: str | None = _SIZE_PARAM
    size: Whole | None = _SIZE
    stop: Literal["empty_page", "short_page"] = _STOP
    max_pages: Whole = _MAX
    total: _JsonPath | None = _TOTAL

    def first(self) -> Token | None:
        return self.first_page

    def then(self, token: Token | None, found: Found) -> Token | None:
        if _ended(self, found):
            return None
        number = int(token if token is not None else self.first_page)
        if self.pages is not None:
            count = _count(compile_path(self.pages)(found.body), self.pages)
            return number + 1 if number + 1 < self.first_page + count else None
        return number + 1

    @property
    def sizes(self) -> dict[str, Any]:
        return {self.size_param: self.size} if self.size_param and self.size else {}


class Offset(Section):
    """Pages begin after so many records."""

    type: Literal["offset"] = Field(description="Pages are asked for by how much to pass over.")
    param: str = Field(
        default="offset", min_length=1, description="Parameter for that.", examples=["offset"]
    )
    place: Place = _IN
    overlap: Whole = Field(
        default=0,
        ge=0,
        description="Records to ask for again with each page, as lists change while they are read; "
        "what comes twice is read once.",
        examples=[5],
    )
    more: _JsonPath | None = _MORE
    size_param: str | None = _SIZE_PARAM
    size: Whole | None = _SIZE
    stop: Literal["empty_page", "short_page"] = _STOP
    max_pages: Whole = _MAX
    total: _JsonPath | None = _TOTAL

    def first(self) -> Token | None:
        return 0

    def then(self, token: Token | None, found: Found) -> Token | None:
        if _ended(self, found) or found.rows <= self.overlap:
            return None
        return int(token or 0) + found.rows - self.overlap

    @property
    def sizes(self) -> dict[str, Any]:
        return {self.size_param: self.size} if self.size_param and self.size else {}


Paging: TypeAlias = Annotated[
    Single | Linked | LinkHeader | Cursored | Numbered | Offset, Field(discriminator="type")
]


class Found:
    """What a page says of the next: its body and headers, and how many records it has."""

    __slots__ = ("body", "headers", "rows")

    def __init__(self, body: Any, headers: Mapping[str, str], rows: int) -> None:
        self.body, self.headers, self.rows = body, headers, rows


def _ended(paging: Numbered | Offset, found: Found) -> bool:
    if not found.rows:
        return True
    if paging.more is not None:
        return not compile_path(paging.more)(found.body)
    return paging.stop == "short_page" and found.rows < (paging.size or 1)


def _count(value: Any, path: str) -> int:
    text = str(value)
    if not text.isdecimal() or len(text) > _DIGITS:
        raise Astray(f"{path} is no number")
    return int(text)


def expected(paging: Paging, body: Any) -> int | None:
    """Return how many records an answer says there are; None where it does not."""
    if paging.total is None:
        return None
    try:
        value = str(compile_path(paging.total)(body))
    except ValueError:
        return None
    return int(value) if value.isdecimal() and len(value) <= _DIGITS else None
