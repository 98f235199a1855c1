"""Input that can be read only once: standard input, open descriptors, named pipes."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.errors import ConfigurationError
from services.ingest.files.finding import descriptor_of, find_files, is_stream
from services.ingest.files.stream import _chunks
from services.ingest.parsing.expected import Expected
from services.ingest.standard_input import _Held, _take_all

CONTENT = b"Sex,Number\nM,1\nF,2\n" * 50_000


@contextmanager
def writing(descriptor: int) -> Iterator[None]:
    """Write CONTENT into this end, in a thread."""

    def write() -> None:
        with os.fdopen(descriptor, "wb") as file:
            file.write(CONTENT)

    thread = threading.Thread(target=write)
    thread.start()
    yield
    thread.join()


@pytest.mark.parametrize(
    ("given", "descriptor"),
    [
        ("-", 0),
        ("/dev/stdin", 0),
        ("/dev/fd/0", 0),
        ("/dev/fd/63", 63),
        ("/proc/self/fd/12", 12),
        ("/dev/fd/", None),
        ("/dev/fd/a", None),
        ("dev/stdin", None),
        ("/dev/null", None),
    ],
)
def test_a_descriptor_is_known_by_its_name(given: str, descriptor: int | None) -> None:
    assert descriptor_of(given) == descriptor


def test_a_named_pipe_and_a_device_are_streams_but_no_file_or_folder_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "a.csv").touch()
    streams = [tmp_path / "pipe", tmp_path / "link", Path("/dev/null")]
    others = [tmp_path, tmp_path / "a.csv", tmp_path / "none", tmp_path / "*"]
    assert [is_stream(str(path)) for path in [*streams, *others]] == [True] * 3 + [False] * 4


def test_a_socket_given_as_input_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "a.csv"))
        with pytest.raises(ConfigurationError, match=r"INPUT .*a\.csv is a socket"):
            find_files(str(tmp_path / "a.csv"))


def test_a_named_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    # Opening one end waits for the other; opening both does not.
    both = os.open(path, os.O_RDWR)
    chunks = _chunks(str(path))
    with writing(os.open(path, os.O_WRONLY)):
        read = [next(chunks)]
        os.close(both)
        read += chunks
    assert read.pop() == b""
    assert b"".join(chunk for chunk in read if isinstance(chunk, bytes)) == CONTENT


def test_a_descriptor_that_does_not_block_is_waited_for() -> None:
    reading, written = os.pipe2(os.O_NONBLOCK)
    os.set_blocking(written, True)
    with writing(written):
        chunks = list(_chunks(f"/dev/fd/{reading}"))
    os.close(reading)
    assert chunks.pop() == b""
    assert b"".join(chunk for chunk in chunks if isinstance(chunk, bytes)) == CONTENT


@pytest.mark.parametrize("kind", ["closed", "folder", "gone"])
def test_input_that_cannot_be_read_is_an_error_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    if kind == "closed":
        os.close(descriptor)
    [error] = _chunks(str(tmp_path / "gone") if kind == "gone" else f"/dev/fd/{descriptor}")
    assert isinstance(error, OSError)
    if kind != "closed":
        os.close(descriptor)


class Reader:
    """Takes all complete lines, and notes what was expected behind them."""

    def __init__(self) -> None:
        self.source = SimpleNamespace(progress=read_to(0), is_undecided=False)
        self.transactions = SimpleNamespace(in_flight=None)
        self.looks: list[Expected] = []
        self.looked = asyncio.Event()

    async def take(self, data: bytes, expected: Expected) -> bytes:
        """Take what a reader of a stream takes."""
        self.looks.append(expected)
        self.looked.set()
        self.source.progress = read_to(0, ended=expected is Expected.NOTHING)
        return data[data.rfind(b"\n") + 1 :]

    async def check(self) -> None:
        """Nothing is under way."""


def read_to(rows: int, *, ended: bool = False) -> SimpleNamespace:
    return SimpleNamespace(source="-", ended=ended, tally=SimpleNamespace(rows=rows))


async def test_an_end_that_comes_with_a_signal_is_none_because_the_writer_may_have_got_it_too() -> None:
    reader: Any = Reader()
    chunks: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    stop = asyncio.Event()
    taking = asyncio.create_task(_take_all(reader, chunks, stop))
    await chunks.put(b"M,1\nF,")
    await reader.looked.wait()
    chunks.put_nowait(b"")
    stop.set()
    await taking
    assert Expected.NOTHING not in reader.looks


async def test_a_long_line_is_not_looked_at_again_with_each_piece() -> None:
    sizes: list[int] = []

    async def take(data: bytes, _expected: Expected) -> bytes:
        sizes.append(len(data))
        return data[data.rfind(b"\n") + 1 :]

    held = _Held(take)
    pieces = 500
    for _ in range(pieces):
        await held.add(b"x" * 2**16)
    assert sum(sizes) < 4 * pieces * 2**16
    assert held.has_more
    # A complete row does not wait, though nothing else comes for now.
    await held.add(b"\nM,1\nF")
    await held.take(Expected.MORE)
    assert (held.data, held.has_more) == (b"F", False)
    # Short data is looked at as it comes.
    await held.add(b",2\n")
    assert not held.data
