"""Asks one FHIR server: a search or a page becomes a Bundle, and whatever else comes a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

from msgspec import Raw

from clinicrelay.errors import TryLater
from clinicrelay.http import Answer, Client, Unwelcome
from connectors.fhir.bundles import NO_JSON, Bundle, NotABundle, read_bundle
from connectors.fhir.options import FhirOptions
from connectors.fhir.outcomes import Remark, Verdict, remarks, remarks_inside
from connectors.fhir.presets import Preset, vendor_of_refusal
from connectors.fhir.resources import head_of

_LONGEST_URL = 1800  # characters; beyond that, proxies cut or refuse

_MEDIA_TYPE = re.compile(
    r"(?:text|application)/(?:html|plain|xml|json|csv|fhir\+(?:json|xml)|json\+fhir|xml\+fhir|"
    r"problem\+json|xhtml\+xml|octet-stream|pdf|javascript)"
)

# So that neither HAPI's minute of cached searches nor a proxy gives us what was true before.
HEADERS = {"Accept": "application/fhir+json", "Cache-Control": "no-cache"}


class Query(NamedTuple):
    """A search by path (Appointment, Appointment/_history) and parameters, in their order."""

    path: str
    params: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names without modifiers, each once."""
        return tuple(dict.fromkeys(name.partition(":")[0] for name, _ in self.params))


@dataclass(frozen=True, slots=True)
class Sheet:
    """A Bundle as it came: `date` is the server's clock.

    `remarks` are what outcomes in it, or in its place, say.
    """

    bundle: Bundle
    date: datetime | None
    remarks: Sequence[Remark] = ()


class Expired(Exception):
    """The server no longer keeps the result that a page belongs to."""


class Forbidden(Unwelcome):
    """The server knows us and keeps this from us."""


class Ignored(Unwelcome):
    """The server does not know a parameter that settings, or we, ask with."""


