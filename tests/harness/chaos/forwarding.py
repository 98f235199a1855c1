"""What passes through one connection of a proxy, under conditions that change meanwhile."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

_CHUNK_BYTES = 256 * 1024
# What one direction of a connection holds under latency: 16 MiB let 50 MB/s through at 0.3 s.
_HELD_BYTES = 16 * 1024 * 1024


@dataclass
class Conditions:
    """The network's present state, the same for all connections."""

    # Called in the middle of an answer, once its first bytes are sent.
    tear: Callable[[], None]
    latency_s: float = 0.0
    # How many more bytes from the broker pass before an answer is torn.
    tear_after_bytes: int | None = None
    flowing: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class _Chunk:
    # Empty: the sender has ended its side.
    content: bytes
    due_s: float
    tears: bool


@dataclass
class _Flow:
    """One direction of a connection, and the bytes that were read and not yet delivered."""

    source: socket.socket
    target: socket.socket
    is_response: bool
    chunks: asyncio.Queue[_Chunk] = field(default_factory=asyncio.Queue)
    held_bytes: int = 0
    room: asyncio.Event = field(default_factory=asyncio.Event)


async def forward(client: socket.socket, broker: socket.socket, conditions: Conditions) -> None:
    """Carry bytes both ways until both sides have ended. Raises an exception group of OSError if one breaks."""
    async with asyncio.TaskGroup() as group:
        for flow in (_Flow(client, broker, is_response=False), _Flow(broker, client, is_response=True)):
            group.create_task(_read(flow, conditions))
            group.create_task(_deliver(flow, conditions))


async def swallow(ends: Iterable[socket.socket]) -> None:
    """Read and drop everything, until every end has closed by itself."""
    await asyncio.gather(*map(_drain, ends))


async def _drain(end: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        while await loop.sock_recv(end, _CHUNK_BYTES):
            pass


async def _read(flow: _Flow, conditions: Conditions) -> None:
    loop = asyncio.get_running_loop()
    while True:
        while flow.held_bytes >= _HELD_BYTES:
            flow.room.clear()
            await flow.room.wait()
        await conditions.flowing.wait()
        try:
            content = await loop.sock_recv(flow.source, _CHUNK_BYTES)
        except OSError:
            # A reset is delayed like bytes.
            await conditions.flowing.wait()
            raise
        chunk = _Chunk(content, loop.time() + conditions.latency_s, tears=False)
        if flow.is_response and content and conditions.tear_after_bytes is not None:
            chunk = _cut_to_tear(chunk, conditions)
        flow.held_bytes += len(chunk.content)
        flow.chunks.put_nowait(chunk)
        if chunk.tears or not content:
            return


def _cut_to_tear(chunk: _Chunk, conditions: Conditions) -> _Chunk:
    left_bytes, length_bytes = conditions.tear_after_bytes or 0, len(chunk.content)
    if left_bytes > length_bytes:
        conditions.tear_after_bytes = left_bytes - length_bytes
        return chunk
    conditions.tear_after_bytes = None
    # An answer often ends where a chunk does: a cut there would leave it whole.
    return _Chunk(chunk.content[: min(left_bytes, length_bytes - 1)], chunk.due_s, tears=True)


async def _deliver(flow: _Flow, conditions: Conditions) -> None:
    loop = asyncio.get_running_loop()
    while True:
        chunk = await flow.chunks.get()
        await asyncio.sleep(chunk.due_s - loop.time())
        rest = memoryview(chunk.content)
        # Wait here before the end of a side too. Nothing may come between this and the send, or bytes would pass
        # after a stall has begun.
        await conditions.flowing.wait()
        while rest:
            try:
                rest = rest[flow.target.send(rest) :]
            except BlockingIOError:
                await _writable(flow.target)
            await conditions.flowing.wait()
        if chunk.tears:
            conditions.tear()
            return
        if not chunk.content:
            flow.target.shutdown(socket.SHUT_WR)
            return
        flow.held_bytes -= len(chunk.content)
        flow.room.set()


async def _writable(end: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(end, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(end)
