"""Standard input, or a named pipe, as a source: it cannot be read again, so each run is a source of its own."""

import asyncio
import os
import select
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import NoReturn

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import ConsumerStoppedError, IllegalOperation, KafkaError
from msgspec.structs import replace

from common.aiokafka_internals.outages import client_failures_as_outages
from common.errors import AllRejectedError, ConfigurationError, SourceError, TooManyRejectedError
from common.kafka.clients import open_producer
from common.kafka.transaction import Outbox, Transactions
from common.protocol.finite_run import STANDARD_INPUT_PREFIX
from common.protocol.partitioner import partition_for
from common.protocol.progress import encode_progress
from common.sessions.readiness import Readiness
from common.waiting import first_ended, unless_stopped, until_stopped
from services.ingest.context import IngestContext
from services.ingest.files.finding import descriptor_of, source_key
from services.ingest.files.reading import LONGEST_LINE_BYTES, endless_line
from services.ingest.parsing.expected import Expected
from services.ingest.parsing.fingerprint import Fingerprint
from services.ingest.parsing.unpacking import Stream
from services.ingest.source import Source

log = structlog.get_logger()

# What another session would follow, were it not for what is read and gone.
_OUTAGES = (KafkaError, ConsumerStoppedError, IllegalOperation, OSError)
_CHUNK_BYTES = 2**20
# How often to ask whether the dialect can be detected from what has come.
_LOOK_INTERVAL_S = 0.1


def new_stream_name() -> str:
    """A name that no other source has."""
    return f"{STANDARD_INPUT_PREFIX}{uuid.uuid4().hex[:12]}"


async def ingest_standard_input(
    context: IngestContext,
    name: str,
    readiness: Readiness,
    watch: Callable[[], Awaitable[NoReturn]],
    stop: asyncio.Event,
) -> None:
    """Read INPUT to its end, or until `stop`, and commit the complete records as those of the source `name`.

    An outage before anything is read ends the session: the next one needs the same name. `watch` raises whatever else
    may end it; after an outage it is called again.
    """
    [first, *_] = await first_ended(_ingest(context, name, readiness, stop), _watch(watch))
    first.result()


async def _watch(watch: Callable[[], Awaitable[NoReturn]]) -> NoReturn:
    # An outage must not leave here: another session would take what comes next for the beginning of a source.
    while True:
        with suppress(*_OUTAGES), client_failures_as_outages():
            await watch()


async def _ingest(context: IngestContext, name: str, readiness: Readiness, stop: asyncio.Event) -> None:
    settings = context.settings
    home = partition_for(name.encode(), settings.partitions)
    address, progress = context.address(name, source_key(name)), context.new_progress(name)
    source = Source(context, address, progress, Fingerprint(), has_void=False)
    what = "standard input" if descriptor_of(settings.input) == 0 else settings.input
    log.info("source opened", source=name, input=what)
    async with open_producer(settings, f"{settings.topic_prefix}ingest-{name}", stop) as producer:
        written = [TopicPartition(context.topics.progress, home), *context.writes_to()]
        transactions = Transactions(producer, written, counts=context.counts)
        reader = _StreamReader(context, source, transactions, home)
        try:
            await reader.begin(stop)
            readiness.set_ready(())
            # Nothing is read before this point: what a session that fails has read is gone for the next one.
            try:
                with client_failures_as_outages():
                    await _read_to_end(reader, stop)
            except _OUTAGES as error:
                raise SourceError(f"{what} is lost after line {source.progress.line}: {error!r}") from error
        finally:
            transactions.give_up()
    log.info("source ended", source=name, rows=source.progress.tally.rows)
    if line := context.find_skipped_whole(source.progress):
        raise ConfigurationError(line)
    if source.progress.ended and (line := context.find_rejected_whole(source.progress)):
        raise AllRejectedError(line)


async def _read_to_end(reader: "_StreamReader", stop: asyncio.Event) -> None:
    chunks = _read_in_background(reader.context.settings.input)
    try:
        await _take_all(reader, chunks, stop)
    except (SourceError, TooManyRejectedError):
        await reader.leave()
        raise
    await reader.leave()


