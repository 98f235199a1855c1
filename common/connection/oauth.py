"""Tokens for OAUTHBEARER: requested with the client's credentials (RFC 6749, 4.4), and renewed before they end."""

import asyncio
import base64
import json
import re
import ssl
import time
import urllib.error
import urllib.request
from contextlib import suppress
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

import structlog
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError, KafkaError
from msgspec import Struct
from msgspec.structs import replace

from common.connection.http import in_daemon_thread, opener
from common.connection.secret_files import read_secret
from common.errors import ConfigurationError
from common.setting import Secret
from common.settings import ServiceSettings
from common.waiting import ignore_failure

log = structlog.get_logger()

_ANSWER_DEADLINE_S = 5.0
_MOST_BYTES = 2**20
_SHOWN_CHARACTERS = 200
# Of a token's lifetime. The rest is for an endpoint that does not answer at once.
_RENEW_AT = 0.8
# Tokens end at a full second, up to one second before their lifetime is over.
_ROUNDED_S = 1.0
# While the endpoint fails and the token is still valid, connections ask again only after this time.
_RETRY_S = 1.0
# The endpoint refuses the client; waiting does not mend that.
_REFUSALS = frozenset({400, 401, 403})
# What an Authorization header may hold (RFC 6750); anything else would be read as other fields.
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")


class TokenRequest(Struct, frozen=True):
    """What to request tokens with."""

    endpoint: str
    client_id: str
    secret: Secret | None
    secret_file: Path | None
    scope: str | None
    ca_location: Path | None


class _Token(Struct, frozen=True):
    """A token, when to renew it and when it ends (time.monotonic)."""

    text: str
    renew_at: float
    ends_at: float


class Tokens:
    """The token that all connections of this process share."""

    def __init__(self, request: TokenRequest) -> None:
        self._request = request
        self._token: _Token | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def token(self, beyond: float = 0.0) -> str:
        """A token that has not ended, and that ends after `beyond` (time.monotonic) where the endpoint has one.

        Raises KafkaError where there is none, AuthenticationFailedError where it is refused.
        """
        known = self._token
        if known is None or time.monotonic() >= known.renew_at or known.ends_at <= beyond:
            try:
                await self._renew()
            except KafkaError as error:
                now = time.monotonic()
                if known is None or now >= known.ends_at or known.ends_at <= beyond or self._token is None:
                    raise
                log.debug("token not renewed, the former one is still valid", reason=str(error))
                self._token = replace(known, renew_at=min(now + _RETRY_S, known.ends_at))
        assert self._token is not None  # noqa: S101 - else an error was raised
        return self._token.text

    def forget(self) -> None:
        """Request another one next time, because a broker has refused this one."""
        self._token = None

    async def _renew(self) -> None:
        """Make one request for all callers that wait; it goes on when one of them is cancelled."""
        loop = asyncio.get_running_loop()
        if self._renewing is None or self._renewing.done() or self._renewing.get_loop() is not loop:
            self._renewing = loop.create_task(self._ask())
            self._renewing.add_done_callback(ignore_failure)
        await asyncio.shield(self._renewing)

    async def _ask(self) -> None:
        asked_at = time.monotonic()
        text, lifetime_s = await in_daemon_thread("token", lambda: request_token(self._request))
        certain_s = max(0.0, lifetime_s - _ROUNDED_S)
        self._token = _Token(text, asked_at + _RENEW_AT * certain_s, asked_at + certain_s)


def tokens_for(settings: ServiceSettings) -> Tokens:
    """The tokens of these settings, shared. ConfigurationError where a file that they name could never be read."""
    endpoint, client_id = settings.kafka_oauth_token_endpoint, settings.kafka_oauth_client_id
    assert endpoint is not None and client_id is not None  # noqa: S101, PT018 - the settings' own check requires both
    request = TokenRequest(
        endpoint,
        client_id,
        settings.kafka_oauth_client_secret,
        settings.kafka_oauth_client_secret_file,
        settings.kafka_oauth_scope,
        settings.kafka_oauth_ca_location,
    )
    return _tokens(request)


