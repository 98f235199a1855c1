"""A consumer's questions for offsets, which do not wait behind a fetch that waits for records.

A broker answers a connection's requests one after the other, and aiokafka 0.14 asks where a partition begins or ends on
the connection that it fetches with (no upstream issue known). Where other partitions are fetched already and have no
records, each question then takes as long as a fetch may: a start of sink took a quarter of a second more.
"""

from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.protocol.offset import OffsetRequest


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
