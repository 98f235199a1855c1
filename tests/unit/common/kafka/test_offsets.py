import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from common.kafka.offsets import NOTHING_COMMITTED, committed_offsets

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
