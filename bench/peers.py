"""Providers that take every message at once, each in a process of its own.

`python -m bench.peers http|smtp` prints where it listens and serves until its standard input ends.
The http one is Twilio and SendGrid; asked for /taken it says how many messages it was given.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from clinicrelay.testing.http_server import Asked, Reply, serving

HERE = "127.0.0.1"


@contextmanager
def apart(kind: str) -> Iterator[str]:
    """Run a provider; gives where it listens, as `host:port`."""
    command = [sys.executable, "-m", "bench.peers", kind]
    peer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert peer.stdin
    assert peer.stdout
    try:
        yield peer.stdout.readline().strip()
    finally:
        peer.stdin.close()
        peer.wait()


class Provider:
    """Takes whatever is posted."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self.taken = 0

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/taken":
            return Reply({"taken": self.taken})
        self.taken = next(self._numbers)
        if asked.path == "/v3/mail/send":
            return Reply(b"", 202, {"X-Message-Id": f"bench{self.taken:017d}"})
        return Reply(_sms(self.taken), 201)


def _sms(number: int) -> dict[str, Any]:
    """Return what Twilio answers: the fields of its Message resource."""
    moment = "Mon, 23 Nov 2026 07:00:00 +0000"
    return {
        "sid": f"SM{number:032x}",
        "account_sid": "AC0123456789abcdef0123456789abcdef",
        "api_version": "2010-04-01",
        "body": "Ihr Termin bei Bench Clinic: morgen um 10:30.",
        "date_created": moment,
        "date_sent": None,
        "date_updated": moment,
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": "+12025550100",
        "messaging_service_sid": None,
        "num_media": "0",
        "num_segments": "1",
        "price": None,
        "price_unit": "USD",
        "status": "queued",
        "subresource_uris": {"media": f"/Messages/SM{number:032x}/Media.json"},
        "to": "+12025550199",
        "uri": f"/Messages/SM{number:032x}.json",
    }


def _serve_http() -> None:
    provider = Provider()
    with serving(provider.answer) as server:
        print(server.url.removeprefix("http://"), flush=True)
        sys.stdin.read()


def _serve_smtp() -> None:
    asyncio.run(_take_mails())


async def _take_mails() -> None:
    from aiosmtpd.handlers import Sink
    from aiosmtpd.smtp import SMTP

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Sink(), enable_SMTPUTF8=True), HERE, 0)
    print(f"{HERE}:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    {"http": _serve_http, "smtp": _serve_smtp}[sys.argv[1]]()
