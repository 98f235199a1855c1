import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SourceError
from common.protocol.progress import Progress
from services.ingest.files import content
from services.ingest.files.content import Content, PackedFile, content_of, is_source_file
from services.ingest.parsing.fingerprint import Fingerprint
from tests.harness.sources import look, read_to_its_end

Pack = Callable[[bytes], bytes]

PACKERS = {".gz": gzip.compress, ".zst": zstandard.compress}
packed_kinds = pytest.mark.parametrize(("suffix", "pack"), PACKERS.items())


def write(path: Path, data: bytes) -> None:
    # Set another time of change, also where the clock of the disk is coarse.
    path.write_bytes(data)
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))


def read_all(found: Content, offset: int, fingerprint: Fingerprint, sizes: list[int]) -> bytes:
    """Read to the end in these sizes, using half of each chunk, as a reader of records would."""
    taken: list[bytes] = []
    for size in [*sizes, *[100_000] * 100]:
        data = found.read_chunk(offset, fingerprint, size)
        if not data:
            return b"".join(taken)
        used = data[: (len(data) + 1) // 2]
        taken.append(used)
        fingerprint, offset = fingerprint.after(used), offset + len(used)
        found.keep_from(offset)
    raise AssertionError("it never ends")


def progress_at(data: bytes, offset: int) -> Progress:
    fingerprint = Fingerprint().after(data[:offset])
    return Progress("a", offset=offset, head=fingerprint.head_digest, tail=fingerprint.tail_digest)


@packed_kinds
@given(
    parts=st.lists(st.binary(max_size=5000), max_size=3),
    sizes=st.lists(st.integers(1, 6000), max_size=5),
    padding=st.integers(0, 2000),
)
def test_packed_bytes_come_back_however_they_are_read(
    tmp_path_factory: pytest.TempPathFactory,
    suffix: str,
    pack: Pack,
    parts: list[bytes],
    sizes: list[int],
    padding: int,
) -> None:
    path = tmp_path_factory.mktemp("packed") / f"a.csv{suffix}"
    parts = parts or [b""]
    path.write_bytes(b"".join(map(pack, parts)) + bytes(padding))
    data = b"".join(parts)
    assert read_all(content_of(path), 0, Fingerprint(), sizes) == data
    for offset in {0, len(data) // 2, len(data)}:
        again = content_of(path)
        fingerprint = again.fingerprint(progress_at(data, offset))
        assert read_all(again, offset, fingerprint, sizes) == data[offset:]


@packed_kinds
def test_an_incomplete_file_is_an_error_until_it_is_complete(tmp_path: Path, suffix: str, pack: Pack) -> None:
    path = tmp_path / f"a.csv{suffix}"
    data = os.urandom(20_000)
    packed = pack(data)
    write(path, packed[:4])
    found = content_of(path)
    for end in (len(packed) // 2, len(packed) - 1):
        write(path, packed[:end])
        for _ in range(2):
            with pytest.raises(SourceError, match=r"a\.csv.* cannot be unpacked: it ends within its compressed data"):
                found.read_chunk(0, Fingerprint(), 100_000)
    write(path, packed)
    assert found.read_chunk(0, Fingerprint(), 100_000) == data


@packed_kinds
def test_appended_data_is_read_on(tmp_path: Path, suffix: str, pack: Pack) -> None:
    path = tmp_path / f"a.csv{suffix}"
    write(path, pack(b"one\n"))
    found = content_of(path)
    assert found.read_chunk(0, Fingerprint(), 100) == b"one\n"
    fingerprint = Fingerprint().after(b"one\n")
    found.keep_from(4)
    write(path, pack(b"one\n") + pack(b"two\n"))
    assert found.read_chunk(4, fingerprint, 100) == b"two\n"


@packed_kinds
def test_a_file_that_changed_where_it_was_read_is_refused(tmp_path: Path, suffix: str, pack: Pack) -> None:
    path = tmp_path / f"a.csv{suffix}"
    write(path, pack(b"one\ntwo\n"))
    found = content_of(path)
    assert found.read_chunk(0, Fingerprint(), 4) == b"one\n"
    fingerprint = Fingerprint().after(b"one\n")
    for other in (b"uno\ntwo\n", b"one"):
        write(path, pack(other))
        with pytest.raises(SourceError, match="changed within its first 4 unpacked bytes"):
            found.read_chunk(4, fingerprint, 4)
        with pytest.raises(SourceError, match="changed within"):
            content_of(path).fingerprint(progress_at(b"one\n", 4))
    write(path, pack(b"one\ntwo\n"))
    assert found.read_chunk(4, fingerprint, 4) == b"two\n"


@packed_kinds
def test_a_file_that_changed_stays_refused_without_being_unpacked_again(
    tmp_path: Path, suffix: str, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a.csv{suffix}"
    write(path, pack(b"one\ntwo\n"))
    reading, begun_before = content_of(path), content_of(path)
    fingerprint = Fingerprint().after(reading.read_chunk(0, Fingerprint(), 4))
    reading.keep_from(4)
    progress = progress_at(b"one\n", 4)
    for other in (b"uno\ntwo\n", b"one"):
        write(path, pack(other))
        with monkeypatch.context() as patch:
            for _ in range(3):
                with pytest.raises(SourceError, match="changed within"):
                    reading.read_chunk(4, fingerprint, 4)
                with pytest.raises(SourceError, match="changed within"):
                    begun_before.fingerprint(progress)
                patch.setattr(content, "open_file", None)
    write(path, pack(b"one\ntwo\n"))
    assert begun_before.fingerprint(progress) == fingerprint
    assert reading.read_chunk(4, fingerprint, 4) == begun_before.read_chunk(4, fingerprint, 4) == b"two\n"


@packed_kinds
def test_a_file_may_be_read_from_another_offset(tmp_path: Path, suffix: str, pack: Pack) -> None:
    path = tmp_path / f"a.csv{suffix}"
    write(path, pack(b"one\ntwo\n"))
    found = content_of(path)
    found.fingerprint(progress_at(b"one\ntwo\n", 8))
    assert found.read_chunk(0, Fingerprint(), 100) == b"one\ntwo\n"


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("data", [b"\x1f\x8bxxxxxxxxxxxx", b"\x28\xb5\x2f\xfdxxxxxxxx"])
def test_damaged_data_is_reported_as_that(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(data)
    with pytest.raises(SourceError, match="cannot be unpacked"):
        content_of(path).read_chunk(0, Fingerprint(), 100)


@packed_kinds
def test_a_small_file_that_unpacks_to_much_is_never_held_whole(
    tmp_path: Path, suffix: str, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(pack(bytes(2**28)))
    longest = 0
    original = PackedFile._next_piece  # noqa: SLF001 - what it holds at once is the point

    def spied(self: PackedFile, file: object) -> bytes | None:
        nonlocal longest
        piece = original(self, file)  # type: ignore[arg-type]
        longest = max(longest, len(piece or b""))
        return piece

    monkeypatch.setattr(content.PackedFile, "_next_piece", spied)
    found = content_of(path)
    assert len(found.read_chunk(0, Fingerprint(), 2**20)) == 2**20
    assert longest <= 2**26


# Which file is a source's

ROWS = b"Sex,Length\nM,1\nF,2\n"


@pytest.fixture
def source_file(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    path.write_bytes(ROWS)
    return path


def test_a_renamed_file_is_still_its_source_s_also_once_it_has_grown(source_file: Path) -> None:
    progress = read_to_its_end(source_file)
    renamed = source_file.rename(source_file.with_name("b.csv.1"))
    assert is_source_file(renamed, look(renamed).file, progress)
    with renamed.open("ab") as file:
        file.write(b"M,3\n")
    assert is_source_file(renamed, look(renamed).file, progress)


def test_a_file_with_the_same_inode_and_other_content_is_another_source_s(source_file: Path) -> None:
    progress = read_to_its_end(source_file)
    source_file.write_bytes(ROWS.replace(b"M", b"I"))
    assert not is_source_file(source_file, look(source_file).file, progress)
    source_file.write_bytes(ROWS[:-1])
    assert not is_source_file(source_file, look(source_file).file, progress)


def test_a_file_written_again_with_the_same_bytes_and_inode_is_another_source_s(source_file: Path) -> None:
    progress = read_to_its_end(source_file)
    before = source_file.stat()
    source_file.write_bytes(ROWS)
    os.utime(source_file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    file = look(source_file).file
    renamed = source_file.rename(source_file.with_name("b.csv"))
    assert look(renamed).file == file
    assert not is_source_file(renamed, look(renamed).file, progress)
