"""The HTTP server of /livez, /readyz and /metrics: the standard library's, on a thread of its own.

On a thread, because it has to answer while the loop hangs. A request has five seconds, so that no client can keep
anything; what is under way when the process ends ends with it.
"""

import asyncio
import math
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

import orjson
import structlog
from msgspec import Struct
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from common.counts import Counts
from common.errors import ConfigurationError, ServiceError
from common.health.bounded_server import BoundedServer
from common.health.metrics import registry_of
from common.health.standing import Standing
from common.settings import ServiceSettings

log = structlog.get_logger()

# How often to look for requests that take too long.
_LOOK_INTERVAL_S = 1.0

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


class HealthServer(BoundedServer):
    """Answers these pages."""

    def __init__(self, family: socket.AddressFamily, address: Any, pages: Pages) -> None:
        self.pages = pages
        super().__init__(family, address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: HealthServer
    timeout = BoundedServer.request_s

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
