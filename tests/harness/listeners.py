"""A real broker with an authorizer and a listener of each kind: plain, TLS, with users, and out of reach."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.kafka.local import LocalKafka
from tests.harness.certificates import Certificates, make_certificates
from tests.harness.chaos.proxy import free_ports

USER, PASSWORD = "alice", "correct horse battery staple"
_JAAS = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
_PROTOCOLS = {
    "PLAINTEXT": "PLAINTEXT",
    "SASL": "SASL_PLAINTEXT",
    "TLS": "SSL",
    "EXPIRED": "SSL",
    "OTHERHOST": "SSL",
    "MUTUAL": "SSL",
    "BOTH": "SASL_SSL",
    # Advertised at a port that nothing listens on.
    "LOST": "PLAINTEXT",
}


@dataclass(frozen=True, slots=True)
class Listeners:
    """Each listener's address, and what a client needs to use it. PLAINTEXT clients may do everything."""

    kafka: LocalKafka
    ports: dict[str, int]
    lost_port: int
    certificates: Certificates

    def at(self, listener: str, **settings: str) -> dict[str, str]:
        """The settings of a client of this listener."""
        return {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.ports[listener]}", **settings}

    def tls(self, listener: str, **settings: str) -> dict[str, str]:
        """The same, with TLS."""
        authority = str(self.certificates.authority)
        return self.at(listener, KAFKA_SECURITY_PROTOCOL="SSL", KAFKA_SSL_CA_LOCATION=authority) | settings

    def sasl(self, listener: str, **settings: str) -> dict[str, str]:
        """The same, with a user."""
        user = {"KAFKA_SASL_USERNAME": USER, "KAFKA_SASL_PASSWORD": PASSWORD}
        return self.at(listener, KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT") | user | settings


@contextmanager
def running_listeners(folder: Path) -> Iterator[Listeners]:
    """The broker, running."""
    certificates = make_certificates(folder)
    lost_port, *free = free_ports(1 + len(_PROTOCOLS))
    ports = dict(zip(_PROTOCOLS, free, strict=True))
    # Reversed, because LocalKafka waits for the listener that is named last, here the first of `ports`.
    listening = [f"{name}://127.0.0.1:{port}" for name, port in reversed(ports.items())]
    advertised = [f"{name}://127.0.0.1:{port}" for name, port in (ports | {"LOST": lost_port}).items()]
    config = {
        "listeners": ",".join([*listening, "CONTROLLER://127.0.0.1:0"]),
        "advertised.listeners": ",".join(advertised),
        "listener.security.protocol.map": ",".join(
            f"{name}:{protocol}" for name, protocol in (_PROTOCOLS | {"CONTROLLER": "PLAINTEXT"}).items()
        ),
        "inter.broker.listener.name": "PLAINTEXT",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.truststore.type": "PEM",
        "listener.name.mutual.ssl.truststore.location": str(certificates.authority),
    }
    stores = {
        "tls": certificates.good,
        "expired": certificates.expired,
        "otherhost": certificates.other_host,
        "mutual": certificates.good,
        "both": certificates.good,
    }
    for name, path in stores.items():
        config |= {f"listener.name.{name}.ssl.keystore.type": "PEM"}
        config |= {f"listener.name.{name}.ssl.keystore.location": str(path)}
    for name in ("sasl", "both"):
        config |= {f"listener.name.{name}.sasl.enabled.mechanisms": "PLAIN"}
        config |= {f"listener.name.{name}.plain.sasl.jaas.config": _JAAS}
    with LocalKafka(ports["PLAINTEXT"], folder / "kafka", config, ready_deadline_s=120) as kafka:
        yield Listeners(kafka, ports, lost_port, certificates)
