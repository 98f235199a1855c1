"""How a client reaches the brokers and authenticates: the arguments that every client takes."""

from typing import Any

from common.connection.credentials import Credentials
from common.connection.tls import client_context
from common.settings import ServiceSettings

_REQUEST_TIMEOUT_MS = 10_000


def connection(settings: ServiceSettings) -> dict[str, Any]:
    """The arguments that every client takes. ConfigurationError where a file that they need could never be used."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "request_timeout_ms": _REQUEST_TIMEOUT_MS,
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        arguments["ssl_context"] = client_context(settings)
    if settings.kafka_security_protocol.startswith("SASL"):
        credentials = Credentials(settings)
        arguments |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": credentials.last_password(),
            # Not only for OAUTHBEARER: each connection asks this object for the current password.
            "sasl_oauth_token_provider": credentials,
        }
    return arguments
