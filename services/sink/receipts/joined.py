"""What was issued before: the records of the topic `receipts`, and the files that some of them lack."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from common.aiokafka_internals.consumer_state import know_topics
from common.batches.record_runs import Record, is_deletion, key_of
from common.kafka.reading import read_until
from common.pipeline.topics import Topics
from common.protocol.receipts import fingerprint
from services.sink.disk.output_root import OutputRoot
from services.sink.disk.writing import write_whole
from services.sink.paths.receipts import receipt_path
from services.sink.receipts.sharing import Sender
from services.sink.threads import in_thread, new_thread

log = structlog.get_logger()

AT_ONCE = 500
SHARES = "shares"
FOLDER = "folder"
_OF_ANOTHER = -1


class Joined(NamedTuple):
    """The latest receipt of a source: the offset of `shares` up to which it was joined, its own, its fingerprint.

    The first is -1 for receipts of other folders. The second is not known of those that are issued now.
    """

    shares: int
    offset: int = -1
    says: bytes = b""


async def read_joined(consumer: AIOKafkaConsumer, topics: Topics, folder: str) -> dict[str, Joined]:
    """What was issued before, by source."""
    partition = TopicPartition(topics.receipts, 0)
    joined: dict[str, Joined] = {}
    await know_topics(consumer, [topics.receipts])
    end = (await consumer.end_offsets([partition]))[partition]
    async for records in read_until(consumer, partition, end):
        for record in records:
            if is_deletion(record):
                joined.pop(key_of(record).decode(), None)
            else:
                joined[key_of(record).decode()] = _joined(record, folder)
    return joined


def _joined(record: Record, folder: str) -> Joined:
    headers = dict(record.headers)
    if headers.get(FOLDER) != folder.encode():
        return Joined(_OF_ANOTHER)
    return Joined(int(headers[SHARES]), record.offset, fingerprint(bytes(record.value)))


async def withdraw(sender: Sender, topics: Topics, joined: Mapping[str, Joined]) -> None:
    """Delete the receipts of other folders, as `read_joined` has found them."""
    others = [source for source, each in joined.items() if each.shares == _OF_ANOTHER]
    for at in range(0, len(others), AT_ONCE):
        await sender.send(topics.receipts, [(source.encode(), None, []) for source in others[at : at + AT_ONCE]])
    if others:
        log.info("receipts of another OUTPUT_DIR are withdrawn", sources=len(others), first=others[0])


async def restore_files(
    consumer: AIOKafkaConsumer, topics: Topics, joined: Mapping[str, Joined], root: Path, stop: asyncio.Event
) -> None:
    """Write the files that records of this folder lack: PROOFS had no receipts, or they were removed. Raises DiskError.

    Each gets what its record has, so nobody has to be told anew.
    """
    ours = [source for source, each in joined.items() if each.shares != _OF_ANOTHER]
    missing: set[str] = set()
    # A cancelled task leaves its call running: the partition's lock is released after this.
    thread = new_thread("receipts-files")
    try:
        for at in range(0, len(ours), AT_ONCE):
            if stop.is_set():
                return
            missing.update(await in_thread(thread, _without_files, root, ours[at : at + AT_ONCE]))
        if not missing:
            return
        end = max(joined[source].offset for source in missing) + 1
        async for records in read_until(consumer, TopicPartition(topics.receipts, 0), end):
            latest = [record for record in records if _is_latest(record, joined, missing)]
            for at in range(0, len(latest), AT_ONCE):
                if stop.is_set():
                    return
                some = {receipt_path(key_of(each).decode()): bytes(each.value) for each in latest[at : at + AT_ONCE]}
                await in_thread(thread, write_whole, root, some)
    finally:
        thread.shutdown(wait=True)
    log.info("receipts that had no files have them", sources=len(missing), first=min(missing))


def _without_files(root: Path, sources: Sequence[str]) -> list[str]:
    with OutputRoot(root) as output:
        return [source for source in sources if output.status(receipt_path(source)) is None]


def _is_latest(record: Record, joined: Mapping[str, Joined], missing: set[str]) -> bool:
    source = key_of(record).decode()
    return source in missing and joined[source].offset == record.offset
