"""When partition tasks begin, and when no more."""

import asyncio

from aiokafka import TopicPartition

from common.sessions.partition_tasks import PartitionTasks

_PARTITION = TopicPartition("rows", 0)


class Consumer:
    """What partition tasks ask of one."""

    def pause(self, *_partitions: TopicPartition) -> None:
        """Paused."""


async def test_no_task_begins_once_its_session_is_over() -> None:
    begun: list[TopicPartition] = []

    async def run(partition: TopicPartition, stop: asyncio.Event) -> None:
        begun.append(partition)
        await stop.wait()

    tasks = PartitionTasks(Consumer(), run, set())
    tasks.on_partitions_assigned([_PARTITION])
    await asyncio.sleep(0)
    # A rebalance ends it and begins it again.
    await tasks.on_partitions_revoked([_PARTITION])
    tasks.on_partitions_assigned([_PARTITION])
    await asyncio.sleep(0)
    assert begun == [_PARTITION] * 2
    await tasks.finish()
    # The group may be slower than the end: it assigns until it is left.
    tasks.on_partitions_assigned([_PARTITION])
    await asyncio.sleep(0)
    assert begun == [_PARTITION] * 2
