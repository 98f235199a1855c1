"""confluent-kafka (librdkafka): a loop for each stage, with transactions.

A row of JSON has the value of Sex as its category. Recovery after a kill is untested: `ingest` records its position, as
Nacre does, but never reads it, so it starts again from the first row; `split` and `sink` resume at their offsets, but
still wait for the full number of rows.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice

import orjson
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from benchmarks.peers.arguments import Arguments, parse
from benchmarks.peers.category_files import CategoryFiles

_ROWS_PER_TRANSACTION = 50_000
_ROWS_PER_POLL = 20_000
_COMMIT_INTERVAL_S = 0.1
_CHECKPOINT_INTERVAL_S = 1.0

# A record's value from a row, its category, and the row from the value.
Codec = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes], Callable[[bytes], bytes]]


def codec_of(row_format: str, columns: list[str]) -> Codec:
    """Rows as they are, or as JSON objects."""
    if row_format == "csv":
        return bytes, lambda value: value.split(b",", 1)[0], bytes

    def encode(row: bytes) -> bytes:
        return orjson.dumps(dict(zip(columns, row.decode().rstrip("\n").split(","), strict=True)))

    def decode(value: bytes) -> bytes:
        return (",".join(orjson.loads(value).values()) + "\n").encode()

    return encode, lambda value: str(orjson.loads(value)["Sex"]).encode(), decode


def new_producer(arguments: Arguments, name: str) -> Producer:
    """A transactional producer; librdkafka's own figures, raised where they held it back."""
    producer = Producer(
        {
            "bootstrap.servers": arguments.bootstrap,
            "transactional.id": f"{arguments.prefix}{name}",
            "linger.ms": 5,
            "compression.type": arguments.compression,
            "batch.size": 1_000_000,
            "batch.num.messages": 100_000,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 1_048_576,
        }
    )
    producer.init_transactions()
    return producer


def new_consumer(arguments: Arguments, group: str) -> Consumer:
    """A consumer of what is committed."""
    return Consumer(
        {
            "bootstrap.servers": arguments.bootstrap,
            "group.id": f"{arguments.prefix}{group}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.min.bytes": 100_000,
            "fetch.wait.max.ms": 20,
            "fetch.message.max.bytes": 4_000_000,
            "queued.min.messages": 1_000_000,
        }
    )


def produce(producer: Producer, topic: str, value: bytes, key: bytes | None, partition: int) -> None:
    """Send, waiting when the queue is full."""
    while True:
        try:
            producer.produce(topic, value, key, partition)
        except BufferError:
            producer.poll(0.01)
        else:
            return


def ingest(arguments: Arguments) -> None:
    """Send a file's rows to `rows`, and the position, which is never read, to `progress`, in transactions."""
    producer = new_producer(arguments, "ingest")
    rows, progress = f"{arguments.prefix}rows", f"{arguments.prefix}progress"
    with arguments.input.open("rb") as file:
        encode, _, _ = codec_of(arguments.row_format, file.readline().decode().strip().split(","))
        while batch := list(islice(file, _ROWS_PER_TRANSACTION)):
            producer.begin_transaction()
            for row in batch:
                produce(producer, rows, encode(row), None, 0)
            produce(producer, progress, b"%d" % file.tell(), bytes(arguments.input), 0)
            producer.commit_transaction()


def polled(consumer: Consumer, count: int) -> Iterator[list[Message]]:
    """Batches of messages until so many have come."""
    while count > 0:
        messages = consumer.consume(_ROWS_PER_POLL, 0.05)
        for message in messages:
            if message.error():
                raise SystemExit(str(message.error()))
        count -= len(messages)
        yield messages


def split(arguments: Arguments) -> None:
    """Rows into `categorized`, keyed by category, with the offsets that they were read at."""
    consumer, producer = new_consumer(arguments, "split"), new_producer(arguments, "split")
    consumer.subscribe([f"{arguments.prefix}rows"])
    categorized = f"{arguments.prefix}categorized"
    _, category_of, _ = codec_of(arguments.row_format, [])
    began: float | None = None

    def commit() -> None:
        positions = consumer.position(consumer.assignment())
        producer.send_offsets_to_transaction(
            [position for position in positions if position.offset >= 0], consumer.consumer_group_metadata()
        )
        producer.commit_transaction()

    for messages in polled(consumer, arguments.rows):
        if messages and began is None:
            producer.begin_transaction()
            began = time.monotonic()
        for message in messages:
            value = message.value()
            produce(producer, categorized, value, category_of(value), -1)  # type: ignore[arg-type] # each has one
        if began is not None and time.monotonic() - began >= _COMMIT_INTERVAL_S:
            commit()
            began = None
    if began is not None:
        commit()
    consumer.close()


def sink(arguments: Arguments) -> None:
    """Categorized rows into files."""
    with arguments.input.open("rb") as file:
        header = file.readline()
    files = CategoryFiles(arguments.output, header)
    consumer = new_consumer(arguments, "sink")

    def seek(of: Consumer, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            each.offset = files.offsets.get(each.partition, 0)
        of.assign(partitions)

    consumer.subscribe([f"{arguments.prefix}categorized"], on_assign=seek)
    _, _, decode = codec_of(arguments.row_format, [])
    checkpointed = time.monotonic()

    def checkpoint() -> None:
        files.checkpoint({each.partition: each.offset for each in consumer.position(consumer.assignment())})

    for messages in polled(consumer, arguments.rows):
        piles: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for message in messages:
            piles[message.key()].append(decode(message.value()))  # type: ignore[index, arg-type] # each has both
        files.append(piles)
        if time.monotonic() - checkpointed >= _CHECKPOINT_INTERVAL_S:
            checkpoint()
            checkpointed = time.monotonic()
    checkpoint()
    consumer.close()


def main() -> int:
    """Run one stage."""
    arguments = parse()
    {"ingest": ingest, "split": split, "sink": sink}[arguments.stage](arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
