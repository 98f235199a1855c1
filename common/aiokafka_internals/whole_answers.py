"""Answers of a broker, joined once from the pieces in which they came.

aiokafka 0.14 reads through asyncio's StreamReader: a fetched megabyte is appended to a buffer, which moves as it grows,
and is copied out of it again; and the transport is paused and resumed at each 128 KiB. No upstream issue known.
`tests/unit/common/aiokafka_internals/test_whole_answers.py` compares the two.
"""

import asyncio
import struct
from collections import deque
from typing import Any

from aiokafka import conn
from aiokafka.conn import AIOKafkaConnection, AIOKafkaProtocol

_SIZE = struct.Struct(">i")
# What is not awaited may be held up to so many bytes, as StreamReader does. Then the broker has to wait.
_MOST_HELD = 2**17


def read_whole_answers() -> None:
    """Make each connection that is opened from now on read its answers whole."""
    conn.AIOKafkaProtocol = WholeAnswers
    AIOKafkaConnection._read = staticmethod(_read)  # noqa: SLF001 - the task that reads


class WholeAnswers(AIOKafkaProtocol):  # type: ignore[misc]  # aiokafka has no types
    """Keeps data in the pieces in which it arrives, until as much as is awaited is there."""

    def __init__(self, closed: "asyncio.Future[None]", reader: asyncio.StreamReader, **named: Any) -> None:
        super().__init__(closed, reader, **named)
        self._pieces = deque[bytes | memoryview]()
        self._held = 0
        self._wanted = 0
        self._arrival: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._has_ended = False
        self._socket: Any = None
        self._is_paused = False

    def connection_made(self, transport: Any) -> None:
        """Begin to read."""
        self._socket = transport
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Keep a piece."""
        self._pieces.append(data)
        self._held += len(data)
        if self._held >= self._wanted:
            self._wake()
        if self._held > max(self._wanted, _MOST_HELD) and not self._is_paused:
            self._is_paused = True
            self._socket.pause_reading()

    def eof_received(self) -> bool | None:
        """Nothing more comes."""
        self._has_ended = True
        self._wake()
        return super().eof_received()  # type: ignore[no-any-return]

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more comes."""
        self._has_ended, self._error = True, exc
        self._wake()
        super().connection_lost(exc)

    async def take(self, size: int) -> bytes:
        """Return the next so many bytes once they are there. Raises as StreamReader does if they cannot come."""
        while self._held < size:
            if self._error is not None:
                raise self._error
            if self._has_ended:
                raise asyncio.IncompleteReadError(b"".join(self._pieces), size)
            if self._is_paused:
                self._is_paused = False
                self._socket.resume_reading()
            self._wanted = size
            self._arrival = asyncio.get_running_loop().create_future()
            try:
                await self._arrival
            finally:
                self._wanted, self._arrival = 0, None
        self._held -= size
        taken: list[bytes | memoryview] = []
        while size:
            piece = self._pieces.popleft()
            if len(piece) > size:
                self._pieces.appendleft(memoryview(piece)[size:])
                piece = memoryview(piece)[:size]
            taken.append(piece)
            size -= len(piece)
        return b"".join(taken)

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)


async def _read(connection_ref: Any) -> None:
    """Hand on one answer after the other. As in aiokafka, a connection that nobody keeps is not kept by this."""
    connection = connection_ref()
    if connection is None:
        return
    protocol: WholeAnswers = connection._protocol  # noqa: SLF001 - as the function that this replaces
    del connection
    while True:
        (size,) = _SIZE.unpack(await protocol.take(_SIZE.size))
        answer = await protocol.take(size)
        if (connection := connection_ref()) is None:
            return
        connection._handle_frame(answer)  # noqa: SLF001 - as the function that this replaces
        del connection, answer
