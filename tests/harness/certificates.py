"""Certificates of the tests' own authority, as PEM text and files."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate's chain and its key, in PKCS #8, the only format that Kafka reads."""

    chain: str
    key: str

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write `name.pem` and `name.key`, replacing any that exist, and return their paths."""
        paths = folder / f"{name}.pem", folder / f"{name}.key"
        for path, text in zip(paths, (self.chain, self.key), strict=True):
            path.write_text(text)
        return paths


class Authority:
    """A certificate authority."""

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self.pem = self._ca.cert_pem.bytes().decode()

    def write(self, folder: Path, name: str = "ca") -> Path:
        """Write the authority's own certificate, and return its path."""
        path = folder / f"{name}.pem"
        path.write_text(self.pem)
        return path

    def issue(self, common_name: str, *hosts: str, password: str = "") -> Certificate:
        """Issue a certificate to a user, or to a server at these hosts; a password encrypts its key."""
        issued = self._ca.issue_cert(*(hosts or (f"{common_name}.example",)), common_name=common_name)
        chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems).decode()
        encryption: KeySerializationEncryption = NoEncryption()
        if password:
            encryption = BestAvailableEncryption(password.encode())
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        return Certificate(chain, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode())


@dataclass(frozen=True, slots=True)
class Certificates:
    """A certificate authority, and in one PEM file each a broker's key and certificate."""

    authority: Path
    good: Path
    expired: Path
    other_host: Path


def make_certificates(folder: Path) -> Certificates:
    """Certificates for a broker at 127.0.0.1: a valid one, and others that clients must refuse."""
    authority = trustme.CA()
    authority_path = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(authority_path))

    def issue(name: str, host: str, expires: datetime | None = None) -> Path:
        issued = authority.issue_cert(host, not_after=expires)
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        # Java reads no other key format.
        key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path = folder / f"{name}.pem"
        path.write_bytes(key_pem + b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return path

    return Certificates(
        authority_path,
        issue("good", "127.0.0.1"),
        issue("expired", "127.0.0.1", _LONG_AGO),
        issue("other-host", "kafka.example"),
    )
