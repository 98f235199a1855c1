"""Receipts on their way to ON_DELIVERY: each is posted at least once, in their order, behind its file and its record.

How far that has come is a file in OUTPUT_DIR. Rows never wait for it, and neither does the end of a service.
"""

import asyncio
import os
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from hashlib import blake2b
from pathlib import Path

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct

from common.aiokafka_internals.fetched_batches import read_on, runs_of
from common.batches.record_runs import is_deletion, key_of, one_by_one
from common.connection.http import in_daemon_thread, opener
from common.protocol.output_folder import POSTED
from common.version import VERSION
from common.waiting import pause, until_stopped
from services.sink.disk.errors import naming
from services.sink.disk.output_root import OutputRoot
from services.sink.disk.writing import write_whole
from services.sink.receipts.joined import FOLDER
from services.sink.receipts.places import Place, Taken, decode_place, encode_place, pause_before_next_s, taken
from services.sink.threads import in_thread

log = structlog.get_logger()

_TIMEOUT_MS = 5_000
_ANSWER_DEADLINE_S = 10.0
# The log tells of the first failure and of every tenth after it, which is every ten minutes in the end.
_TOLD_EVERY = 10


class Answer(Struct, frozen=True):
    """What became of a receipt that was posted, and why."""

    taken: Taken
    reason: str


_NO_ANSWER = Answer(Taken.NOT_YET, "no answer")


class Posting:
    """Posts the receipts of the output folder with this id. Every record before the offset `position` is dealt with.

    `topic_id` is that of the topic `receipts`, whose only partition is read.
    """

    def __init__(
        self, root: Path, url: str, partition: TopicPartition, topic_id: str, folder: str, consumer: AIOKafkaConsumer
    ) -> None:
        self._root = root
        self._url = url
        self._partition = partition
        self._topic_id = topic_id
        self._folder = folder.encode()
        self._consumer = consumer
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="posted")
        self.position = -1

    async def begin(self) -> None:
        """Find out where to go on. Call it before a receipt is issued: what was before the first call is not posted.

        Raises DiskError and KafkaError.
        """
        first = (await self._consumer.beginning_offsets([self._partition]))[self._partition]
        end = (await self._consumer.end_offsets([self._partition]))[self._partition]
        known = await in_thread(self._thread, _read, self._root, self._topic_id)
        self.position = end if known is None else min(max(first, known.offset), end)
        if known is None or known.offset > end:
            # The topic has lost records if the noted offset is beyond its end. New ones get those offsets.
            await self._note(self.position)

    async def run(self, stop: asyncio.Event) -> None:
        """Post receipts until `stop`. Raises DiskError and KafkaError."""
        self._consumer.assign([self._partition])
        self._consumer.seek(self._partition, self.position)
        while not stop.is_set():
            batches = await until_stopped(stop, read_on(self._consumer, self._partition, _TIMEOUT_MS)) or []
            for record in one_by_one(runs_of(batches)):
                is_ours = dict(record.headers).get(FOLDER) == self._folder
                if is_ours and not is_deletion(record):
                    if not await self._post(key_of(record).decode(), bytes(record.value), stop):
                        return
                    await self._note(record.offset + 1)
                self.position = record.offset + 1
            # Behind the last record there may be offsets whose records are gone.
            self.position = await self._consumer.position(self._partition)

    def close(self) -> None:
        """Wait for the thread: a cancelled task leaves its call running, and the lock is released after this."""
        self._thread.shutdown(wait=True)

    async def _post(self, source: str, receipt: bytes, stop: asyncio.Event) -> bool:
        """Post one until it is taken, or refused for good; False if stopped before that."""
        call = partial(post, self._url, receipt)
        failures = 0
        while not stop.is_set():
            posting = in_daemon_thread("on-delivery", call)
            # urllib's deadline is for each piece of an answer, however small.
            answer = await until_stopped(stop, posting, timeout_s=2 * _ANSWER_DEADLINE_S) or _NO_ANSWER
            if answer.taken is Taken.NOT_YET:
                if failures % _TOLD_EVERY == 0 and not stop.is_set():
                    log.warning("ON_DELIVERY has not taken a receipt yet", source=source, reason=answer.reason)
                failures += 1
                await pause(stop, pause_before_next_s(failures))
                continue
            if answer.taken is Taken.NO:
                log.error("ON_DELIVERY refused a receipt, it is passed over", source=source, reason=answer.reason)
            elif failures:
                log.info("ON_DELIVERY takes receipts again", source=source, failures=failures)
            return True
        return False

    async def _note(self, offset: int) -> None:
        content = encode_place(Place(self._topic_id, offset))
        await in_thread(self._thread, write_whole, self._root, {POSTED: content})


def _read(root: Path, topic_id: str) -> Place | None:
    with OutputRoot(root) as output:
        if output.status(POSTED) is None:
            return None
        with naming(root / POSTED), os.fdopen(output.open(POSTED, os.O_RDONLY), "rb") as file:
            return decode_place(file.read(), topic_id)


@cache
def _opener() -> urllib.request.OpenerDirector:
    """One for all: making it reads the system's authorities."""
    return opener()


def post(url: str, receipt: bytes) -> Answer:
    """Post a receipt, blocking. Its key is of its content: the same receipt has the same key whenever it is posted."""
    key = blake2b(receipt, digest_size=16).hexdigest()
    headers = {"Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": f"nacre/{VERSION}"}
    request = urllib.request.Request(url, receipt, headers)  # noqa: S310 - the setting's pattern permits http and https
    try:
        with _opener().open(request, timeout=_ANSWER_DEADLINE_S) as answer:
            return Answer(taken(answer.status), f"HTTP {answer.status}")
    except urllib.error.HTTPError as error:
        with error:
            return Answer(taken(error.code), f"HTTP {error.code}")
    # http.client raises errors of its own; what they say may show the URL, which may hold a token.
    except Exception as error:  # noqa: BLE001 - whatever it is, the receipt was not taken
        why = getattr(error, "reason", error)
        return Answer(Taken.NOT_YET, str(why) if isinstance(why, OSError) and str(why) else type(why).__name__)
