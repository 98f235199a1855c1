"""Which files there are: globs, what is no file, links, and input that is read once as it comes."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.harness.pipeline import Pipeline
from tests.integration.test_validate import validate

HEADER = b"S,N\n"


def test_a_glob_finds_what_was_replaced_and_narrowed_reads_only_what_it_names(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    path, deeper = folder / "a.csv", folder / "sub" / "b.csv"
    path.write_bytes(HEADER + b"M,1\n")
    deeper.write_bytes(HEADER + b"I,1\n")
    pipeline.run(folder / "**" / "*.csv", "S")
    # Another file with the same beginning takes its name.
    (tmp_path / "new").write_bytes(HEADER + b"M,1\nF,2\n")
    (tmp_path / "new").rename(path)
    pipeline.run(folder / "**" / "*.csv", "S")
    pipeline.check_files({"S/M.csv": HEADER + b"M,1\n", "S/I.csv": HEADER + b"I,1\n", "S/F.csv": HEADER + b"F,2\n"})
    for each in (path, deeper):
        with each.open("ab") as file:
            file.write(b"F,3\n" if each == path else b"F,4\n")
    pipeline.run(folder / "*.csv", "S")
    assert pipeline.output_files()["S/F.csv"] == HEADER + b"F,2\nF,3\n"


@pytest.mark.parametrize("once", [True, False], ids=["once", "followed"])
def test_pipes_and_linked_folders_are_left_out_with_a_line_each(
    pipeline: Pipeline, tmp_path: Path, *, once: bool
) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    os.mkfifo(folder / "p.csv")
    (folder / "link").symlink_to(tmp_path / "other")
    for path in (folder / "a.csv", folder / "sub" / "b.csv", tmp_path / "other" / "c.csv"):
        path.write_bytes(HEADER + b"M,1\n")
    if once:
        pipeline.run(folder, "S")
        [ingest, *_] = pipeline.services
        answer = validate(folder, "--no-broker", SPLIT_BY="S")
        assert answer.returncode == 0, answer.stdout
        assert "p.csv is left out: it is a named pipe" in answer.stdout
        assert "link is left out: it is a symbolic link to a folder" in answer.stdout
    else:
        pipeline.start("split", SPLIT_BY="S")
        pipeline.start("sink")
        ingest = pipeline.start("ingest", folder, SETTLE_S="0.2")
    pipeline.wait_for_files({"S/M.csv": HEADER + b"M,1\nM,1\n"})
    left_out = {line["path"]: line["reason"] for line in ingest.events("left out of the input")}
    assert left_out.keys() == {str(folder / "p.csv"), str(folder / "link")}
    if not once:
        # A file that a pipe takes the place of costs no more than itself.
        (folder / "a.csv").unlink()
        os.mkfifo(folder / "a.csv")
        with (folder / "sub" / "b.csv").open("ab") as file:
            file.write(b"M,2\n")
        pipeline.wait_for_files({"S/M.csv": HEADER + b"M,1\nM,1\nM,2\n"})
        code, _ = ingest.stop()
        assert code == 0


def test_standard_input_by_any_name_is_read_to_its_end(pipeline: Pipeline, tmp_path: Path) -> None:
    """As `ingest <(...)`, `INPUT=/dev/stdin` and a named pipe; what comes is never asked for twice."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    rows = {name: HEADER + b"".join(b"%s,%d\n" % (name, n) for n in range(2000)) for name in (b"A", b"B", b"C")}
    for name, content in rows.items():
        (tmp_path / name.decode()).write_bytes(content)
    by_name = pipeline.start("ingest", fifo)
    writer = subprocess.Popen(["cp", tmp_path / "A", fifo])
    with subprocess.Popen(["cat", tmp_path / "B"], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        by_device = pipeline.start_ingest_of(cat.stdout, given="/dev/stdin")
    with subprocess.Popen(["cat", tmp_path / "C"], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        by_descriptor = pipeline.start_ingest_of(cat.stdout, given="/proc/self/fd/0")
    pipeline.start("split", SPLIT_BY="S")
    pipeline.start("sink")
    pipeline.finish(by_name, by_device, by_descriptor)
    assert writer.wait() == 0
    pipeline.wait_for_files({f"S/{name.decode()}.csv": content for name, content in rows.items()})


def test_standard_input_without_a_row_says_why(pipeline: Pipeline) -> None:
    """Half a header waits for nothing there; lines that are all skipped are a wrong setting, as of files."""
    cases = [
        (b"S,n", {}, 0, "a header without a row is not taken"),
        (b"S,n\n", {"SKIP_LINES": "2"}, 78, "SKIP_LINES=2"),
    ]
    for content, settings, code, told in cases:
        with subprocess.Popen(["printf", content], stdout=subprocess.PIPE) as written:
            assert written.stdout is not None
            ingest = pipeline.start_ingest_of(written.stdout, **settings)
        assert ingest.wait_for_exit() == code
        assert told in ingest.log()


def test_files_rotated_within_a_moment_are_all_read_in_their_order(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    log = folder / "log.csv"
    log.write_bytes(HEADER + b"M,0\n")
    pipeline.start("split", SPLIT_BY="*")
    pipeline.start("sink")
    ingest = pipeline.start("ingest", folder / "*.csv", SETTLE_S="0.2")
    pipeline.wait_for_files({"all.csv": HEADER + b"M,0\n"})
    for turn in range(1, 21):
        for number in range(turn - 1, 0, -1):
            (folder / f"log.csv.{number}").rename(folder / f"log.csv.{number + 1}")
        log.rename(folder / "log.csv.1")
        log.write_bytes(HEADER + b"M,%d\n" % turn)
    pipeline.wait_for_files({"all.csv": HEADER + b"".join(b"M,%d\n" % turn for turn in range(21))})
    assert not ingest.events("a file was gone before it was seen: its rows are not read")
    # What could not be read is told.
    lost = folder / "lost.csv"
    while not ingest.events("a file was gone before it was seen: its rows are not read"):
        lost.write_bytes(HEADER)
        lost.unlink()
