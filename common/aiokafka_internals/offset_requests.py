"""A consumer's questions for offsets: where a partition really ends, and none waits behind a fetch for records.

A broker answers a connection's requests one after the other, and aiokafka 0.14 asks where a partition begins or ends on
the connection that it fetches with (no upstream issue known). Where other partitions are fetched already and have no
records, each question then takes as long as a fetch may: a start of sink took a quarter of a second more.
"""

from copy import copy
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.protocol.offset import OffsetRequest

_READ_UNCOMMITTED = 0
_DEADLINE_MS = 40_000


async def find_written_end(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int:
    """Where a partition ends, with open transactions that the consumer does not see.

    For a consumer of committed records, aiokafka only asks where the records before the first open transaction end.
    """
    # The copy shares the fetcher's other state, which this question does not change.
    asking = copy(consumer._fetcher)  # noqa: SLF001 - nothing else asks
    asking._isolation_level = _READ_UNCOMMITTED  # noqa: SLF001 - same
    ends: dict[TopicPartition, int] = await asking.end_offsets([partition], _DEADLINE_MS)
    return ends[partition]


def ask_for_offsets_beside_fetches() -> None:
    """Make aiokafka ask on the connection to the coordinator while the other has a request under way."""
    send = AIOKafkaClient.send

    async def send_beside(
        client: Any, node_id: Any, request: Any, *, group: ConnectionGroup = ConnectionGroup.DEFAULT
    ) -> Any:
        if group == ConnectionGroup.DEFAULT and isinstance(request, OffsetRequest):
            connection = client._conns.get((node_id, group))  # noqa: SLF001 - nothing else shows it
            is_busy = connection is not None and connection._requests  # noqa: SLF001 - same
            # Where there can be no other connection, it waits.
            if is_busy and await client.ready(node_id, group=ConnectionGroup.COORDINATION):
                group = ConnectionGroup.COORDINATION
        return await send(client, node_id, request, group=group)

    AIOKafkaClient.send = send_beside
