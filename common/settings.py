"""The settings that every service has: the broker, the topics, how to stop and what to log."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from common.bootstrap import servers_in
from common.setting import Secret, setting

_BESIDE_A_ROW_BYTES = 100_000


def _checked_servers(text: str) -> str:
    servers_in(text)
    return text


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """The settings of every service: the broker, the topics, how to stop and what to log."""

    # Arguments that the help shows.
    examples: ClassVar[tuple[str, ...]] = ()

    kafka_bootstrap_servers: str = setting(
        "localhost:9092",
        description="brokers to connect to first: host:port, separated by commas",
        check=_checked_servers,
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = setting(
        "PLAINTEXT", description="how to connect to the brokers"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = setting(
        "PLAIN", description="how the user authenticates, with SASL_*"
    )
    kafka_sasl_username: str | None = setting(None, description="user name, with SASL_*")
    kafka_sasl_password: Secret | None = setting(None, description="password, with SASL_*; never logged")
    kafka_sasl_password_file: Path | None = setting(None, description="a file that holds the password instead")
    kafka_ssl_ca_location: Path | None = setting(
        None, description="file of the certificate authority (PEM), with SSL and SASL_SSL; not set: the system's"
    )
    kafka_compression: Literal["none", "gzip", "lz4", "zstd"] = setting(
        "none", description="how record batches are compressed, on their way to the brokers and in their logs"
    )
    kafka_ssl_certificate_location: Path | None = setting(
        None,
        description="file of the client's certificate (PEM), where brokers ask for one; read again when it changes",
    )
    kafka_ssl_key_location: Path | None = setting(
        None, description="file of its private key (PEM); not set: in the certificate's file"
    )
    kafka_ssl_key_password: Secret | None = setting(
        None, description="password of an encrypted private key; never logged"
    )
    kafka_ssl_key_password_file: Path | None = setting(None, description="a file that holds that password instead")
    kafka_oauth_token_endpoint: str | None = setting(
        None, description="the endpoint that issues tokens (client credentials grant), https://..., with OAUTHBEARER"
    )
    kafka_oauth_client_id: str | None = setting(None, description="the client's id at that endpoint")
    kafka_oauth_client_secret: Secret | None = setting(
        None, description="the client's secret at that endpoint; never logged"
    )
    kafka_oauth_client_secret_file: Path | None = setting(None, description="a file that holds the secret instead")
    kafka_oauth_scope: str | None = setting(None, description="the scope to request")
    kafka_oauth_extensions: str | None = setting(
        None,
        pattern=r"[A-Za-z]+=[!-+\--~]+(,[A-Za-z]+=[!-+\--~]+)*",
        description="SASL extensions that a broker wants besides the token: key=value, separated by commas",
    )
    kafka_oauth_ca_location: Path | None = setting(
        None, description="file of the token endpoint's certificate authority (PEM); not set: the system's"
    )
    topic_prefix: str = setting(
        "nacre.",
        pattern=r"[A-Za-z0-9._-]{0,150}",
        description="begins the name of every topic, group and transactional id, so that pipelines can share a broker",
    )
    partitions: int = setting(
        6, at_least=1, at_most=10_000, description="partitions of the topics that a service creates"
    )
    retention_h: int = setting(
        168,
        at_least=0,
        at_most=10_000_000,
        description="hours that topics of rows keep them, where a service creates these; a new split or a new "
        "OUTPUT_DIR gets no older rows. 0: for ever",
    )
    replication_factor: int = setting(
        1, at_least=1, at_most=32_767, description="replicas of the topics that a service creates"
    )
    max_row_bytes: int = setting(
        900_000,
        at_least=1_000,
        at_most=50_000_000,
        description="bytes; a longer row is rejected. Topics that a service creates take rows of this size",
    )
    session_timeout_s: float = setting(
        6,
        at_least=5,
        at_most=1_800,
        description="seconds without a heartbeat after which the group gives a replica's partitions to others; the "
        "broker has bounds for it (group.min.session.timeout.ms, group.max.session.timeout.ms)",
    )
    transaction_timeout_s: float = setting(
        15,
        at_least=2,
        at_most=60,
        description="seconds that a transaction may take, at most 60; a producer that died holds back read_committed "
        "readers, and with them all later rows, for as long (the broker's bound: transaction.max.timeout.ms)",
    )
    drain_deadline_s: float = setting(
        8, above=0, at_most=86_400, description="seconds within which a service exits after the first signal"
    )
    http_port: int = setting(
        0,
        at_least=0,
        at_most=65_535,
        description="port of /livez, /readyz and /metrics, which anyone who reaches it may read. 0: none",
    )
    http_host: str = setting(
        "0.0.0.0",  # noqa: S104 - health checks and Prometheus come from outside the container
        description="address of that port: 0.0.0.0 for every one, :: for those of IPv6 as well, 127.0.0.1 for this "
        "machine alone",
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "info", description="the lowest level that is logged"
    )
    log_format: Literal["auto", "console", "json"] = setting(
        "auto", description="console, json, or auto: console on a terminal, else JSON"
    )

    @property
    def max_batch_bytes(self) -> int:
        """The largest size of a record batch: the longest row, its key, a control record and Kafka's own framing."""
        return self.max_row_bytes + _BESIDE_A_ROW_BYTES

    @property
    def servers(self) -> list[tuple[str, int]]:
        """The brokers to connect to first: hosts and ports."""
        return servers_in(self.kafka_bootstrap_servers)

    def __post_init__(self) -> None:
        """Check what goes together. ValueError says what does not."""
        self._check_credentials()
        self._check_oauth()
        self._check_certificate()

    def _check_credentials(self) -> None:
        if not self.kafka_security_protocol.startswith("SASL") or self.kafka_sasl_mechanism == "OAUTHBEARER":
            return
        if self.kafka_sasl_username is None or (
            self.kafka_sasl_password is None and self.kafka_sasl_password_file is None
        ):
            raise ValueError(
                f"KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol} needs KAFKA_SASL_USERNAME and "
                "KAFKA_SASL_PASSWORD (or KAFKA_SASL_PASSWORD_FILE)"
            )

    def _check_oauth(self) -> None:
        if not self.kafka_security_protocol.startswith("SASL") or self.kafka_sasl_mechanism != "OAUTHBEARER":
            return
        if (
            self.kafka_oauth_token_endpoint is None
            or self.kafka_oauth_client_id is None
            or (self.kafka_oauth_client_secret is None and self.kafka_oauth_client_secret_file is None)
        ):
            raise ValueError(
                "KAFKA_SASL_MECHANISM=OAUTHBEARER needs KAFKA_OAUTH_TOKEN_ENDPOINT, KAFKA_OAUTH_CLIENT_ID and "
                "KAFKA_OAUTH_CLIENT_SECRET (or KAFKA_OAUTH_CLIENT_SECRET_FILE)"
            )
        if not is_endpoint(self.kafka_oauth_token_endpoint):
            # Do not show it: the mistake may be a password in it.
            raise ValueError("KAFKA_OAUTH_TOKEN_ENDPOINT is not https://host/path, without a user name or a fragment")

    def _check_certificate(self) -> None:
        if self.kafka_ssl_key_location is not None and self.kafka_ssl_certificate_location is None:
            raise ValueError("KAFKA_SSL_KEY_LOCATION needs KAFKA_SSL_CERTIFICATE_LOCATION, the certificate of that key")


def is_endpoint(address: str) -> bool:
    """Whether this is the http or https URL of a server, without a user name or a fragment."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in {"https", "http"}
        and bool(parts.hostname)
        and port != 0
        and not (parts.username or parts.password or parts.fragment)
        and address.isprintable()
        and " " not in address
    )