class Server:
    """One FHIR server, for one run."""

    def __init__(self, client: Client, options: FhirOptions, preset: Preset) -> None:
        self.client = client
        self.options = options
        self.headers = {**HEADERS, "Prefer": "handling=strict"} if preset.strict else dict(HEADERS)
        self.clock: datetime | None = None  # the server's, when it was first asked

    def search(self, query: Query) -> Sheet:
        """Return the first page of a search. Raises Unwelcome, NotAnswered, Spent, TryLater."""
        try:
            answer = self._ask(query)
        except Unwelcome as error:
            raise self._explained(error, query.names) from error
        return self._sheet(answer, query.names, f"a search at {query.path}")

    def page(self, url: str, names: Sequence[str]) -> Sheet:
        """Return a further page. Raises Expired, and what `search` raises."""
        try:
            answer = self.client.get(url, headers=self.headers, passing=(410,))
        except Unwelcome as error:
            if any(r.verdict is Verdict.EXPIRED for r in self._said(error.answer)):
                raise Expired from error
            raise self._explained(error, names) from error
        if answer.status == 410:
            raise Expired
        return self._sheet(answer, names, "a further page")  # whose address is not ours to show

    def read(self, kind: str, key: str, *, etag: str | None = None) -> Answer:
        """Return one resource: 200, 304 where it still is what `etag` names, 403, 404 or 410.

        Raises Unwelcome too for a key that would lead to another place.
        """
        if key in ("", ".", ".."):
            raise Unwelcome(f"a {kind} whose id is no id cannot be asked for")
        headers = {**self.headers, "If-None-Match": etag} if etag else self.headers
        answer = self.client.get(
            f"{kind}/{quote(key, safe='')}", headers=headers, passing=(403, 404, 410)
        )
        self._look_at_the_clock(answer)
        return answer

    def _ask(self, query: Query) -> Answer:
        import httpx

        length = (
            len(self.options.base_url) + len(query.path) + len(str(httpx.QueryParams(query.params)))
        )
        if length <= _LONGEST_URL or "/" in query.path:
            return self.client.get(query.path, [*query.params], headers=self.headers)
        form: dict[str, list[str]] = {}
        for name, value in query.params:
            form.setdefault(name, []).append(value)
        return self.client.ask("POST", f"{query.path}/_search", form=form, headers=self.headers)

    def _sheet(self, answer: Answer, names: Sequence[str], where: str) -> Sheet:
        self._look_at_the_clock(answer)
        try:
            bundle = read_bundle(answer.content)
        except NotABundle as error:
            said = remarks(answer.content, names, epic=self._is_epic)
            if not said:
                raise self._no_fhir(answer, str(error), where) from error
            return self._without_bundle(answer, said, where)
        spoken = _outcomes(bundle) if b"utcome" in answer.content else ()
        told = [r for raw in spoken for r in remarks_inside(raw, names, epic=self._is_epic)]
        return Sheet(bundle, answer.date, told)

    def _without_bundle(self, answer: Answer, said: Sequence[Remark], where: str) -> Sheet:
        """Judge an outcome that came alone: most mean that this search was not carried out."""
        gravest, host = said[0], self.client.host
        if gravest.verdict is Verdict.EXPIRED:
            raise Expired
        if gravest.verdict is Verdict.LATER:
            raise TryLater(f"{host} asks us to come again later ({gravest.called})")
        if gravest.verdict is Verdict.REFUSED:
            raise self._refusal(Unwelcome(f"{host} refuses this search ({gravest.called})"), said)
        if gravest.verdict is Verdict.FORBIDDEN:
            raise Forbidden(
                f"{host} does not let us search this ({gravest.called} to {where})",
                fix="check auth, and ask its administrators to let our account read it",
                answer=answer,
            )
        if gravest.verdict is Verdict.FAILED:
            raise Unwelcome(
                f"{host} failed at this search ({gravest.called})",
                fix="ask its administrators if the next runs fail as well: their log says more",
                answer=answer,
            )
        return Sheet(Bundle(), answer.date, said)

    def _no_fhir(self, answer: Answer, what: str, where: str) -> Unwelcome:
        is_fhir = "fhir" in sent_as(answer)
        return Unwelcome(
            f"expected FHIR JSON, got {sent_as(answer)} ({what}) from {self.client.host} to {where}",
            fix="its answer was cut off, or is not whole: the next run asks again; if it stays so, ask "
            "its administrators"
            if is_fhir and what == NO_JSON
            else "check base_url and auth: a login page, a proxy or another interface answers there",
            answer=answer,
        )

    def _explained(self, error: Unwelcome, names: Sequence[str]) -> Unwelcome:
        """Add what an outcome in the answer says in codes, and whose rules were broken."""
        said = self._said(error.answer, names)
        if error.status == 403:
            return Forbidden(str(error), fix=error.fix, answer=error.answer)
        if error.status not in (400, 422):
            return error
        about = [name for one in said for name in one.about]
        if about:
            return self._ignored(about, error)
        return self._refusal(error, said)

    def _refusal(self, error: Unwelcome, said: Sequence[Remark]) -> Unwelcome:
        codes = "; ".join(dict.fromkeys(one.called for one in said))
        vendor = vendor_of_refusal(" ".join(f"{one.called} {one.text}" for one in said))
        fix = error.fix
        if vendor and vendor != self.options.preset:
            fix = f"this is how a server of {vendor} refuses: write preset: {vendor}"
        return Unwelcome(f"{error}{f': {codes}' if codes else ''}", fix=fix, answer=error.answer)

    def _ignored(self, names: Sequence[str], error: Unwelcome) -> Unwelcome:
        return Ignored(
            f"{self.client.host} does not know the search parameter {', '.join(names)}",
            fix="take it out of params, or write another strategy if it is one of ours",
            answer=error.answer,
        )

    def _look_at_the_clock(self, answer: Answer) -> None:
        self.clock = self.clock or answer.date

    @property
    def _is_epic(self) -> bool:
        return self.options.preset == "epic"

    def _said(self, answer: Answer | None, names: Sequence[str] = ()) -> list[Remark]:
        return remarks(answer.content, names, epic=self._is_epic) if answer else []


def sent_as(answer: Answer) -> str:
    """Return what an answer calls itself, where that is a type like those that we know."""
    said = answer.media_type
    if not said:
        return "an answer without a type"
    return said if _MEDIA_TYPE.fullmatch(said) else "an answer of another type"


def _outcomes(bundle: Bundle) -> Iterator[Raw]:
    """Yield them wherever they stand: what is said of an entry, and entries that are outcomes."""
    for one in bundle.entries:
        if one.response and one.response.outcome:
            yield one.response.outcome
        if one.resource and _is_outcome(one.resource, one.mode):
            yield one.resource


def _is_outcome(raw: Raw, mode: str | None) -> bool:
    if mode == "outcome":
        return True
    if b"OperationOutcome" not in bytes(raw):
        return False
    try:
        return head_of(raw).type == "OperationOutcome"
    except ValueError:
        return False  # and set aside as what cannot be read
