"""Why connections fail, judged by the error. With real brokers: tests/integration/test_connecting.py."""

import asyncio
import socket
import ssl

import pytest
from aiokafka.errors import KafkaConnectionError, SaslAuthenticationFailed, UnsupportedSaslMechanismError

from common.broker_errors.connection_causes import Access, ProbeResult, cause_of, needs_a_look

PLAIN = Access("PLAINTEXT", "PLAIN", "", has_authority=False)
TLS = Access("SSL", "PLAIN", "", has_authority=True)
USER = Access("SASL_SSL", "SCRAM-SHA-256", "ann", has_authority=True)


def certificate_error(code: int, said: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, said)
    error.verify_code, error.verify_message = code, said
    return error


def closed(cause: Exception | None = None) -> KafkaConnectionError:
    error = KafkaConnectionError("Connection at a:1 closed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "access", "seen", "said", "may_pass"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), PLAIN, ProbeResult(), "the host name is not known", True),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), PLAIN, ProbeResult(), "cannot be looked up: try again", True),
        (UnicodeError("label too long"), PLAIN, ProbeResult(), "not a host name", False),
        (ConnectionRefusedError(111, "x"), PLAIN, ProbeResult(), "refused: nothing listens", True),
        (OSError(113, "No route to host"), PLAIN, ProbeResult(), "No route to host", True),
        (TimeoutError(), PLAIN, ProbeResult(), "no answer: the host is down", True),
        (closed(asyncio.IncompleteReadError(b"", 4)), PLAIN, ProbeResult(), "closed at once, without an answer", True),
        (closed(asyncio.IncompleteReadError(b"", 0x15030300)), PLAIN, ProbeResult(), "speaks TLS there", False),
        (closed(asyncio.IncompleteReadError(b"", 0x48545450)), PLAIN, ProbeResult(), "begins with b'HTTP'", False),
        (None, PLAIN, ProbeResult(is_kafka=True, mechanisms=("PLAIN",)), "try SASL_PLAINTEXT", False),
        (None, TLS, ProbeResult(is_kafka=True, mechanisms=("PLAIN",)), "try SASL_SSL", False),
        (closed(), PLAIN, ProbeResult(is_kafka=True), "after its first answer: its connection limit", True),
        (ConnectionResetError(), TLS, ProbeResult(is_kafka_otherwise=True), "does not speak TLS there", False),
        (ConnectionResetError(), USER, ProbeResult(is_kafka_otherwise=True), "try SASL_PLAINTEXT", False),
        (certificate_error(10, "expired"), TLS, ProbeResult(), "has expired", True),
        (certificate_error(9, "x"), TLS, ProbeResult(), "not valid yet", True),
        (certificate_error(19, "self-signed"), TLS, ProbeResult(), "known authority (KAFKA_SSL_CA_LOCATION)", False),
        (certificate_error(62, "Hostname mismatch"), TLS, ProbeResult(), "for another host (Hostname mismatch)", False),
        (certificate_error(23, "certificate revoked"), TLS, ProbeResult(), "refused: certificate revoked", False),
        (
            SaslAuthenticationFailed("no"),
            USER,
            ProbeResult(),
            "user 'ann' is refused with KAFKA_SASL_MECHANISM=SCRAM",
            False,
        ),
        (UnsupportedSaslMechanismError(object()), USER, ProbeResult(mechanisms=("PLAIN",)), "(enabled: PLAIN)", False),
    ],
)
def test_a_cause(error: Exception | None, access: Access, seen: ProbeResult, said: str, may_pass: bool) -> None:  # noqa: FBT001
    cause = cause_of(error, access, seen)
    assert said in cause.text
    assert cause.may_pass is may_pass
    assert "\n" not in cause.text


def test_what_tells_nothing_is_looked_at() -> None:
    assert needs_a_look(None)
    assert needs_a_look(ConnectionResetError())
    assert needs_a_look(TimeoutError())
    assert not needs_a_look(ConnectionRefusedError())
    assert not needs_a_look(certificate_error(10, "expired"))
