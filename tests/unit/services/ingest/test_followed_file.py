"""A followed file: when it is looked at, and what trouble it is in. Real files, no broker."""

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from common.kafka.transaction import Outbox
from common.pipeline.topics import Topics
from common.settings_reader import make_settings
from services.ingest import file_reader
from services.ingest.context import IngestContext
from services.ingest.files.finding import source_name
from services.ingest.followed_file import FollowedFile
from services.ingest.naming.locations import FoundFile
from services.ingest.settings import IngestSettings
from tests.harness.reading import Batch, Reader, Schemas, clocked
from tests.harness.sources import look

__all__ = ["clocked"]

CONTENT = b"Sex,Length\nM,1\nF,2\n"


def follow(path: Path, found: FoundFile | None = None, **settings: Any) -> FollowedFile:
    given = make_settings(IngestSettings, {"input": str(path.parent), "partitions": 1} | settings)
    context = IngestContext(given, Topics.under(""), Schemas())  # type: ignore[arg-type] # as far as it is asked
    return FollowedFile(context, found or look(path), context.new_progress(source_name(path)))


def read(followed: FollowedFile) -> int:
    """Give the file three turns; return how many of them moved it on."""

    async def take_turns() -> int:
        outbox = Outbox(Batch)  # type: ignore[arg-type]  # as much of one as this needs
        return sum([await followed.put_next_rows(outbox) for _ in range(3)])

    return asyncio.run(take_turns())


def state(followed: FollowedFile) -> tuple[bool, bool]:
    """Whether it is finished, and whether it is at rest; a function, so that mypy expects it to change."""
    return followed.finished, followed.is_at_rest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "in" / "a.csv"
    made.parent.mkdir()
    made.write_bytes(CONTENT)
    return made


def test_a_file_rests_once_it_is_read_to_its_end_until_a_look_sees_it_changed(path: Path) -> None:
    followed = follow(path, settle_s=0)
    assert read(followed)
    assert state(followed) == (True, True)
    followed.see(look(path))
    assert state(followed) == (True, True)
    path.write_bytes(CONTENT + b"I,3\n")
    followed.see(look(path))
    assert state(followed) == (False, False)
    read(followed)
    assert followed.progress.tally.rows == 3


def test_a_look_that_sees_no_change_makes_no_path(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(path)
    followed = follow(path, found)

    def refuse(*_: object) -> None:
        raise AssertionError("moved")

    monkeypatch.setattr(file_reader.FileReader, "move", refuse)
    followed.see(look(path))


def test_a_renamed_file_waits_without_trouble_and_is_read_on_where_it_is_seen_next(path: Path) -> None:
    followed = follow(path, settle_s=0)
    renamed = path.rename(path.with_name("b.csv"))
    assert read(followed) == 0
    assert followed.is_at_rest
    assert not followed.trouble
    followed.see(look(renamed))
    read(followed)
    assert followed.progress.tally.rows == 2


def test_a_file_that_took_the_name_is_not_read_in_its_place(path: Path) -> None:
    followed = follow(path, settle_s=0)
    path.rename(path.with_name("b.csv"))
    path.write_bytes(b"Sex,Length\nI,9\n")
    assert read(followed) == 0
    assert followed.is_at_rest
    assert followed.progress.offset == 0


def test_a_file_without_an_identity_is_missed_as_trouble(path: Path) -> None:
    followed = follow(path, FoundFile(str(path)))
    path.unlink()
    read(followed)
    assert followed.trouble == f"cannot read {path}: No such file or directory"
    assert followed.is_at_rest
    assert not followed.finished


@pytest.mark.parametrize("once", [True, False])
def test_a_file_that_cannot_be_read_is_reported_once_and_tried_again_each_second(
    clocked: Reader, path: Path, *, once: bool
) -> None:
    path.unlink()
    path.mkdir()
    followed = follow(path, settle_s=0, once=once)
    with capture_logs() as logs:
        for _ in range(5):
            read(followed)
            clocked.clock += 0.5
    assert [line["event"] for line in logs] == ["source cannot be read"]
    assert followed.trouble == f"cannot read {path}: Is a directory"
    assert followed.finished == once
    path.rmdir()
    path.write_bytes(CONTENT)
    followed.see(look(path))
    with capture_logs() as logs:
        read(followed)
    assert "source can be read again" in [line["event"] for line in logs]
    assert not followed.trouble
    assert followed.progress.tally.rows == 2


def test_a_lost_file_is_in_trouble_until_it_is_seen_again(path: Path) -> None:
    followed, away = follow(path, settle_s=0), path.with_name("away")
    path.rename(away)
    followed.lose(overwritten=False)
    assert read(followed) == 0
    assert followed.trouble == f"cannot read {path}: No such file or directory"
    assert followed.is_at_rest
    followed.see(look(away.rename(path)))
    read(followed)
    assert (followed.trouble, followed.progress.tally.rows) == ("", 2)


@pytest.mark.parametrize("is_read", [True, False])
def test_an_overwritten_file_is_finished_if_it_was_read_to_its_end_and_else_in_trouble(
    path: Path, *, is_read: bool
) -> None:
    followed = follow(path, settle_s=0)
    if is_read:
        read(followed)
    path.with_name("b.csv").write_bytes(b"Sex,Length\nI,9\n")
    path.with_name("b.csv").rename(path)
    followed.lose(overwritten=True)
    assert read(followed) == 0
    assert followed.finished == is_read
    lost = f"{path} is another file now, and the one read to byte 0 is gone"
    assert followed.trouble == ("" if is_read else lost)


def test_a_compressed_file_is_not_unpacked_while_it_grows(clocked: Reader, path: Path) -> None:
    path.write_bytes(gzip.compress(CONTENT))
    followed = follow(path, settle_s=2)
    read(followed)
    assert followed.is_packed
    assert not followed.is_unpacking
    assert state(followed) == (False, False)
    clocked.clock += 2
    read(followed)
    assert state(followed) == (True, True)
    assert followed.progress.tally.rows == 2
