"""Certificates for a broker on this machine, made by the tests."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Certificates:
    """A certificate authority, and in one PEM file each a broker's key and certificate."""

    authority: Path
    good: Path
    expired: Path
    other_host: Path


def make_certificates(folder: Path) -> Certificates:
    """For a broker at 127.0.0.1: one certificate that is right, and others that are not."""
    authority = trustme.CA()
    authority_path = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(authority_path))

    def issue(name: str, host: str, expires: datetime | None = None) -> Path:
        issued = authority.issue_cert(host, not_after=expires)
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        # Java reads keys of this format alone.
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
