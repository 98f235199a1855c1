"""Commits that the broker has answered and forgotten to carry out: noticed, and completed by who comes next."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from common.aiokafka_internals.batch_builder import NewBatch
from common.aiokafka_internals.forgotten_commits import complete_forgotten_end
from common.aiokafka_internals.transaction_markers import Consumed, TransactionMarkers, Unmarked
from common.kafka import clients
from common.kafka.clients import StartedProducer
from common.kafka.offsets import NOTHING_COMMITTED, committed_offsets
from common.kafka.reading import read_all_written
from common.kafka.transaction import Transactions
from common.settings import ServiceSettings
from common.settings_reader import make_settings
from tests.harness.pipeline import ABALONE_FILE, Pipeline

pytestmark = pytest.mark.long

_ROUNDS = 30


@asynccontextmanager
async def open_producer(pipeline: Pipeline, *, owes_abort: bool = False) -> AsyncIterator[StartedProducer]:
    transactional_id = f"{pipeline.prefix}same"
    producer = AIOKafkaProducer(bootstrap_servers=pipeline.bootstrap, transactional_id=transactional_id)
    await producer.start()
    try:
        yield StartedProducer(producer, transactional_id, 60.0, owes_abort, lambda: NewBatch(2**20))
    finally:
        # One that was fenced says so again.
        with suppress(KafkaError):
            await producer.stop()


async def leave_unmarked(pipeline: Pipeline, partition: TopicPartition, consumed: Consumed) -> None:
    """A row and an offset as a forgotten commit leaves them: sent, with no coordinator that would ever mark them."""
    async with open_producer(pipeline) as started:
        producer = started.client
        manager = producer._txn_manager  # noqa: SLF001 - no other way leads there
        await producer.begin_transaction()
        # As if they had been added to the transaction: so the coordinator is never told.
        manager._txn_partitions.add(partition)  # noqa: SLF001 - same
        manager._txn_consumer_group = consumed.group  # noqa: SLF001 - same
        await (await producer.send(partition.topic, b"forgotten", key=b"key", partition=partition.partition))
        offset = {consumed.partition: OffsetAndMetadata(7, "")}
        await manager.add_offsets_to_txn(offset, consumed.group)


async def committed_offset(pipeline: Pipeline, consumed: Consumed) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=pipeline.bootstrap)
    await admin.start()
    try:
        found = await committed_offsets(admin, consumed.group, [consumed.partition])
    finally:
        await admin.close()
    return int(found[consumed.partition].offset)


def places(pipeline: Pipeline) -> tuple[TopicPartition, Consumed]:
    rows = TopicPartition(f"{pipeline.prefix}rows", 0)
    return TopicPartition(f"{pipeline.prefix}schemas", 0), Consumed(f"{pipeline.prefix}group", rows)


async def test_a_successor_completes_what_was_forgotten_before_it_reads(
    lax_bootstrap: str, make_pipeline: Callable[[str], Pipeline]
) -> None:
    pipeline = make_pipeline(lax_bootstrap)
    pipeline.run(ABALONE_FILE, "Sex")
    partition, consumed = places(pipeline)
    known = pipeline.observer.records("schemas")
    await leave_unmarked(pipeline, partition, consumed)
    assert pipeline.observer.records("schemas") == known
    async with open_producer(pipeline) as successor:
        markers = TransactionMarkers(successor.client, consumed)
        assert await markers.find_missing([partition]) == Unmarked((partition,), offset=True)
        transactions = Transactions(successor, [partition], consumed)
        await transactions.take_over()
        assert not await markers.find_missing([partition])
        assert [record.value for record in pipeline.observer.records("schemas")][len(known) :] == [b"forgotten"]
        assert await committed_offset(pipeline, consumed) == 7


async def test_a_successor_completes_a_forgotten_abort_with_an_abort(
    lax_bootstrap: str, make_pipeline: Callable[[str], Pipeline]
) -> None:
    pipeline = make_pipeline(lax_bootstrap)
    pipeline.run(ABALONE_FILE, "Sex")
    partition, consumed = places(pipeline)
    known = pipeline.observer.records("schemas")
    await leave_unmarked(pipeline, partition, consumed)
    async with open_producer(pipeline, owes_abort=True) as successor:
        markers = TransactionMarkers(successor.client, consumed)
        assert await markers.find_missing([partition]) == Unmarked((partition,), offset=True)
        await Transactions(successor, [partition], consumed).take_over()
        assert not await markers.find_missing([partition])
        assert pipeline.observer.records("schemas") == known
        assert await committed_offset(pipeline, consumed) == NOTHING_COMMITTED


@pytest.mark.parametrize("end", ["", "abort_transaction", "commit_transaction"])
async def test_an_abort_is_owed_unless_the_predecessor_committed(pipeline: Pipeline, end: str) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    settings = make_settings(ServiceSettings, {"kafka_bootstrap_servers": pipeline.bootstrap})
    transactional_id = f"{pipeline.prefix}predecessor"
    async with clients.open_producer(settings, transactional_id) as first:
        # Nobody has been here before.
        assert not first.owes_abort
        await first.client.begin_transaction()
        outbox = Transactions(first, []).outbox()
        outbox.put(f"{pipeline.prefix}rows", 0, b"key", b"value")
        [batch] = outbox.batches[f"{pipeline.prefix}rows", 0]
        await (await first.client.send_batch(batch, f"{pipeline.prefix}rows", partition=0))
        if end:
            await getattr(first.client, end)()
    async with clients.open_producer(settings, transactional_id) as second:
        assert second.owes_abort == (end != "commit_transaction")
    async with clients.open_producer(settings, transactional_id) as third:
        # The second has settled it.
        assert not third.owes_abort


async def test_no_transaction_begins_behind_one_that_is_not_carried_out(
    lax_bootstrap: str, make_pipeline: Callable[[str], Pipeline]
) -> None:
    pipeline = make_pipeline(lax_bootstrap)
    pipeline.run(ABALONE_FILE, "Sex")
    partition, consumed = places(pipeline)
    await leave_unmarked(pipeline, partition, consumed)
    async with open_producer(pipeline) as successor:
        # It has not taken over and commits elsewhere, so the offset still has no marker after that commit.
        transactions = Transactions(successor, [], consumed)
        outbox = transactions.outbox()
        outbox.put(f"{pipeline.prefix}progress", 0, b"key", b"value")
        await transactions.commit(outbox)
        with pytest.raises(KafkaError, match="not carried out"):
            await transactions.settle()


async def test_a_producer_that_was_fenced_is_told_so(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    partition, _ = places(pipeline)
    async with open_producer(pipeline) as fenced, open_producer(pipeline) as successor:
        with pytest.raises(KafkaError):
            await complete_forgotten_end(fenced.client, Unmarked((partition,)), None, is_abort=False)
        before = pipeline.observer.records("schemas")
        await complete_forgotten_end(successor.client, Unmarked((partition,)), None, is_abort=False)
        assert pipeline.observer.records("schemas") == before


async def test_what_is_settled_has_all_its_markers_and_can_be_read(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    partition, _ = places(pipeline)
    settings = make_settings(ServiceSettings, {"kafka_bootstrap_servers": pipeline.bootstrap})
    async with open_producer(pipeline) as producer, clients.open_reader(settings, "reader") as reader:
        reader.assign([partition])
        reader.seek(partition, 0)
        known = [record async for record in read_all_written(reader, partition)]
        assert known
        transactions, markers = Transactions(producer, [partition]), TransactionMarkers(producer.client)
        for number in range(_ROUNDS):
            outbox = transactions.outbox()
            value = b"value %d" % number
            outbox.put(partition.topic, partition.partition, b"key", value)
            await transactions.commit(outbox)
            await transactions.settle()
            assert not await markers.find_missing([partition])
            # The end of the committed records may lag: it moves only once all replicas have the marker, even if the
            # leader is the only one.
            assert [record.value async for record in read_all_written(reader, partition)] == [value]
