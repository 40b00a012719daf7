"""Put on PYTHONPATH of a real run: ends the process at one moment of its first SMTP delivery.

SMTP_KILL_AT names it: `connected`, a command whose answer has just come (`EHLO MAIL RCPT DATA`),
`body` (half of the text is written), `handed over` (all but the final dot is), `dot` (that too) or
`answer` (the server's yes is here, and nothing is written down yet).
"""

from __future__ import annotations

import os
import signal
from typing import Any

from notifiers.smtp.client import Client

AT = os.environ.get("SMTP_KILL_AT", "")
DOT = b".\r\n"
_last = ""

real_connect, real_putcmd = Client.connect, Client.putcmd
real_send, real_getreply = Client.send, Client.getreply


def reached(moment: str) -> None:
    if moment == AT:
        os.kill(os.getpid(), signal.SIGKILL)


def connect(self: Client, *arguments: Any, **named: Any) -> Any:
    answer = real_connect(self, *arguments, **named)
    reached("connected")
    return answer


def putcmd(self: Client, cmd: str, args: str = "") -> None:
    global _last  # noqa: PLW0603 - one delivery a process
    _last = cmd.upper()
    real_putcmd(self, cmd, args)


def send(self: Client, s: Any) -> None:
    global _last  # noqa: PLW0603
    if s == DOT:
        reached("handed over")
        _last = "answer"
    elif isinstance(s, bytes) and AT == "body":
        real_send(self, s[: len(s) // 2])
        reached("body")
    real_send(self, s)
    if s == DOT:
        reached("dot")


def getreply(self: Client, *within: float) -> Any:
    answer = real_getreply(self, *within)
    reached(_last)
    return answer


if AT:
    Client.connect = connect  # type: ignore[method-assign]
    Client.putcmd = putcmd  # type: ignore[method-assign]
    Client.send = send  # type: ignore[method-assign]
    Client.getreply = getreply  # type: ignore[method-assign]
