"""Rows come through whole and land where they belong."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.harness.expectation import ABALONE, expected_files, rows_of
from tests.harness.pipeline import ABALONE_FILE, Pipeline


def test_five_splits_at_once_give_the_files_that_a_filter_gives(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, ",".join(ABALONE))
    source = ABALONE_FILE.read_bytes()
    pipeline.check_files(expected_files(source, ABALONE.values()))
    files = pipeline.output_files()
    assert files["all.csv"] == source
    counts = {path: len(rows_of(files, path)) for path in files if path.startswith("Sex/")}
    assert counts == {"Sex/M.csv": 1528, "Sex/I.csv": 1342, "Sex/F.csv": 1307}
    assert sum(path.startswith("Rings/") for path in files) == 28


def test_without_order_every_row_comes_once_over_several_partitions(pipeline: Pipeline, big_file: Path) -> None:
    pipeline.run(big_file, "*,Sex", ORDER="none")
    rows_per_partition = pipeline.observer.ends("rows")
    assert sum(end > 1_000 for end in rows_per_partition) > 1
    expected = expected_files(big_file.read_bytes(), [ABALONE["*"], ABALONE["Sex"]])
    found = pipeline.output_files()
    assert found.keys() == expected.keys()
    for path, content in expected.items():
        same = Counter(found[path].split(b"\n")) == Counter(content.split(b"\n"))
        assert same, path


def test_sources_with_one_header_share_files_and_another_header_gets_its_own(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    folder.joinpath("first.csv").write_bytes(b"Sex,Rings\nM,1\nF,2\n")
    folder.joinpath("second.csv").write_bytes(b"Sex,Rings\nM,3\n")
    pipeline.run(folder, "Sex")
    other = tmp_path / "other.csv"
    other.write_bytes(b"Sex,Rings,Note\nM,4,new\nI,5,new\n")
    pipeline.run(other, "Sex")
    files = pipeline.output_files()
    # Two sources side by side: which comes first is left open.
    assert sorted(files.pop("Sex/M.csv").splitlines()) == [b"M,1", b"M,3", b"Sex,Rings"]
    assert files == {
        "Sex/F.csv": b"Sex,Rings\nF,2\n",
        "Sex/M~2.csv": b"Sex,Rings,Note\nM,4,new\n",
        "Sex/I~2.csv": b"Sex,Rings,Note\nI,5,new\n",
    }
    [told] = [event for service in pipeline.services for event in service.events("another schema, kept apart")]
    assert (told["files"], told["differs"]) == ("*~2.csv", ["added Note"])


def test_of_schemas_unlike_any_before_the_first_is_named_and_then_they_are_counted(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(12):
        folder.joinpath(f"{number:02}.csv").write_text(",".join(f"{number}-{name}" for name in "abcd") + "\n1,2,3,4\n")
    ingest = pipeline.start("ingest", "--once", folder)
    pipeline.finish(ingest)
    [first] = ingest.events("another schema, kept apart")
    assert first["files"] == "*~2.csv"
    [counted] = ingest.events("schemas unlike any before, each kept apart")
    assert (counted["count"], counted["files"]) == (10, "*~11.csv")


def test_standard_input_is_a_source(pipeline: Pipeline) -> None:
    split = pipeline.start("split", SPLIT_BY="*,Sex", EXIT_WHEN_DONE="true")
    sink = pipeline.start("sink", EXIT_WHEN_DONE="true")
    with subprocess.Popen(["cat", ABALONE_FILE], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        ingest = pipeline.start_ingest_of(cat.stdout)
    pipeline.finish(ingest, split, sink)
    pipeline.check_files(expected_files(ABALONE_FILE.read_bytes(), [ABALONE["*"], ABALONE["Sex"]]))


@pytest.mark.parametrize("service", ["ingest", "split", "sink"])
def test_replicas_share_the_partitions_however_long_a_session_may_be(pipeline: Pipeline, service: str) -> None:
    # A member learns with its heartbeats that another one wants to join, and the group does not wait for long.
    settings = {"SESSION_TIMEOUT_S": "120", "SPLIT_BY": "Sex", "INPUT": str(pipeline.folder)}
    first = pipeline.start(service, **settings)
    pipeline.wait_for_event(first, "ready")
    second = pipeline.start(service, **settings)

    def shares() -> list[int]:
        assigned = [replica.events("partitions assigned")[-1:] for replica in (first, second)]
        return [len(event["partitions"]) for events in assigned for event in events]

    expected = 7 if service == "sink" else 6
    pipeline.wait_until(lambda: len(shares()) == 2 and sum(shares()) == expected, "each has some of them", 30)
