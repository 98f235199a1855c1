"""Why a connection to a broker has failed, in one line, and whether waiting helps. Pure."""

import socket
import ssl
from collections.abc import Iterator

from msgspec import Struct

from common.broker_errors.kinds import causes_of

_TLS_ALERT = b"\x15\x03"
_SHOWN_BYTES = 4
# OpenSSL's numbers for what is wrong with a certificate.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})
_OTHER_HOST = frozenset({62, 64})
_ASKS_FOR_CERTIFICATE = ("CERTIFICATE_REQUIRED", "ALERT_BAD_CERTIFICATE", "ALERT_UNKNOWN_CA", "ALERT_CERTIFICATE")
_NAME_NOT_KNOWN = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


class Access(Struct, frozen=True):
    """How the settings say to connect to the brokers."""

    protocol: str
    mechanism: str
    username: str
    # Whether KAFKA_SSL_CA_LOCATION is set.
    has_authority: bool

    @property
    def has_tls(self) -> bool:
        """Whether connections use TLS."""
        return self.protocol.endswith("SSL")

    @property
    def has_sasl(self) -> bool:
        """Whether connections name a user."""
        return self.protocol.startswith("SASL")

    def other(self, *, tls: bool | None = None, sasl: bool | None = None) -> str:
        """The security protocol that differs from this one in what is given."""
        tls = self.has_tls if tls is None else tls
        sasl = self.has_sasl if sasl is None else sasl
        return ("SASL_SSL" if tls else "SASL_PLAINTEXT") if sasl else ("SSL" if tls else "PLAINTEXT")


class ProbeResult(Struct, frozen=True):
    """What a probe of the listener has shown, with TLS as the settings say and, `is_kafka_otherwise`, the other way."""

    is_kafka: bool = False
    mechanisms: tuple[str, ...] = ()
    is_kafka_otherwise: bool = False


class Cause(Struct, frozen=True):
    """Why a connection failed; `may_pass`: waiting may mend it, without a change of settings."""

    text: str
    may_pass: bool = True


def needs_a_look(error: BaseException | None) -> bool:
    """Whether only a probe of the listener can show the cause. None: the broker was reached and gave no answer."""
    if error is None:
        return True
    return isinstance(error, ConnectionResetError | TimeoutError) or (
        type(error).__name__ == "UnsupportedSaslMechanismError"
    )


def cause_of(error: BaseException | None, access: Access, seen: ProbeResult) -> Cause:
    """The cause of a failure to connect, given what a probe of the listener has shown; None as for `needs_a_look`."""
    cause = (
        _of_login(error, access, seen)
        or _of_name(error)
        or _of_certificate(error, access)
        or _of_tls(error, access, seen)
        or _of_first_bytes(error, access)
    )
    if cause is not None:
        return cause
    if isinstance(error, ConnectionRefusedError):
        return Cause("the connection is refused: nothing listens there")
    if isinstance(error, TimeoutError):
        return Cause("no answer: the host is down, a firewall drops the connection, or the broker hangs or has reached "
                     "its max.connections")  # fmt: skip
    if error is None or _is_end(error):
        return _closed(access, seen)
    return Cause(_text(error))


def _of_login(error: BaseException | None, access: Access, seen: ProbeResult) -> Cause | None:
    setting = f"KAFKA_SASL_MECHANISM={access.mechanism}"
    match type(error).__name__:
        case "SaslAuthenticationFailed" | "AuthenticationFailedError":
            reason = ", ".join(str(argument) for argument in error.args if argument) if error else ""
            reason = reason or "the broker gives no reason"
            if access.mechanism == "OAUTHBEARER":
                text = f"the token is refused: {reason}"
                return Cause(f"{text} (KAFKA_OAUTH_CLIENT_ID, KAFKA_OAUTH_CLIENT_SECRET or its _FILE)", may_pass=False)
            text = f"user {access.username!r} is refused with {setting}: {reason} "
            return Cause(
                text + "(KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE)", may_pass=False
            )
        case "UnsupportedSaslMechanismError":
            enabled = f" (enabled: {', '.join(seen.mechanisms)})" if seen.mechanisms else ""
            return Cause(f"{setting} is not enabled there{enabled}", may_pass=False)
        case "IllegalSaslStateError":
            return Cause(
                f"the broker asks for no user there, but KAFKA_SECURITY_PROTOCOL={access.protocol} names one: "
                f"try {access.other(sasl=False)}",
                may_pass=False,
            )
    return None


