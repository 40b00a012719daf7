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
_NO = ("false", "no", "n", "0")  # as some write it
_DIGITS = 12  # of a number of records or pages

_LINK = re.compile(r"<([^<>]*)>((?:\s*;\s*[\w*-]+\s*=\s*(?:\"[^\"]*\"|[^,;\s]*))*)")
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
Place: TypeAlias = Literal["query", "body", "header"] | None


class Way(Section):
    """What every way from page to page has. The first page needs no token, unless a way says so."""

    type: str  # each has its own; here, so that it is the first of all keys
    max_pages: Whole = Field(
        default=1000, ge=1, description="Pages of one list after which something is wrong."
    )
    total: _JsonPath | None = Field(
        default=None,
        description="Where an answer tells how many records there are; with fewer the read is "
        "incomplete.",
        examples=["meta.total"],
    )

    def first(self) -> Token | None:
        """Return the token of the first page."""
        return None

    def then(self, token: Token | None, found: Found) -> Token | None:
        """Return the token of the page after one, None after the last. Raises Astray."""
        raise NotImplementedError

    @property
    def sizes(self) -> dict[str, Any]:
        """The parameters that say how large a page should be."""
        return {}

    def expected(self, body: Any) -> int | None:
        """Return how many records an answer says there are; None where it does not."""
        if self.total is None:
            return None
        try:
            value = str(compile_path(self.total)(body))
        except ValueError:
            return None
        return int(value) if value.isdecimal() and len(value) <= _DIGITS else None


class _ByLinks(Way):
    rewrite_links: bool = Field(
        default=False,
        description="Keep our host where a server behind a proxy names another one in its links.",
    )


class _Sized(Way):
    place: Place = Field(
        default=None,
        alias="in",
        description="Where `param` goes: query, body or header. Absent: into the body of a request "
        "that has one, else into the query.",
    )
    more: _JsonPath | None = Field(
        default=None,
        description="Where an answer says whether there is more.",
        examples=["page_info.has_next_page"],
    )
    size_param: str | None = Field(
        default=None, description="Parameter for the size of a page.", examples=["per_page"]
    )
    size: Whole | None = Field(default=None, ge=1, description="Records of a page.", examples=[100])

    @property
    def sizes(self) -> dict[str, Any]:
        return {self.size_param: self.size} if self.size_param and self.size else {}

    def _says_more(self, found: Found) -> bool:
        value = compile_path(self.more or "@")(found.body)
        return bool(value) and str(value).strip().lower() not in _NO


class _Counted(_Sized):
    stop: Literal["empty_page", "short_page"] = Field(
        default="empty_page",
        description="What ends the list: an empty page, or one with fewer records than `size` "
        "(spares one request; wrong where the server gives less than asked for).",
    )

    def _ended(self, found: Found) -> bool:
        """Whether an answer is the last; an empty one need not be, where the server says so."""
        if self.more is not None:
            return not self._says_more(found)
        return not found.rows or (self.stop == "short_page" and found.rows < (self.size or 1))


class Single(Way):
    """Everything comes at once."""

    type: Literal["none"] = Field(default="none", description="One answer holds everything.")
    at_most: Whole | None = Field(
        default=None,
        ge=1,
        description="Records after which the server cuts without saying so: with as many the read "
        "is incomplete.",
        examples=[1000],
    )

    def then(self, token: Token | None, found: Found) -> Token | None:
        if self.at_most is not None and found.rows >= self.at_most:
            raise Astray(f"{found.rows} records are as many as it ever gives: there may be more")
        return None


class Linked(_ByLinks):
    """Each answer holds the address of the next."""

    type: Literal["link"] = Field(description="The next address stands in the answer.")
    next: _JsonPath = Field(description="Where it stands.", examples=["links.next"])

    def then(self, token: Token | None, found: Found) -> Token | None:
        link = compile_path(self.next)(found.body)
        if link in (None, "", False):
            return None
        if not isinstance(link, str):
            raise Astray(f"{self.next} is no address")
        return link


class LinkHeader(_ByLinks):
    """Each answer names the next in its Link header (RFC 8288)."""

    type: Literal["link_header"] = Field(description="The next address stands in the Link header.")

    def then(self, token: Token | None, found: Found) -> Token | None:
        for link in _LINK.finditer(found.headers.get("link", "")):
            rels = (rel[1] or rel[2] for rel in _REL.finditer(link[2]))
            if any("next" in rel.lower().split() for rel in rels):
                return link[1]
        return None


class Cursored(_Sized):
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

    def then(self, token: Token | None, found: Found) -> Token | None:
        if self.more and not self._says_more(found):
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


class Numbered(_Counted):
    """Pages have numbers."""

    type: Literal["page"] = Field(description="Pages are asked for by their numbers.")
    param: str = Field(
        default="page", min_length=1, description="Parameter for the number.", examples=["page"]
    )
    first_page: Whole = Field(
        default=1, ge=0, alias="first", description="Number of the first page: 1 or 0."
    )
    pages: _JsonPath | None = Field(
        default=None,
        description="Where an answer tells how many pages there are.",
        examples=["meta.pages"],
    )

    def first(self) -> Token | None:
        return self.first_page

    def then(self, token: Token | None, found: Found) -> Token | None:
        number = int(token if token is not None else self.first_page)
        if self.pages is not None:
            count = _count(compile_path(self.pages)(found.body), self.pages)
            return number + 1 if number + 1 < self.first_page + count else None
        return None if self._ended(found) else number + 1


class Offset(_Counted):
    """Pages begin after so many records."""

    type: Literal["offset"] = Field(description="Pages are asked for by how much to pass over.")
    param: str = Field(
        default="offset", min_length=1, description="Parameter for that.", examples=["offset"]
    )
    overlap: Whole = Field(
        default=0,
        ge=0,
        description="Records to ask for again with each page, as lists change while they are read; "
        "what comes twice is read once.",
        examples=[5],
    )

    def first(self) -> Token | None:
        return 0

    def then(self, token: Token | None, found: Found) -> Token | None:
        if self._ended(found):
            return None
        if found.rows <= self.overlap:
            if self.more is not None:
                raise Astray(f"{self.more} says that there is more, and a page has none of it")
            return None
        return int(token or 0) + found.rows - self.overlap


Paging: TypeAlias = Annotated[
    Single | Linked | LinkHeader | Cursored | Numbered | Offset, Field(discriminator="type")
]


class Found:
    """What a page says of the next: its body and headers, and how many records it has."""

    __slots__ = ("body", "headers", "rows")

    def __init__(self, body: Any, headers: Mapping[str, str], rows: int) -> None:
        self.body, self.headers, self.rows = body, headers, rows


def _count(value: Any, path: str) -> int:
    text = str(value)
    if not text.isdecimal() or len(text) > _DIGITS:
        raise Astray(f"{path} is no number")
    return int(text)
