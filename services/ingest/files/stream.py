"""Reading what can be read only once: standard input, an open descriptor, a named pipe."""

import asyncio
import os
import select
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

from common.waiting import until_stopped
from services.ingest.files.finding import descriptor_of

CHUNK_BYTES = 2**20


def read_in_background(given: str) -> "asyncio.Queue[bytes | OSError]":
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
        except (RuntimeError, CancelledError):
            return  # the loop has ended, or ends

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
                chunk = os.read(descriptor, CHUNK_BYTES)
            except BlockingIOError:
                # The process that started this one, or shares its input, may have made it non-blocking.
                select.select([descriptor], [], [])
                continue
            yield chunk
    except OSError as error:
        yield error


async def next_chunk(
    chunks: "asyncio.Queue[bytes | OSError]",
    stop: asyncio.Event,
    timeout_s: float | None,
    sooner: "asyncio.Future[None] | None",
) -> bytes | None:
    """The next chunk; None once `stop` is set or `sooner` is done, or if none comes in time.

    OSError if it could not be read.
    """
    chunk = await until_stopped(stop, chunks.get(), timeout_s=timeout_s, sooner=sooner)
    if isinstance(chunk, OSError):
        raise chunk
    return chunk
