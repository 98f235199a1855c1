"""Files that are read once, grow, appear, shrink or change."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.expectation import ABALONE, expected_files, rejections, rows_of
from tests.harness.pipeline import ABALONE_FILE, Pipeline, Service

BOTH = "*,Sex"
CATEGORIES = [ABALONE["*"], ABALONE["Sex"]]
HEADER = b"Sex,Number\n"
# Of the longest name that a folder may have, or nearly.
DEEP = "d" * 250


def follow(pipeline: Pipeline, source: Path, **settings: str) -> Service:
    pipeline.start("split", SPLIT_BY=BOTH)
    pipeline.start("sink")
    return pipeline.start("ingest", source, **settings)


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def test_a_file_read_twice_with_once_is_carried_once(pipeline: Pipeline) -> None:
    expected = expected_files(ABALONE_FILE.read_bytes(), CATEGORIES)
    pipeline.run(ABALONE_FILE, BOTH)
    pipeline.check_files(expected)
    rows = pipeline.observer.records("rows")
    pipeline.run(ABALONE_FILE, BOTH)
    assert pipeline.observer.records("rows") == rows
    pipeline.check_files(expected)


def test_appended_rows_are_carried_by_the_next_run_with_once(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    content = ABALONE_FILE.read_bytes()
    middle = content.rfind(b"\n", 0, 100_000) + 1
    for end in (middle, len(content)):
        source.write_bytes(content[:end])
        pipeline.run(source, BOTH)
        pipeline.check_files(expected_files(content[:end], CATEGORIES))


def test_appended_rows_are_carried_while_it_runs(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    content = ABALONE_FILE.read_bytes()
    middle = content.rfind(b"\n", 0, 100_000) + 1
    source.write_bytes(content[:middle])
    ingest = follow(pipeline, source, SETTLE_S="0.2")
    pipeline.wait_for_files(expected_files(content[:middle], CATEGORIES))
    pipeline.wait_for_event(ingest, "source ended")
    append(source, content[middle:])
    pipeline.wait_for_files(expected_files(content, CATEGORIES))


def test_half_a_row_waits_for_its_other_half(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    content = ABALONE_FILE.read_bytes()
    half = content.rfind(b"\n", 0, 100_000) + 10
    source.write_bytes(content[:half])
    follow(pipeline, source, SETTLE_S="60")
    pipeline.wait_for_files(expected_files(content[: half - 9], CATEGORIES))
    append(source, content[half:])
    pipeline.wait_for_files(expected_files(content, CATEGORIES))


@pytest.mark.parametrize("once", ["true", "false"])
def test_a_last_row_without_line_ending_is_ended_by_what_is_appended(
    pipeline: Pipeline, tmp_path: Path, once: str
) -> None:
    source = tmp_path / "source.csv"
    beginning = HEADER + b"M,1\nF,2\nM,3"
    source.write_bytes(beginning)
    first = {"all.csv": beginning, "Sex/M.csv": HEADER + b"M,1\nM,3", "Sex/F.csv": HEADER + b"F,2\n"}
    if once == "true":
        pipeline.run(source, BOTH)
        pipeline.check_files(first)
    else:
        follow(pipeline, source, SETTLE_S="0.2", UNTERMINATED_S="0.2")
        pipeline.wait_for_files(first)
    append(source, b"\nM,4\nF,5\n")
    if once == "true":
        pipeline.run(source, BOTH)
    pipeline.wait_for_files(expected_files(source.read_bytes(), CATEGORIES))


def test_what_continues_a_row_that_had_ended_is_rejected(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(HEADER + b"M,1\nM,2")
    pipeline.run(source, BOTH)
    append(source, b"34\nM,5\n")
    pipeline.run(source, BOTH)
    files = pipeline.output_files()
    [rejection] = rejections(files["rejected.csv"])
    place = len(HEADER + b"M,1\nM,2")
    assert rejection.pop("reason").startswith("the rest of a row that was taken as ended")
    expected = {"source": str(source), "line": "3", "offset": str(place), "split": "", "code": "late", "row": "34"}
    assert rejection == expected
    assert source.read_bytes()[place : place + 2] == b"34"
    assert files["all.csv"] == files["Sex/M.csv"] == HEADER + b"M,1\nM,2\nM,5\n"


def numbered_rows(source: int, count: int) -> bytes:
    header = b"Sex,Source,Number\n"
    return header + b"".join(b"%s,%d,%d\n" % (b"MFI"[n * 7 % 3 :][:1], source, n) for n in range(count))


def check_each_source(pipeline: Pipeline, sources: int, rows: int) -> None:
    """Every file has each source's rows in the source's order."""
    files = pipeline.output_files()
    assert files.keys() == {"all.csv", "Sex/M.csv", "Sex/F.csv", "Sex/I.csv"}
    for path, content in files.items():
        found = rows_of({path: content}, path)
        for source in range(sources):
            expected = rows_of(expected_files(numbered_rows(source, rows), CATEGORIES), path)
            same = [row for row in found if row.split(b",")[1] == b"%d" % source] == expected
            assert same, f"{path}: rows of source {source} are missing, repeated or out of order"
    assert len(rows_of(files, "all")) == sources * rows


@pytest.mark.long
def test_two_ingest_replicas_share_a_folder_and_notice_a_new_file(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    sources, rows = 12, 5_000
    for source in range(sources):
        folder.joinpath(f"{source}.csv").write_bytes(numbered_rows(source, rows))
    replicas = [pipeline.start("ingest", folder, SETTLE_S="0.2") for _ in range(2)]
    pipeline.wait_until(
        lambda: all(replica.events("partitions assigned") for replica in replicas), "both replicas have partitions"
    )
    split = pipeline.start("split", SPLIT_BY=BOTH)
    sink = pipeline.start("sink")
    size = sum(2 * path.stat().st_size for path in folder.iterdir())
    headers = sources * len(b"Sex,Source,Number\n")
    four_headers = 4 * len(b"Sex,Source,Number\n")
    pipeline.wait_for_size(size - 2 * headers + four_headers)
    check_each_source(pipeline, sources, rows)
    folder.joinpath("new.csv").write_bytes(numbered_rows(sources, rows))
    size += 2 * folder.joinpath("new.csv").stat().st_size
    headers += len(b"Sex,Source,Number\n")
    pipeline.wait_for_size(size - 2 * headers + four_headers)
    check_each_source(pipeline, sources + 1, rows)
    shares = [{line["source"] for line in replica.events("source opened")} for replica in replicas]
    assert all(shares)
    assert len(shares[0] | shares[1]) == sources + 1
    for service in (*replicas, split, sink):
        assert service.stop()[0] == 0
    # Now that nothing is left to do, one that exits when done has to see it.
    pipeline.finish(
        pipeline.start("split", SPLIT_BY=BOTH, EXIT_WHEN_DONE="true"), pipeline.start("sink", EXIT_WHEN_DONE="true")
    )
    check_each_source(pipeline, sources + 1, rows)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda content: content[:1000], "shrank", id="shrank"),
        pytest.param(lambda content: content.replace(b"M,0.455", b"M,9.999", 1) + b"M,1\n", "changed", id="changed"),
        pytest.param(lambda _: b"", "shrank", id="emptied"),
    ],
)
def test_a_file_that_is_not_what_it_was_is_an_error_and_nothing_is_sent(
    pipeline: Pipeline, tmp_path: Path, change: Callable[[bytes], bytes], reason: str
) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(ABALONE_FILE.read_bytes())
    pipeline.run(source, BOTH)
    rows = pipeline.observer.records("rows")
    source.write_bytes(change(ABALONE_FILE.read_bytes()))
    ingest = pipeline.start("ingest", "--once", source)
    assert ingest.wait_for_exit() == 1
    [error] = ingest.events("cannot go on")
    assert str(source) in error["reason"]
    assert reason in error["reason"]
    assert pipeline.observer.records("rows") == rows


def test_while_one_file_is_in_trouble_the_others_go_on_and_it_comes_back(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    good, bad = folder / "good.csv", folder / "bad.csv"
    good.write_bytes(HEADER + b"M,1\n")
    bad.write_bytes(HEADER + b"F,1\n")
    ingest = follow(pipeline, folder, SETTLE_S="0.2")
    pipeline.wait_until(lambda: len(ingest.events("source ended")) == 2, "both sources have ended")
    bad.write_bytes(HEADER)
    pipeline.wait_for_event(ingest, "source cannot be read")
    append(good, b"M,2\n")
    pipeline.wait_until(lambda: pipeline.output_files().get("Sex/M.csv") == HEADER + b"M,1\nM,2\n", "M.csv goes on")
    bad.write_bytes(HEADER + b"F,1\nF,2\n")
    pipeline.wait_until(lambda: pipeline.output_files().get("Sex/F.csv") == HEADER + b"F,1\nF,2\n", "F.csv goes on")
    assert len(ingest.events("source cannot be read")) == 1
    assert len(ingest.events("source can be read again")) == 1


def dig(folder: Path) -> None:
    """Folders in each other, down to where their path is longer than the system takes."""
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(17):
        os.mkdir(DEEP, dir_fd=descriptor)
        below = os.open(DEEP, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)


def test_a_folder_that_cannot_be_looked_into_is_told_once_and_the_others_go_on(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    dig(folder)
    good = folder / "good.csv"
    good.write_bytes(HEADER + b"M,1\n")
    ingest = follow(pipeline, folder, SETTLE_S="0.2")
    pipeline.wait_until(lambda: pipeline.output_files().get("Sex/M.csv") == HEADER + b"M,1\n", "M.csv is there")
    shutil.rmtree(folder / DEEP)
    pipeline.wait_for_event(ingest, "folder can be read again")
    assert len(ingest.events("folder cannot be read")) == 1
    assert ingest.stop()[0] == 0
    dig(folder)
    once = pipeline.start("ingest", "--once", folder)
    assert once.wait_for_exit() == 1
    [error] = once.events("cannot go on")
    assert "1 source or folder was not read: cannot read" in error["reason"]
    shutil.rmtree(folder / DEEP)


def test_files_that_are_cut_grow_or_are_replaced_come_out_as_they_are(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    crlf, half, header, same = (folder / f"{name}.csv" for name in ("crlf", "half", "header", "same"))
    crlf.write_bytes(b"Sex,Number\r\nM,1\r\nF,2\r")
    half.write_bytes(HEADER + b"I,10\nI,12")
    header.write_bytes(b"Sex,Num")
    same.write_bytes(HEADER + b"F,1\n")
    ingest = follow(pipeline, folder, SETTLE_S="0.2")
    pipeline.wait_until(lambda: len(ingest.events("source ended")) == 1, "what is complete has ended")
    pipeline.wait_for_event(ingest, "a header waits for its line ending")
    append(crlf, b"\nM,3\r\n")
    append(half, b"345\n")
    append(header, b"ber\nF,3\n")
    pipeline.wait_until(lambda: len(ingest.events("source ended")) == 4, "all have ended")
    new = tmp_path / "new"
    new.write_bytes(HEADER + b"F,9\n")
    new.rename(same)
    pipeline.wait_for_event(ingest, "source cannot be read")
    assert [line["source"] for line in ingest.events("source cannot be read")] == [str(same)]
    # CRLF and LF are two schemas, in whichever order they came.
    pipeline.wait_until(
        lambda: crlf.read_bytes() in pipeline.output_files().values(), "the file with CRLF has come out as it is"
    )
    rows = {b"F,1", b"F,3", b"I,10", b"I,12345"}
    pipeline.wait_until(
        lambda: any(rows == set(content.split(b"\n")[1:-1]) for content in pipeline.output_files().values()),
        "the rows of the others are there",
    )
    assert not any("rejected" in path for path in pipeline.output_files())
