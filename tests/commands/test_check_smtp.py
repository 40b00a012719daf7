"""`check` and a mail server: nothing is connected to unless asked, and what is unwise is always said."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.commands.conftest import Desk


def use(desk: Desk, host: str, port: int) -> None:
    server = (
        f"{{type: smtp, host: {host}, port: {port}, security: none, from: a@riverside.example}}"
    )
    desk.change("outbox: {type: outbox}", f"post: {server}")


def findings(desk: Desk, *words: str) -> tuple[int, list[dict[str, Any]]]:
    ran = desk.run("check", "--json", *words)
    return ran.code, json.loads(ran.out)["findings"]


def test_a_check_connects_only_when_asked_to(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    use(desk, "127.0.0.1", port)  # where nobody listens any more

    assert findings(desk) == (0, [])

    code, (finding,) = findings(desk, "--connect")
    assert code == 2
    assert (finding["path"], finding["code"]) == ("notifiers.post", "unreachable")
    assert finding["fix"]


def test_an_unencrypted_way_is_a_warning_at_every_check(desk: Desk) -> None:
    use(desk, "smtp.riverside.example", 25)

    code, (finding,) = findings(desk)

    assert code == 0
    assert (finding["severity"], finding["code"]) == ("warning", "unencrypted")
    assert finding["path"] == "notifiers.post"
