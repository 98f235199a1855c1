import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from common.counts import PartitionCounts
from common.kafka.offsets import NOTHING_COMMITTED, committed_offsets, update_lag

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


def admin_that_answers(answer: dict[TopicPartition, OffsetAndMetadata]) -> Any:
    async def list_consumer_group_offsets(_group: str, partitions: list[TopicPartition]) -> object:
        assert partitions == [A, B]
        return answer

    return SimpleNamespace(list_consumer_group_offsets=list_consumer_group_offsets)


def test_a_group_that_has_committed_nothing_is_told_so() -> None:
    answer = {A: OffsetAndMetadata(NOTHING_COMMITTED, ""), B: OffsetAndMetadata(7, "m")}
    assert asyncio.run(committed_offsets(admin_that_answers(answer), "g", [A, B])) == answer


def test_an_answer_without_the_partitions_is_an_error_and_not_taken_for_nothing_committed() -> None:
    with pytest.raises(KafkaError, match="does not say"):
        asyncio.run(committed_offsets(admin_that_answers({A: OffsetAndMetadata(7, "m")}), "g", [A, B]))


class Fetched:
    """A consumer whose latest fetch has shown this end of a partition; None if it has fetched nothing."""

    def __init__(self, end: int | None) -> None:
        self._end = end

    def highwater(self, _partition: TopicPartition) -> int | None:
        """The end as far as it is known."""
        return self._end


@pytest.mark.parametrize(("end", "position", "lag"), [(9, 4, 5), (9, 9, 0), (9, 12, 0), (None, 4, 77)])
def test_the_lag_is_what_a_fetch_has_shown_and_stays_until_one_has(end: int | None, position: int, lag: int) -> None:
    counts = PartitionCounts(lag_rows=77)
    consumer: Any = Fetched(end)
    update_lag(counts, consumer, A, position)
    assert counts.lag_rows == lag
