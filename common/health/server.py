"""The HTTP server of /livez, /readyz and /metrics: the standard library's, on a thread of its own.

On a thread, because it has to answer while the loop hangs. A request has five seconds, so that no client can keep
anything; what is under way when the process ends ends with it.
"""

import asyncio
import math
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

import orjson
import structlog
from msgspec import Struct
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from common.counts import Counts
from common.errors import ConfigurationError, ServiceError
from common.health.metrics import registry_of
from common.health.standing import Standing
from common.settings import ServiceSettings

log = structlog.get_logger()

_REQUEST_S = 5.0
# How often to look for requests that take longer.
_LOOK_INTERVAL_S = 1.0
_MOST_CONNECTIONS = 32

Serve = Callable[[asyncio.Event], Awaitable[None]]


class Answer(Struct, frozen=True):
    """A status, and what is sent with it."""

    status: HTTPStatus
    body: bytes
    content_type: str = "application/json"


Pages = Mapping[str, Callable[[], Answer]]


def with_health(serve: Serve, settings: ServiceSettings, service: str, loops: str, counts: Counts) -> Serve:
    """Serve as before, and answer at HTTP_PORT meanwhile. ConfigurationError where that is not possible."""

    async def serve_and_answer(stop: asyncio.Event) -> None:
        standing = Standing(service, counts, stop.is_set, time.monotonic())
        server = open_server(settings.http_host, settings.http_port, pages_of(standing, registry_of(standing, loops)))
        # It goes on to the very end of the process.
        threading.Thread(target=server.serve_forever, args=[_LOOK_INTERVAL_S], name="health", daemon=True).start()
        turning = asyncio.create_task(standing.note_turns())
        try:
            await serve(stop)
        except Exception as error:
            # A service that is refused again and again waits before it exits.
            counts.not_ready = str(error) if isinstance(error, ServiceError) else "crashed"
            raise
        finally:
            turning.cancel()
            # The loop has ended on purpose: it does not hang.
            standing.turned_at = math.inf

    return serve_and_answer


def pages_of(standing: Standing, registry: CollectorRegistry) -> Pages:
    """What is answered to each path."""

    def live() -> Answer:
        why = standing.why_not_live(time.monotonic())
        return _answer(why, {"live": not why, "reason": why, "service": standing.service})

    def ready() -> Answer:
        why = standing.why_not_ready(time.monotonic())
        fields = {"ready": not why, "reason": why, "service": standing.service, "partitions": standing.partitions}
        return _answer(why, fields)

    def metrics() -> Answer:
        return Answer(HTTPStatus.OK, generate_latest(registry), CONTENT_TYPE_LATEST)

    return {"/livez": live, "/readyz": ready, "/metrics": metrics}


def _answer(why_not: str, fields: Mapping[str, object]) -> Answer:
    status = HTTPStatus.SERVICE_UNAVAILABLE if why_not else HTTPStatus.OK
    return Answer(status, orjson.dumps(fields) + b"\n")


def open_server(host: str, port: int, pages: Pages) -> "HealthServer":
    """Listen there. ConfigurationError, one line, where that is not possible."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = found[0]
        return HealthServer(family, address, pages)
    except OSError as error:
        raise ConfigurationError(
            f"HTTP_PORT={port}: cannot listen there on HTTP_HOST={host}: {error.strerror or error}: set another, or "
            "HTTP_PORT=0 to do without"
        ) from error


class HealthServer(ThreadingHTTPServer):
    """Answers each request on a thread that ends with the process at the latest."""

    # Two services must not share a port: the second one is refused.
    allow_reuse_port = False
    # The queue is longer than the limit, so that clients that are turned away hear of it at once.
    request_queue_size = 128

    def __init__(self, family: socket.AddressFamily, address: Any, pages: Pages) -> None:
        self.address_family = family
        self.pages = pages
        # The connections that are open, and when each began.
        self._began: dict[socket.socket, float] = {}
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind; do not ask who this is as the base class does: without DNS that takes seconds."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        TCPServer.server_bind(self)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - the base class's
        """Whether there is room for one more connection."""
        if len(self._began) >= _MOST_CONNECTIONS:
            return False
        self._began[request] = time.monotonic()
        return True

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self._began.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End the connections that have had their time: their threads then find nothing more to read."""
        latest = time.monotonic() - _REQUEST_S
        for connection, began in list(self._began.items()):
            if began < latest:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's
        """A client that has gone is no error; the base class would print a traceback."""
        log.debug("no answer to a request", error=repr(sys.exception()))


class _Handler(BaseHTTPRequestHandler):
    server: HealthServer
    timeout = _REQUEST_S

    def do_GET(self) -> None:
        """Answer a request."""
        page = self.server.pages.get(self.path.partition("?")[0])
        try:
            answer = self._none() if page is None else page()
        except Exception:
            log.exception("no answer to a request", path=self.path)
            answer = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"the service's log says why\n", "text/plain")
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_GET  # noqa: N815 - the base class's

    def version_string(self) -> str:
        """What the answers say of the server: not which Python it is."""
        return "nacre"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's
        """Log nothing: health is asked for all the time."""

    def _none(self) -> Answer:
        return Answer(HTTPStatus.NOT_FOUND, f"there are {', '.join(self.server.pages)}\n".encode(), "text/plain")
