"""How the last transaction of a transactional id stands, asked before a producer with this id starts.

Its start aborts an open transaction, and after that the broker no longer says how the last one ended: a forgotten abort
would be committed. DescribeTransactions came with Kafka 3.0; aiokafka 0.14 does not have it.
https://kafka.apache.org/protocol. No upstream issue known.
"""

import asyncio
from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from common.broker_errors.missing_permissions import asking_about, error_for

_PAUSE_S = 0.05
# Not among aiokafka's errors: no producer has used this id yet.
_TRANSACTIONAL_ID_NOT_FOUND = 105
_NOT_COMMITTED = frozenset({"Ongoing", "PrepareAbort", "PrepareEpochFence", "CompleteAbort"})
_NO_TAGS: dict[int, bytes] = {}
_TAGS = ("tags", TaggedFields)


async def is_left_uncommitted(client: AIOKafkaClient, transactional_id: str) -> bool:
    """Whether the id's last transaction is open or aborted: then no record in it may ever be committed.

    Waits for a coordinator that is on the move.
    """
    while True:
        try:
            return await _ask(client, transactional_id) in _NOT_COMMITTED
        except KafkaError as error:
            if not error.retriable:
                raise
        await client.force_metadata_update()
        await asyncio.sleep(_PAUSE_S)


async def _ask(client: AIOKafkaClient, transactional_id: str) -> str:
    with asking_about(transactional_id):
        coordinator = await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
    request = _DescribeTransactionsRequest(transactional_id)
    answer = await client.send(coordinator, request, group=ConnectionGroup.COORDINATION)
    [(code, _, state, *_)] = answer.states
    if code == _TRANSACTIONAL_ID_NOT_FOUND:
        return "Empty"
    if code:
        raise error_for(code, transactional_id, f"transactional id {transactional_id}: cannot ask for its state")
    return str(state)


_TOPIC = CompactArray(("topic", CompactString()), ("partitions", CompactArray(Int32)), _TAGS)
_STATE = CompactArray(
    ("error_code", Int16),
    ("transactional_id", CompactString()),
    ("state", CompactString()),
    ("timeout_ms", Int32),
    ("start_time_ms", Int64),
    ("producer_id", Int64),
    ("producer_epoch", Int16),
    ("topics", _TOPIC),
    _TAGS,
)


class _DescribeTransactionsResponseV0(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 65
    API_VERSION = 0
    SCHEMA = Schema(("throttle_time_ms", Int32), ("states", _STATE), _TAGS)


class _DescribeTransactionsRequestV0(RequestStruct):  # type: ignore[misc]  # same
    API_KEY = 65
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _DescribeTransactionsResponseV0
    SCHEMA = Schema(("transactional_ids", CompactArray(CompactString())), _TAGS)


class _DescribeTransactionsRequest(Request[_DescribeTransactionsRequestV0]):  # type: ignore[misc]  # same
    API_KEY = 65

    def __init__(self, transactional_id: str) -> None:
        self._transactional_id = transactional_id

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class([self._transactional_id], _NO_TAGS)
