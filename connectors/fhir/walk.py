"""Follows a search from page to page, and knows when not to believe that it has seen all.

Only `next` links are followed. A link met before, more pages than can be, or pages that bring
nothing new end the walk as not complete, never as a success.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from connectors.fhir.following import NotOurs, followed
from connectors.fhir.outcomes import Verdict
from connectors.fhir.server import Ignored, Query, Server, Sheet

# What says how results are shown rather than which: a server need not repeat it.
_ABOUT_SHOWING = frozenset({"_count", "_include", "_sort", "_format", "_total", "_elements"})

# A server that filters after having cut pages sends empty ones among others.
_PAGES_WITHOUT_NEWS = 3

# The same thing under the name that a server may give it back by.
_ALSO = {"practitioner": "actor", "patient": "actor", "location": "actor"}

_UNDONE = (Verdict.FAILED, Verdict.FORBIDDEN, Verdict.EXPIRED, Verdict.LATER, Verdict.REFUSED)


@dataclass(slots=True)
class Walk:
    """One search, followed to its end.

    `troubles` says in sentences why the walk may not have seen all, or not only what it asked for:
    `lacks` is for the former. `next_link` is where it stands.
    """

    server: Server
    query: Query
    resume: str | None = None
    troubles: list[str] = field(default_factory=list)
    lacks: bool = False
    notes: list[str] = field(default_factory=list)
    next_link: str | None = None
    pages: int = 0
    _seen: set[str] = field(default_factory=set)
    _ids: set[int] = field(default_factory=set)
    _without_news: int = 0

    def __iter__(self) -> Iterator[Sheet]:
        """Yield page by page. Raises Expired, Unwelcome, NotAnswered and Spent."""
        names = self.query.names
        sheet = self._first(names)
        while True:
            self.pages += 1
            self._listen(sheet)
            self._count(sheet)
            self.next_link = self._next(sheet)
            yield sheet
            if self.next_link is None:
                return
            sheet = self.server.page(self.next_link, names)

    def _first(self, names: Sequence[str]) -> Sheet:
        if self.resume:
            return self.server.page(self.resume, names)
        sheet = self.server.search(self.query)
        self._check_self(sheet)
        return sheet

    def _trouble(self, sentence: str, *, lacks: bool = True) -> None:
        self.lacks = self.lacks or lacks
        if sentence not in self.troubles:
            self.troubles.append(sentence)

    # --- whether all of it came --------------------------------------------------------------

    def _listen(self, sheet: Sheet) -> None:
        """Hear what outcomes among the results say."""
        host = self.server.client.host
        for remark in sheet.remarks:
            if remark.verdict is Verdict.IGNORED:
                self._ignored(remark.about or ("one of our parameters",))
            elif remark.verdict is Verdict.INCOMPLETE:
                self._trouble(f"{host} says that it left something out ({remark.called})")
            elif remark.verdict in _UNDONE:
                self._trouble(f"{host} says that a part of this search failed ({remark.called})")
            elif remark.verdict is Verdict.NOTED:
                note = f"{host} remarks on a search: {remark.called}"
                self.notes += [note] if note not in self.notes else []

    def _check_self(self, sheet: Sheet) -> None:
        """See by the self link whether the server did what it was asked."""
        links = (link.url for link in sheet.bundle.links if link.relation == "self")
        query = urlsplit(next(links, "")).query
        if not query:
            return
        kept = {name.partition(":")[0] for name, _ in parse_qsl(query, keep_blank_values=True)}
        gone = [
            name
            for name in self.query.names
            if name not in _ABOUT_SHOWING and name not in kept and _ALSO.get(name) not in kept
        ]
        if gone:
            self._ignored(gone)

    def _ignored(self, names: Sequence[str]) -> None:
        host = self.server.client.host
        what = f"{host} ignores the search parameter {', '.join(names)}"
        if self.server.options.on_ignored_parameter == "fail":
            raise Ignored(
                what,
                fix="take it out of params, or choose another strategy if it is one of ours; with "
                "on_ignored_parameter: incomplete it is read nevertheless, and nothing removed",
            )
        self._trouble(what, lacks=False)

    # --- where to go on ----------------------------------------------------------------------

    def _count(self, sheet: Sheet) -> None:
        """Note whether a page brings anything that is new to this walk."""
        before = len(self._ids)
        for one in sheet.bundle.entries:
            mode = one.search.mode if one.search is not None else None
            if mode == "include" and one.full_url:
                self._ids.add(hash(one.full_url))
            elif mode != "outcome":
                # A version of its own in a history; what has no address counts by what it says.
                start = bytes(memoryview(one.resource)[:400])
                self._ids.add(hash((one.full_url, one.request, start)))
        self._without_news = 0 if len(self._ids) > before else self._without_news + 1

    def _next(self, sheet: Sheet) -> str | None:
        links = (link.url for link in sheet.bundle.links if link.relation == "next" and link.url)
        link = next(links, None)
        if link is None:
            return None
        options, host = self.server.options, self.server.client.host
        try:
            url = followed(link, options.base_url, rewrite=options.paging.rewrite_links)
        except NotOurs as error:
            self._trouble(f"{host}: {error}")
            return None
        if url in self._seen:
            self._trouble(f"{host} leads from page to page in a circle")
        elif self._without_news >= _PAGES_WITHOUT_NEWS or self._repeats(sheet):
            self._trouble(f"{host} has further pages, and nothing new on them")
        elif self.pages >= options.paging.max_pages:
            self._trouble(f"{host} has no end of pages ({self.pages}; paging.max_pages)")
        else:
            self._seen.add(url)
            return url
        return None

    def _repeats(self, sheet: Sheet) -> bool:
        """Whether a page holds something, and nothing that was not on those before."""
        return bool(sheet.bundle.entries) and self._without_news > 0
