"""Whether a source's file may leave, and what comes next for one that is on its way, from what the disk shows."""

from enum import Enum, auto

from msgspec import Struct

from common.protocol.progress import Departure, DepartureStage, Progress
from common.protocol.receipts import Receipt
from common.protocol.tolerance import Tolerance, permits_all


class FileFacts(Struct, frozen=True):
    """A name as its folder shows it, links not followed: device and inode, size, change, and how many names it has."""

    file: str
    size: int
    changed_at_ns: int
    names: int = 1
    is_link: bool = False


class Choice(Enum):
    """What becomes of a delivered file."""

    LEAVES = auto()
    # Something about it changes: look again later.
    WAITS = auto()
    # The disk does not let it: say so, and try again later.
    HINDERED = auto()
    STAYS = auto()


class Judgement(Struct, frozen=True):
    """The choice, and why the file does not leave."""

    choice: Choice
    reason: str = ""


LEAVES = Judgement(Choice.LEAVES)
MOVED = Judgement(Choice.WAITS, "it is not where it was")
CHANGED = Judgement(Choice.WAITS, "it has changed since it was read")
TOUCHED = Judgement(
    Choice.STAYS, "it was touched, or written again, after it was read: only its first and last 4 KB were compared"
)
UNDELIVERED = Judgement(Choice.WAITS, "its receipt does not count any more")
KEPT = Judgement(Choice.STAYS, "AFTER_DELIVERY is keep by now")
UNREACHABLE = Judgement(Choice.HINDERED, "its folder is not there, or is on another file system than before")


def is_delivered(progress: Progress, receipt: Receipt) -> bool:
    """Whether the receipt is of all that was read of the source."""
    end = progress.ends, progress.offset, progress.tally
    return progress.ended and (receipt.number, receipt.size, receipt.tally) == end


def has_left(progress: Progress) -> bool:
    """Whether the file has left after the source's latest end."""
    departure = progress.departure
    return departure is not None and departure.stage is DepartureStage.GONE and departure.end == progress.ends


def judge_receipt(progress: Progress, receipt: Receipt, tolerance: Tolerance, *, deletes: bool) -> str:
    """Why a source's file stays though it is delivered, in one line; "" if nothing speaks against it."""
    if deletes and progress.cut:
        return f"{progress.cut} of its rejected rows are too long to be kept whole in rejected.csv"
    for split, delivered in receipt.splits.items():
        rejected = delivered.rejected.rows
        if rejected and not delivered.files.rows and not permits_all(tolerance, rejected):
            return (
                f"every row was rejected for split {split}, {rejected} in all. If that is right, set MAX_REJECTED=100%"
            )
    return ""


def judge_facts(progress: Progress, facts: FileFacts | None, file: str) -> Judgement:
    """Whether a delivered source's file may leave, by what its folder shows; `file` is which file it has to be."""
    if facts is None:
        return MOVED
    if facts.is_link:
        return Judgement(Choice.STAYS, "it is a symbolic link")
    if facts.names > 1:
        # A name may go again.
        return Judgement(Choice.HINDERED, f"it has {facts.names} names (hard links)")
    if facts.file != file or not is_unchanged(progress, facts):
        return CHANGED
    if progress.is_touched:
        return TOUCHED
    return LEAVES


def judge_content(progress: Progress, size: int, *, is_packed: bool) -> Judgement:
    """Whether all of a file of this size was read; of a compressed one `offset` counts unpacked bytes."""
    if is_packed and not progress.schema:
        return Judgement(Choice.STAYS, "it has no complete header")
    if not is_packed and progress.offset != size:
        return Judgement(Choice.STAYS, f"{progress.offset} of its {size} bytes were read")
    return LEAVES


class DepartureStep(Enum):
    """What to do next with a file on its way."""

    # It never left, or is back: it is followed as before.
    CANCEL = auto()
    PUT_BACK = auto()
    LEAVE = auto()
    # It has left: only the record is missing.
    FINISH = auto()
    # Its file system is not there.
    HOLD = auto()


class Sighting(Struct, frozen=True):
    """Where a file on its way is: `aside` is what has its hidden name; if nothing has, it may be at one of two others.

    `is_reachable`: its folder is the one in which it was.
    """

    aside: FileFacts | None
    is_at_path: bool = False
    is_at_target: bool = False
    is_reachable: bool = True


def next_departure_step(progress: Progress, departure: Departure, sighting: Sighting, *, stays: bool) -> DepartureStep:
    """What comes next for a file that has waited for SETTLE_S. `stays`: AFTER_DELIVERY is keep by now."""
    if departure.stage is DepartureStage.GONE:
        return DepartureStep.FINISH
    if sighting.aside is None:
        return _next_without_aside(departure, sighting)
    if stays or not is_unchanged(progress, sighting.aside):
        return DepartureStep.PUT_BACK
    return DepartureStep.LEAVE


def _next_without_aside(departure: Departure, sighting: Sighting) -> DepartureStep:
    if sighting.is_at_path:
        # Nothing was done yet, or a replica that was late has put it back.
        return DepartureStep.CANCEL
    if sighting.is_at_target:
        return DepartureStep.FINISH
    if not sighting.is_reachable:
        return DepartureStep.HOLD
    return DepartureStep.FINISH if departure.stage is DepartureStage.LEAVING else DepartureStep.CANCEL


def is_unchanged(progress: Progress, facts: FileFacts) -> bool:
    """Whether a source's file is as it was when it ended."""
    return (facts.size, facts.changed_at_ns) == (progress.size, progress.changed_at_ns)
