"""The server answers what it has to whom it may, and keeps nothing of those that say nothing."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser

import pytest

from common.errors import ConfigurationError
from ops.web.access import Access, names_of
from ops.web.board import Board
from ops.web.history import Point
from ops.web.server import WebServer, open_server
from tests.harness.broker import free_port
from tests.harness.pipeline import wait_until

HOST = "127.0.0.1"
TOKEN = "a-token-of-some-length"  # noqa: S105 - a test's own


@contextmanager
def running(token: str = "", board: Board | None = None) -> Iterator[WebServer]:
    shown = board or Board()
    server = open_server(HOST, free_port(), shown, Access(names_of(HOST, "machine", []), token))
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield server
    finally:
        shown.close()
        server.shutdown()
        thread.join()
        server.server_close()


def ask(
    server: WebServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(HOST, server.server_address[1], timeout=10)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


class Named(HTMLParser):
    """What a page loads, and what in it would run or be styled without a file."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.files: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what this element has."""
        given = dict(attrs)
        self.files += [given[name] or "" for name in ("src", "href") if name in given and tag in {"script", "link"}]
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in given) else []


def test_all_that_the_page_loads_is_served_and_nothing_of_it_stands_inline() -> None:
    with running() as server:
        status, headers, body = ask(server, "/")
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        page = Named(body.decode())
        assert len(page.files) == 6
        assert page.inline == []
        loaded = [*page.files, *(path for path in server.pages if path.startswith("/static/"))]
        for path in loaded:
            assert ask(server, path)[0] == 200, path


def test_every_answer_has_the_policy_and_says_nothing_of_the_server() -> None:
    with running() as server:
        answers = [ask(server, path) for path in ("/", "/none", "/files", "/files?first=x")]
        answers += [ask(server, "/", "POST"), ask(server, "/", Host="evil.example")]
        assert [status for status, _, _ in answers] == [200, 404, 200, 400, 405, 421]
        for _, headers, _ in answers:
            policy = headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self';")
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
            assert (headers["Server"], headers["Cache-Control"]) == ("nacre", "no-store")
            assert headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_nothing_can_be_changed(method: str) -> None:
    with running() as server:
        status, headers, _ = ask(server, "/", method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_a_head_has_no_body_and_no_path_leads_to_the_disk() -> None:
    with running() as server:
        assert ask(server, "/", "HEAD")[0::2] == (200, b"")
        assert ask(server, "/events", "HEAD")[0::2] == (200, b"")
        for path in ("/static/../server.py", "/static/%2e%2e/server.py", "//etc/passwd", "/static/"):
            assert ask(server, path)[0] == 404


def test_another_name_or_another_site_gets_nothing() -> None:
    with running() as server:
        assert ask(server, "/events", Host="evil.example:80")[0] == 421
        assert ask(server, "/files", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="cors")[0] == 403
        assert ask(server, "/?first=1", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200
        assert ask(server, "/events?", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 403
        assert ask(server, "/files", Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors")[0] == 200


def test_with_a_token_all_is_closed_but_to_the_link_and_the_cookie_that_it_gives() -> None:
    with running(TOKEN) as server:
        for path in ("/", "/events", "/files", "/static/page.js", "/none", "/?token=wrong"):
            status, headers, body = ask(server, path)
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
            assert TOKEN.encode() not in body
        status, headers, _ = ask(server, f"/?token={TOKEN}")
        assert (status, headers["Location"]) == (303, "/")
        cookie, *attributes = headers["Set-Cookie"].split("; ")
        assert attributes == ["Path=/", "HttpOnly", "SameSite=Lax"]
        assert ask(server, "/", Cookie=cookie)[0] == 200
        assert ask(server, "/files", Authorization=f"Bearer {TOKEN}")[0] == 200
        assert ask(server, "/", Cookie=f"{cookie}x")[0] == 401


def test_servers_at_free_ports_of_a_host_have_cookies_of_their_own() -> None:
    names = set()
    for _ in range(2):
        server = open_server(HOST, 0, Board(), Access(names_of(HOST, "machine", []), TOKEN))
        names.add((server.access.cookie, server.server_address[1]))
        server.server_close()
    assert all(name == f"nacre-web-{port}" for name, port in names)


def test_all_pages_get_the_same_events_and_end_with_the_server() -> None:
    board = Board()
    board.show_view({"rows": 1}, Point(1.0), [])
    with running(board=board) as server:
        clients = [http.client.HTTPConnection(HOST, server.server_address[1], timeout=10) for _ in range(5)]
        responses = []
        for client in clients:
            client.request("GET", "/events")
            responses.append(client.getresponse())
        assert {each.headers["Content-Type"] for each in responses} == {"text/event-stream"}
        for response in responses:
            first = next(line for line in response if line.startswith(b'data: {"rows"'))
            assert json.loads(first.removeprefix(b"data: "))["rows"] == 1
        assert server.streams == 5
        board.show_view({"rows": 2}, Point(2.0), [])
        board.close()
        for response in responses:
            response.read()
        wait_until(lambda: not server.streams and not server.connections, "nothing of them is left")


def test_a_page_that_is_closed_leaves_nothing() -> None:
    board = Board()
    with running(board=board) as server:
        client = socket.create_connection((HOST, server.server_address[1]))
        client.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: server.streams, "it is open")
        client.close()

        def is_noticed() -> bool:
            board.show_trouble("news", 1)
            return not server.streams

        wait_until(is_noticed, "the next events find it gone")


def test_more_pages_than_there_is_room_for_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.web.server._MOST_STREAMS", 1)
    with running() as server:
        client = http.client.HTTPConnection(HOST, server.server_address[1], timeout=10)
        client.request("GET", "/events")
        client.getresponse()
        wait_until(lambda: server.streams, "one is open")
        status, headers, _ = ask(server, "/events")
        assert (status, headers["Retry-After"]) == (503, "10")
        assert ask(server, "/")[0] == 200
        client.close()


def test_pages_that_are_opened_at_once_are_no_more_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.web.server._MOST_STREAMS", 3)
    with running() as server:
        # All have asked before any of them is answered.
        found = [server.pages["/events"]("") for _ in range(5)]
        assert [each.status for each in found] == [200, 200, 200, 503, 503]
        for _ in range(3):
            server.end_stream()
        assert ask(server, "/events", "HEAD")[0] == 200
        wait_until(lambda: not server.streams, "one without a body has ended")


def test_what_is_no_request_is_refused() -> None:
    with running() as server:
        for sent in (
            b"\x16\x03\x01\x02\x00\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n",
        ):
            with socket.create_connection((HOST, server.server_address[1]), timeout=10) as client:
                client.sendall(sent)
                # What is not even a line of HTTP is answered without a status.
                assert client.recv(64).startswith((b"Bad Request", b"HTTP Version Not Supported", b"HTTP/1.0 414 "))
        with socket.create_connection((HOST, server.server_address[1]), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(64).startswith(b"HTTP/1.0 421 ")


def test_a_port_that_is_taken_is_refused_in_one_line() -> None:
    with running() as server:
        port = server.server_address[1]
        with pytest.raises(ConfigurationError, match=f"cannot listen at port {port} of {HOST}: Address already in use"):
            open_server(HOST, port, Board(), server.access)
