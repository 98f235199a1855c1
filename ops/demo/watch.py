"""How far each stage is, seen from outside: the topic `progress`, split's committed positions, sink's ledgers."""

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, NoError, UnknownTopicOrPartitionError, for_code
from msgspec import Struct

from common.aiokafka_internals.outages import client_failures_as_outages
from common.kafka.clients import open_admin, open_reader
from common.kafka.topic_metadata import describe_topics
from common.pipeline.completion import CompletionWatch, Stage, all_ended, stages
from common.pipeline.topics import Topics
from common.protocol.output_folder import LEDGERS, REJECTED_PATH
from common.protocol.position import Position, decode_position
from common.settings import ServiceSettings
from common.waiting import Stopped, pause
from services.sink.ledger.inventory import index_of

_LOOK_INTERVAL_S = 0.1


class Stood(Struct, frozen=True):
    """How many rows a stage has passed on, and how many it will."""

    done: int = 0
    total: int = 0


class Standings(Struct, frozen=True):
    """All three stages at a moment: `at_s`, of time.monotonic.

    A row counts once for ingest and split, and once for each split at sink.
    """

    at_s: float
    ingest: Stood
    split: Stood
    sink: Stood


def standings(
    at_s: float,
    rows: int,
    splits: int,
    passed_on: int,
    refused: int,
    positions: Sequence[Position],
    written: int,
    rejected: int,
) -> Standings:
    """The standings, from what was seen of a run over `rows` rows.

    ingest has `passed_on` and `refused` rows, split has processed what its positions say, and sink has `written` rows
    to categories and `rejected` ones, both services' rejections, to their file.
    """
    to_split = rows - refused
    to_sink = to_split * splits
    return Standings(
        at_s,
        Stood(passed_on + refused, rows),
        Stood(sum(position.rows for position in positions), to_split),
        Stood(min(to_sink, written + max(0, rejected - refused)), to_sink),
    )


class Observer:
    """Looks again and again. `standings` is the last result, None before the first, and `trouble` says why.

    `has_answered`: a broker was there.
    """

    def __init__(self, settings: ServiceSettings, output_dir: Path, rows: int, splits: int) -> None:
        self._settings = settings
        self._output_dir = output_dir
        self._rows = rows
        self._splits = splits
        self.standings: Standings | None = None
        self.trouble = ""
        self.has_answered = False

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`, and then once more; start again whenever Kafka does not answer."""
        while True:
            try:
                with client_failures_as_outages():
                    await self._session(stop)
            except Stopped:
                return
            except (KafkaError, OSError, TimeoutError) as error:
                self.trouble = _reason(error)
                if stop.is_set():
                    return
                await pause(stop, _LOOK_INTERVAL_S)
            else:
                return

    async def _session(self, stop: asyncio.Event) -> None:
        async with open_admin(self._settings, stop) as admin, open_reader(self._settings, "nacre-demo") as consumer:
            await self._check_topics(admin)
            watch = CompletionWatch(self._settings, admin)
            to_split, _ = stages(self._settings)
            while True:
                last = stop.is_set()
                self.standings = await self._look(admin, consumer, watch, to_split)
                self.has_answered = True
                if last:
                    return
                await pause(stop, _LOOK_INTERVAL_S)

    async def _check_topics(self, admin: AIOKafkaAdminClient) -> None:
        """Raise KafkaError until the services have created the topics."""
        topics = Topics.under(self._settings.topic_prefix)
        _, existing = await describe_topics(admin, topics.names)
        if len(existing) < len(topics.names):
            raise KafkaError("the topics do not exist yet")

    async def _look(
        self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, watch: CompletionWatch, to_split: Stage
    ) -> Standings:
        at_s = time.monotonic()
        # With ONCE nothing follows a source's end, and asking every partition takes longer than anything else here.
        if not all_ended(watch.sources):
            await watch.read_sources(consumer)
        found = await admin.list_consumer_group_offsets(to_split.group, partitions=list(to_split.partitions))
        passed_on = sum(progress.tally.rows for progress in watch.sources.values())
        refused = sum(progress.rejected for progress in watch.sources.values())
        # Rows with wrong quotes cannot be counted beforehand.
        rows = passed_on + refused if all_ended(watch.sources) else max(self._rows, passed_on + refused)
        return standings(
            at_s,
            rows,
            self._splits,
            passed_on,
            refused,
            [decode_position(point.metadata, point.offset) for point in found.values() if point.metadata],
            *ledger_rows(self._output_dir),
        )


def ledger_rows(output_dir: Path) -> tuple[int, int]:
    """The rows in the categories' files, and those in the file of rejected rows, by sink's ledgers."""
    written = rejected = 0
    for path in output_dir.glob(LEDGERS):
        try:
            for line in index_of(path):
                if line["path"] == REJECTED_PATH:
                    rejected += line["rows"]
                else:
                    written += line["rows"]
        except sqlite3.OperationalError:
            # The ledger is being created or closed.
            continue
    return written, rejected


async def delete_topics(settings: ServiceSettings, deadline_s: float) -> str:
    """Delete this demo's topics, and with them its groups' offsets; return why that failed, "" when it did not."""
    topics = Topics.under(settings.topic_prefix)
    try:
        async with asyncio.timeout(deadline_s), open_admin(settings) as admin:
            response = await admin.delete_topics(list(topics.names))
    except (KafkaError, OSError, TimeoutError) as error:
        return _reason(error)
    failed = {for_code(code) for _, code in response.topic_error_codes} - {NoError, UnknownTopicOrPartitionError}
    return ", ".join(error.__name__ for error in failed)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
