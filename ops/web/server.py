"""The server of the page: read-only, a thread for each connection, and a list of what there is to be had.

The standard library's, as `common/health/` has it: nothing is to be installed for it, and a stream is a thread that
waits. No path of a request ever becomes a path of a file.
"""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
from msgspec import Struct
from msgspec.structs import replace

from common.errors import ConfigurationError
from common.health.bounded_server import BoundedServer
from ops.pages.assets import LOOK, UPLOT_SCRIPT, UPLOT_STYLE, asset
from ops.web.access import PAGE, Access, Admission, Asked, admit
from ops.web.board import Board
from ops.web.files import files_asked_for, read_request
from ops.web.static_files import own_file

# Only files of this server's own: no inline script or style, no other site, no frame, and no text is ever made HTML.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_OWN_FILES = ("page.css", "page.js", "dom.js", "topology.js", "plots.js", "sections.js", "files.js", "icon.svg")
_SHARED_FILES = (LOOK, UPLOT_SCRIPT, UPLOT_STYLE)
_MOST_STREAMS = 64
# What is sent at once has to have left within this time: a slow link takes long for the first events, with the history.
_STREAM_S = 60.0


class Answer(Struct, frozen=True):
    """A status, and what is sent with it: a body, or the events of a stream as long as they come."""

    status: HTTPStatus
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = {}
    events: Iterator[bytes] | None = None


class WebServer(BoundedServer):
    """Serves the page, and a board's events."""

    # Those that stay open, and as many for what a page consists of.
    most_connections = 2 * _MOST_STREAMS

    def __init__(self, family: socket.AddressFamily, address: Any, board: Board, access: Access) -> None:
        self.board = board
        self.streams = 0
        self._streams_lock = threading.Lock()
        self.pages: Mapping[str, Callable[[str], Answer]] = {
            PAGE: lambda _: _file("index.html", own_file("index.html")),
            **{f"/static/{name}": _page_of(name, own_file(name)) for name in _OWN_FILES},
            **{f"/static/{name}": _page_of(name, asset(name)) for name in _SHARED_FILES},
            "/events": lambda _: self._events(),
            "/files": self._files,
        }
        super().__init__(family, address, _Handler)
        # Cookies are shared by all ports of a host: each server's has a name of its own.
        self.access = replace(access, cookie=f"{access.cookie}-{self.server_address[1]}")

    def _events(self) -> Answer:
        # The handler that sends the stream gives its place back.
        with self._streams_lock:
            if self.streams >= _MOST_STREAMS:
                text = f"{_MOST_STREAMS} pages are open already: close some\n"
                return Answer(HTTPStatus.SERVICE_UNAVAILABLE, text.encode(), headers={"Retry-After": "10"})
            self.streams += 1
        return Answer(HTTPStatus.OK, content_type="text/event-stream", events=self.board.stream())

    def end_stream(self) -> None:
        """Make room for another one."""
        with self._streams_lock:
            self.streams -= 1

    def _files(self, query: str) -> Answer:
        try:
            request = read_request(query)
        except ValueError as error:
            return Answer(HTTPStatus.BAD_REQUEST, f"{error}\n".encode())
        body = orjson.dumps(files_asked_for(self.board.sources, request))
        return Answer(HTTPStatus.OK, body, "application/json")


def open_server(host: str, port: int, board: Board, access: Access) -> WebServer:
    """Listen there. ConfigurationError, one line, where that is not possible."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # `localhost` is IPv4 first: that is what most mean by it, and a container without IPv6 has it.
        family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        return WebServer(family, address, board, access)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen at port {port} of {host}: {error.strerror or error}: set another --port or --host"
        ) from error


def _page_of(name: str, content: bytes) -> Callable[[str], Answer]:
    return lambda _: _file(name, content)


def _file(name: str, content: bytes) -> Answer:
    return Answer(HTTPStatus.OK, content, f"{_TYPES[name.rpartition('.')[2]]}; charset=utf-8")


class _Handler(BaseHTTPRequestHandler):
    server: WebServer
    timeout = BoundedServer.request_s

    def do_GET(self) -> None:
        """Answer a request."""
        self._send(self._answer())

    do_HEAD = do_GET  # noqa: N815 - the base class's

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Refuse what the base class cannot read, or a method that there is not: everything here is read-only."""
        status = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
        headers = {"Allow": "GET, HEAD"} if status is HTTPStatus.METHOD_NOT_ALLOWED else {}
        self._send(Answer(status, f"{status.phrase}\n".encode(), headers=headers))

    def version_string(self) -> str:
        """What the answers say of the server: not which Python it is."""
        return "nacre"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's
        """Log nothing: an address may have the token."""

    def _answer(self) -> Answer:
        target = urlsplit(self.path) if self.path.startswith("/") else urlsplit("/none")
        match admit(self._asked(target.query), self.server.access):
            case Admission.WRONG_HOST as why:
                return Answer(HTTPStatus.MISDIRECTED_REQUEST, f"{why}\n".encode())
            case Admission.OTHER_SITE as why:
                return Answer(HTTPStatus.FORBIDDEN, f"{why}\n".encode())
            case Admission.UNPROVEN as why:
                headers = {"WWW-Authenticate": "Bearer"}
                return Answer(HTTPStatus.UNAUTHORIZED, f"{why}\n".encode(), headers=headers)
            case Admission.BY_LINK:
                access = self.server.access
                cookie = f"{access.cookie}={access.token}; Path=/; HttpOnly; SameSite=Lax"
                return Answer(HTTPStatus.SEE_OTHER, headers={"Location": "/", "Set-Cookie": cookie})
        page = self.server.pages.get(target.path)
        return Answer(HTTPStatus.NOT_FOUND, b"there is no such page\n") if page is None else page(target.query)

    def _asked(self, query: str) -> Asked:
        try:
            token = parse_qs(query, max_num_fields=8).get("token", [""])[-1]
        except ValueError:
            token = ""
        return Asked(
            tuple(self.headers.get_all("Host", [])),
            token,
            "; ".join(self.headers.get_all("Cookie", [])),
            self.headers.get("Authorization", ""),
            self.headers.get("Sec-Fetch-Site", ""),
            self.headers.get("Sec-Fetch-Mode", ""),
            self.path.partition("?")[0],
        )

    def _send(self, answer: Answer) -> None:
        try:
            self._send_whole(answer)
        finally:
            if answer.events is not None:
                self.server.end_stream()

    def _send_whole(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        for name, value in (*_HEADERS.items(), *answer.headers.items()):
            self.send_header(name, value)
        if answer.events is None:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if answer.events is None:
            self.wfile.write(answer.body)
            return
        self._send_events(answer.events)

    def _send_events(self, events: Iterator[bytes]) -> None:
        """Send events until there are no more, or the client does not read them in time."""
        self.server.keep_open(self.connection)
        self.connection.settimeout(_STREAM_S)
        for each in events:
            self.wfile.write(each)
