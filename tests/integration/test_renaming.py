"""Files that are renamed, rotated, linked and deleted while they grow: each row comes once, in its file's order."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.pipeline import Pipeline, Service

HEADER = b"Sex,Source,Number\n"


def rows(source: str, begin: int, end: int) -> bytes:
    return b"".join(b"%s,%s,%d\n" % (b"MFI"[n * 7 % 3 :][:1], source.encode(), n) for n in range(begin, end))


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "in"
    path.mkdir()
    return path


def follow(pipeline: Pipeline, source: Path, **settings: str) -> Service:
    pipeline.start("split", SPLIT_BY="*")
    pipeline.start("sink")
    return pipeline.start("ingest", source, **{"SETTLE_S": "0.2", **settings})


def wait_for_rows(pipeline: Pipeline, expected: bytes) -> None:
    """Every row has come, and none more: in this order."""
    wanted = HEADER + expected
    pipeline.wait_until(lambda: pipeline.output_size() >= len(wanted), "all rows are written")
    assert pipeline.output_files() == {"all.csv": wanted}


def ended(ingest: Service, times: int) -> Callable[[], bool]:
    return lambda: len(ingest.events("source ended")) == times


@pytest.mark.parametrize("once", [True, False], ids=["between two runs", "while it runs"])
def test_a_renamed_file_is_read_on_and_not_again(pipeline: Pipeline, folder: Path, *, once: bool) -> None:
    before, after = folder / "a.csv", folder / "deeper" / "b.csv"
    after.parent.mkdir()
    before.write_bytes(HEADER + rows("a", 0, 500))
    if once:
        pipeline.run(folder, "*")
    else:
        ingest = follow(pipeline, folder)
    wait_for_rows(pipeline, rows("a", 0, 500))
    before.rename(after)
    append(after, rows("a", 500, 900))
    if once:
        pipeline.run(folder, "*")
    wait_for_rows(pipeline, rows("a", 0, 900))
    if not once:
        [told] = ingest.events("source was renamed")
        assert (told["source"], told["before"], told["now"]) == (str(before), str(before), str(after))
        assert not ingest.events("source cannot be read")


@pytest.mark.parametrize("given", ["folder", "file"])
@pytest.mark.parametrize(
    "killed",
    [pytest.param(False, id="running"), pytest.param(True, id="killed meanwhile", marks=pytest.mark.long)],
)
def test_a_rotated_file_is_read_to_its_end_and_then_the_one_in_its_place(
    pipeline: Pipeline, folder: Path, given: str, *, killed: bool
) -> None:
    log = folder / "log.csv"
    log.write_bytes(HEADER + rows("log", 0, 100))
    source = folder if given == "folder" else log
    ingest = follow(pipeline, source)
    wait_for_rows(pipeline, rows("log", 0, 100))
    for turn in range(1, 4):
        if killed:
            ingest.kill()
        # What nobody has read yet is in the file when it gets its new name, which is none that INPUT has.
        append(log, rows("log", 100 * turn, 100 * turn + 60))
        for number in range(turn, 1, -1):
            (folder / f"log.csv.{number - 1}").rename(folder / f"log.csv.{number}")
        log.rename(folder / "log.csv.1")
        log.write_bytes(HEADER + rows("log", 100 * turn + 60, 100 * turn + 100))
        if killed:
            ingest = pipeline.start("ingest", source, SETTLE_S="0.2")
        wait_for_rows(pipeline, rows("log", 0, 100 * turn + 100))
    append(folder / "log.csv.1", rows("late", 0, 5))
    wait_for_rows(pipeline, rows("log", 0, 400) + rows("late", 0, 5))
    assert not ingest.events("source cannot be read")


def test_a_file_with_two_names_is_read_once(pipeline: Pipeline, folder: Path) -> None:
    first = folder / "a.csv"
    first.write_bytes(HEADER + rows("a", 0, 100))
    (folder / "b.csv").hardlink_to(first)
    (folder / "c.csv").symlink_to("a.csv")
    ingest = follow(pipeline, folder)
    wait_for_rows(pipeline, rows("a", 0, 100))
    pipeline.wait_until(
        lambda: len(ingest.events("a second name of one file: it is read once")) == 2, "both other names are told"
    )
    first.unlink()
    append(folder / "b.csv", rows("a", 100, 200))
    wait_for_rows(pipeline, rows("a", 0, 200))


def test_a_new_file_with_the_same_bytes_is_read_whatever_inode_it_gets(pipeline: Pipeline, folder: Path) -> None:
    content = rows("same", 0, 100)
    path = folder / "0.csv"
    path.write_bytes(HEADER + content)
    ingest = follow(pipeline, folder)
    wait_for_rows(pipeline, content)
    for number in range(1, 4):
        pipeline.wait_until(ended(ingest, number), "it has ended")
        path.unlink()
        path = folder / f"{number}.csv"
        path.write_bytes(HEADER + content)
        wait_for_rows(pipeline, content * (number + 1))


def test_a_file_written_anew_under_its_name_goes_on_where_it_was_left(pipeline: Pipeline, folder: Path) -> None:
    path = folder / "a.csv"
    path.write_bytes(HEADER + rows("a", 0, 100))
    ingest = follow(pipeline, folder)
    for end in (200, 300):
        wait_for_rows(pipeline, rows("a", 0, end - 100))
        copy = folder / "a.part"
        copy.write_bytes(HEADER + rows("a", 0, end))
        copy.replace(path)
    wait_for_rows(pipeline, rows("a", 0, 300))
    assert not ingest.events("source cannot be read")
