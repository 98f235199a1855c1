"""When lanes begin, and when no more."""

import asyncio

from aiokafka import TopicPartition

from common.sessions.partition_tasks import Lanes

_PARTITION = TopicPartition("rows", 0)


class Consumer:
    """What lanes ask of one."""

    def pause(self, *_partitions: TopicPartition) -> None:
        """Paused."""


async def test_no_lane_begins_once_its_session_is_over() -> None:
    begun: list[TopicPartition] = []

    async def lane(partition: TopicPartition, stop: asyncio.Event) -> None:
        begun.append(partition)
        await stop.wait()

    lanes = Lanes(Consumer(), lane, set())
    lanes.on_partitions_assigned([_PARTITION])
    await asyncio.sleep(0)
    # A rebalance ends it and begins it again.
    await lanes.on_partitions_revoked([_PARTITION])
    lanes.on_partitions_assigned([_PARTITION])
    await asyncio.sleep(0)
    assert begun == [_PARTITION] * 2
    await lanes.finish()
    # The group may be slower than the end: it assigns until it is left.
    lanes.on_partitions_assigned([_PARTITION])
    await asyncio.sleep(0)
    assert begun == [_PARTITION] * 2
