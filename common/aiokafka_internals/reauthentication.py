"""Authenticate again on open connections, before their session ends (KIP-368; aiokafka pull request 1105, open).

With each handshake a broker says how long the session lasts: as long as the token, and no longer than
`connections.max.reauth.ms`, whatever the mechanism. After that it closes a connection that sends anything but a new
handshake. aiokafka 0.14 never sends one, so a service would lose its connections each time, and what is in flight
there.

A request that comes late in a session starts a new handshake on its connection. Meanwhile other requests on it wait,
because the broker would take them for a part of the handshake; those in flight are answered first. A connection that
nobody uses is left alone, as Kafka's own clients do: its next request waits for a handshake.

Two more defects are mended here, with no upstream issue known: at LOG_LEVEL=debug aiokafka logs the handshake with the
password in it, and it takes a refused token for an accepted one.
"""

import asyncio
import math
import time
from collections.abc import Awaitable
from typing import Any

import structlog
from aiokafka.conn import AIOKafkaConnection, CloseReason, OAuthAuthenticator
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError
from aiokafka.protocol.admin import SaslAuthenticateRequest
from msgspec import Struct

from common.connection.credentials import Credentials

log = structlog.get_logger()

# Of a session's lifetime. The rest is for a slow token endpoint.
_RENEW_AT = 0.8
# Of a session's lifetime. A request that is sent or queued by then still arrives before the session ends.
_USED_UP_AT = 0.95
# How much longer than the ending session a new token has to last: the token that began the session ends with it, give
# or take the time of an answer.
_OUTLASTS_S = 0.5
# A broker takes no two handshakes on one connection within a second.
_BETWEEN_S = 1.1

_send = AIOKafkaConnection.send
_shake_hands = AIOKafkaConnection._do_sasl_handshake  # noqa: SLF001 - it offers no other place


class _Session(Struct, eq=False):
    """How long a connection's user is authenticated (time.monotonic), and the handshake that is under way."""

    began: float
    lifetime_s: float
    renewal: asyncio.Task[None] | None = None
    # Whether other requests wait for it, and why it failed.
    is_closed: bool = False
    failure: Exception | None = None
    # When the last attempt failed.
    failed_at: float = -math.inf

    @property
    def renew_at(self) -> float:
        """When to authenticate again."""
        return max(self.began + _RENEW_AT * self.lifetime_s, self.failed_at + _BETWEEN_S)

    @property
    def ends_at(self) -> float:
        """When requests would arrive too late."""
        return self.began + _USED_UP_AT * self.lifetime_s


def reauthenticate_open_connections() -> None:
    """Make aiokafka do so. Call it after every other replacement of how a connection sends; later calls do nothing."""
    global _send  # noqa: PLW0603 - the present one
    if AIOKafkaConnection.send is _send_in_turn:
        return
    _send = AIOKafkaConnection.send
    AIOKafkaConnection.send = _send_in_turn
    AIOKafkaConnection._do_sasl_handshake = _prove  # noqa: SLF001 - see above
    AIOKafkaConnection.authenticator_oauth = _token_authenticator
    for version in SaslAuthenticateRequest._CLASSES:  # noqa: SLF001 - there is no other list of them
        version.__repr__ = _repr_without_secret


def _send_in_turn(connection: Any, request: Any, expect_response: bool = True) -> Any:  # noqa: FBT001, FBT002 - as aiokafka has it
    if isinstance(request, SaslAuthenticateRequest):
        return _note_lifetime(connection, _send(connection, request, expect_response))
    session: _Session | None = getattr(connection, "session", None)
    if session is not None:
        now = time.monotonic()
        is_over = now >= session.ends_at
        if session.renewal is None and (is_over or now >= session.renew_at) and connection.connected():
            session.renewal = asyncio.create_task(_renew(connection, session))
        if session.renewal is not None and is_over:
            # While a token is requested, requests go on, except those that would arrive too late.
            session.is_closed = True
        if session.is_closed and asyncio.current_task() is not session.renewal:
            return _send_later(connection, session, request, expect_response)
    return _send(connection, request, expect_response)


async def _send_later(connection: Any, session: _Session, request: Any, expect_response: bool) -> Any:  # noqa: FBT001 - as above
    while session.renewal is not None:
        await asyncio.wait([session.renewal])
    if session.failure is not None:
        address = f"{connection.host}:{connection.port}"
        raise KafkaConnectionError(f"Connection at {address} closed: {session.failure}") from session.failure
    return await _send_in_turn(connection, request, expect_response)


async def _renew(connection: Any, session: _Session) -> None:
    """Authenticate again. If that fails before the handshake has begun, a later request tries again."""
    try:
        await asyncio.sleep(session.began + _BETWEEN_S - time.monotonic())
        await _prepare(connection, session.began + session.lifetime_s + _OUTLASTS_S)
        # From here to the end of the handshake no other request may use the connection, so await nothing before the
        # first request is written.
        session.is_closed = True
        await _prove(connection)
    except Exception as error:  # noqa: BLE001 - aiokafka raises whatever it meets
        log.debug("not authenticated again", broker=f"{connection.host}:{connection.port}", error=repr(error))
        session.failed_at = time.monotonic()
        if session.is_closed:
            session.failure = error
            connection.close(reason=CloseReason.AUTH_FAILURE, exc=error)
    finally:
        session.renewal = None
        session.is_closed = False


async def _prepare(connection: Any, beyond: float = 0.0) -> None:
    """Fetch the token, or the password, as it is now."""
    credentials = connection._sasl_oauth_token_provider  # noqa: SLF001 - what `connection()` has put there
    if isinstance(credentials, Credentials):
        connection._sasl_plain_password = await credentials.prepare(beyond)  # noqa: SLF001 - aiokafka keeps it for ever


async def _prove(connection: Any) -> None:
    """Run aiokafka's handshake, and keep how long the broker says that the session lasts."""
    connection.session_lifetime_s = 0.0
    session = getattr(connection, "session", None)
    if session is None:
        await _prepare(connection)
    began = time.monotonic()
    await _shake_hands(connection)
    if connection.session_lifetime_s <= 0:
        connection.session = None
    elif session is None:
        connection.session = _Session(began, connection.session_lifetime_s)
    else:
        session.began, session.lifetime_s = began, connection.session_lifetime_s


async def _note_lifetime(connection: Any, answering: Awaitable[Any]) -> Any:
    answer = await answering
    # From version 1 on.
    connection.session_lifetime_s = getattr(answer, "session_lifetime_ms", 0) / 1000
    return answer


class _TokenAuthenticator(OAuthAuthenticator):  # type: ignore[misc]  # aiokafka has no types
    """The broker refuses a token by an answer that gives the reason, without an error code (RFC 7628, 3.2.3)."""

    async def step(self, payload: bytes | None) -> tuple[bytes, bool] | None:
        """The token, then nothing more if the broker takes it. AuthenticationFailedError if it does not."""
        if payload:
            if isinstance(self._sasl_oauth_token_provider, Credentials):
                self._sasl_oauth_token_provider.refused()
            raise AuthenticationFailedError(f"the broker does not take the token: {payload.decode(errors='replace')}")
        step: tuple[bytes, bool] | None = await super().step(payload)
        return step


def _token_authenticator(connection: Any) -> _TokenAuthenticator:
    return _TokenAuthenticator(sasl_oauth_token_provider=connection._sasl_oauth_token_provider)  # noqa: SLF001 - as above


def _repr_without_secret(request: Any) -> str:
    return f"{type(request).__name__}(sasl_auth_bytes=***)"
