"""The settings that every service has: the broker, the topics, how to stop and what to log."""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.bootstrap import servers_in

_BESIDE_A_ROW_BYTES = 100_000
# Some 30 years in seconds, and the largest number in a ledger: Python accepts larger ones, timers and SQLite do not.
_MAX_NUMBER = 10**9
_MAX_COUNT = 2**63 - 1


class ServiceSettings(BaseSettings):
    """The settings of every service: the broker, the topics, how to stop and what to log."""

    model_config = SettingsConfigDict(
        frozen=True,
        env_ignore_empty=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_enforce_required=False,
        cli_hide_none_type=True,
        nested_model_default_partial_update=False,
        allow_inf_nan=False,
    )

    kafka_bootstrap_servers: str = Field(
        "localhost:9092", description="brokers to connect to first: host:port, separated by commas"
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how to connect to the brokers"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "PLAIN", description="how the user authenticates, with SASL_*"
    )
    kafka_sasl_username: str | None = Field(None, description="user name, with SASL_*")
    kafka_sasl_password: SecretStr | None = Field(None, description="password, with SASL_*; never logged")
    kafka_sasl_password_file: Path | None = Field(None, description="a file that holds the password instead")
    kafka_ssl_ca_location: Path | None = Field(
        None, description="file of the certificate authority (PEM), with SSL and SASL_SSL; not set: the system's"
    )
    kafka_compression: Literal["none", "gzip", "lz4", "zstd"] = Field(
        "none", description="how record batches are compressed, on their way to the brokers and in their logs"
    )
    kafka_ssl_certificate_location: Path | None = Field(
        None,
        description="file of the client's certificate (PEM), where brokers ask for one; read again when it changes",
    )
    kafka_ssl_key_location: Path | None = Field(
        None, description="file of its private key (PEM); not set: in the certificate's file"
    )
    kafka_ssl_key_password: SecretStr | None = Field(
        None, description="password of an encrypted private key; never logged"
    )
    kafka_ssl_key_password_file: Path | None = Field(None, description="a file that holds that password instead")
    kafka_oauth_token_endpoint: str | None = Field(
        None, description="the endpoint that issues tokens (client credentials grant), https://..., with OAUTHBEARER"
    )
    kafka_oauth_client_id: str | None = Field(None, description="the client's id at that endpoint")
    kafka_oauth_client_secret: SecretStr | None = Field(
        None, description="the client's secret at that endpoint; never logged"
    )
    kafka_oauth_client_secret_file: Path | None = Field(None, description="a file that holds the secret instead")
    kafka_oauth_scope: str | None = Field(None, description="the scope to request")
    kafka_oauth_extensions: str | None = Field(
        None,
        pattern=r"^[A-Za-z]+=[!-+\--~]+(,[A-Za-z]+=[!-+\--~]+)*$",
        description="SASL extensions that a broker wants besides the token: key=value, separated by commas",
    )
    kafka_oauth_ca_location: Path | None = Field(
        None, description="file of the token endpoint's certificate authority (PEM); not set: the system's"
    )
    topic_prefix: str = Field(
        "nacre.",
        pattern=r"^[A-Za-z0-9._-]{0,150}$",
        description="begins the name of every topic, group and transactional id, so that pipelines can share a broker",
    )
    partitions: int = Field(6, ge=1, le=10_000, description="partitions of the topics that a service creates")
    retention_h: int = Field(
        168,
        ge=0,
        le=10_000_000,
        description="hours that topics of rows keep them, where a service creates these; a new split or a new "
        "OUTPUT_DIR gets no older rows. 0: for ever",
    )
    replication_factor: int = Field(1, ge=1, le=32_767, description="replicas of the topics that a service creates")
    max_row_bytes: int = Field(
        900_000,
        ge=1_000,
        le=50_000_000,
        description="bytes; a longer row is rejected. Topics that a service creates take rows of this size",
    )
    session_timeout_s: float = Field(
        6,
        ge=5,
        le=1_800,
        description="seconds without a heartbeat after which the group gives a replica's partitions to others; the "
        "broker has bounds for it (group.min.session.timeout.ms, group.max.session.timeout.ms)",
    )
    transaction_timeout_s: float = Field(
        15,
        ge=2,
        le=60,
        description="seconds that a transaction may take, at most 60; a producer that died holds back read_committed "
        "readers, and with them all later rows, for as long (the broker's bound: transaction.max.timeout.ms)",
    )
    drain_deadline_s: float = Field(
        8, gt=0, le=86_400, description="seconds within which a service exits after the first signal"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the lowest level that is logged"
    )
    log_format: Literal["auto", "console", "json"] = Field(
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

    @field_validator("*")
    @classmethod
    def _check_representable(cls, value: object) -> object:
        if isinstance(value, float) and value > _MAX_NUMBER:
            raise ValueError(f"at most {_MAX_NUMBER}")
        if isinstance(value, int) and value > _MAX_COUNT:
            raise ValueError(f"at most {_MAX_COUNT}")
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        # Bytes of the environment that are not UTF-8 arrive as surrogates, which can be neither logged nor sent.
        if isinstance(text, str | Path) and any("\ud800" <= sign <= "\udfff" for sign in str(text)):
            raise ValueError("not UTF-8")
        return value

    @field_validator("kafka_bootstrap_servers")
    @classmethod
    def _check_servers(cls, text: str) -> str:
        servers_in(text)
        return text

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        if not self.kafka_security_protocol.startswith("SASL") or self.kafka_sasl_mechanism == "OAUTHBEARER":
            return self
        if self.kafka_sasl_username is None or (
            self.kafka_sasl_password is None and self.kafka_sasl_password_file is None
        ):
            raise ValueError(
                f"KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol} needs KAFKA_SASL_USERNAME and "
                "KAFKA_SASL_PASSWORD (or KAFKA_SASL_PASSWORD_FILE)"
            )
        return self

    @model_validator(mode="after")
    def _check_oauth(self) -> Self:
        if not self.kafka_security_protocol.startswith("SASL") or self.kafka_sasl_mechanism != "OAUTHBEARER":
            return self
        if (
            self.kafka_oauth_token_endpoint is None
            or self.kafka_oauth_client_id is None
            or (self.kafka_oauth_client_secret is None and self.kafka_oauth_client_secret_file is None)
        ):
            raise ValueError(
                "KAFKA_SASL_MECHANISM=OAUTHBEARER needs KAFKA_OAUTH_TOKEN_ENDPOINT, KAFKA_OAUTH_CLIENT_ID and "
                "KAFKA_OAUTH_CLIENT_SECRET (or KAFKA_OAUTH_CLIENT_SECRET_FILE)"
            )
        if not _is_endpoint(self.kafka_oauth_token_endpoint):
            # Do not show it: the mistake may be a password in it.
            raise ValueError("KAFKA_OAUTH_TOKEN_ENDPOINT is not https://host/path, without a user name or a fragment")
        return self

    @model_validator(mode="after")
    def _check_certificate(self) -> Self:
        if self.kafka_ssl_key_location is not None and self.kafka_ssl_certificate_location is None:
            raise ValueError("KAFKA_SSL_KEY_LOCATION needs KAFKA_SSL_CERTIFICATE_LOCATION, the certificate of that key")
        return self


def _is_endpoint(address: str) -> bool:
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
