"""What the loop does with a partition's files after each fetch. Pure."""

from enum import Enum, auto

from msgspec import Struct


class Step(Enum):
    """What to do before the next fetch."""

    # Nothing: a checkpoint is under way, and nothing has to wait for it.
    FETCH = auto()
    # Settle a checkpoint that has ended, which raises what it failed with.
    SETTLE = auto()
    # Make durable what is written.
    CHECKPOINT = auto()
    # Commit the offset alone, to the ledger and then to Kafka.
    PASS_OVER = auto()


class Situation(Struct, frozen=True):
    """Where a partition stands after a fetch.

    `ended`: the fetch brought a source's end. `busy`: a checkpoint is under way. `dirty`: something was written since
    the last one began, at `checkpointed_at`. `full`: the changes fill their share of memory. `position` is the next
    offset, `committed` the one that Kafka has, -1 if it has none.
    """

    ended: bool
    busy: bool
    dirty: bool
    full: bool
    checkpointed_at: float
    position: int
    committed: int


def next_step(situation: Situation, now: float, interval_ms: int) -> Step:
    """Decide what to do now. `now` and `checkpointed_at` are seconds of the same clock.

    A source's end begins a checkpoint at once, because its readers must not wait for a timer, and so does memory that
    is full of changes. Both wait for the checkpoint under way.
    """
    if situation.ended or situation.full:
        return Step.CHECKPOINT
    if situation.busy:
        return Step.FETCH
    if situation.dirty:
        is_due = now - situation.checkpointed_at >= interval_ms / 1000
        return Step.CHECKPOINT if is_due else Step.SETTLE
    return Step.PASS_OVER if situation.position > situation.committed else Step.SETTLE
