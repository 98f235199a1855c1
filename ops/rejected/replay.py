"""Reads the topic `rejected` for `nacre rejected`, and sends its rows again."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ProducerFenced
from msgspec import Struct, field

from common.errors import ConfigurationError
from common.kafka.clients import open_admin, open_producer, open_reader
from common.kafka.reading import read_until
from common.kafka.topic_metadata import describe_topics
from common.kafka.transaction import Outbox, Transactions
from common.pipeline.partitions import Partitions
from common.pipeline.registry import Registry
from common.pipeline.topics import Topics
from common.protocol.partitioner import partition_for
from common.protocol.progress import Progress, decode_progress
from common.protocol.rejections import BegunAnew, Rejection, Replayed, decode_rejection, encode_replayed
from common.rows.tally import tally
from common.settings import ServiceSettings
from common.waiting import within
from ops.rejected.rejections import Mended, OffsetSet, RejectionGroups, ReplayJudge, Selection, Sending
from ops.rejected.splits_in_use import find_splits
from services.ingest.files.finding import source_key
from services.ingest.outgoing import Address, pack_rows

_ANSWER_DEADLINE_S = 5.0
# Longer than a leader's election takes.
_SILENCE_S = 30.0
_ROWS_PER_TRANSACTION = 500
_BYTES_PER_TRANSACTION = 4 * 2**20


class RejectedTopic(Struct, frozen=True):
    """The topic `rejected` up to its end when it was opened, and which of its rows had been replayed by then.

    `begun_anew` holds, by source, the offset of the note that it is read again from its beginning, which voids its
    earlier rejections.
    """

    consumer: AIOKafkaConsumer
    topics: Topics
    end: int
    replayed: OffsetSet
    begun_anew: Mapping[str, int]

    def is_done(self, number: int, rejection: Rejection) -> bool:
        """Whether the row was replayed, or was read again with all of its source."""
        return number in self.replayed or number < self.begun_anew.get(rejection.source, 0)

    async def rejections(self, selection: Selection) -> AsyncIterator[tuple[int, Rejection]]:
        """The selected rejections with their ids, in the topic's order."""
        partition = TopicPartition(self.topics.rejected, 0)
        async for records in read_until(self.consumer, partition, self.end, silence_s=_SILENCE_S):
            for record in records:
                found = decode_rejection(record.headers, record.value)
                if isinstance(found, Rejection) and selection(record.offset, found):
                    yield record.offset, found


class ReplayOutcome(Struct):
    """What a replay does or would do: rows sent, rows refused by reason, how many were replayed before, unknown ids."""

    sent: RejectionGroups = field(default_factory=RejectionGroups)
    refused: RejectionGroups = field(default_factory=RejectionGroups)
    refusals: int = 0
    done_before: int = 0
    unknown: list[int] = field(default_factory=list)


async def find_partitions(settings: ServiceSettings) -> int:
    """How many partitions `rows` has. Raises ConfigurationError if a topic is missing."""
    topics = Topics.under(settings.topic_prefix)
    async with within(_ANSWER_DEADLINE_S, "no answer"), open_admin(settings) as admin:
        _, existing = await describe_topics(admin, topics.first)
    for name in topics.first:
        if name not in existing:
            raise ConfigurationError(f"topic {name} does not exist: is TOPIC_PREFIX right?")
    return existing[topics.rows].partitions


@asynccontextmanager
async def open_rejected(settings: ServiceSettings) -> AsyncIterator[RejectedTopic]:
    """The topic `rejected` as it is now."""
    topics = Topics.under(settings.topic_prefix)
    partition = TopicPartition(topics.rejected, 0)
    async with (
        open_reader(settings, "nacre-rejected") as consumer,
        open_reader(settings, "nacre-rejected-end", "read_uncommitted") as ends,
    ):
        # The end counts uncommitted records too: another producer's open transaction may hold notes of replayed rows,
        # and a replay that did not wait for them would send those rows again.
        end = (await ends.end_offsets([partition]))[partition]
        replayed, begun_anew = OffsetSet(), dict[str, int]()
        async for records in read_until(consumer, partition, end, silence_s=_SILENCE_S):
            for record in records:
                note = decode_rejection(record.headers, record.value)
                if isinstance(note, Replayed):
                    replayed.add(note.offset)
                elif isinstance(note, BegunAnew):
                    begun_anew[note.source] = record.offset
        yield RejectedTopic(consumer, topics, end, replayed, begun_anew)


