"""TLS contexts that read their files again when they change: certificates are renewed while a service runs."""

import ssl
from functools import cache, partial
from pathlib import Path
from typing import Any, Self

import structlog
from aiokafka.helpers import create_ssl_context

from common.connection.secret_files import read_secret
from common.errors import ConfigurationError
from common.settings import ServiceSettings

log = structlog.get_logger()

# Modification time, size and inode of each file; None for one that is gone. A change of a file changes one of them.
_State = tuple[tuple[int, int, int] | None, ...]


class _RenewedContext(ssl.SSLContext):
    """Makes each connection with a context built from the files as they are then.

    Files that cannot be used are logged once, and new connections go on with what was read before: a certificate and
    its key are two files, and one of them changes first.
    """

    # SSLContext is constructed by its __new__, which takes the protocol alone.
    def __new__(cls, _settings: ServiceSettings) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, settings: ServiceSettings) -> None:
        self._build = partial(_build, settings)
        self._paths = [
            settings.kafka_ssl_ca_location,
            settings.kafka_ssl_certificate_location,
            settings.kafka_ssl_key_location,
            settings.kafka_ssl_key_password_file,
        ]
        # Before the files are read, so that a file that changes in between is read again.
        self._seen = self._state()
        self._context = self._build()

    def wrap_bio(self, *arguments: Any, **keywords: Any) -> ssl.SSLObject:
        """One connection's TLS. asyncio and uvloop call no other method."""
        state = self._state()
        if state != self._seen:
            self._renew(state)
        return self._context.wrap_bio(*arguments, **keywords)

    def _renew(self, state: _State) -> None:
        self._seen = state
        try:
            self._context = self._build()
        except ConfigurationError as error:
            log.warning(
                "changed TLS files cannot be used, new connections keep using the former ones", reason=str(error)
            )
        else:
            log.info("new connections use the changed TLS files")

    def _state(self) -> _State:
        return tuple(_stat(path) for path in self._paths if path is not None)


@cache
def client_context(settings: ServiceSettings) -> ssl.SSLContext:
    """The context for the connections of all clients with these settings.

    Raises ConfigurationError where its files cannot be used, as long as they never could: a client that begins while
    they are being replaced goes on with the former ones.
    """
    return _RenewedContext(settings)


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _build(settings: ServiceSettings) -> ssl.SSLContext:
    try:
        context: ssl.SSLContext = create_ssl_context(cafile=settings.kafka_ssl_ca_location)
    except OSError as error:
        raise ConfigurationError(f"KAFKA_SSL_CA_LOCATION {settings.kafka_ssl_ca_location}: {_why(error)}") from None
    if settings.kafka_ssl_certificate_location is not None:
        _load_certificate(context, settings, settings.kafka_ssl_certificate_location)
    return context


def _load_certificate(context: ssl.SSLContext, settings: ServiceSettings, certificate: Path) -> None:
    key = settings.kafka_ssl_key_location
    named_certificate = f"KAFKA_SSL_CERTIFICATE_LOCATION {certificate}"
    named_key = named_certificate if key is None else f"KAFKA_SSL_KEY_LOCATION {key}"
    _read(named_certificate, certificate)
    is_encrypted = b"ENCRYPTED" in _read(named_key, key or certificate)
    password = read_secret(
        "KAFKA_SSL_KEY_PASSWORD", settings.kafka_ssl_key_password, settings.kafka_ssl_key_password_file
    )
    if is_encrypted and password is None:
        raise ConfigurationError(f"{named_key}: the key is encrypted: set KAFKA_SSL_KEY_PASSWORD or its _FILE")
    try:
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(certificate, key, password or "")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None)
        if reason == "KEY_VALUES_MISMATCH":
            why = f"this is not the key of {named_certificate}"
        elif is_encrypted:
            why = f"KAFKA_SSL_KEY_PASSWORD does not open the key ({reason or type(error).__name__})"
        else:
            why = f"not a certificate with its key, in PEM ({reason or type(error).__name__})"
        raise ConfigurationError(f"{named_key}: {why}") from None


def _read(named: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{named}: {error.strerror}") from None


def _why(error: OSError) -> str:
    return error.strerror or str(error)
