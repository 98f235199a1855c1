"""What sink's loop does next, case by case."""

import pytest
from msgspec.structs import replace

from services.sink.next_step import Situation, Step, next_step

# Nothing was written, and Kafka has the offset.
IDLE = Situation(
    ended=False, busy=False, dirty=False, full=False, checkpointed_at=9.0, position=7, committed=7
)  # fmt: skip


@pytest.mark.parametrize(
    ("situation", "now", "step"),
    [
        (IDLE, 99.0, Step.SETTLE),
        (replace(IDLE, dirty=True), 9.9, Step.SETTLE),
        (replace(IDLE, dirty=True), 10.0, Step.CHECKPOINT),
        # The next checkpoint waits for the one under way, however late it is.
        (replace(IDLE, dirty=True, busy=True), 99.0, Step.FETCH),
        (replace(IDLE, busy=True, position=8), 99.0, Step.FETCH),
        # A source's end waits neither for the timer nor for the end of a checkpoint, and neither does full memory.
        (replace(IDLE, ended=True), 9.0, Step.CHECKPOINT),
        (replace(IDLE, ended=True, busy=True), 9.0, Step.CHECKPOINT),
        (replace(IDLE, dirty=True, full=True), 9.0, Step.CHECKPOINT),
        (replace(IDLE, dirty=True, full=True, busy=True), 9.0, Step.CHECKPOINT),
        # Records without rows move the offset alone, unless rows before it wait for a checkpoint.
        (replace(IDLE, position=8), 9.0, Step.PASS_OVER),
        (replace(IDLE, position=0, committed=-1), 9.0, Step.PASS_OVER),
        (replace(IDLE, position=8, dirty=True), 9.9, Step.SETTLE),
    ],
)
def test_each_situation_has_its_step(situation: Situation, now: float, step: Step) -> None:
    assert next_step(situation, now, 1000) is step
