"""The server answers whatever its clients do, and keeps nothing of those that say nothing."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus

import pytest

import common.health.server as server_module
from common.counts import Counts
from common.errors import ConfigurationError
from common.health.bounded_server import BoundedServer
from common.health.metrics import registry_of
from common.health.server import Pages, open_server, pages_of
from common.health.standing import HUNG_S, Standing
from tests.harness.broker import free_port
from tests.harness.pipeline import wait_until

HOST = "127.0.0.1"


def pages(counts: Counts, turned_at: float | None = None) -> Pages:
    standing = Standing("sink", counts, lambda: False, time.monotonic() if turned_at is None else turned_at)
    return pages_of(standing, registry_of(standing, "plain"))


@contextmanager
def running(found: Pages, host: str = HOST) -> Iterator[int]:
    """A server; yields its port."""
    server = open_server(host, free_port(), found)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(port: int, path: str, *, method: str = "GET", host: str = HOST) -> tuple[int, bytes, str]:
    """The status, the body and its type."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read(), response.headers["Content-Type"]
    finally:
        connection.close()


def connect(port: int) -> socket.socket:
    return socket.create_connection((HOST, port), timeout=10)


def test_a_service_at_work_is_live_and_ready_and_has_metrics() -> None:
    counts = Counts(not_ready="")
    counts.assign([("categorized", 3)])
    with running(pages(counts)) as port:
        status, body, kind = ask(port, "/readyz")
        assert (status, kind) == (200, "application/json")
        assert json.loads(body) == {"ready": True, "reason": "", "service": "sink", "partitions": ["categorized-3"]}
        assert ask(port, "/livez?verbose")[0] == 200
        status, body, kind = ask(port, "/metrics")
        assert (status, kind.partition(";")[0]) == (200, "text/plain")
        assert b"\nnacre_assigned_partitions 1.0\n" in body


def test_one_that_is_not_at_work_says_why() -> None:
    with running(pages(Counts(not_ready='cannot connect to "kafka"'))) as port:
        status, body, _ = ask(port, "/readyz")
        assert (status, json.loads(body)["reason"]) == (503, 'cannot connect to "kafka"')
        assert ask(port, "/livez")[0] == 200


def test_one_whose_loop_hangs_says_so_at_once() -> None:
    with running(pages(Counts(not_ready=""), time.monotonic() - 2 * HUNG_S)) as port:
        for path in ("/livez", "/readyz"):
            status, body, _ = ask(port, path)
            assert (status, json.loads(body)["reason"]) == (503, "the event loop has not turned for 20 s")
        assert ask(port, "/metrics")[0] == 200


def test_other_paths_and_methods_are_refused_and_head_has_no_body() -> None:
    with running(pages(Counts())) as port:
        assert ask(port, "/")[:2] == (404, b"there are /livez, /readyz, /metrics\n")
        assert ask(port, "/livez/../readyz")[0] == 404
        assert ask(port, "/livez", method="POST")[0] == 501
        assert ask(port, "/livez", method="HEAD")[:2] == (200, b"")


def test_a_page_that_fails_is_an_answer() -> None:
    def fail() -> server_module.Answer:
        raise RuntimeError("a defect")

    with running({"/metrics": fail}) as port:
        assert ask(port, "/metrics")[0] == 500


@pytest.mark.parametrize("said", [b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nHost: "])
def test_a_client_that_does_not_finish_its_request_is_let_go(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(BoundedServer, "request_s", 0.2)
    with running(pages(Counts())) as port, connect(port) as silent:
        silent.sendall(said)
        assert ask(port, "/livez")[0] == 200
        assert silent.recv(1_000) == b""


def test_a_client_that_says_a_byte_at_a_time_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedServer, "request_s", 0.3)
    with running(pages(Counts())) as port, connect(port) as slow:

        def is_let_go() -> bool:
            try:
                slow.sendall(b"G")
            except ConnectionError:
                return True
            return False

        wait_until(is_let_go, "the connection is closed", 10)


def test_more_clients_than_there_is_room_for_are_turned_away_until_others_have_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(BoundedServer, "request_s", 0.5)
    before = threading.active_count()
    with running(pages(Counts())) as port, ExitStack() as held:
        for _ in range(200):
            held.enter_context(connect(port))

        def answers() -> bool:
            try:
                return ask(port, "/livez")[0] == 200
            except (http.client.HTTPException, OSError):
                assert threading.active_count() <= before + BoundedServer.most_connections + 1
                return False

        wait_until(answers, "the server answers again", 10)
    wait_until(lambda: threading.active_count() <= before, "no thread is left", 10)


def test_a_client_that_goes_before_its_answer_writes_nothing_to_the_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    began, goes_on, before = threading.Event(), threading.Event(), threading.active_count()

    def wait() -> server_module.Answer:
        began.set()
        goes_on.wait(10)
        return server_module.Answer(HTTPStatus.OK, b"x" * 10_000_000)

    with running({"/metrics": wait}) as port:
        with connect(port) as gone:
            gone.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            began.wait(10)
        goes_on.set()
    # A thread that outlives the test would log to a terminal that is closed by then.
    wait_until(lambda: threading.active_count() <= before, "no thread is left", 10)
    assert "Traceback" not in capfd.readouterr().err


def test_a_port_that_is_taken_is_one_line() -> None:
    with running(pages(Counts())) as port, pytest.raises(ConfigurationError) as refused:
        open_server(HOST, port, {})
    assert str(refused.value) == (
        f"HTTP_PORT={port}: cannot listen there on HTTP_HOST=127.0.0.1: Address already in use: set another, or "
        "HTTP_PORT=0 to do without"
    )


def test_a_host_that_is_none_is_one_line() -> None:
    with pytest.raises(ConfigurationError, match=r"HTTP_HOST=no\.such\.host\.invalid: ") as refused:
        open_server("no.such.host.invalid", free_port(), {})
    assert "\n" not in str(refused.value)


def has_ipv6() -> bool:
    """Containers often have the protocol and no address of it."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_the_address_of_ipv6_takes_both() -> None:
    with running(pages(Counts(not_ready="")), "::") as port:
        assert ask(port, "/readyz")[0] == 200
        assert ask(port, "/readyz", host="::1")[0] == 200
