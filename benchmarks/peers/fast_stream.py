"""FastStream: batches in, batches out. It has no transactions across the two, so no stage is exactly once.

`ingest` is at least once: it sends a batch again if the acknowledgement is lost, and starts again from the first row
after a kill. `split` and `sink` keep FastStream's default: every 5 s it commits the offsets of all fetched records,
whether or not they have been sent on or written. So a kill may lose rows in both, and repeat rows in `split`.
"""

import asyncio
import sys
import time
from collections import defaultdict
from itertools import islice

from faststream import FastStream
from faststream.kafka import KafkaBroker, KafkaMessage, KafkaPublishMessage

from benchmarks.peers.arguments import Arguments, parse
from benchmarks.peers.category_files import CategoryFiles

_ROWS_PER_BATCH = 5_000
_PARTITIONS = 6
_CHECKPOINT_INTERVAL_S = 1.0


async def ingest(arguments: Arguments) -> None:
    """Rows of a file, a batch at a time."""
    async with KafkaBroker(arguments.bootstrap, max_batch_size=1_000_000, linger_ms=5, logger=None) as broker:
        with arguments.input.open("rb") as file:
            file.readline()
            while batch := list(islice(file, _ROWS_PER_BATCH)):
                await broker.publish_batch(*batch, topic=f"{arguments.prefix}rows", partition=0)


async def split(arguments: Arguments) -> None:
    """Rows to their category's key: a batch for each."""
    broker = KafkaBroker(arguments.bootstrap, max_batch_size=1_000_000, linger_ms=5, logger=None)
    app = FastStream(broker, logger=None)
    left = arguments.rows

    @broker.subscriber(
        f"{arguments.prefix}rows",
        group_id=f"{arguments.prefix}split",
        auto_offset_reset="earliest",
        batch=True,
        max_records=_ROWS_PER_BATCH,
        no_reply=True,
    )  # type: ignore[untyped-decorator] # it is not here where the types are checked
    async def handle(rows: list[bytes]) -> None:
        nonlocal left
        piles: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for row in rows:
            piles[row.split(b",", 1)[0]].append(row)
        for category, pile in piles.items():
            # A batch goes to one partition, and it has no partitioner for that: a category's is to be the same.
            await broker.publish_batch(
                *[KafkaPublishMessage(row, key=category) for row in pile],
                topic=f"{arguments.prefix}categorized",
                partition=category[0] % _PARTITIONS,
            )
        left -= len(rows)
        if left <= 0:
            app.exit()

    await app.run()


async def sink(arguments: Arguments) -> None:
    """Categorized rows into files."""
    with arguments.input.open("rb") as file:
        files = CategoryFiles(arguments.output, file.readline())
    broker = KafkaBroker(arguments.bootstrap, logger=None)
    app = FastStream(broker, logger=None)
    left = arguments.rows
    offsets = dict(files.offsets)
    checkpointed = time.monotonic()

    @broker.subscriber(
        f"{arguments.prefix}categorized",
        group_id=f"{arguments.prefix}sink",
        auto_offset_reset="earliest",
        batch=True,
        max_records=_ROWS_PER_BATCH,
        no_reply=True,
    )  # type: ignore[untyped-decorator] # it is not here where the types are checked
    async def handle(rows: list[bytes], message: KafkaMessage) -> None:
        nonlocal left, checkpointed
        piles: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for row, record in zip(rows, message.raw_message, strict=True):
            if record.offset >= offsets.get(record.partition, 0):
                piles[record.key].append(row)
                offsets[record.partition] = record.offset + 1
        files.append(piles)
        left -= len(rows)
        if left <= 0 or time.monotonic() - checkpointed >= _CHECKPOINT_INTERVAL_S:
            files.checkpoint(offsets)
            checkpointed = time.monotonic()
        if left <= 0:
            app.exit()

    await app.run()


def main() -> int:
    """Run one stage."""
    arguments = parse()
    asyncio.run({"ingest": ingest, "split": split, "sink": sink}[arguments.stage](arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