def _of_name(error: BaseException | None) -> Cause | None:
    if isinstance(error, UnicodeError):
        return Cause("this is not a host name", may_pass=False)
    if not isinstance(error, socket.gaierror):
        return None
    if error.errno in _NAME_NOT_KNOWN:
        return Cause("the host name is not known")
    return Cause(f"the host name cannot be looked up: {error.strerror}")


def _of_certificate(error: BaseException | None, access: Access) -> Cause | None:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return None
    code, found = error.verify_code, error.verify_message.rstrip(".")
    if code == _EXPIRED:
        return Cause("the broker's certificate has expired: renew it there (or this machine's clock is "
                     "wrong)")  # fmt: skip
    if code == _NOT_YET_VALID:
        return Cause("the broker's certificate is not valid yet: is this machine's clock right?")
    if code in _OTHER_HOST:
        return Cause(
            f"the broker's certificate is for another host ({found}): connect by a name in the certificate, or have "
            "it issued for this one",
            may_pass=False,
        )
    if code in _UNKNOWN_AUTHORITY:
        authority = "KAFKA_SSL_CA_LOCATION" if access.has_authority else "KAFKA_SSL_CA_LOCATION is not set"
        text = f"the broker's certificate is not signed by a known authority ({authority}): {found}"
        return Cause(text, may_pass=False)
    return Cause(f"the broker's certificate is refused: {found}", may_pass=False)


def _of_tls(error: BaseException | None, access: Access, seen: ProbeResult) -> Cause | None:
    setting = f"KAFKA_SECURITY_PROTOCOL={access.protocol}"
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            reason = cause.reason or ""
            if any(alert in reason for alert in _ASKS_FOR_CERTIFICATE):
                text = "the broker asks for a client certificate that it accepts (KAFKA_SSL_CERTIFICATE_LOCATION)"
                return Cause(text, may_pass=False)
            if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL"}:
                return Cause(f"what listens there does not speak TLS, but {setting} does", may_pass=False)
            return Cause(f"the TLS handshake failed: {reason or cause}", may_pass=False)
    if access.has_tls and seen.is_kafka_otherwise:
        return Cause(
            f"the broker does not speak TLS there, but {setting} does: try {access.other(tls=False)}", may_pass=False
        )
    return None


def _of_first_bytes(error: BaseException | None, access: Access) -> Cause | None:
    """The cause, from the answer's first bytes, which aiokafka has read as its length."""
    for cause in _causes(error):
        expected = getattr(cause, "expected", None)
        if isinstance(expected, int) and expected > _SHOWN_BYTES:
            first = expected.to_bytes(_SHOWN_BYTES, "big")
            if first.startswith(_TLS_ALERT) and not access.has_tls:
                return Cause(
                    f"the broker speaks TLS there, but KAFKA_SECURITY_PROTOCOL={access.protocol} does not: "
                    f"try {access.other(tls=True)}",
                    may_pass=False,
                )
            return Cause(f"what listens there is not a Kafka broker: its answer begins with {first!r}", may_pass=False)
    return None


def _closed(access: Access, seen: ProbeResult) -> Cause:
    if seen.mechanisms and not access.has_sasl:
        return Cause(
            f"the broker asks for a user there ({', '.join(seen.mechanisms)}), but KAFKA_SECURITY_PROTOCOL="
            f"{access.protocol} names none: try {access.other(sasl=True)}",
            may_pass=False,
        )
    if seen.is_kafka:
        return Cause("the broker closes connections after its first answer: its connection limit (max.connections, "
                     "max.connections.per.ip) is the likely cause")  # fmt: skip
    return Cause("the connection is closed at once, without an answer: the broker's connection limit (max.connections, "
                 "max.connections.per.ip) is the likely cause, or no Kafka broker listens there")  # fmt: skip


def _is_end(error: BaseException) -> bool:
    """Whether the other side has closed the connection."""
    return type(error).__name__ == "KafkaConnectionError" or any(
        isinstance(cause, EOFError | ConnectionError) for cause in causes_of(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    return iter(()) if error is None else causes_of(error)


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or repr(error)
