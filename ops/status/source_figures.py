"""The figures of one source: how much of it is read, how fast that goes on, and whether it is delivered. Pure."""

from enum import StrEnum

from msgspec import Struct

from common.protocol.progress import Progress
from ops.status.observation import Observation, SeenFile
from ops.status.pace import pace_of, time_left_s

_BEFORE_RECEIPTS = 1
_WHOLE_PERCENT = 100.0


class Delivery(StrEnum):
    """What is known of a source's rows: it is delivered once all are safe (docs/receipts.md)."""

    DELIVERED = "delivered"
    UNDER_WAY = "under way"
    # It is delivered, and none of its records was a row.
    REJECTED_WHOLE = "rejected whole"
    # No receipt will say: the source was begun in format 1, left before its end, or its receipt was withdrawn.
    UNKNOWN = "unknown"


class SourceFigures(Struct, frozen=True):
    """A source: `read_bytes` of `size` are read, with so many rows and rejected records.

    Where the file is not at hand, or is compressed, `size` and `percent` are None until its end is read. `eta_s` is
    also None while nothing of it is read.
    """

    source: str
    delivery: Delivery
    read_bytes: int
    size: int | None
    percent: float | None
    rows: int
    rejected: int
    eta_s: float | None


def figures_of(progress: Progress, now: Observation, before: Observation) -> SourceFigures:
    """The figures of one source, from two looks."""
    file, known = now.files.get(progress.source), before.sources.get(progress.source)
    read = progress.offset - (0 if known is None else known.offset)
    size = _size_of(progress, file)
    return SourceFigures(
        progress.source,
        _delivery_of(progress, _delivered_end(progress.source, now), file),
        progress.offset,
        size,
        _percent_of(progress.offset, size),
        progress.tally.rows,
        progress.rejected,
        time_left_s(None if file is None else file.waiting, pace_of(read, now.at_s - before.at_s)),
    )


def has_more(file: SeenFile | None) -> bool:
    """Whether a file at hand has something that ingest may read now."""
    return file is not None and (bool(file.waiting) or file.may_wait)


def _delivered_end(source: str, now: Observation) -> int | None:
    """The end up to which a source is delivered, 0 if none is; None where its receipt was withdrawn."""
    if source not in now.receipts:
        return 0
    receipt = now.receipts[source]
    return None if receipt is None else receipt.number


def _delivery_of(progress: Progress, end: int | None, file: SeenFile | None) -> Delivery:
    if progress.format == _BEFORE_RECEIPTS or progress.given_up:
        return Delivery.UNKNOWN
    if not progress.ended or has_more(file):
        return Delivery.UNDER_WAY
    if end is None:
        return Delivery.UNKNOWN
    if end < progress.ends:
        return Delivery.UNDER_WAY
    return Delivery.REJECTED_WHOLE if progress.rejected and not progress.tally.rows else Delivery.DELIVERED


def _size_of(progress: Progress, file: SeenFile | None) -> int | None:
    """In bytes as they are read: of a compressed file, unpacked."""
    if progress.ended and not has_more(file):
        return progress.offset
    return None if file is None or file.waiting is None else file.size


def _percent_of(read: int, size: int | None) -> float | None:
    if size is None:
        return None
    return min(_WHOLE_PERCENT, _WHOLE_PERCENT * read / size) if size else _WHOLE_PERCENT
