"""Tokens requested from a real HTTPS server."""

import asyncio
import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError

from common.connection.oauth import TokenRequest, Tokens, request_token
from common.setting import Secret
from tests.harness.certificates import Authority

SECRET = "a/b+c=é%"  # noqa: S105 - it opens nothing


class Endpoint:
    """Answers as the test says, and keeps the requests."""

    def __init__(self, folder: Path) -> None:
        self.answers: list[tuple[int, bytes, dict[str, str]]] = []
        self.asked: list[tuple[str, dict[str, str], str]] = []
        authority = Authority()
        self.ca = authority.write(folder)
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                endpoint.asked.append((self.path, dict(self.headers), form))
                status, body, headers = endpoint.answers.pop(0)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - its name there
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("endpoint", "127.0.0.1").write(folder, "endpoint"))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}/token"

    def answer(self, body: object = None, status: int = 200, **headers: str) -> None:
        """Set the next answer."""
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.append((status, encoded, headers))

    def request(self, **changes: Any) -> TokenRequest:
        """A request to this server."""
        fields: dict[str, Any] = {"secret": Secret(SECRET), "secret_file": None, "scope": None, **changes}
        return TokenRequest(self.url, "me", ca_location=self.ca, **fields)


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    endpoint = Endpoint(tmp_path)
    thread = threading.Thread(target=endpoint.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield endpoint
    endpoint.server.shutdown()
    thread.join()
    endpoint.server.server_close()


def web_token(**claims: object) -> str:
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


def test_a_token_is_asked_for_as_kafkas_clients_do(endpoint: Endpoint) -> None:
    endpoint.answer({"access_token": "abc", "expires_in": 60})
    assert request_token(endpoint.request(scope="rows all")) == ("abc", 60.0)
    [(path, headers, form)] = endpoint.asked
    assert path == "/token"
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode() == f"me:{SECRET}"
    assert form == "grant_type=client_credentials&scope=rows+all"


def test_a_lifetime_may_be_a_text_or_stand_in_the_token(endpoint: Endpoint) -> None:
    endpoint.answer({"access_token": "abc", "expires_in": "3599"})
    assert request_token(endpoint.request()) == ("abc", 3599.0)
    token = web_token(exp=time.time() + 50)
    endpoint.answer({"access_token": token})
    text, lifetime_s = request_token(endpoint.request())
    assert text == token
    assert 40 < lifetime_s <= 50


def test_the_secret_is_read_from_its_file_each_time(endpoint: Endpoint, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    request = endpoint.request(secret=None, secret_file=path)
    for secret in ("one", "two"):
        path.write_text(f"{secret}\n")
        endpoint.answer({"access_token": "abc", "expires_in": 60})
        request_token(request)
        assert base64.b64decode(endpoint.asked[-1][1]["Authorization"][6:]).decode() == f"me:{secret}"
    path.unlink()
    with pytest.raises(KafkaConnectionError, match=r"KAFKA_OAUTH_CLIENT_SECRET_FILE .*No such file"):
        request_token(request)


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (401, {"error": "invalid_client"}, AuthenticationFailedError, "HTTP 401 invalid_client"),
        (400, {"error": "e", "error_description": f"not {SECRET}"}, AuthenticationFailedError, r"e not \*\*\*"),
        (403, b"<html>no</html>", AuthenticationFailedError, "HTTP 403 Forbidden"),
        (503, {}, KafkaConnectionError, "HTTP 503"),
        (404, b"", KafkaConnectionError, "HTTP 404 Not Found"),
        (302, b"", KafkaConnectionError, "HTTP 302 Found"),
        (200, b"<html>", KafkaConnectionError, "Expecting value"),
        (200, {"expires_in": 60}, KafkaConnectionError, "the answer has no access_token"),
        (200, {"access_token": "a\x01b", "expires_in": 60}, KafkaConnectionError, "the answer has no access_token"),
        (200, {"access_token": "abc"}, KafkaConnectionError, "does not say when its token ends"),
        (200, {"access_token": "abc", "expires_in": 0}, KafkaConnectionError, "has already ended"),
        (200, [1], KafkaConnectionError, "list"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_endpoint_and_not_the_secret(
    endpoint: Endpoint, status: int, body: object, kind: type[Exception], said: str
) -> None:
    # A redirect would take the secret with it.
    endpoint.answer(body, status, Location="https://127.0.0.1:1/elsewhere")
    with pytest.raises(kind, match=rf"KAFKA_OAUTH_TOKEN_ENDPOINT https://127.0.0.1:\d+/token: .*{said}") as raised:
        request_token(endpoint.request())
    assert type(raised.value) is kind
    assert SECRET not in str(raised.value)
    assert len(endpoint.asked) == 1


def test_an_endpoint_of_an_unknown_authority_is_refused(endpoint: Endpoint, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    request = TokenRequest(endpoint.url, "me", Secret(SECRET), None, None, Authority().write(other))
    with pytest.raises(KafkaConnectionError, match="certificate verify failed"):
        request_token(request)


def test_many_connections_ask_for_one_token_and_a_refused_one_is_forgotten(endpoint: Endpoint) -> None:
    for name in ("one", "two", "three"):
        endpoint.answer({"access_token": name, "expires_in": 600})
    tokens = Tokens(endpoint.request())

    async def ask() -> list[str]:
        several = await asyncio.gather(*(tokens.token() for _ in range(20)))
        again = await tokens.token()
        tokens.forget()
        after_refusal = await tokens.token()
        for_the_next_session = await tokens.token(beyond=time.monotonic() + 1_000)
        return [*set(several), again, after_refusal, for_the_next_session]

    assert asyncio.run(ask()) == ["one", "one", "two", "three"]


def test_while_the_endpoint_is_away_the_token_is_used_until_it_ends(endpoint: Endpoint) -> None:
    endpoint.answer({"access_token": "one", "expires_in": 2})
    tokens = Tokens(endpoint.request())

    async def ask() -> None:
        assert await tokens.token() == "one"
        ends_at = time.monotonic() + 1
        for _ in range(2_000):
            endpoint.answer({}, 503)
        while time.monotonic() < ends_at - 0.2:
            assert await tokens.token() == "one"
            await asyncio.sleep(0.01)
        while time.monotonic() < ends_at:  # noqa: ASYNC110 - what ends is only time
            await asyncio.sleep(0.01)
        with pytest.raises(KafkaConnectionError, match="HTTP 503"):
            await tokens.token()
        endpoint.answers.clear()
        endpoint.answer({"access_token": "two", "expires_in": 600})
        assert await tokens.token() == "two"

    asyncio.run(ask())
