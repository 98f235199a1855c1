"""Rows as they come, from now on: as many a second as may be shown, through outages of the broker."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import MutableMapping
from time import monotonic
from types import FrameType
from typing import Any, NoReturn

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from common.aiokafka_internals.fetched_batches import RecordBatch, read_on_any
from common.errors import ServiceError
from common.escaping import printable
from common.kafka.clients import open_admin, open_reader
from common.kafka.partition_names import partition_names
from common.kafka.topic_metadata import describe_topics
from common.protocol.identity import Identity, find_changes
from common.sessions.client_watch import wait_for_broker, watch_client
from common.sessions.readiness import Readiness
from common.sessions.session import run_sessions
from common.settings import ServiceSettings
from common.waiting import first_ended, within
from ops.tap.output import PROGRAM, Output, note
from ops.tap.rate import Rate
from ops.tap.reader import ANSWER_DEADLINE_S, Reader, Tapped, identity_of, skip_what_is_gone

_TIMEOUT_MS = 200
_NOTE_INTERVAL_S = 5.0
_LOOK_INTERVAL_S = 2.0


def report_outages() -> None:
    """Print a line where a session reports that no broker can be reached, and nothing else of the log."""
    structlog.configure(
        processors=[_as_line],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _as_line(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> str:
    if fields.get("event") != "not ready":
        raise structlog.DropEvent
    return f"{PROGRAM}: waiting for the broker: {printable(fields['reason'])}"


class Following:
    """Follows topics from where they end when it begins, and after an outage from where it was.

    At most `rate` rows a second are shown, and others left out and counted. `most`: it ends once so many are shown.
    """

    def __init__(self, settings: ServiceSettings, reader: Reader, output: Output, rate: int, most: int | None) -> None:
        self._settings = settings
        self._reader = reader
        self._output = output
        self._rate = Rate(rate)
        self._most = most
        self._tapped: Tapped | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._left_out = 0
        self._noted_at = monotonic()

    async def run(self) -> None:
        """Follow until enough rows are shown or nobody reads them. Raises ServiceError."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._leave)
        following = run_sessions(self._settings, self._session, asyncio.Event())
        for ended in await first_ended(following, self._wait_until_closed()):
            ended.result()
        self._note_left_out()

    async def _wait_until_closed(self) -> None:
        """Return once nobody reads the rows any more: while no broker can be reached, nothing else notices."""
        while not self._output.is_closed:  # noqa: ASYNC110 - a pipe tells nobody that its reader is gone
            await asyncio.sleep(_LOOK_INTERVAL_S)

    def _leave(self, _number: int, _frame: FrameType | None) -> None:
        """End at once, also while a write waits for its reader: a tap holds nothing that has to be given back."""
        if self._left_out:
            # The signal may have come while sys.stderr writes, so this goes around it.
            os.write(2, f"{PROGRAM}: {self._left_out_text()}\n".encode())
        os._exit(0)

    async def _session(self, readiness: Readiness, _stop: asyncio.Event) -> None:
        async with (
            open_admin(self._settings) as admin,
            open_reader(self._settings, "nacre-tap") as consumer,
        ):
            is_first = self._tapped is None
            tapped = self._tapped = self._tapped or await self._reader.begin()
            async with within(ANSWER_DEADLINE_S, "no answer"):
                self._positions = self._positions or await consumer.end_offsets(tapped.partitions)
            consumer.assign(tapped.partitions)
            for partition, position in self._positions.items():
                consumer.seek(partition, position)
            readiness.set_ready(partition_names(tapped.partitions))
            names = " and ".join(tapped.stages)
            note(f"following {names} from now on" if is_first else f"following {names} again, from where it was")
            for ended in await first_ended(
                self._read(consumer, tapped),
                _raise_without_broker(consumer),
                watch_client(consumer, readiness),
                _watch_topics(admin, tapped.identity),
            ):
                ended.result()

    async def _read(self, consumer: AIOKafkaConsumer, tapped: Tapped) -> None:
        """Show rows, until enough are shown or nobody reads them."""
        while not self._output.is_closed:
            try:
                fetched = await read_on_any(consumer, _TIMEOUT_MS)
            except OffsetOutOfRangeError:
                gone = await skip_what_is_gone(consumer, tapped.partitions)
                note(f"{gone:,} records were deleted before they were read (the topic's retention)")
                continue
            for partition, batches in fetched.items():
                for batch in batches:
                    await self._show(tapped, partition, batch)
                    if self._output.is_closed or self._most == 0:
                        return
                self._positions[partition] = await consumer.position(partition)
            if self._left_out and monotonic() - self._noted_at >= _NOTE_INTERVAL_S:
                self._note_left_out()

    async def _show(self, tapped: Tapped, partition: TopicPartition, batch: RecordBatch) -> None:
        """Write those rows of a batch that may be shown now; after an outage reading goes on behind them."""
        place = self._reader.place_of(tapped, partition, batch)
        for run in self._reader.runs(place, batch):
            may_be_shown = len(run.rows) if self._most is None else min(len(run.rows), self._most)
            shown, rate = self._rate.take(may_be_shown, monotonic())
            if shown:
                self._output.write(await self._reader.rows(run, place, 0, shown))
            # Only now: without the schemas that a row needs, the session ends, and the next one begins with that row.
            self._rate = rate
            self._positions[partition] = run.offset + len(run.rows)
            if self._most is not None:
                self._most -= shown
            if self._output.is_closed or self._most == 0:
                return
            self._left_out += len(run.rows) - shown

    def _note_left_out(self) -> None:
        if self._left_out:
            note(self._left_out_text())
        self._left_out, self._noted_at = 0, monotonic()

    def _left_out_text(self) -> str:
        return f"left out {self._left_out:,} rows, more than --rate {self._rate.most} a second"


async def _raise_without_broker(consumer: AIOKafkaConsumer) -> NoReturn:
    await wait_for_broker(consumer, answers=False)
    raise KafkaError("no broker answers")


async def _watch_topics(admin: AIOKafkaAdminClient, begun: Identity) -> NoReturn:
    """Raise ServiceError once a topic is gone or is another one: a consumer would wait for ever, silently."""
    changes: list[str] = []
    while True:
        await asyncio.sleep(_LOOK_INTERVAL_S)
        before = changes
        try:
            cluster, topics = await describe_topics(admin, begun.topics)
        except (KafkaError, OSError):
            # No broker answers, which is reported elsewhere.
            changes = []
            continue
        changes = find_changes(begun, identity_of(cluster, {name: topic.id for name, topic in topics.items()}))
        # One broker's answer may be outdated: the next look has to confirm it.
        if before and changes:
            raise ServiceError("\n".join(changes))
