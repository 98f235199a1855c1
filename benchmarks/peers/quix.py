"""Quix Streams: an application with exactly-once processing for split, a batching sink for the files.

Recovery after a kill is untested: `ingest` records no position, so it starts again from the first row.
"""

import sys
from collections import defaultdict
from itertools import islice
from typing import Any

from quixstreams import Application
from quixstreams.sinks import BatchingSink, SinkBatch

from benchmarks.peers.arguments import Arguments, parse
from benchmarks.peers.category_files import CategoryFiles

_ROWS_PER_TRANSACTION = 50_000


def application(arguments: Arguments, group: str) -> Any:
    """An application that commits by rows and by time, as much at once as it does well."""
    return Application(
        broker_address=arguments.bootstrap,
        consumer_group=f"{arguments.prefix}{group}",
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_every=_ROWS_PER_TRANSACTION,
        commit_interval=1.0,
        loglevel="WARNING",
        # Else it makes a folder where it was started.
        state_dir=arguments.output / "state",
        producer_extra_config={"linger.ms": 5, "batch.size": 1_000_000, "queue.buffering.max.messages": 1_000_000},
        consumer_extra_config={"queued.min.messages": 1_000_000, "fetch.wait.max.ms": 20},
    )


def topic(app: Any, arguments: Arguments, name: str) -> Any:
    """A topic of bytes."""
    return app.topic(
        f"{arguments.prefix}{name}",
        key_deserializer="bytes",
        key_serializer="bytes",
        value_deserializer="bytes",
        value_serializer="bytes",
    )


def ingest(arguments: Arguments) -> None:
    """Rows of a file, by the application's producer, in transactions."""
    app = application(arguments, "ingest")
    name = f"{arguments.prefix}rows"
    with app.get_producer(transactional=True) as producer, arguments.input.open("rb") as file:
        file.readline()
        while batch := list(islice(file, _ROWS_PER_TRANSACTION)):
            producer.begin_transaction()
            for row in batch:
                producer.produce(name, row, partition=0)
            producer.commit_transaction()


def split(arguments: Arguments) -> None:
    """Rows to their category's key."""
    app = application(arguments, "split")
    frame = app.dataframe(topic(app, arguments, "rows"))
    frame.to_topic(topic(app, arguments, "categorized"), key=lambda row: row.split(b",", 1)[0])
    app.run(count=arguments.rows)


class Files(BatchingSink):  # type: ignore[misc] # it has no types here
    """Category files."""

    def __init__(self, files: CategoryFiles) -> None:
        super().__init__()
        self._files = files
        self._offsets = dict(files.offsets)

    def write(self, batch: SinkBatch) -> None:
        """What came from one partition since the last checkpoint; what the files have already is left out."""
        known = self._offsets.get(batch.partition, 0)
        piles: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for item in batch:
            if item.offset >= known:
                piles[item.key].append(item.value)
                self._offsets[batch.partition] = item.offset + 1
        self._files.append(piles)
        self._files.checkpoint(self._offsets)


def sink(arguments: Arguments) -> None:
    """Categorized rows into files."""
    with arguments.input.open("rb") as file:
        files = CategoryFiles(arguments.output, file.readline())
    app = application(arguments, "sink")
    app.dataframe(topic(app, arguments, "categorized")).sink(Files(files))
    app.run(count=arguments.rows)


def main() -> int:
    """Run one stage."""
    arguments = parse()
    {"ingest": ingest, "split": split, "sink": sink}[arguments.stage](arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
