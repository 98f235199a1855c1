"""Answers that come in pieces, however they are cut."""

import asyncio
import gc
import struct
import weakref
from typing import Any

import pytest
from aiokafka.conn import AIOKafkaConnection
from hypothesis import given
from hypothesis import strategies as st

from common.aiokafka_internals.whole_answers import WholeAnswers
from common.kafka import clients  # noqa: F401 - importing it installs the replacements

ANSWERS = st.lists(st.binary(max_size=40) | st.integers(100_000, 400_000).map(bytes), max_size=6)


class Socket:
    """A transport that can be paused."""

    def __init__(self) -> None:
        self.is_paused = False
        self.pauses = 0

    def pause_reading(self) -> None:  # noqa: D102 - as its name says
        assert not self.is_paused
        self.is_paused = True
        self.pauses += 1

    def resume_reading(self) -> None:  # noqa: D102 - as its name says
        assert self.is_paused
        self.is_paused = False

    def get_extra_info(self, _name: str) -> None:  # noqa: D102 - asyncio asks whether it is encrypted
        return None


class Connection:
    """What a reading task needs of a connection."""

    def __init__(self, socket: Socket) -> None:
        loop = asyncio.get_running_loop()
        self.protocol = self._protocol = WholeAnswers(loop.create_future(), asyncio.StreamReader(), loop=loop)
        self.protocol.connection_made(socket)
        self.answers: list[bytes] = []

    def _handle_frame(self, answer: bytes) -> None:
        assert type(answer) is bytes
        self.answers.append(answer)


async def opened() -> tuple[Connection, Socket, "asyncio.Task[None]"]:
    socket = Socket()
    connection: Any = Connection(socket)
    reading = asyncio.create_task(AIOKafkaConnection._read(weakref.ref(connection)))  # noqa: SLF001 - the replaced one
    await asyncio.sleep(0)
    return connection, socket, reading


async def rest() -> None:
    """Let the reading task go as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


@given(answers=ANSWERS, data=st.data())
def test_answers_come_whole_and_in_order_wherever_they_are_cut(answers: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(struct.pack(">i", len(answer)) + answer for answer in answers)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))

    async def read() -> None:
        connection, socket, reading = await opened()
        for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            if socket.is_paused:
                await rest()
            assert not socket.is_paused
            connection.protocol.data_received(stream[begin:end])
            if data.draw(st.booleans()):
                await rest()
        await rest()
        assert connection.answers == answers
        connection.protocol.eof_received()
        with pytest.raises(EOFError):
            await reading

    asyncio.run(read())


async def test_the_broker_waits_while_more_comes_than_is_awaited_and_never_within_an_answer() -> None:
    connection, socket, reading = await opened()
    size = 10 * 2**20
    connection.protocol.data_received(struct.pack(">i", size))
    await rest()
    for _ in range(10):
        connection.protocol.data_received(bytes(2**20))
    assert socket.pauses == 0
    connection.protocol.data_received(struct.pack(">i", 2**20) + bytes(2**18))
    assert socket.pauses == 1
    await rest()
    assert not socket.is_paused
    assert list(map(len, connection.answers)) == [size]
    reading.cancel()


async def test_what_has_come_whole_before_an_error_is_handed_on_and_the_error_ends_the_reading() -> None:
    connection, _, reading = await opened()
    connection.protocol.data_received(struct.pack(">i", 3) + b"abc" + struct.pack(">i", 3) + b"d")
    connection.protocol.connection_lost(ConnectionResetError("reset"))
    with pytest.raises(ConnectionResetError):
        await reading
    assert connection.answers == [b"abc"]


@pytest.mark.parametrize("come", [b"", b"HTT", b"HTTP/1.1 400 Bad Request"])
async def test_an_end_within_an_answer_is_told_as_asyncio_does(come: bytes) -> None:
    connection, _, reading = await opened()
    plain = asyncio.StreamReader()
    plain.feed_data(come)
    plain.feed_eof()
    connection.protocol.data_received(come)
    connection.protocol.eof_received()
    with pytest.raises(asyncio.IncompleteReadError) as expected:
        await plain.readexactly(struct.unpack(">i", await plain.readexactly(4))[0])
    with pytest.raises(asyncio.IncompleteReadError) as found:
        await reading
    assert (found.value.partial, found.value.expected) == (expected.value.partial, expected.value.expected)


async def test_the_reading_task_does_not_keep_a_connection_that_nobody_keeps() -> None:
    connection, _, reading = await opened()
    protocol, known = connection.protocol, weakref.ref(connection)
    del connection
    gc.collect()
    assert known() is None
    protocol.data_received(struct.pack(">i", 1) + b"a")
    await reading
