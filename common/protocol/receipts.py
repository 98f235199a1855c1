"""What proves that a source is delivered: its receipt, a file in OUTPUT_DIR and a record of the topic `receipts`. Pure.

docs/receipts.md says what its fields are.
"""

from collections.abc import Mapping
from datetime import UTC, datetime  # noqa: TID251 - texts of given times, no clock
from hashlib import blake2b
from typing import Any

import orjson
from msgspec import Struct, field

from common.protocol.decoding import as_written
from common.protocol.identity import check_version
from common.rows.tally import NOTHING, Tally

_VERSION = 1


class Rejections(Struct, frozen=True):
    """Rows that are rejected and were not sent again, by code, and how many others were."""

    codes: Mapping[str, int] = field(default_factory=dict)
    replayed: int = 0

    @property
    def rows(self) -> int:
        """How many."""
        return sum(self.codes.values())


class Delivered(Struct, frozen=True):
    """A source's rows in one split: in files, and rejected. `replayed` is how many rows replays have sent for it."""

    files: Tally
    rejected: Rejections
    rejected_tally: Tally = NOTHING
    replayed: int = 0
    paths: tuple[str, ...] = ()
    has_more_paths: bool = False


class Receipt(Struct, frozen=True):
    """Every row of a source, up to the end with this number, is safe.

    `size` is in bytes, `safe_ms` in ms since 1970, latencies in ms from ingest's read to the fsync; None where no row
    was read.
    """

    source: str
    number: int
    size: int
    tally: Tally
    row_format: str
    rejected: Rejections
    splits: Mapping[str, Delivered]
    safe_ms: int
    p50_ms: int | None
    p99_ms: int | None
    cluster: str
    folder: str
    nacre: str


def encode_receipt(receipt: Receipt) -> bytes:
    """As JSON to read."""
    fields = {
        "version": _VERSION,
        "source": receipt.source,
        "end": receipt.number,
        "bytes": receipt.size,
        "rows": receipt.tally.rows,
        "row_bytes": receipt.tally.size,
        "checksum": _hex(receipt.tally),
        "checksum_of": "fields" if receipt.row_format == "json" else "rows",
        "rejected": _rejections(receipt.rejected),
        "splits": {name: _split(delivered) for name, delivered in receipt.splits.items()},
        "safe_at": datetime.fromtimestamp(receipt.safe_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "latency_ms": {"p50": receipt.p50_ms, "p99": receipt.p99_ms},
        "cluster": receipt.cluster,
        "folder": receipt.folder,
        "nacre": receipt.nacre,
    }
    return orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def decode_receipt(value: bytes) -> Receipt:
    """The receipt that `encode_receipt` wrote. Raises ValueError for an unknown version."""
    with as_written():
        fields = orjson.loads(value)
        check_version(fields, _VERSION)
        return Receipt(
            fields["source"],
            fields["end"],
            fields["bytes"],
            Tally(fields["rows"], fields["row_bytes"], int(fields["checksum"], 16)),
            "json" if fields["checksum_of"] == "fields" else "csv",
            _rejections_of(fields["rejected"]),
            {name: _delivered(each) for name, each in fields["splits"].items()},
            round(datetime.fromisoformat(fields["safe_at"]).timestamp() * 1000),
            fields["latency_ms"]["p50"],
            fields["latency_ms"]["p99"],
            fields["cluster"],
            fields["folder"],
            fields["nacre"],
        )


def fingerprint(value: bytes) -> bytes:
    """A digest of what `encode_receipt` wrote: equal for receipts that say the same, even from other versions."""
    # The last field is that version.
    return blake2b(value.rpartition(b'"nacre":')[0], digest_size=16).digest()


def _hex(tally: Tally) -> str:
    return f"{tally.checksum:016x}"


def _rejections(rejected: Rejections) -> dict[str, Any]:
    return {"rows": rejected.rows, "codes": dict(rejected.codes), "replayed": rejected.replayed}


def _rejections_of(fields: Mapping[str, Any]) -> Rejections:
    return Rejections(fields["codes"], fields["replayed"])


def _split(delivered: Delivered) -> dict[str, Any]:
    files, rejected = delivered.files, delivered.rejected_tally
    return {
        "rows": files.rows,
        "row_bytes": files.size,
        "checksum": _hex(files),
        "rejected": {**_rejections(delivered.rejected), "row_bytes": rejected.size, "checksum": _hex(rejected)},
        "replayed": delivered.replayed,
        "files": list(delivered.paths),
        "more_files": delivered.has_more_paths,
    }


def _delivered(fields: Mapping[str, Any]) -> Delivered:
    rejected = fields["rejected"]
    return Delivered(
        Tally(fields["rows"], fields["row_bytes"], int(fields["checksum"], 16)),
        _rejections_of(rejected),
        Tally(rejected["rows"], rejected["row_bytes"], int(rejected["checksum"], 16)),
        fields["replayed"],
        tuple(fields["files"]),
        fields["more_files"],
    )
