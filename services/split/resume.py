"""What split commits beside an offset: enough to go on, and the counts so far. Kept in the offset's metadata."""

from dataclasses import asdict, dataclass

import orjson


@dataclass(frozen=True, slots=True)
class Receipt:
    """A partition of `rows` as far as it is carried.

    `mark_offset` is the Kafka offset of the last mark: reading goes on from there. `rows` counts those read, and
    `rejected` those rejected per split, in the order of SPLIT_BY.
    """

    mark_offset: int = 0
    rows: int = 0
    rejected: tuple[int, ...] = ()


def encode_receipt(receipt: Receipt) -> str:
    """As JSON, for a commit's metadata (4,096 bytes at the most on a broker with its defaults)."""
    return orjson.dumps(asdict(receipt)).decode()


def decode_receipt(metadata: str, splits: int) -> Receipt:
    """The receipt in a commit's metadata; counts of rejected rows begin anew when the number of splits has changed."""
    fields = orjson.loads(metadata)
    rejected = tuple(fields["rejected"])
    return Receipt(fields["mark_offset"], fields["rows"], rejected if len(rejected) == splits else (0,) * splits)
