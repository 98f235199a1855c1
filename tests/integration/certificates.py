"""Certificates of the tests' own authority, as PEM text and files."""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate's chain and its key, PKCS #8, which is the only format that Kafka reads."""

    chain: str
    key: str

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write `name.pem` and `name.key`, over those that are there, and return their paths."""
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
