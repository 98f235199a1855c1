"""Bare aiokafka: loops that only move the bytes, to show what Nacre adds to it. The same transactions and batches.

`ingest` sends lines as they are read, `split` sends each record's value on under one key, `sink` writes what it fetches
into one file. No stage looks into a row. After a kill, each stage starts again from the first row.
"""

import os
import sys
import time
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from benchmarks.peers.arguments import Arguments, parse

_CHUNK_BYTES = 2**20
_COMMIT_INTERVAL_S = 0.1
_CHECKPOINT_INTERVAL_S = 1.0


async def new_producer(arguments: Arguments, name: str) -> Any:
    """A started transactional producer."""
    producer = AIOKafkaProducer(
        bootstrap_servers=arguments.bootstrap,
        transactional_id=f"{arguments.prefix}{name}",
        max_batch_size=1_000_000,
        max_request_size=100 * 2**20,
    )
    await producer.start()
    return producer


async def new_consumer(arguments: Arguments, topic: str, partitions: int) -> Any:
    """A started consumer of these partitions from their beginnings."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=arguments.bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
    )
    await consumer.start()
    consumer.assign([TopicPartition(f"{arguments.prefix}{topic}", number) for number in range(partitions)])
    return consumer


async def send(producer: Any, topic: str, values: list[bytes], partition: int, key: bytes | None = None) -> None:
    """Send these values in as few record batches as they fit into, and wait until all have arrived."""
    sent = []
    batch = producer.create_batch()
    for value in values:
        if batch.append(timestamp=None, key=key, value=value) is None:
            sent.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(timestamp=None, key=key, value=value)
    sent.append(await producer.send_batch(batch, topic, partition=partition))
    for delivery in sent:
        await delivery


async def ingest(arguments: Arguments) -> None:
    """Lines into `rows`."""
    producer = await new_producer(arguments, "ingest")
    topic = f"{arguments.prefix}rows"
    with arguments.input.open("rb") as file:
        file.readline()
        while lines := file.readlines(4 * _CHUNK_BYTES):
            async with producer.transaction():
                await send(producer, topic, lines, 0)
    await producer.stop()


async def split(arguments: Arguments) -> None:
    """`rows` into `categorized`."""
    producer, consumer = await new_producer(arguments, "split"), await new_consumer(arguments, "rows", 1)
    [partition] = consumer.assignment()
    topic, group = f"{arguments.prefix}categorized", f"{arguments.prefix}split"
    left = arguments.rows
    while left > 0:
        values: list[bytes] = []
        began = time.monotonic()
        while left > len(values) and (not values or time.monotonic() - began < _COMMIT_INTERVAL_S):
            for records in (await consumer.getmany(timeout_ms=20)).values():
                values += [record.value for record in records]
        left -= len(values)
        async with producer.transaction():
            await send(producer, topic, values, 0, b"key")
            offset = OffsetAndMetadata(await consumer.position(partition), "")
            await producer.send_offsets_to_transaction({partition: offset}, group)
    await producer.stop()
    await consumer.stop()


async def sink(arguments: Arguments) -> None:
    """`categorized` into a file."""
    consumer = await new_consumer(arguments, "categorized", 1)
    arguments.output.mkdir(exist_ok=True)
    left = arguments.rows
    checkpointed = time.monotonic()
    with (arguments.output / "all.csv").open("ab") as file:
        while left > 0:
            for records in (await consumer.getmany(timeout_ms=20)).values():
                file.write(b"".join([record.value for record in records]))
                left -= len(records)
            if time.monotonic() - checkpointed >= _CHECKPOINT_INTERVAL_S or left <= 0:
                file.flush()
                os.fsync(file.fileno())
                checkpointed = time.monotonic()
    await consumer.stop()


def main() -> int:
    """Run one stage."""
    arguments = parse()
    uvloop.run({"ingest": ingest, "split": split, "sink": sink}[arguments.stage](arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
