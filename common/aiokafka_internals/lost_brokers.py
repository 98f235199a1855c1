"""Two errors of aiokafka 0.14 when it loses a broker, turned into KafkaErrors, from which it recovers.

Two requests of one connection that time out both close it. If a third request has replaced it meanwhile, closing it
raises a KeyError, which ends the fetcher or the sender for ever (no upstream issue known). A broker that has just come
back, or has hung for longer than its own session, names no broker (aiokafka issue 460): a client that looks for a
coordinator then fails an assertion, which ends the service.
"""

from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.errors import NodeNotReadyError, RequestTimedOutError

_send = AIOKafkaClient.send
_coordinator_lookup = AIOKafkaClient.coordinator_lookup


def take_lost_brokers_for_kafka_errors() -> None:
    """Make aiokafka see KafkaErrors instead."""
    AIOKafkaClient.send = _send_or_time_out
    AIOKafkaClient.coordinator_lookup = _look_up_with_brokers


async def _send_or_time_out(
    client: Any, node_id: Any, request: Any, *, group: ConnectionGroup = ConnectionGroup.DEFAULT
) -> Any:
    try:
        return await _send(client, node_id, request, group=group)
    except KeyError as error:
        if (node_id, group) in client._conns:  # noqa: SLF001 - it is the one that is not found
            raise
        raise RequestTimedOutError from error


async def _look_up_with_brokers(client: Any, kind: Any, key: str) -> Any:
    if client.get_random_node() is None:
        raise NodeNotReadyError("the brokers have named no broker yet")
    return await _coordinator_lookup(client, kind, key)
