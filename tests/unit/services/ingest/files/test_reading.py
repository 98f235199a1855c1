"""Opening and reading paths that may not be files any more, and files without a size."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from common.errors import SourceError
from common.protocol.progress import Progress
from services.ingest.files.content import content_of
from services.ingest.files.reading import check_readable, open_file, read_fingerprint, read_plain_chunk
from services.ingest.parsing.fingerprint import Fingerprint


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst"])
def test_a_named_pipe_in_a_file_s_place_is_an_error_and_not_waited_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    with pytest.raises(OSError, match="a named pipe, not a file"):
        content_of(path).read_chunk(0, Fingerprint(), 100)
    with pytest.raises(OSError, match="a named pipe, not a file"):
        check_readable(path)


def test_a_socket_or_device_in_a_file_s_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="a device, not a file"):
        open_file(Path("/dev/zero"))
    path = tmp_path / "a.csv"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        with pytest.raises(OSError, match=r".+"):
            open_file(path)


def test_a_file_of_size_0_is_read_to_its_end() -> None:
    rows = "\n".join(f"M,{number}" for number in range(10_000))
    content = f"S={rows}\0".encode()
    with subprocess.Popen(["sleep", "600"], env={"S": rows}) as process:
        try:
            path = Path(f"/proc/{process.pid}/environ")
            assert path.stat().st_size == 0
            while path.read_bytes() != content:
                # Before exec, the environment is still the parent's.
                assert process.poll() is None
            fingerprint, offset = Fingerprint(), 0
            while data := read_plain_chunk(path, offset, fingerprint, 60_000):
                assert data == content[offset : offset + 60_000]
                fingerprint, offset = fingerprint.after(data), offset + len(data)
            assert offset == len(content) > 2**16
            progress = Progress("", offset=offset, head=fingerprint.head_digest, tail=fingerprint.tail_digest)
            assert read_fingerprint(path, progress) == fingerprint
        finally:
            process.kill()


def test_a_file_that_was_emptied_is_still_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"S,N\nM,1\n")
    fingerprint = Fingerprint().after(path.read_bytes())
    progress = Progress("", offset=8, head=fingerprint.head_digest, tail=fingerprint.tail_digest)
    path.write_bytes(b"")
    with pytest.raises(SourceError, match="changed or shrank"):
        read_fingerprint(path, progress)