class _StreamReader:
    """The source of a stream, committed as it comes to the partition `home` of `progress`."""

    def __init__(self, context: IngestContext, source: Source, transactions: Transactions, home: int) -> None:
        self.context = context
        self.source = source
        self.transactions = transactions
        self._home = home

    async def begin(self, stop: asyncio.Event) -> None:
        """Commit progress before any row: rows without progress would mean that progress was lost."""
        # A session before this one may have begun the same commit.
        await unless_stopped(stop, self.transactions.take_over())
        await self.commit(self.transactions.outbox())
        await self.transactions.settle()

    async def take(self, data: bytes, expected: Expected) -> bytes:
        """Take what can be taken of this data, and commit it; returns what is left."""
        outbox, before = self.transactions.outbox(), self.source.progress
        left = data[await self.source.take(data, outbox, expected) :]
        progress = self.source.progress
        if progress != before:
            await self.commit(outbox)
        self.context.check_rejected(progress)
        if len(left) > LONGEST_LINE_BYTES and len(left) == len(data):
            raise SourceError(endless_line("standard input", progress.line, progress.offset))
        return left

    async def leave(self) -> None:
        """Commit what was read, and that no more will come: readers would wait for its end forever."""
        if not self.source.progress.ended:
            self.source.progress = replace(self.source.progress, given_up=True)
            await self.commit(self.transactions.outbox())
        await self.transactions.settle()

    async def commit(self, outbox: Outbox) -> None:
        """Begin to commit the outbox with the source's progress."""
        progress = self.source.progress
        outbox.put(self.context.topics.progress, self._home, progress.source.encode(), encode_progress(progress))
        await self.transactions.commit(outbox)


async def _take_all(reader: _StreamReader, chunks: "asyncio.Queue[bytes | OSError]", stop: asyncio.Event) -> None:
    source, held, stream = reader.source, _Held(reader.take), Stream()
    while not source.progress.ended:
        is_asked_again = source.is_undecided or held.has_more
        chunk = await _next_chunk(chunks, stop, _LOOK_INTERVAL_S if is_asked_again else None)
        if chunk is None:
            await held.take(Expected.MORE)
            if stop.is_set():
                log.warning("standard input was not read to its end", rows=source.progress.tally.rows)
                return
            continue
        for piece in _unpack(stream, chunk):
            await held.add(piece)
        while not chunk and not source.progress.ended:
            await held.take(Expected.NOTHING)
    if held.data:
        log.warning("a header without a row is not taken", source=source.progress.source, bytes=len(held.data))


class _Held:
    """Data that has come and is not taken: a long line without its end is looked at again only once it has doubled.

    `data` is what was looked at and left.
    """

    def __init__(self, take: Callable[[bytes, Expected], Awaitable[bytes]]) -> None:
        self._take = take
        self._more = bytearray()
        self._least = 0
        self.data = b""

    @property
    def has_more(self) -> bool:
        """Whether something has come since the last look."""
        return bool(self._more)

    async def add(self, piece: bytes) -> None:
        """Take what can be taken with this piece."""
        self._more += piece
        if len(self.data) + len(self._more) >= self._least:
            await self.take(Expected.MORE)

    async def take(self, expected: Expected) -> None:
        """Take what can be taken."""
        data = self.data + bytes(self._more)
        self._more.clear()
        self.data = await self._take(data, expected)
        is_long = len(self.data) == len(data) >= _CHUNK_BYTES
        self._least = min(2 * len(data), LONGEST_LINE_BYTES + 1) if is_long else 0


def _unpack(stream: Stream, chunk: bytes) -> Iterator[bytes]:
    try:
        yield from stream.read(chunk)
    except (ValueError, EOFError) as error:
        raise SourceError(f"standard input cannot be unpacked: {error}") from error


def _read_in_background(given: str) -> "asyncio.Queue[bytes | OSError]":
    """Chunks of what INPUT names, the last one empty, or the error that ended it.

    A thread of its own reads them: a loop cannot wait for every kind of standard input, and a daemon thread that is
    stuck in a read, or in opening a pipe that nothing writes to, does not hold up the exit.
    """
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes | OSError] = asyncio.Queue(maxsize=2)

    def read() -> None:
        try:
            for chunk in _chunks(given):
                asyncio.run_coroutine_threadsafe(chunks.put(chunk), loop).result()
        except RuntimeError:
            return  # the loop has ended

    threading.Thread(target=read, name="standard input", daemon=True).start()
    return chunks


def _chunks(given: str) -> Iterator[bytes | OSError]:
    try:
        descriptor = descriptor_of(given)
        if descriptor is None:
            descriptor = os.open(given, os.O_RDONLY | os.O_NOCTTY)
        chunk = b"-"
        while chunk:
            try:
                chunk = os.read(descriptor, _CHUNK_BYTES)
            except BlockingIOError:
                # The process that started this one, or shares its input, may have made it non-blocking.
                select.select([descriptor], [], [])
                continue
            yield chunk
    except OSError as error:
        yield error


async def _next_chunk(
    chunks: "asyncio.Queue[bytes | OSError]", stop: asyncio.Event, timeout_s: float | None
) -> bytes | None:
    """The next chunk; None once `stop` is set, or if none has come in time. OSError if it could not be read."""
    chunk = await until_stopped(stop, chunks.get(), timeout_s=timeout_s)
    if isinstance(chunk, OSError):
        raise chunk
    return chunk
