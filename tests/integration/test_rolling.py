"""Files that are finished: by rows, by idle time, at the end; named, packed, and never changed again."""

import gzip
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.harness.expectation import ABALONE, expected_files, path_by
from tests.harness.parts import joined
from tests.harness.pipeline import ABALONE_FILE, Pipeline, Service


def finished(pipeline: Pipeline) -> dict[str, bytes]:
    """The files that are finished. Others may get another name while they are looked at."""
    paths = [path for path in pipeline.output.rglob("*") if path.name.endswith((".csv", ".csv.gz"))]
    return {str(path.relative_to(pipeline.output)): path.read_bytes() for path in paths}


def is_further(pipeline: Pipeline, sink: Service, count: int) -> bool:
    """Whether so many files are finished, or nothing is left to do."""
    return len(finished(pipeline)) >= count or sink.exit_code is not None


def many_rows(path: Path, times: int) -> bytes:
    """A file with the abalone rows so many times over, and what is in it."""
    header, _, rows = ABALONE_FILE.read_bytes().partition(b"\n")
    content = header + b"\n" + times * rows
    path.write_bytes(content)
    return content


def test_a_finite_run_leaves_finished_and_packed_files_of_so_many_rows_at_the_most(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex,Rings", ROLL_ROWS="500", COMPRESS="gzip")
    files = pipeline.output_files()
    assert all(path.endswith(".csv.gz") for path in files)
    assert max(gzip.decompress(content).count(b"\n") for content in files.values()) == 501
    expected = expected_files(ABALONE_FILE.read_bytes(), [ABALONE["Sex"], path_by("Rings", 8)])
    assert joined(files) == expected


def test_a_file_without_new_rows_is_finished_by_the_clock_and_the_next_row_begins_another(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    source = tmp_path / "grows.csv"
    source.write_bytes(b"Sex,Rings\nM,1\n")
    pipeline.start("ingest", source, SETTLE_S="60")
    pipeline.start("split", SPLIT_BY="Sex")
    sink = pipeline.start("sink", ROLL_IDLE_S="1", PATH_TEMPLATE="{split}={category}/{part}.csv")
    pipeline.wait_until(lambda: "Sex=M/000001.csv.open" in pipeline.output_files(), "the open file can be read")
    pipeline.wait_until(lambda: set(pipeline.output_files()) == {"Sex=M/000001.csv"}, "it is finished", 60)
    with source.open("ab") as file:
        file.write(b"M,2\n")
    both = {"Sex=M/000001.csv": b"Sex,Rings\nM,1\n", "Sex=M/000002.csv": b"Sex,Rings\nM,2\n"}
    pipeline.wait_until(lambda: pipeline.output_files() == both, "the next is finished", 60)
    assert sink.stop()[0] == 0


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_sink_killed_again_and_again_finishes_every_row_once_and_changes_no_finished_file(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    source = tmp_path / "many.csv"
    expected = expected_files(many_rows(source, 25), [ABALONE["*"], ABALONE["Sex"]])
    pipeline.finish(pipeline.start("ingest", "--once", source))
    pipeline.finish(pipeline.start("split", SPLIT_BY="*,Sex", EXIT_WHEN_DONE="true"))
    settings = {"ROLL_ROWS": "700", "COMPRESS": "gzip", "CHECKPOINT_INTERVAL_MS": "20"}
    seen: dict[str, bytes] = {}
    kills = 0
    for _ in range(10):
        sink = pipeline.start("sink", EXIT_WHEN_DONE="true", **settings)
        count = len(seen) + 5
        pipeline.wait_until(partial(is_further, pipeline, sink, count), "more files are finished")
        if sink.exit_code is not None:
            break
        sink.kill()
        kills += 1
        now = finished(pipeline)
        for path, content in seen.items():
            same = now[path] == content
            assert same, f"{path} was finished, and changed"
        seen = now
    assert kills >= 5
    pipeline.finish(pipeline.start("sink", EXIT_WHEN_DONE="true", **settings))
    files = pipeline.output_files()
    assert all(path.endswith(".csv.gz") for path in files)
    whole = joined(files)
    assert whole.keys() == expected.keys()
    for path, content in expected.items():
        same = whole[path] == content
        assert same, f"{path} is wrong"


@pytest.mark.long
@pytest.mark.parametrize("packing", ["none", "gzip"])
def test_a_sink_that_dies_at_each_step_of_finishing_a_file_loses_and_repeats_nothing(
    pipeline: Pipeline, packing: str
) -> None:
    pipeline.finish(pipeline.start("ingest", "--once", ABALONE_FILE))
    pipeline.finish(pipeline.start("split", SPLIT_BY="Sex", EXIT_WHEN_DONE="true"))
    crash_log = pipeline.folder / "crashes"
    settings = {"ROLL_ROWS": "50", "COMPRESS": packing, "EXIT_WHEN_DONE": "true", "CHECKPOINT_INTERVAL_MS": "20"}
    places = [f"{point}:{moment}:1" for point in ("ready", "rename", "in_place") for moment in ("before", "after")]
    for place in [*places, "rename:after:3", "rename:before:9"]:
        sink = pipeline.start_under(
            "tests.harness.chaos.crashing", "sink", CRASH_AT=place, CRASH_LOG=str(crash_log), **settings
        )
        hit = sink.wait_for_exit(60) == -signal.SIGKILL
        assert hit or sink.exit_code == 0, sink.log()
        if not hit:
            break
    assert len(crash_log.read_text().splitlines()) >= 3
    pipeline.finish(pipeline.start("sink", **settings))
    assert joined(pipeline.output_files()) == expected_files(ABALONE_FILE.read_bytes(), [ABALONE["Sex"]])
    assert not list(pipeline.output.rglob("*.tmp")) + list(pipeline.output.rglob("*.open"))
