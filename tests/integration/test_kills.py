"""Kill -9 at any moment loses nothing and repeats nothing."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.harness.expectation import rows_of
from tests.harness.pipeline import SERVICES, Pipeline, Service
from tests.harness.workload import Workload

RecordProperty = Callable[[str, object], None]
WorkloadFor = Callable[[str], Workload]


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_killed_three_times_in_midstream_leaves_the_output_as_if_undisturbed(
    workload_for: WorkloadFor, name: str, record_property: RecordProperty
) -> None:
    workload = workload_for(name)
    for share in (0.1, 0.3, 0.5):
        workload.wait_for_share(name, share)
        workload.running[name].kill()
        assert not workload.is_done(name)
        done = workload.done(name)
        workload.start(name)
        record_property(f"seconds from kill -9 to work again, {name}", workload.wait_for_more(name, done))
    workload.finish()


@pytest.mark.timeout(600)
def test_all_services_killed_at_once_leave_the_output_as_if_undisturbed(pipeline: Pipeline, big_file: Path) -> None:
    workload = Workload(pipeline, big_file)
    for share in (0.1, 0.5):
        workload.wait_for_share("sink", share)
        for name in SERVICES:
            workload.running[name].kill()
        assert not workload.is_done("sink")
        for name in SERVICES:
            workload.start(name)
    workload.finish()


def partitions_of(service: Service) -> set[str]:
    assignments = service.events("partitions assigned")
    return set(assignments[-1]["partitions"]) if assignments else set()


@pytest.mark.timeout(600)
def test_two_splits_and_two_sinks_share_the_work_and_one_of_each_is_killed(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    sources, rows = 12, 20_000
    header = b"Sex,Source,Number\n"
    contents = [
        header + b"".join(b"%s,%d,%d\n" % (b"MFI"[n * 7 % 3 :][:1], source, n) for n in range(rows))
        for source in range(sources)
    ]
    for number, content in enumerate(contents):
        folder.joinpath(f"{number}.csv").write_bytes(content)
    splits = [pipeline.start("split", SPLIT_BY="Sex,Source", EXIT_WHEN_DONE="true") for _ in range(2)]
    sinks = [pipeline.start("sink", EXIT_WHEN_DONE="true") for _ in range(2)]
    for service in (*splits, *sinks):
        pipeline.wait_until(partial(partitions_of, service), "every replica has partitions")
    ingest = pipeline.start("ingest", "--once", folder)
    size = 2 * sum(len(content) - len(header) for content in contents) + (3 + sources) * len(header)
    pipeline.wait_for_size(size // 10)
    assert all(partitions_of(service) for service in (*splits, *sinks))
    splits[0].kill()
    sinks[0].kill()
    assert pipeline.output_size() < size
    pipeline.finish(ingest, splits[1], sinks[1])
    files = pipeline.output_files()
    assert len(files) == 3 + sources
    for number, content in enumerate(contents):
        assert files[f"Source/{number}.csv"] == content
        for sex in "MFI":
            path = f"Sex/{sex}.csv"
            found = [row for row in rows_of(files, path) if row.split(b",")[1] == b"%d" % number]
            same = found == [row for row in content.splitlines() if row.startswith(sex.encode() + b",")]
            assert same, f"{path}: rows of source {number} are missing, repeated or out of order"
    assert len(rows_of(files, "Sex/")) == sources * rows
