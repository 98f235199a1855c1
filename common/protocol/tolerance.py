"""How many records may be rejected: MAX_REJECTED as a value."""

import re
from fractions import Fraction

from msgspec import Struct

from common.protocol.progress import Progress

# A share of fewer records says nothing, unless the source has no more.
_ENOUGH_RECORDS = 1_000

# The setting's description, the same in each service that has it.
MAX_REJECTED = (
    "records of a source that may be rejected before ingest stops: a count (100), a share (1% or 0.01, of 1,000 "
    "records or all), or none, which is no limit. A finite run that rejects every row of a source, or of a split, "
    "exits 65 unless this permits it (100%)"
)

_COUNT = re.compile(r"[0-9]{1,18}")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})(%?)")
_NONE = "none"


class Tolerance(Struct, frozen=True):
    """The most records of a source that may be rejected, or the largest share of them. `text` is how it was written."""

    text: str
    count: int | None = None
    share: Fraction | None = None


def parse_tolerance(text: str) -> Tolerance:
    """Read MAX_REJECTED. Raises ValueError, one line, for anything but a count, a share or none."""
    if text == _NONE:
        return Tolerance(text)
    if _COUNT.fullmatch(text):
        return Tolerance(text, count=int(text))
    match = _SHARE.fullmatch(text)
    share = Fraction(match[1]) / (100 if match[2] else 1) if match else None
    if share is None or share > 1:
        raise ValueError("neither a count (100), nor a share (1% or 0.01), nor none")
    return Tolerance(text, share=share)


def find_excess(tolerance: Tolerance, progress: Progress) -> str:
    """Say in one line that a source has more rejected records than MAX_REJECTED permits; "" if it does not."""
    rejected, records = progress.rejected, progress.rejected + progress.tally.rows
    too_many = tolerance.count is not None and rejected > tolerance.count
    enough = progress.ended or records >= _ENOUGH_RECORDS
    too_large = tolerance.share is not None and enough and rejected > tolerance.share * records
    if not too_many and not too_large:
        return ""
    return (
        f"{progress.source}: {rejected} of {records} records were rejected, MAX_REJECTED is {tolerance.text}: look at "
        "the reasons in rejected.csv, then give the mended file a new name, or set MAX_REJECTED higher"
    )


def permits_all(tolerance: Tolerance, rejected: int) -> bool:
    """Whether MAX_REJECTED permits that all of so many records are rejected, usually the sign of a wrong setting."""
    return tolerance.share == 1 or (tolerance.count is not None and rejected <= tolerance.count)


def rejected_whole(tolerance: Tolerance, progress: Progress) -> str:
    """Say in one line that a source has ended with every row rejected; "" if it has not, or that is permitted."""
    if not progress.ended or progress.tally.rows or not progress.reason or permits_all(tolerance, progress.rejected):
        return ""
    return (
        f"{progress.source}: every row was rejected, {progress.rejected} in all (the first one: {progress.reason}). "
        "If that is right, set MAX_REJECTED=100%"
    )
