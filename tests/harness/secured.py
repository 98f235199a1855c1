"""A broker as companies run it: TLS, every way of authentication, and access control that denies by default."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # they are in their manual
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from ops import acls
from ops.kafka.local import LocalKafka
from tests.harness.certificates import Authority
from tests.harness.chaos.proxy import HOST, free_ports
from tests.harness.token_endpoint import AUDIENCE, TokenEndpoint

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
SERVICES = ("ingest", "split", "sink")
_LOGIN = "org.apache.kafka.common.security"
_OAUTH = f"{_LOGIN}.oauthbearer"
_DEADLINE_S = 30.0
_START_DEADLINE_S = 110.0
# How long a broker accepts the proof of a SCRAM-SHA-512 user.
SCRAM_SESSION_S = 2


class SecuredKafka:
    """One broker with three listeners, and a token endpoint.

    PLAINTEXT is the tests' own: without a proof they are a super user. SSL asks for a client's certificate, whose
    common name is the user; SASL_SSL takes each mechanism. Each service is a user, whose password is `secret(user)`.
    """

    def __init__(
        self, folder: Path, *users: str, token_lifetime_s: int = 600, config: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.folder = folder
        self.users = (*SERVICES, *users)
        self.authority = Authority()
        self.ca = self.authority.write(folder)
        self.tokens = TokenEndpoint(
            self.authority.issue("token-endpoint", HOST),
            folder,
            {user: self.secret(user) for user in self.users},
            token_lifetime_s,
        )
        plain, self.ssl_port, self.sasl_port = free_ports(3)
        self._plain_port = plain
        self._broker_config = {**self._config(), **config}
        self.kafka = LocalKafka(plain, config=self._broker_config, ready_deadline_s=_START_DEADLINE_S)

    def __enter__(self) -> Self:
        self.tokens.__enter__()
        try:
            self.start()
            self._set_scram_passwords()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kafka.close()
        self.tokens.__exit__()

    def start(self) -> None:
        """Start the broker, also after a stop."""
        # Java's options, not the broker's settings, say from which files and addresses a broker may take keys.
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self.tokens.jwks.as_uri()}"
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("JDK_JAVA_OPTIONS", allowed)
            self.kafka.start()

    def change_authority(self) -> None:
        """Give a stopped broker certificates of another authority, the only one it then accepts."""
        self.authority = Authority()
        self.authority.write(self.folder)
        self._broker_config.update(self._config())

    @property
    def bootstrap(self) -> str:
        """The listener for the tests."""
        return self.kafka.bootstrap

    def secret(self, user: str) -> str:
        """The user's password for every mechanism, also that of the key; with what spoils a URL, a header or a list."""
        return f"s3cret/of+{user}=ü%20"

    def grant(self, prefix: str, users: Mapping[str, str], *, no_create: bool = False) -> None:
        """Grant each service's user what it needs, by our own command, as the tests' super user."""
        arguments = [word for service, user in users.items() for word in (f"--{service}", f"User:{user}")]
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("KAFKA_BOOTSTRAP_SERVERS", self.bootstrap)
            environment.setenv("TOPIC_PREFIX", prefix)
            assert acls.main([*arguments, "--apply", *(["--no-create"] if no_create else [])]) == 0

    def settings(self, mechanism: str, user: str) -> dict[str, str]:
        """A client's settings."""
        sasl = {
            "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{self.sasl_port}",
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SSL_CA_LOCATION": str(self.ca),
            "KAFKA_SASL_MECHANISM": mechanism,
        }
        match mechanism:
            case "SSL":
                return self._certificate(user)
            case "OAUTHBEARER":
                return {
                    **sasl,
                    "KAFKA_OAUTH_TOKEN_ENDPOINT": self.tokens.url,
                    "KAFKA_OAUTH_CLIENT_ID": user,
                    "KAFKA_OAUTH_CLIENT_SECRET": self.secret(user),
                    "KAFKA_OAUTH_SCOPE": "rows",
                    "KAFKA_OAUTH_CA_LOCATION": str(self.ca),
                }
            case _:
                return {**sasl, "KAFKA_SASL_USERNAME": user, "KAFKA_SASL_PASSWORD": self.secret(user)}

    def _certificate(self, user: str) -> dict[str, str]:
        certificate, key = self.authority.issue(user, password=self.secret(user)).write(self.folder, user)
        return {
            "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{self.ssl_port}",
            "KAFKA_SECURITY_PROTOCOL": "SSL",
            "KAFKA_SSL_CA_LOCATION": str(self.ca),
            "KAFKA_SSL_CERTIFICATE_LOCATION": str(certificate),
            "KAFKA_SSL_KEY_LOCATION": str(key),
            "KAFKA_SSL_KEY_PASSWORD": self.secret(user),
        }

    def _config(self) -> dict[str, str]:
        listeners = {"PLAINTEXT": self._plain_port, "SSL": self.ssl_port, "SASL_SSL": self.sasl_port, "CONTROLLER": 0}
        passwords = " ".join(f'user_{user}="{self.secret(user)}"' for user in self.users)
        server = self.authority.issue("broker", HOST)
        of_listener = "listener.name.sasl_ssl"
        return {
            "listeners": ",".join(f"{name}://{HOST}:{port}" for name, port in listeners.items()),
            "listener.security.protocol.map": ("PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL"),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": server.chain,
            "ssl.keystore.key": server.key,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.certificates": self.authority.pem,
            "listener.name.ssl.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
            "sasl.enabled.mechanisms": ",".join(MECHANISMS),
            f"{of_listener}.plain.sasl.jaas.config": f"{_LOGIN}.plain.PlainLoginModule required {passwords};",
            f"{of_listener}.scram-sha-256.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;",
            f"{of_listener}.scram-sha-512.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;",
            f"{of_listener}.oauthbearer.sasl.jaas.config": f"{_OAUTH}.OAuthBearerLoginModule required;",
            f"{of_listener}.oauthbearer.sasl.server.callback.handler.class": (
                f"{_OAUTH}.OAuthBearerValidatorCallbackHandler"
            ),
            f"{of_listener}.oauthbearer.sasl.oauthbearer.jwks.endpoint.url": self.tokens.jwks.as_uri(),
            f"{of_listener}.oauthbearer.sasl.oauthbearer.expected.audience": AUDIENCE,
            # With this setting, a connection's session ends with the token that began it.
            f"{of_listener}.oauthbearer.connections.max.reauth.ms": "3600000",
            f"{of_listener}.scram-sha-512.connections.max.reauth.ms": f"{1000 * SCRAM_SESSION_S}",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }

    def _set_scram_passwords(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        # One mechanism at a time, because a request may name each user only once.
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            wanted: list[UserScramCredentialAlteration] = [
                UserScramCredentialUpsertion(user, ScramCredentialInfo(mechanism, 4096), self.secret(user).encode())
                for user in self.users
            ]
            for done in admin.alter_user_scram_credentials(wanted).values():
                done.result(_DEADLINE_S)
