"""The same peer in a process of its own, which outlives whatever is killed beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen


class RemotePeer:
    """Has the methods of GooglePeer; results are plain JSON. `fault` takes no `call`."""

    def __init__(self, url: str, prefix: str = "", **always: Any) -> None:
        self.url, self._prefix, self._always = url, prefix, always

    def doctor(self, calendar: str) -> RemotePeer:
        return RemotePeer(self.url, "doctor/", calendar=calendar)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*args: Any, **arguments: Any) -> Any:
            said = json.dumps({**self._always, **arguments, "args": args}).encode()
            request = Request(f"{self.url}/_peer/{self._prefix}{name}", said, method="POST")
            try:
                with urlopen(request, timeout=30) as answer:
                    return json.load(answer)["result"]
            except HTTPError as error:
                raise ValueError(error.read().decode()) from error

        return ask


@contextmanager
def apart(folder: Path, *, seed: int = 0) -> Iterator[RemotePeer]:
    """Run a peer in a process of its own until the block ends."""
    port_file = folder / "google-peer.port"
    port_file.unlink(missing_ok=True)
    arguments = ["--port-file", str(port_file), "--seed", str(seed)]
    process = subprocess.Popen([sys.executable, str(Path(__file__).parent), *arguments])
    try:
        yield RemotePeer(f"http://127.0.0.1:{_port(port_file, process)}")
    finally:
        process.terminate()
        process.wait()


def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    give_up = time.monotonic() + 30
    while not file.exists():
        if process.poll() is not None or time.monotonic() > give_up:
            raise RuntimeError("the peer did not start")
        time.sleep(0.01)
    return int(file.read_text())
