"""Twilio's library on a wire of ours: see `notifiers._http`."""

from __future__ import annotations

import logging
from typing import Any

from twilio.http import HttpClient
from twilio.http.response import Response

from notifiers._http import Answer, Door


class Wire(HttpClient):  # type: ignore[misc]  # the library tells no types
    """Makes each request once; `answer` is the last one, for what the library cannot read."""

    def __init__(self, door: Door) -> None:
        super().__init__(logging.getLogger(__name__), is_async=False)
        self.door = door
        self.answer: Answer | None = None

    def request(
        self,
        method: str,
        uri: str,
        params: Any = None,
        data: Any = None,
        headers: Any = None,
        auth: Any = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """Raises NotReached or Lost."""
        self.answer = None
        self.answer = self.door.call(
            method, uri, params=params, form=data or None, headers=headers, auth=auth
        )
        text = self.answer.content.decode("utf-8", "replace")
        return Response(self.answer.status, text, self.answer.headers)
