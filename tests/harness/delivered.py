"""An output folder as the three services leave it, made by their own code in this process, without Kafka."""

import asyncio
import random
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.record.memory_records import MemoryRecords

from common.aiokafka_internals.batch_builder import NewBatch
from common.batches.record_runs import Record
from common.kafka.transaction import Outbox
from common.pipeline.topics import Topics
from common.protocol.identity import NEWEST_FORMATS
from common.protocol.messages import Mark, decode_control, encode_control
from common.protocol.output_folder import LEDGERS, ledger_path
from common.protocol.receipts import encode_receipt
from common.protocol.shares import Share
from services.sink.disk.writing import write_whole
from services.sink.grouping import group_by_key, rejection_grouping
from services.sink.ledger.origin import Origin
from services.sink.partition_files import PartitionFiles
from services.sink.paths.receipts import receipt_path
from services.sink.rolling.limits import NOTHING_FINISHED, Rolling
from services.sink.tallies.joining import Makers, join
from services.split.categories.splits import parse_split_by
from services.split.categorizing import Categorizer
from tests.harness.reading import Reader, Schemas
from tests.harness.record_runs import to_runs

TOPICS = Topics.under("")
_ROWS_AT_ONCE = 50
_BATCH_BYTES = 1_000_000

Raw = tuple[bytes, list[tuple[str, bytes]]]


@dataclass
class Recorder(Reader):
    """An ingest whose records are kept: by topic, those of each outbox."""

    outboxes: list[dict[str, list[Raw]]] = field(default_factory=list)

    def _take(self, outbox: Outbox) -> None:
        records: dict[str, list[Raw]] = {}
        for (topic, _), batches in outbox.batches.items():
            records[topic] = [record for batch in batches for record in batch.records]
        self.outboxes.append(records)


@dataclass
class Delivery:
    """Sources on their way into an output folder; `rng` mixes the rows of several sources."""

    root: Path
    split_by: str
    settings: dict[str, Any] = field(default_factory=dict)
    partitions: int = 2
    rolling: Rolling = NOTHING_FINISHED
    rng: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - a test's own mixture
    schemas: Schemas = field(default_factory=Schemas)
    recorders: dict[Path, Recorder] = field(default_factory=dict)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)

    async def deliver(self, *sources: Path, ends: bool = False) -> None:
        """Let what these sources hold now come into the files; `ends`: these are then finished."""
        before: list[list[Raw]] = []
        rejected: list[Raw] = []
        for path in sources:
            recorder = self.recorders.setdefault(path, Recorder(path, dict(self.settings), schemas=self.schemas))
            recorder.outboxes.clear()
            await recorder.run()
            before.append([record for outbox in recorder.outboxes for record in outbox.get("rows", [])])
            rejected += [record for outbox in recorder.outboxes for record in outbox.get("rejected", [])]
        rows = list(_mixed([list(_pieces(records)) for records in before], self.rng))
        outbox = Outbox(lambda: NewBatch(_BATCH_BYTES))
        categorizer = Categorizer(TOPICS, self.partitions, parse_split_by(self.split_by), self.schemas)  # type: ignore[arg-type]
        for piece in rows:
            await categorizer.categorize(to_runs([Record(0, None, *record) for record in piece]), outbox)
        await self._write(outbox, rejected, ends=ends)

    async def _write(self, outbox: Outbox, rejected: list[Raw], *, ends: bool) -> None:
        shares: list[Share] = []
        names = [("categorized", number) for number in range(self.partitions)]
        for topic, number in (*names, ("rejected", 0)):
            records = [Record(n, None, *record) for n, record in enumerate(rejected)] if topic == "rejected" else []
            records += list(_records(outbox, topic, number))
            files = self._files(topic, number)
            try:
                begun = await files.open(Origin("cluster")) or 0
                await files.add(to_runs([each._replace(offset=begun + n) for n, each in enumerate(records)]))
                while True:
                    if ends:
                        files.end()
                        await files.finish_due()
                    await files.begin_checkpoint(begun + len(records))
                    await files.settle()
                    if not ends or files.at_rest:
                        break
                shares += files.take_shares(f"{topic}-{number}", "folder")
                await files.rest()
            finally:
                files.close()
        self._issue(shares)

    def _files(self, topic: str, number: int) -> PartitionFiles:
        path = ledger_path(topic, number)
        self.root.joinpath(path).parent.mkdir(parents=True, exist_ok=True)
        if topic == "rejected":
            return PartitionFiles(self.root, path, self.schemas, group=rejection_grouping(NEWEST_FORMATS))
        return PartitionFiles(self.root, path, self.schemas, self.rolling, group=group_by_key)

    def _issue(self, shares: Sequence[Share]) -> None:
        names = [*(f"categorized-{number}" for number in range(self.partitions)), "rejected-0"]
        makers = Makers(tuple(names), "rejected-0", "cluster", "folder", "0")
        by_source: dict[str, list[Share]] = {}
        for share in shares:
            by_source.setdefault(share.source, []).append(share)
        receipts = {source: join(found, makers) for source, found in by_source.items()}
        write_whole(
            self.root,
            {
                receipt_path(source): encode_receipt(receipt)
                for source, receipt in receipts.items()
                if receipt is not None
            },
        )


def delivered(
    folder: Path, split_by: str, sources: Mapping[str, bytes], *, ends: bool = False, **rest: Any
) -> Delivery:
    """Deliver sources, given as names and bytes, from `folder`/in into `folder`/out."""
    delivery = Delivery(folder / "out", split_by, **rest)
    paths = [folder / "in" / name for name in sources]
    for path, content in zip(paths, sources.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    asyncio.run(delivery.deliver(*paths, ends=ends))
    return delivery


def change_ledgers(folder: Path, statement: str) -> None:
    """Carry a statement out in every ledger of `folder`/out."""
    for path in (folder / "out").glob(LEDGERS):
        with closing(sqlite3.connect(path)) as database:
            database.execute(statement)
            database.commit()


def _pieces(records: list[Raw]) -> Iterator[list[Raw]]:
    """A source's records in pieces that may be mixed with those of others, each behind a mark."""
    mark: Mark | None = None
    piece: list[Raw] = []
    for value, headers in records:
        control = decode_control(headers, value)
        if control is None:
            assert mark is not None
            if len(piece) > _ROWS_AT_ONCE:
                yield piece
                mark = mark.passed([row for row, _ in piece[1:]])
                piece = [encode_control(mark)]
            piece.append((value, headers))
        else:
            if piece:
                yield piece
            piece = []
            mark = control if isinstance(control, Mark) else None
            if mark is None:
                yield [(value, headers)]
            else:
                piece = [(value, headers)]
    if piece:
        yield piece


def _mixed(many: list[list[list[Raw]]], rng: random.Random) -> Iterator[list[Raw]]:
    left = [pieces for pieces in many if pieces]
    while left:
        pieces = rng.choice(left)
        yield pieces.pop(0)
        left = [each for each in left if each]


def _records(outbox: Outbox, topic: str, number: int) -> Iterator[Record]:
    for builder in outbox.batches.get((topic, number), []):
        batch = MemoryRecords(bytes(builder._build())).next_batch()  # noqa: SLF001 - what the producer sends
        assert batch is not None
        for record in batch:
            yield Record(0, record.key, record.value, list(record.headers))
