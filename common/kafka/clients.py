"""Kafka clients made from the settings, and closed within deadlines."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError, TransactionalIdAuthorizationFailed
from msgspec import Struct

from common.aiokafka_internals.batch_builder import NewBatch
from common.aiokafka_internals.consumer_state import close_connections
from common.aiokafka_internals.fetched_batches import in_batches
from common.aiokafka_internals.installation import install
from common.aiokafka_internals.outages import is_client_failure
from common.aiokafka_internals.producer_start import start_after
from common.aiokafka_internals.transaction_state import is_left_uncommitted
from common.broker_errors.refusals import TRANSACTIONAL_ID, not_allowed
from common.connection.arguments import connection
from common.errors import ConfigurationError
from common.settings import ServiceSettings
from common.waiting import unless_stopped, within

log = structlog.get_logger()

# Before any client exists: every one is made in this module.
install()

# A broker's limit for a request, which takes one batch per partition.
_MAX_REQUEST_BYTES = 100 * 2**20
# A sender has one batch of a partition under way at a time. With aiokafka's 16 KiB, what many small sources bring would
# take thousands of requests, one after the other.
_SENT_BYTES = 2**18
# For all partitions together; a larger batch comes alone. Several copies are in memory at once, and a transaction has
# at least what was fetched at once, which a slow network has to carry in time.
_FETCH_BYTES = 2**20
# Only for a consumer without transactions.
LARGE_FETCH_BYTES = 2 * 2**20
# By then a member has ended what it had under way. Shorter than a request's timeout, because a join is a request that
# waits for the others.
_REBALANCE_TIMEOUT_MS = 6_000
# A member counts as dead once this many heartbeats in a row are lost. The answer to one also tells it that others want
# to join: if it asked less often than the group waits for it, it would be left out, and then leave out others.
_HEARTBEATS = 4
_STOP_DEADLINE_S = 1.5
# As aiokafka does.
_RETRY_MS = 100
# No limit: heartbeats show which members live, and one that only waits is as alive as one that reads. After any number
# of milliseconds aiokafka would leave the group and join it no more: ingest, and replicas without a partition, read
# nothing for weeks. The broker gets the rebalance's timeout, not this.
_MAX_POLL_INTERVAL_MS = math.inf


def new_consumer(
    settings: ServiceSettings,
    client_id: str,
    group: str | None = None,
    isolation_level: str = "read_committed",
    assignor: AbstractPartitionAssignor | type[AbstractPartitionAssignor] = RoundRobinPartitionAssignor,
    max_wait_ms: int = 100,
    retry_ms: int = _RETRY_MS,
    fetch_bytes: int = _FETCH_BYTES,
) -> AIOKafkaConsumer:
    """A consumer that never commits or resets an offset by itself, and by default sees only committed records.

    Read from it with `read_on` alone. A broker that has no records answers after `max_wait_ms`; a question that it
    cannot answer yet is repeated after `retry_ms`.
    """
    session_timeout_ms = int(settings.session_timeout_s * 1000)
    return AIOKafkaConsumer(
        client_id=client_id,
        group_id=group,
        isolation_level=isolation_level,
        enable_auto_commit=False,
        auto_offset_reset="none",
        value_deserializer=in_batches,
        partition_assignment_strategy=(assignor,),
        fetch_max_wait_ms=max_wait_ms,
        fetch_max_bytes=fetch_bytes,
        max_partition_fetch_bytes=fetch_bytes,
        retry_backoff_ms=retry_ms,
        session_timeout_ms=session_timeout_ms,
        heartbeat_interval_ms=min(session_timeout_ms, _REBALANCE_TIMEOUT_MS) // _HEARTBEATS,
        rebalance_timeout_ms=_REBALANCE_TIMEOUT_MS,
        max_poll_interval_ms=_MAX_POLL_INTERVAL_MS,
        **connection(settings),
    )


@asynccontextmanager
async def open_admin(
    settings: ServiceSettings, stop: asyncio.Event | None = None
) -> AsyncIterator[AIOKafkaAdminClient]:
    """A started admin client; Stopped when `stop` is set before it has started."""
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        await unless_stopped(stop or asyncio.Event(), admin.start())
        yield admin
    finally:
        await within_deadline(admin.close(), "admin client")


@asynccontextmanager
async def open_reader(
    settings: ServiceSettings,
    client_id: str,
    isolation_level: str = "read_committed",
    max_wait_ms: int = 100,
    retry_ms: int = _RETRY_MS,
) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer without a group, to be assigned by hand."""
    consumer = new_consumer(
        settings, client_id, isolation_level=isolation_level, max_wait_ms=max_wait_ms, retry_ms=retry_ms
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await stop_consumer(consumer)


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Leave the group and close, within a deadline."""
    await within_deadline(consumer.stop(), "consumer")
    # stop() closes the connections last, and may have been cut short before that.
    await within_deadline(close_connections(consumer), "consumer")


class StartedProducer(Struct, frozen=True):
    """A started transactional producer; `new_batch` makes the batches that it sends, `timeout_s` bounds a transaction.

    `owes_abort`: its predecessor's last transaction was open or aborted, so no record in it may be committed.
    """

    client: AIOKafkaProducer
    transactional_id: str
    timeout_s: float
    owes_abort: bool
    new_batch: Callable[[], NewBatch]


@asynccontextmanager
async def open_producer(
    settings: ServiceSettings, transactional_id: str, stop: asyncio.Event | None = None
) -> AsyncIterator[StartedProducer]:
    """A started transactional producer; Stopped when `stop` is set before it has started.

    Once it has started, an earlier producer with this id is fenced and its transaction is settled. At the end an open
    transaction is left to the next start, or to the broker's timeout. TimeoutError if it does not start in time,
    ConfigurationError if it may not write with this id.
    """
    producer = AIOKafkaProducer(
        client_id=transactional_id,
        transactional_id=transactional_id,
        transaction_timeout_ms=int(settings.transaction_timeout_s * 1000),
        max_request_size=_MAX_REQUEST_BYTES,
        **connection(settings),
    )
    try:
        # The broker settles a predecessor's transaction within that one's timeout.
        deadline_s = settings.transaction_timeout_s + _STOP_DEADLINE_S
        async with within(deadline_s, f"the producer with transactional id {transactional_id} has not started"):
            try:
                ask = partial(is_left_uncommitted, producer.client, transactional_id)
                owes_abort = await unless_stopped(stop or asyncio.Event(), start_after(producer, ask))
            except TransactionalIdAuthorizationFailed:
                # aiokafka's error names neither the operation nor the id.
                text = not_allowed("Write", TRANSACTIONAL_ID, transactional_id)
                raise ConfigurationError(text) from None
        new_batch = partial(NewBatch, settings.max_batch_bytes, settings.kafka_compression)
        yield StartedProducer(producer, transactional_id, settings.transaction_timeout_s, owes_abort, new_batch)
    finally:
        await within_deadline(producer.stop(), "producer")
        # stop() waits for its broker before it closes the connections, and may have been cut short.
        await within_deadline(producer.client.close(), "producer")


@asynccontextmanager
async def open_sender(settings: ServiceSettings, client_id: str) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer without transactions: what it sends may come twice."""
    producer = AIOKafkaProducer(
        client_id=client_id,
        acks="all",
        max_batch_size=min(_SENT_BYTES, settings.max_batch_bytes),
        max_request_size=_MAX_REQUEST_BYTES,
        **connection(settings),
    )
    try:
        await producer.start()
        yield producer
    finally:
        await within_deadline(producer.stop(), "producer")
        await within_deadline(producer.client.close(), "producer")


async def within_deadline(closing: Any, what: str) -> None:
    """Close a client whose broker may be gone: its stop may then never end, or raise a CancelledError (aiokafka 0.14).

    That error comes from one of the client's own tasks, so it must not pass for a cancellation of ours.
    """
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.wait([task], timeout=_STOP_DEADLINE_S)
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=_STOP_DEADLINE_S)
    if not task.done():
        log.warning("does not close", client=what)
        return
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    if isinstance(error, Exception) and not (isinstance(error, KafkaError) or is_client_failure(error)):
        raise error
    if error is not None:
        log.debug("not closed cleanly", client=what, error=repr(error))
