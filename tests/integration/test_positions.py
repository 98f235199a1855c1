"""Positions that are deleted, by an operator's tool or a broker: refused, never taken for those of a first start."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.committed import committed, forget
from tests.harness.expectation import ABALONE, expected_files
from tests.harness.pipeline import ABALONE_FILE, PROJECT, Pipeline

pytestmark = pytest.mark.long


EXPECTED = expected_files(ABALONE_FILE.read_bytes(), [ABALONE["Sex"]])


def delete_group(pipeline: Pipeline, name: str) -> None:
    for deleted in pipeline.observer.admin.delete_consumer_groups([pipeline.prefix + name]).values():
        deleted.result(30)


def check_refused(pipeline: Pipeline, where: str, split_by: str = "Sex") -> None:
    """Split refuses to begin, and nothing more comes into its topics."""
    ends = [pipeline.observer.ends(topic) for topic in ("categorized", "rejected")]
    split = pipeline.start("split", SPLIT_BY=split_by, EXIT_WHEN_DONE="true")
    assert split.wait_for_exit() == 1
    [error] = split.events("cannot go on")
    assert f"{where}: the offset that group {pipeline.prefix}split had committed is gone" in error["reason"]
    assert "\n" not in error["reason"]
    assert [pipeline.observer.ends(topic) for topic in ("categorized", "rejected")] == ends


def test_a_position_of_one_partition_that_is_deleted_is_refused(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    points = committed(pipeline)
    # Partitions without a row have a position too; otherwise nothing would show that one is missing.
    assert [point.partition for point in points] == list(range(6))
    fullest = max(points, key=lambda point: point.offset)
    forget(pipeline, fullest.partition)
    check_refused(pipeline, f"topic {pipeline.prefix}rows, partition {fullest.partition}")
    begin = [sys.executable, "-m", "ops", "begin", "split", f"{pipeline.prefix}rows:{fullest.partition}:0"]
    answer = subprocess.run(
        begin, cwd=PROJECT, env=pipeline.environment, check=False, capture_output=True, text=True, timeout=120
    )
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "had committed is gone, so rows would come twice" in answer.stderr
    pipeline.check_files(EXPECTED)


def test_a_deleted_group_is_refused_where_every_row_was_rejected(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(b"Sex,Rings\nM,1\nF,2\n")
    pipeline.run(source, "Sex:int", MAX_REJECTED="100%")
    delete_group(pipeline, "split")
    check_refused(pipeline, f"topic {pipeline.prefix}rows, partitions 0, 1, 2, 3, 4, 5", "Sex:int")


def test_the_groups_of_ingest_and_sink_may_be_deleted(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    for name in ("ingest", "sink"):
        delete_group(pipeline, name)
    pipeline.run(ABALONE_FILE, "Sex")
    pipeline.check_files(EXPECTED)
