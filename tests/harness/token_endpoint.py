"""A token endpoint as identity providers have it: client credentials in, a signed JSON web token out, over HTTPS."""

import base64
import json
import ssl
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from tests.harness.certificates import Certificate

AUDIENCE = "kafka"
_KEY_ID = "tests"


class TokenEndpoint:
    """Serves from a thread; with `is_down` it answers 503. Tokens are for `audience`, and valid for `lifetime_s`."""

    def __init__(self, certificate: Certificate, folder: Path, secrets: dict[str, str], lifetime_s: int) -> None:
        self.secrets = secrets
        self.lifetime_s = lifetime_s
        self.audience = AUDIENCE
        self.is_down = False
        self.issued: list[str] = []
        self._key = generate_private_key(public_exponent=65537, key_size=2048)
        # The broker checks signatures with this key.
        self.jwks = folder / "jwks.json"
        self.jwks.write_text(json.dumps({"keys": [self._public_key()]}))
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status, answer = endpoint.answer(self.headers.get("Authorization", ""), parse_qs(form))
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - its name there
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate.write(folder, "token-endpoint"))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}/realms/tests/token"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, authorization: str, form: dict[str, list[str]]) -> tuple[int, dict[str, object]]:
        """The status and the body."""
        if self.is_down:
            return 503, {}
        scheme, _, encoded = authorization.partition(" ")
        client, _, secret = base64.b64decode(encoded).decode().partition(":")
        if scheme != "Basic" or self.secrets.get(client) != secret:
            return 401, {"error": "invalid_client", "error_description": f"not the secret of {client}"}
        if form.get("grant_type") != ["client_credentials"]:
            return 400, {"error": "unsupported_grant_type"}
        token = self.issue(client, form.get("scope", [""])[0])
        self.issued.append(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime_s}

    def issue(self, subject: str, scope: str = "") -> str:
        """A token, signed."""
        now = int(time.time())
        claims = {
            "sub": subject,
            "aud": self.audience,
            "iat": now,
            "exp": now + self.lifetime_s,
            "jti": uuid.uuid4().hex,
            "scope": scope,
        }
        header = {"alg": "RS256", "typ": "JWT", "kid": _KEY_ID}
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{_encoded(self._key.sign(signed.encode(), PKCS1v15(), hashes.SHA256()))}"

    def _public_key(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        modulus, exponent = (_encoded(n.to_bytes((n.bit_length() + 7) // 8)) for n in (numbers.n, numbers.e))
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": _KEY_ID, "n": modulus, "e": exponent}


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
