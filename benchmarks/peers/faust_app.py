"""faust-streaming: agents, with exactly-once processing.

Recovery after a kill is untested: `ingest` records no position, so it starts again from the first row; `sink` may lose
rows, because Faust commits offsets ten times a second, and the files are synced once a second.
"""

import signal
import sys
import time
from collections import defaultdict
from typing import Any

import faust

from benchmarks.peers.arguments import Arguments, parse
from benchmarks.peers.category_files import CategoryFiles

_ROWS_PER_BATCH = 5_000
_CHECKPOINT_INTERVAL_S = 1.0


def application(arguments: Arguments) -> Any:
    """An application of one stage, in memory but for its topics."""
    return faust.App(
        f"{arguments.prefix}{arguments.stage}",
        broker=f"kafka://{arguments.bootstrap}",
        processing_guarantee="exactly_once",
        store="memory://",
        topic_partitions=6,
        topic_disable_leader=True,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=0.1,
        broker_max_poll_records=_ROWS_PER_BATCH,
        producer_linger=0.005,
        producer_max_batch_size=1_000_000,
        stream_buffer_maxsize=_ROWS_PER_BATCH,
        datadir=str(arguments.output.parent / f"{arguments.prefix}faust-{arguments.stage}"),
    )


def topic(app: Any, arguments: Arguments, name: str) -> Any:
    """A topic of bytes."""
    return app.topic(f"{arguments.prefix}{name}", key_serializer="raw", value_serializer="raw", key_type=bytes)


def add_ingest(app: Any, arguments: Arguments) -> None:
    """Rows of a file."""
    rows = topic(app, arguments, "rows")

    # A worker has to consume something: this is a command, as faust has them for what only sends.
    @app.command()  # type: ignore[untyped-decorator] # it has no types
    async def ingest(_self: Any) -> None:
        sent = []
        with arguments.input.open("rb") as file:
            file.readline()
            for row in file:
                sent.append(await rows.send(value=row, partition=0))
                if len(sent) == _ROWS_PER_BATCH:
                    for each in sent:
                        await each
                    sent.clear()
        for each in sent:
            await each


def add_split(app: Any, arguments: Arguments) -> None:
    """Rows to their category's key."""
    categorized = topic(app, arguments, "categorized")
    left = arguments.rows

    @app.agent(topic(app, arguments, "rows"))  # type: ignore[untyped-decorator] # same
    async def handle(stream: Any) -> None:
        nonlocal left
        async for rows in stream.take(_ROWS_PER_BATCH, within=0.1):
            for row in rows:
                await categorized.send(key=row.split(b",", 1)[0], value=row)
            left -= len(rows)
            if left <= 0:
                signal.raise_signal(signal.SIGTERM)


def add_sink(app: Any, arguments: Arguments) -> None:
    """Categorized rows into files."""
    with arguments.input.open("rb") as file:
        files = CategoryFiles(arguments.output, file.readline())
    left = arguments.rows
    offsets = dict(files.offsets)
    checkpointed = time.monotonic()

    @app.agent(topic(app, arguments, "categorized"))  # type: ignore[untyped-decorator] # same
    async def handle(stream: Any) -> None:
        nonlocal left, checkpointed
        async for events in stream.take_events(_ROWS_PER_BATCH, within=0.1):
            piles: defaultdict[bytes, list[bytes]] = defaultdict(list)
            for event in events:
                message = event.message
                if message.offset >= offsets.get(message.partition, 0):
                    piles[message.key].append(event.value)
                    offsets[message.partition] = message.offset + 1
            files.append(piles)
            left -= len(events)
            if left <= 0 or time.monotonic() - checkpointed >= _CHECKPOINT_INTERVAL_S:
                files.checkpoint(offsets)
                checkpointed = time.monotonic()
            if left <= 0:
                signal.raise_signal(signal.SIGTERM)


def main() -> int:
    """Run one stage."""
    arguments = parse()
    app = application(arguments)
    {"ingest": add_ingest, "split": add_split, "sink": add_sink}[arguments.stage](app, arguments)
    what = ["ingest"] if arguments.stage == "ingest" else ["worker", "--loglevel", "warn", "--without-web"]
    sys.argv[1:] = ["--loop", "uvloop", *what]
    app.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
