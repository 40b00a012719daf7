"""Speaks with the address where tokens are given, and asks a server where that is.

Neither ever sees the credentials of the other: no header of the source goes here, and what is sent
here goes to this one address, over an encrypted connection or within one's own network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from clinicrelay.http import sentences, waits
from clinicrelay.http.errors import NotAnswered, Unwelcome
from clinicrelay.http.private import safe_to_send
from clinicrelay.http.reading import exchange

if TYPE_CHECKING:
    import httpx

    from clinicrelay.http.options import HttpOptions

_LARGEST = 4 << 20  # bytes; a CapabilityStatement may be long, a token is not
_LONGEST = 60.0  # seconds for a whole answer


@dataclass(frozen=True, slots=True)
class Said:
    """What was answered; `body` is its JSON object, empty where it is none."""

    status: int
    media_type: str
    body: Mapping[str, Any] = field(repr=False)
    date: datetime | None
    after: timedelta | None


class Endpoint:
    """Asks without the source's credentials. Each question has a connection of its own: they are few."""

    def __init__(self, options: HttpOptions, clock: Callable[[], float]) -> None:
        self._options, self._clock = options, clock

    @staticmethod
    def host_of(url: str) -> str:
        """Return who is asked at an address, as sentences name it."""
        return sentences.host_of(url)

    def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Said:
        """Ask for a token. Raises NotAnswered, and Unwelcome where that would not be safe."""
        if not safe_to_send(url):
            raise Unwelcome(
                f"the token address of {self.host_of(url)} is not encrypted: nothing was sent there",
                fix="write it with https as auth.token_url",
            )
        return self._ask("POST", url, dict(form), headers)

    def get(self, url: str) -> dict[str, Any] | None:
        """Return the JSON object at an address, None where there is none. Raises NotAnswered."""
        said = self._ask("GET", url, None, {})
        if said.status in waits.WORTH_ANOTHER_TRY:
            raise NotAnswered(
                f"{self.host_of(url)} is in trouble ({said.status})", after=said.after
            )
        return dict(said.body) if said.status == 200 else None

    def _ask(
        self, method: str, url: str, form: dict[str, str] | None, headers: Mapping[str, str]
    ) -> Said:
        import httpx

        from clinicrelay.http.opening import open_line

        host = self.host_of(url)
        given = {"data": form} if form else {}
        try:
            with open_line(self._options, headers, url=url) as line:
                response, content = exchange(
                    line,
                    method,
                    url,
                    given,
                    host=host,
                    clock=self._clock,
                    seconds=_LONGEST,
                    largest=_LARGEST,
                )
                return _said(response, content)
        except httpx.HTTPError as error:
            raise sentences.no_answer(error, host, self._options) from error


def _said(response: httpx.Response, content: bytes) -> Said:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):  # also of text that is not UTF-8
        body = None
    date = waits.moment_in(response.headers.get("date"))
    kind = str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()
    now = date or datetime.now(UTC)
    return Said(
        response.status_code,
        sentences.kind(kind) if kind else "nothing",
        body if isinstance(body, dict) else {},
        date,
        waits.asked_for(response.headers, now, status=response.status_code),
    )
