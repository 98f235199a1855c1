"""The category files of peers: exactly once also where a process is killed between two checkpoints."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.category_files import CategoryFiles

HEADER = b"Sex,Rings\n"


@contextmanager
def process(folder: Path) -> Iterator[CategoryFiles]:
    """A process's files, which end as if it were killed."""
    files = CategoryFiles(folder, HEADER)
    yield files
    for file in files._files.values():  # noqa: SLF001 - a peer never closes them
        file.close()


def test_a_file_that_no_checkpoint_knows_begins_again(tmp_path: Path) -> None:
    for _ in range(2):
        with process(tmp_path) as files:
            files.append({b"M": [b"M,1\n"]})

    assert (tmp_path / "M.csv").read_bytes() == HEADER + b"M,1\n"


def test_a_checkpoint_knows_files_that_only_an_earlier_process_wrote_to(tmp_path: Path) -> None:
    with process(tmp_path) as first:
        first.append({b"M": [b"M,1\n"]})
        first.checkpoint({0: 1})
    with process(tmp_path) as second:
        second.append({b"F": [b"F,2\n"]})
        second.checkpoint({0: 2})
        second.append({b"M": [b"M,3\n"]})
    with process(tmp_path) as third:
        third.append({b"M": [b"M,3\n"]})

    assert third.offsets == {0: 2}
    assert (tmp_path / "M.csv").read_bytes() == HEADER + b"M,1\nM,3\n"
    assert (tmp_path / "F.csv").read_bytes() == HEADER + b"F,2\n"
