"""At rest no group lags for the tools that know nothing of transaction markers: KEDA, Burrow, and Kafka's own."""

import signal
from pathlib import Path

import pytest

from tests.harness.expectation import ABALONE, expected_files
from tests.harness.others_lag import Offsets, lags, offsets_of
from tests.harness.pipeline import ABALONE_FILE, Pipeline

READS = {"split": ["rows"], "sink": ["categorized", "rejected"]}


def all_lags(pipeline: Pipeline) -> dict[str, int | None]:
    """By group, tool, and which end it is compared with."""
    return {
        f"{group}, {tool}, {'read' if committed else 'not only'} committed": lag
        for group, topics in READS.items()
        for committed in (False, True)
        for tool, lag in lags(offsets_of(pipeline, group, topics, committed=committed)).items()
    }


def check_none_lags(pipeline: Pipeline) -> None:
    found = all_lags(pipeline)
    assert len(found) == 16
    assert found == dict.fromkeys(found, 0)


# One source has rows in one partition, and the others have none.
@pytest.mark.parametrize("content", [b"S,a\nM,1\ntoo,many,fields\n", ABALONE_FILE.read_bytes()], ids=["few", "many"])
def test_after_a_finite_run(pipeline: Pipeline, tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "rows.csv"
    source.write_bytes(content)
    pipeline.run(source, "*", MAX_REJECTED="100%")
    check_none_lags(pipeline)


def test_beside_services_that_wait_for_more(pipeline: Pipeline, big_file: Path) -> None:
    settings = {"INPUT": str(big_file), "SPLIT_BY": "Sex"}
    ingest, split = pipeline.start("ingest", **settings), pipeline.start("split", **settings)
    pipeline.wait_for_event(split, "ready")
    pipeline.wait_until(lambda: any(lag for lag in all_lags(pipeline).values()), "a group lags")
    # Its last transaction is left to its successor, which aborts it or finds it committed.
    split.send(signal.SIGKILL)
    split.wait_for_exit()
    pipeline.start("split", **settings)
    pipeline.start("sink", **settings)
    pipeline.wait_for_files(expected_files(big_file.read_bytes(), [ABALONE["Sex"]]))
    pipeline.wait_until(lambda: not any(all_lags(pipeline).values()), "no group lags", 10)
    check_none_lags(pipeline)
    assert ingest.stop()[0] == 0
    check_none_lags(pipeline)


def test_the_formulas_see_a_marker_that_nobody_skips_and_a_partition_without_a_commit() -> None:
    stuck = lags([Offsets(3, 4), Offsets(5, 5)])
    assert set(stuck.values()) == {1}
    assert list(lags([Offsets(-1, 0), Offsets(5, 5)]).values()) == [1, 0, 0, None]
