"""The standard library's HTTP server, so bounded that no client can keep anything from the others."""

import math
import socket
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

import structlog

log = structlog.get_logger()


class BoundedServer(ThreadingHTTPServer):
    """Answers each request on a thread that ends with the process at the latest.

    A request has `request_s`, and there are at most `most_connections`; those beyond are closed at once.
    """

    request_s = 5.0
    most_connections = 32
    # Two processes must not share a port: the second one is refused.
    allow_reuse_port = False
    # The queue is longer than the limit, so that clients that are turned away hear of it at once.
    request_queue_size = 128

    def __init__(self, family: socket.AddressFamily, address: Any, handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = family
        # The connections that are open, and when each began.
        self._began: dict[socket.socket, float] = {}
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind; do not ask who this is as the base class does: without DNS that takes seconds."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        TCPServer.server_bind(self)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._began)

    def keep_open(self, request: socket.socket) -> None:
        """Let this connection last as long as its client does."""
        self._began[request] = math.inf

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - the base class's
        """Whether there is room for one more connection."""
        if len(self._began) >= self.most_connections:
            return False
        self._began[request] = time.monotonic()
        return True

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self._began.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End the connections that have had their time: their threads then find nothing more to read."""
        latest = time.monotonic() - self.request_s
        for connection, began in list(self._began.items()):
            if began < latest:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's
        """A client that has gone is no error; the base class would print a traceback."""
        log.debug("no answer to a request", error=repr(sys.exception()))
