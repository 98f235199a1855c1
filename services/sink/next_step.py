"""What the loop does with a partition's files after each fetch. Pure."""

from dataclasses import dataclass
from enum import Enum, auto


class Step(Enum):
    """What comes before the next fetch."""

    # A checkpoint is under way, and nothing waits for it.
    FETCH = auto()
    # A checkpoint that is over is seen to be over, and that it failed if it did.
    SETTLE = auto()
    # What is written is made safe.
    CHECKPOINT = auto()
    # The offset alone is entered in the ledger, then committed in Kafka.
    PASS_OVER = auto()


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a partition stands after a fetch.

    `ended`: a source's end came with it. `busy`: a checkpoint is under way. `dirty`: something was written since the
    last one began, at `checkpointed_at`. `full`: so much that memory has no room for more. `position` is the next
    offset, `committed` the one that Kafka knows, -1 where it knows none.
    """

    ended: bool
    busy: bool
    dirty: bool
    full: bool
    checkpointed_at: float
    position: int
    committed: int


def next_step(situation: Situation, now: float, interval_ms: int) -> Step:
    """What is to be done now. `now` and `checkpointed_at` are seconds of one clock.

    A checkpoint comes at once at a source's end, because a reader that waits for it must not wait for a timer, and when
    memory is full of changes; both wait for the one under way.
    """
    if situation.ended or situation.full:
        return Step.CHECKPOINT
    if situation.busy:
        return Step.FETCH
    if situation.dirty:
        is_due = now - situation.checkpointed_at >= interval_ms / 1000
        return Step.CHECKPOINT if is_due else Step.SETTLE
    return Step.PASS_OVER if situation.position > situation.committed else Step.SETTLE
