"""A FHIR server in a process of its own: pages made beforehand, so that it answers at once.

`python -m bench.fhir.served VISITS` prints its address and serves until its standard input ends.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from bench.fhir.bundles import pages

STATEMENT = {
    "resourceType": "CapabilityStatement",
    "fhirVersion": "4.0.1",
    "rest": [
        {
            "mode": "server",
            "resource": [
                {
                    "type": "Appointment",
                    "searchInclude": ["Appointment:actor"],
                    "searchParam": [{"name": "date"}],
                }
            ],
        }
    ],
}


@contextmanager
def served(visits: int) -> Iterator[str]:
    """Run the server; gives the address under which FHIR is found."""
    command = [sys.executable, "-m", "bench.fhir.served", str(visits)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin
    assert server.stdout
    try:
        yield server.stdout.readline().strip()
    finally:
        server.stdin.close()
        server.wait()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together
    content: list[bytes]

    def do_GET(self) -> None:
        """Answer a search with a page, everything else with what the server can."""
        asked = urlsplit(self.path)
        if asked.path.endswith("/Appointment"):
            body = self.content[int(parse_qs(asked.query).get("page", ["0"])[0])]
        else:
            body = msgspec.json.encode(STATEMENT)
        self.send_response(200)
        self.send_header("Content-Type", "application/fhir+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - its own word
        """Say nothing."""


def main() -> None:
    """Serve."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    base = f"http://127.0.0.1:{server.server_port}/fhir"
    _Handler.content = pages(int(sys.argv[1]), base)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(base, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