@cache
def _tokens(request: TokenRequest) -> Tokens:
    # The files are checked once: later, one may be missing for a moment while it is replaced.
    _read_secret(request)
    _context(request)
    return Tokens(request)


def request_token(request: TokenRequest) -> tuple[str, float]:
    """Request a token, blocking; return it with the seconds that it is still valid.

    AuthenticationFailedError where the endpoint refuses the client, KafkaConnectionError where there is no token now.
    """
    try:
        secret, context = _read_secret(request), _context(request)
    except ConfigurationError as error:
        # An outage, not a refusal: a file may be missing for an instant while it is replaced.
        raise KafkaConnectionError(str(error)) from None
    try:
        with opener(context).open(_http_request(request, secret), timeout=_ANSWER_DEADLINE_S) as answer:
            return _read_answer(answer.read(_MOST_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            why = _redacted(f"HTTP {error.code} {_reason(error)}".strip(), secret)
        kind = AuthenticationFailedError if error.code in _REFUSALS else KafkaConnectionError
        raise kind(f"KAFKA_OAUTH_TOKEN_ENDPOINT {request.endpoint}: {why}") from None
    # http.client raises errors of its own, and ValueError for a header that it does not accept.
    except Exception as error:  # noqa: BLE001 - whatever it is, there is no token
        why = _redacted(str(getattr(error, "reason", None) or error or type(error).__name__), secret)
        raise KafkaConnectionError(f"KAFKA_OAUTH_TOKEN_ENDPOINT {request.endpoint}: {why}") from None


def _http_request(request: TokenRequest, secret: str) -> urllib.request.Request:
    form = {"grant_type": "client_credentials"} | ({} if request.scope is None else {"scope": request.scope})
    credentials = base64.b64encode(f"{request.client_id}:{secret}".encode()).decode()
    return urllib.request.Request(  # noqa: S310 - the settings' own check permits http and https alone
        request.endpoint,
        urlencode(form).encode(),
        {"Authorization": f"Basic {credentials}", "Accept": "application/json"},
    )


def _read_answer(body: bytes) -> tuple[str, float]:
    answer = json.loads(body)
    token, lifetime = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise ValueError("the answer has no access_token")
    lifetime_s = _remaining_s(token) if lifetime is None else float(lifetime)
    if lifetime_s <= 0:
        raise ValueError("the token in the answer has already ended")
    return token, lifetime_s


def _remaining_s(token: str) -> float:
    """The rest of a JSON web token's lifetime, from its own claims: the answer need not repeat it (RFC 6749, 5.1)."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"]) - time.time()
    except (IndexError, KeyError, TypeError, ValueError):
        raise ValueError("the answer does not say when its token ends (expires_in)") from None


def _reason(error: urllib.error.HTTPError) -> str:
    """The reason that an OAuth server gives, without the rest of its answer."""
    with suppress(Exception):
        answer = json.loads(error.read(_MOST_BYTES))
        given = (answer.get("error"), answer.get("error_description"))
        words = " ".join(text for text in given if isinstance(text, str)).split()
        return " ".join(words)[:_SHOWN_CHARACTERS]
    return error.reason


def _redacted(text: str, secret: str) -> str:
    return text.replace(secret, "***") if secret else text


def _read_secret(request: TokenRequest) -> str:
    return read_secret("KAFKA_OAUTH_CLIENT_SECRET", request.secret, request.secret_file) or ""


def _context(request: TokenRequest) -> ssl.SSLContext | None:
    """How to verify the endpoint: by the authorities in the named file, else by the system's."""
    if request.ca_location is None:
        return None
    try:
        return ssl.create_default_context(cafile=request.ca_location)
    except OSError as error:
        raise ConfigurationError(f"KAFKA_OAUTH_CA_LOCATION {request.ca_location}: {error.strerror or error}") from None
