"""Filling splits that are new or back: rows that the main categorizer has passed are read again, for them alone."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec.structs import replace

from common.aiokafka_internals.fetched_batches import whole_runs_of
from common.errors import LostRecordsError
from common.kafka.clients import open_reader
from common.kafka.transaction import Outbox
from common.pipeline.registry import Registry
from common.pipeline.topics import Topics
from common.protocol.identity import Formats
from common.protocol.position import HeldSplit, SplitGroup, digest, merged_groups
from common.sessions.partition_tasks import fetch
from common.settings import ServiceSettings
from services.split.categories.provenance import up_to
from services.split.categories.splits import Split
from services.split.categorizing import FillingCategorizer
from services.split.planning import passed


class Filling:
    """The splits of one partition that are behind the main categorizer: `groups`, by their offsets, the lowest first.

    Only the groups furthest behind move, up to the next ones and then together with them, until they reach the main
    categorizer.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        topics: Topics,
        registry: Registry,
        splits: Sequence[Split],
        partition: TopicPartition,
        groups: tuple[SplitGroup, ...],
        formats: Formats,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._registry = registry
        self._splits = {digest(split.name): split for split in splits}
        self._partition = partition
        self._opened = AsyncExitStack()
        self._reader: AIOKafkaConsumer | None = None
        self._categorizer: FillingCategorizer | None = None
        self._formats = formats
        self.groups = groups

    def __bool__(self) -> bool:
        return bool(self.groups)

    async def process(
        self,
        passed_offset: int,
        outbox: Outbox,
        stop: asyncio.Event,
        timeout_ms: int,
        sooner: "asyncio.Future[None] | None",
    ) -> bool:
        """Categorize the next rows before the main categorizer's offset; return whether there were any records."""
        reader, categorizer = await self._begun()
        moving = [group for group in self.groups if group.offset == self.groups[0].offset]
        others = self.groups[len(moving) :]
        limit = min([passed_offset, *(group.offset for group in others)])
        batches = await fetch(reader, self._partition, stop, timeout_ms, sooner)
        await categorizer.categorize(up_to(whole_runs_of(batches), limit), outbox)
        offset = max(moving[0].offset, min(await reader.position(self._partition), limit))
        held = {each.name: each for each in categorizer.held}
        moved = (
            replace(group, offset=offset, mark_offset=categorizer.cursor.mark_offset, splits=_updated(group, held))
            for group in moving
        )
        self.groups = merged_groups((*map(passed, moved), *others))
        if offset == limit:
            # What was read beyond it is read again, then also for the splits that stand there.
            self._categorizer = None
        return bool(batches)

    async def take_arrived(self, passed_offset: int) -> list[tuple[Split, HeldSplit]]:
        """Remove and return the splits that have reached the main categorizer, which goes on with them."""
        arrived = [held for group in self.groups if group.offset >= passed_offset for held in group.splits]
        if arrived:
            self.groups = tuple(group for group in self.groups if group.offset < passed_offset)
            self._categorizer = None
            if not self.groups:
                await self.close()
        return [(self._splits[held.name], held) for held in arrived]

    async def open(self) -> None:
        """Start the consumer, if there is anything to fill."""
        if self.groups:
            reader = await self._opened.enter_async_context(open_reader(self._settings, "nacre-split-filling"))
            reader.assign([self._partition])
            self._reader = reader

    async def close(self) -> None:
        """Stop the consumer."""
        self._reader = None
        await self._opened.aclose()

    async def _begun(self) -> tuple[AIOKafkaConsumer, FillingCategorizer]:
        """The consumer, and the categorizer of the splits furthest behind, which begins at their offset."""
        assert self._reader is not None  # noqa: S101 - it is open for as long as there are groups
        if self._categorizer is None:
            moving = [group for group in self.groups if group.offset == self.groups[0].offset]
            splits = [self._splits[held.name] for group in moving for held in group.splits]
            here = {split.name for split in splits}
            others = [split.name for split in self._splits.values() if split.name not in here]
            partitions, formats = self._settings.partitions, self._formats
            self._categorizer = FillingCategorizer(
                self._topics, partitions, splits, self._registry, others, formats=formats
            )
            self._categorizer.begin_at(*moving)
            beginning = (await self._reader.beginning_offsets([self._partition]))[self._partition]
            if moving[0].offset < beginning:
                raise LostRecordsError(self._partition.topic, self._partition.partition, moving[0].offset, beginning)
            # The mark may be gone while the batch that it heads is not: then that batch comes as a whole.
            self._reader.seek(self._partition, max(self._categorizer.cursor.read_from, beginning))
        return self._reader, self._categorizer


def _updated(group: SplitGroup, held: dict[str, HeldSplit]) -> tuple[HeldSplit, ...]:
    return tuple(held[each.name] for each in group.splits)
