"""Standard input, or a named pipe, as a source: it cannot be read again, so each run is a source of its own."""

import asyncio
import os
import select
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import NoReturn

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from common.aiokafka_internals.outages import client_failures_as_outages
from common.errors import AllRejectedError, ConfigurationError, SourceError, TooManyRejectedError
from common.kafka.clients import open_producer
from common.kafka.transaction import Outbox, Transactions
from common.kafka.waiting import first_ended, until_stopped
from common.protocol.partitioner import partition_for
from common.protocol.progress import encode_progress
from common.sessions.readiness import Readiness
from services.ingest.context import Shop
from services.ingest.expected import Expected
from services.ingest.files.finding import descriptor_of, source_key
from services.ingest.files.reading import LONGEST_LINE_BYTES, Window, endless_line
from services.ingest.parsing.unpacking import Stream
from services.ingest.source import Source

log = structlog.get_logger()

_CHUNK_BYTES = 2**20
# How often it is asked whether its dialect can be found out from what has come.
_LOOK_INTERVAL_S = 0.1


async def carry_standard_input(
    shop: Shop, readiness: Readiness, watch: Callable[[], Awaitable[NoReturn]], stop: asyncio.Event
) -> None:
    """Carry what INPUT names to its end, or until `stop`; then what was read completely is committed.

    `watch` raises what else may end it.
    """
    [first, *_] = await first_ended(_carry(shop, readiness, stop), watch())
    first.result()


async def _carry(shop: Shop, readiness: Readiness, stop: asyncio.Event) -> None:
    settings = shop.settings
    name = f"stdin-{uuid.uuid4().hex[:12]}"
    home = partition_for(name.encode(), settings.partitions)
    source = Source(shop, shop.address(name, source_key(name)), shop.new_progress(name), Window())
    what = "standard input" if descriptor_of(settings.input) == 0 else settings.input
    log.info("source opened", source=name, input=what)
    async with open_producer(settings, f"{settings.topic_prefix}ingest-{name}") as producer:
        transactions = Transactions(producer, [TopicPartition(shop.topics.progress, home), *shop.writes_to()])
        readiness.set_ready(1)

        async def take(data: bytes, expected: Expected) -> bytes:
            outbox, before = transactions.outbox(), source.progress
            left = data[await source.take(data, outbox, expected) :]
            if source.progress != before:
                await _commit(transactions, shop, home, source, outbox)
            shop.check_rejected(source.progress)
            if len(left) > LONGEST_LINE_BYTES and len(left) == len(data):
                raise SourceError(endless_line("standard input", source.progress.line, source.progress.offset))
            return left

        try:
            with client_failures_as_outages():
                # Before any row: rows without any progress would mean that progress was lost.
                await _commit(transactions, shop, home, source, transactions.outbox())
                # Not before: what a session has read that fails to begin is gone for the next one.
                chunks = _read_in_background(settings.input)
                try:
                    await _take_all(source, chunks, take, stop)
                except (SourceError, TooManyRejectedError):
                    await _leave(transactions, shop, home, source)
                    raise
                await _leave(transactions, shop, home, source)
        except (KafkaError, OSError, TimeoutError) as error:
            # To begin again is for what can be read again.
            raise SourceError(f"{what} is lost behind line {source.progress.line}: {error!r}") from error
        finally:
            transactions.give_up()
    log.info("source ended", source=name, rows=source.progress.tally.rows)
    if line := shop.find_skipped_whole(source.progress):
        raise ConfigurationError(line)
    if source.progress.ended and (line := shop.find_rejected_whole(source.progress)):
        raise AllRejectedError(line)


async def _take_all(
    source: Source,
    chunks: "asyncio.Queue[bytes | OSError]",
    take: Callable[[bytes, Expected], Awaitable[bytes]],
    stop: asyncio.Event,
) -> None:
    held, stream = _Held(take), Stream()
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
        log.warning(
            "a header without a row behind it is not taken", source=source.progress.source, bytes=len(held.data)
        )


class _Held:
    """What has come and was not taken. Of a long line without its end all is looked at anew only once it has doubled.

    `data` is what was looked at.
    """

    def __init__(self, take: Callable[[bytes, Expected], Awaitable[bytes]]) -> None:
        self._take = take
        self._more = bytearray()
        self._least = 0
        self.data = b""

    @property
    def has_more(self) -> bool:
        """Whether something came since it was looked at."""
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


async def _leave(transactions: Transactions, shop: Shop, home: int, source: Source) -> None:
    """Commit all that was read, and that no more will be: who waits for its end would wait for ever."""
    if not source.progress.ended:
        source.progress = replace(source.progress, given_up=True)
        await _commit(transactions, shop, home, source, transactions.outbox())
    await transactions.settle()


async def _commit(transactions: Transactions, shop: Shop, home: int, source: Source, outbox: Outbox) -> None:
    progress = source.progress
    outbox.put(shop.topics.progress, home, progress.source.encode(), encode_progress(progress))
    await transactions.commit(outbox)


def _read_in_background(given: str) -> "asyncio.Queue[bytes | OSError]":
    """Chunks of what INPUT names, the last one empty, or the error that ended it.

    By a thread of its own: a loop cannot wait for every kind of standard input, and a daemon thread that is stuck in
    a read, or in opening a pipe that nobody writes to, does not hold up the exit.
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
                # Who started this process, or shares its input, may have made it so.
                select.select([descriptor], [], [])
                continue
            yield chunk
    except OSError as error:
        yield error


async def _next_chunk(
    chunks: "asyncio.Queue[bytes | OSError]", stop: asyncio.Event, timeout_s: float | None
) -> bytes | None:
    """The next chunk, or None once `stop` is set or none has come for so long. OSError where it could not be read."""
    chunk = await until_stopped(stop, chunks.get(), timeout_s=timeout_s)
    if isinstance(chunk, OSError):
        raise chunk
    return chunk
