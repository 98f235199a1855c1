"""Standard input, or a named pipe, as a source: it cannot be read again, so each run is a source of its own."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from typing import NoReturn

import structlog
from aiokafka.errors import ConsumerStoppedError, IllegalOperation, KafkaError

from common.aiokafka_internals.outages import client_failures_as_outages
from common.errors import AllRejectedError, ConfigurationError, ServiceError, SourceError, TooManyRejectedError
from common.protocol.finite_run import STANDARD_INPUT_PREFIX
from common.protocol.progress import Progress
from common.sessions.readiness import Readiness
from common.waiting import first_ended
from services.ingest.context import IngestContext
from services.ingest.drain_clock import DrainClock, drain_clock
from services.ingest.files.finding import descriptor_of, source_key
from services.ingest.files.reading import LONGEST_LINE_BYTES
from services.ingest.files.stream import CHUNK_BYTES, next_chunk, read_in_background
from services.ingest.left_stream import StreamPlace, settle_left
from services.ingest.parsing.expected import Expected
from services.ingest.parsing.fingerprint import Fingerprint
from services.ingest.parsing.unpacking import Stream
from services.ingest.source import Source
from services.ingest.stream_reader import StreamReader

log = structlog.get_logger()

# Errors after which another session would begin, if what was read were not gone.
_OUTAGES = (KafkaError, ConsumerStoppedError, IllegalOperation, OSError)
# Errors beside which the producer is well.
_OF_SOURCE = (SourceError, TooManyRejectedError)
# Of DRAIN_DEADLINE_S, from the signal on, for the last commit: where no broker answers it must be left in time for a
# line that says what is lost.
_SHARE_OF_DRAIN = 0.375
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
    async with drain_clock(stop, context.settings.drain_deadline_s) as clock:
        [first, *_] = await first_ended(_ingest(context, name, readiness, clock), _watch(watch))
        first.result()


async def _watch(watch: Callable[[], Awaitable[NoReturn]]) -> NoReturn:
    # An outage must not leave here: another session would take what comes next for the beginning of a source.
    while True:
        with suppress(*_OUTAGES), client_failures_as_outages():
            await watch()


async def _ingest(context: IngestContext, name: str, readiness: Readiness, clock: DrainClock) -> None:
    place, given = StreamPlace(context, name), context.settings.input
    what = "standard input" if descriptor_of(given) == 0 else given
    address, progress = context.address(name, source_key(name)), context.new_progress(name)
    source = Source(context, address, progress, Fingerprint(), has_void=False)
    log.info("source opened", source=name, input=what)
    async with AsyncExitStack() as producers:
        reader = StreamReader(place, source, producers)
        await reader.begin(clock.stop)
        readiness.set_ready(())
        # Read nothing before this point: the next session could not read it again. After this point no outage may
        # leave this function.
        failure, unsettled = await _read(reader, given, clock)
    if unsettled is not None:
        # Only now: the producer that settles it has the same id.
        log.warning("a stream fails, what was read is being settled", source=name, reason=repr(unsettled))
        left = await settle_left(place, source, clock)
        failure = _find_loss(what, source.progress, left, failure, unsettled)
    if failure is not None:
        raise failure
    if not source.progress.ended:
        log.warning("standard input was not read to its end", rows=source.progress.tally.rows)
    log.info("source ended", source=name, rows=source.progress.tally.rows)
    if line := context.find_skipped_whole(source.progress):
        raise ConfigurationError(line)
    if source.progress.ended and (line := context.find_rejected_whole(source.progress)):
        raise AllRejectedError(line)


async def _read(reader: StreamReader, given: str, clock: DrainClock) -> tuple[Exception | None, Exception | None]:
    """Read to the end, or until a signal; return what ended it before, and why its last commit is not settled."""
    taking = _take_all(reader, read_in_background(given), clock.stop)
    failure = await _failure_of(clock.cut(_SHARE_OF_DRAIN, taking))
    if failure is None or isinstance(failure, _OF_SOURCE):
        return failure, await _failure_of(clock.cut(_SHARE_OF_DRAIN, reader.leave()))
    # After a signal nothing more would have been read.
    return None if clock.stop.is_set() else failure, failure


async def _failure_of(doing: Awaitable[None]) -> Exception | None:
    try:
        with client_failures_as_outages():
            await doing
    except (*_OUTAGES, ServiceError) as error:
        return error
    return None


def _find_loss(
    what: str, taken: Progress, left: Progress | None, failure: Exception | None, unsettled: Exception
) -> ServiceError | None:
    """What to report after a failed stream is settled; without a `failure` it failed only at its end.

    After a signal, every failure counts as one at its end.

    None if all of it is committed all the same.
    """
    cause = failure or unsettled
    if isinstance(cause, ServiceError):
        return cause
    if left is None:
        return SourceError(f"{what} is lost, at the latest from line {taken.line} on, and stays open: {cause!r}")
    if left.ended or (failure is None and left.offset == taken.offset):
        return None
    return SourceError(f"{what} is lost from line {left.line} on: {cause!r}")


async def _take_all(reader: StreamReader, chunks: "asyncio.Queue[bytes | OSError]", stop: asyncio.Event) -> None:
    source, held, stream = reader.source, _Held(reader.take), Stream()
    while not source.progress.ended:
        if stop.is_set():
            await held.take(Expected.MORE)
            return
        is_asked_again = source.is_undecided or held.has_more
        timeout_s = _LOOK_INTERVAL_S if is_asked_again else None
        chunk = await next_chunk(chunks, stop, timeout_s, sooner=reader.transactions.in_flight)
        await reader.check()
        # An end beside a signal is none: Ctrl-C ends the writer too, in the middle of a row.
        if chunk is None or (not chunk and stop.is_set()):
            if is_asked_again:
                await held.take(Expected.MORE)
            continue
        for piece in _unpack(stream, chunk):
            await held.add(piece)
            if chunk and stop.is_set():
                # What is left of a compressed chunk may be many commits, for which a signal leaves no time.
                break
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
        is_long = len(self.data) == len(data) >= CHUNK_BYTES
        self._least = min(2 * len(data), LONGEST_LINE_BYTES + 1) if is_long else 0


def _unpack(stream: Stream, chunk: bytes) -> Iterator[bytes]:
    try:
        yield from stream.read(chunk)
    except (ValueError, EOFError) as error:
        raise SourceError(f"standard input cannot be unpacked: {error}") from error
