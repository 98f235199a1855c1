"""AFTER_DELIVERY: a file leaves INPUT once its receipt is there, and not before."""

import gzip
from pathlib import Path

import pytest

from tests.harness.pipeline import Pipeline, Service

HEADER = b"Sex,Number\n"


def rows(name: str, begin: int, end: int) -> bytes:
    return b"".join(b"%s,%s-%d\n" % (b"MFI"[n % 3 :][:1], name.encode(), n) for n in range(begin, end))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "in"
    path.mkdir()
    return path


def start(pipeline: Pipeline, source: Path | str, after: str, **settings: str) -> Service:
    """All three; returns ingest."""
    pipeline.start("split", SPLIT_BY="*,Sex")
    pipeline.start("sink")
    return pipeline.start("ingest", source, **{"SETTLE_S": "0.2", "AFTER_DELIVERY": after, **settings})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_are_moved_once_they_are_delivered_and_keep_their_folders(pipeline: Pipeline, folder: Path) -> None:
    done = folder / "done"
    (folder / "deeper").mkdir()
    given = {
        "a.csv": HEADER + rows("a", 0, 500),
        "deeper/a.csv": HEADER + rows("b", 0, 10),
        "c.csv.gz": gzip.compress(HEADER + rows("c", 0, 100)),
        "empty.csv": b"",
        "header.csv": HEADER,
    }
    for name, content in given.items():
        (folder / name).write_bytes(content)
    ingest = start(pipeline, folder, f"move:{done}")
    pipeline.wait_until(lambda: len(ingest.events("source moved")) == len(given), "all are moved")
    assert contents(folder) == {f"done/{name}": content for name, content in given.items()}
    assert pipeline.output_files()["all.csv"].count(b"\n") == 611
