"""How many rows there were, and which: counts and checksums that can be added."""

from collections.abc import Sequence

from msgspec import Struct

from common.rows.loops import sums

_MODULUS = 2**64


class Tally(Struct, frozen=True):
    """Rows counted: how many, their bytes without line endings, and an order-independent checksum.

    The checksum is the sum of the rows' CRC-32C modulo 2**64: equal for the same rows in any order and any grouping,
    different when a row is missing, doubled or changed.
    """

    rows: int = 0
    size: int = 0
    checksum: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.rows + other.rows, self.size + other.size, (self.checksum + other.checksum) % _MODULUS)

    def __sub__(self, other: "Tally") -> "Tally":
        return Tally(self.rows - other.rows, self.size - other.size, (self.checksum - other.checksum) % _MODULUS)


def tally(rows: Sequence[bytes]) -> Tally:
    """The tally of these rows."""
    return Tally(len(rows), *sums(rows))


NOTHING = Tally()