async def replay(
    settings: ServiceSettings,
    selection: Selection,
    mended: Mapping[int, Mended] | None,
    *,
    send: bool,
    split_by: str,
    refuse: Callable[[int, Rejection, str], None],
) -> ReplayOutcome:
    """Send the selected rows again or, without `send`, find out what that would do.

    With `mended`, only the rows in it are sent, as they are there. Rows of a split that is not in use, or not in a
    given `split_by`, are refused.

    Only one replay works at a time: it fences the others by starting its producer, and reads what they have sent after
    that. Each transaction holds rows together with the notes that they were replayed, so after a crash at any point the
    next replay sends the rest.
    """
    topics = Topics.under(settings.topic_prefix)
    async with within(_SILENCE_S, "no answer"):
        splits = await find_splits(settings, topics, split_by)
    if not send:
        return await _replay(settings, selection, mended, None, splits, refuse)
    asyncio.get_running_loop().set_exception_handler(_print_unless_fenced)
    async with open_producer(settings, f"{settings.topic_prefix}replay") as producer:
        transactions = Transactions(producer, Partitions.of(settings).rows_and_rejected)
        await transactions.take_over()
        try:
            outcome = await _replay(settings, selection, mended, transactions, splits, refuse)
            await transactions.settle()
        finally:
            transactions.give_up()
    return outcome


def _print_unless_fenced(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Handle what asyncio finds wrong, but for futures of aiokafka 0.14 that fail because the producer is fenced.

    Besides the deliveries that a replay awaits, aiokafka fails each transaction's and each batch's own future, which
    nothing awaits, so asyncio would print a traceback for each of them.
    """
    if not isinstance(context.get("exception"), ProducerFenced):
        loop.default_exception_handler(context)


async def _replay(
    settings: ServiceSettings,
    selection: Selection,
    mended: Mapping[int, Mended] | None,
    transactions: Transactions | None,
    splits: Collection[str] | None,
    refuse: Callable[[int, Rejection, str], None],
) -> ReplayOutcome:
    outcome, outbox, gathered = ReplayOutcome(), None if transactions is None else transactions.outbox(), 0
    unknown = set(mended or ())
    async with open_rejected(settings) as rejected:
        judge, version = await _judge(settings, rejected, splits)
        async for number, rejection in rejected.rejections(Selection()):
            unknown.discard(number)
            if (mended is not None and number not in mended) or not selection(number, rejection):
                continue
            if rejected.is_done(number, rejection):
                outcome.done_before += 1
                continue
            try:
                sending = _judge_one(judge, rejection, None if mended is None else mended[number])
            except ValueError as error:
                outcome.refused.add(str(error), rejection)
                outcome.refusals += 1
                refuse(number, rejection, str(error))
                continue
            outcome.sent.add("", rejection)
            if transactions is not None and outbox is not None:
                address = _address(settings, rejection.source, version)
                _pack(outbox, rejected.topics, address, number, rejection, sending)
                gathered += 1
                if gathered >= _ROWS_PER_TRANSACTION or outbox.size >= _BYTES_PER_TRANSACTION:
                    await transactions.commit(outbox)
                    outbox, gathered = transactions.outbox(), 0
        if transactions is not None and outbox:
            await transactions.commit(outbox)
    outcome.unknown = sorted(unknown)
    return outcome


def _judge_one(judge: ReplayJudge, rejection: Rejection, mended: Mended | None) -> Sending:
    if mended is not None and not mended.is_of(rejection):
        raise ValueError("its source, line, offset or split differs from that of the rejected row with this id")
    return judge(rejection, rejection.raw if mended is None else mended.row)


def _address(settings: ServiceSettings, source: str, version: int) -> Address:
    key = source_key(source)
    return Address(source, key, (partition_for(key, settings.partitions),), version)


def _pack(
    outbox: Outbox, topics: Topics, address: Address, number: int, rejection: Rejection, sending: Sending
) -> None:
    """Put the row into the outbox, behind a mark of its own, and the note that it was replayed."""
    [partition] = address.partitions
    packed = sending.schema_id, sending.block, [sending.value], partition
    read_ms = int(time.time() * 1000)
    pack_rows(outbox, topics, address, *packed, read_ms=read_ms, split=rejection.split, is_replay=True)
    note = Replayed(number)
    if address.version > 1:
        original, sent = tally([rejection.raw]), tally([sending.written])
        note = Replayed(number, rejection.source, rejection.split, rejection.code, original, sent)
    value, headers = encode_replayed(note)
    outbox.put(topics.rejected, 0, address.key, value, headers)


async def _judge(
    settings: ServiceSettings, rejected: RejectedTopic, splits: Collection[str] | None
) -> tuple[ReplayJudge, int]:
    """A judge that knows the sources and schemas as they are now, and the pipeline's format."""
    registry = Registry(settings, rejected.topics)
    async with within(_SILENCE_S, "no answer"):
        registered = await registry.known()
    if registry.begun is None:
        raise ConfigurationError(f"topic {rejected.topics.schemas} does not say what the pipeline was begun with")
    schemas = {schema_id: each.schema for schema_id, each in registered.items()}
    schema_ids: dict[str, str] = {}
    for partition in Partitions.of(settings).progress:
        end = (await rejected.consumer.end_offsets([partition]))[partition]
        async for records in read_until(rejected.consumer, partition, end, silence_s=_SILENCE_S):
            for record in records:
                progress = decode_progress(record.value)
                if isinstance(progress, Progress):
                    schema_ids[progress.source] = progress.schema
    return ReplayJudge(schema_ids, schemas, settings.max_row_bytes, splits), registry.begun.format
