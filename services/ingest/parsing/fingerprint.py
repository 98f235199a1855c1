"""The fingerprint by which a source is recognised."""

from hashlib import blake2b

from msgspec import Struct

# How much is kept of each end of what was read.
FINGERPRINT_BYTES = 4096


class Fingerprint(Struct, frozen=True):
    """The first and the last bytes of what was read of a source: a changed file does not have both."""

    head: bytes = b""
    tail: bytes = b""

    def after(self, used: bytes) -> "Fingerprint":
        """The fingerprint once these bytes are read too."""
        head = self.head
        if len(head) < FINGERPRINT_BYTES:
            head += used[: FINGERPRINT_BYTES - len(head)]
        return Fingerprint(head, (self.tail + used[-FINGERPRINT_BYTES:])[-FINGERPRINT_BYTES:])

    @property
    def head_digest(self) -> str:
        """The digest of the first bytes."""
        return blake2b(self.head, digest_size=8).hexdigest()

    @property
    def tail_digest(self) -> str:
        """The digest of the last bytes."""
        return blake2b(self.tail, digest_size=8).hexdigest()
