"""Where monitoring asks a service: four pages at an address of this machine, for reading only.

Whoever asks slowly, at length or often is sent away: a port that is scanned must not take the
threads that send messages.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError

if TYPE_CHECKING:
    from clinicrelay.settings.monitoring import Place
    from sync.runners.watch import Answer, Watch

_AT_ONCE = 16
_PATIENCE = 5.0  # seconds for one piece of a request, and three times that for all of it
METRICS = "text/plain; version=0.0.4; charset=utf-8"
JSON = "application/json"


class Endpoints:
    """The pages of one address. Raises SettingsError where nothing can listen there."""

    def __init__(self, place: Place, watch: Watch, *, file: str = "") -> None:
        self.place = place
        try:
            self._server = _Server(place, watch)
        except (OSError, OverflowError) as error:
            raise SettingsError([_not_there(place, error, file)]) from error
        name = f"monitoring {place}"
        thread = threading.Thread(
            target=self._server.serve_forever, name=name, daemon=True, kwargs={"poll_interval": 0.5}
        )
        thread.start()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


def _not_there(place: Place, error: Exception, file: str) -> Finding:
    why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no address"
    return Finding(
        "error",
        "cannot_listen",
        f"nothing can listen at {place}: {why}",
        "name an address of this machine and a free port, such as 127.0.0.1:9464",
        path="monitoring.metrics",
        file=file,
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, place: Place, watch: Watch) -> None:
        self.watch = watch
        self._begun: dict[Any, float] = {}
        self._counting = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
        super().__init__((place.host, place.port), _Pages)

    def server_bind(self) -> None:
        """Bind without asking a name server what this address is called."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._counting:
            if full := len(self._begun) >= _AT_ONCE:
                self.shutdown_request(request)
            else:
                self._begun[request] = time.monotonic()
        if not full:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._begun.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Send away who keeps a thread for too long, a byte now and then."""
        late = time.monotonic() - 3 * _PATIENCE
        for request, begun in list(self._begun.items()):
            if begun < late:
                try:
                    request.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up is no news."""


class _Pages(BaseHTTPRequestHandler):
    timeout = _PATIENCE
    server: _Server
    server_version = "clinicrelay"
    sys_version = ""
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"

    def do_GET(self) -> None:
        try:
            self._page()
        except OSError:
            raise  # who asked has hung up
        except Exception:  # noqa: BLE001 - a mistake of ours is an answer, too
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)

    def _page(self) -> None:
        watch, path = self.server.watch, self.path.partition("?")[0]
        if path == "/livez":
            self._answer(watch.live())
        elif path == "/readyz":
            self._answer(watch.ready())
        elif path == "/healthz":
            self._answer(watch.healthy())
        elif path == "/metrics":
            self._send(HTTPStatus.OK, METRICS, watch.metrics())
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    do_HEAD = do_GET  # noqa: N815 - the names that http.server looks for

    def _refuse(self) -> None:
        self.send_response(HTTPStatus.METHOD_NOT_ALLOWED)
        self.send_header("Allow", "GET, HEAD")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = _refuse  # noqa: N815

    def _answer(self, answer: Answer) -> None:
        status = HTTPStatus.OK if answer.well else HTTPStatus.SERVICE_UNAVAILABLE
        self._send(status, JSON, json.dumps(answer.json).encode() + b"\n")

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it has there
        """Nobody wants a line for each look."""
