"""What is written of the whole folder, with real services: manifest, data package and _SUCCESS."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.harness.parts import joined
from tests.harness.pipeline import ABALONE_FILE, Pipeline, Service
from tests.harness.proofs import MANIFEST, PACKAGE, SUCCESS, checked, resources, watched

CONTENT = b"S,a\nM,1\nF,2\n"
FINITE = {"EXIT_WHEN_DONE": "true"}
PERMITTED = {"MAX_REJECTED": "100%"}


def behind(pipeline: Pipeline, split_by: str, **settings: str) -> tuple[Service, Service]:
    """Split and sink, which end by themselves."""
    split = pipeline.start("split", SPLIT_BY=split_by, **FINITE, **PERMITTED)
    return split, pipeline.start("sink", **FINITE, **settings)


def left(pipeline: Pipeline) -> set[str]:
    """What is written of the whole folder."""
    return {path.name for path in pipeline.output.iterdir()} & {MANIFEST, PACKAGE, SUCCESS}


def check_whole(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """Every file is in the manifest, and nothing else is."""
    assert checked(pipeline.output) == sorted(pipeline.output_files(), key=str.encode)
    return resources(pipeline.output)


def success(pipeline: Pipeline) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((pipeline.output / SUCCESS).read_bytes())
    return found


def test_a_finite_run_is_proved_and_the_next_one_takes_that_back_before_it_writes(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.csv").write_bytes(CONTENT + b"many,too,few\n")
    with watched(pipeline.output) as watcher:
        pipeline.run(folder, "*,S", **PERMITTED)
        described = check_whole(pipeline)
        assert set(described) == {"S/F.csv", "S/M.csv", "all.csv", "rejected.csv"}
        assert [field["name"] for field in described["all.csv"]["schema"]["fields"]] == ["S", "a"]
        assert (success(pipeline)["sources"], success(pipeline)["rows"]) == (1, 2)
        # A run without anything new: its success is another one, and the files are what they were.
        first = success(pipeline)
        services = behind(pipeline, "*,S")
        pipeline.wait_for_event(services[1], "ready")
        assert not (pipeline.output / SUCCESS).exists()
        (folder / "b.csv").write_bytes(CONTENT)
        pipeline.finish(pipeline.start("ingest", "--once", folder), *services)
        check_whole(pipeline)
        assert (success(pipeline)["sources"], success(pipeline)["rows"]) == (2, 4)
        assert success(pipeline)["created"] > first["created"]
        # A service takes all of it back, since its files grow.
        sink = pipeline.start("sink")
        pipeline.wait_for_event(sink, "ready")
        assert left(pipeline) == set()
        assert sink.stop()[0] == 0
        assert watcher.looks
    assert left(pipeline) == set()
    pipeline.run(folder, "*,S", **PERMITTED)
    assert left(pipeline) == {MANIFEST, PACKAGE, SUCCESS}


@pytest.mark.parametrize(
    ("proofs", "names"),
    [("none", set()), ("manifest", {MANIFEST}), ("datapackage, success", {PACKAGE, SUCCESS}), ("success", {SUCCESS})],
)
def test_each_of_them_can_be_left_out(pipeline: Pipeline, tmp_path: Path, proofs: str, names: set[str]) -> None:
    (tmp_path / "a.csv").write_bytes(CONTENT)
    pipeline.run(tmp_path / "a.csv", "*", PROOFS=proofs)
    assert left(pipeline) == names
    assert not (pipeline.output / "_receipts").exists()
    # A consumer that waits for the record does not depend on files.
    [record] = pipeline.observer.records("receipts")
    assert json.loads(record.value)["rows"] == 2


@pytest.mark.parametrize("packing", ["none", "gzip", "zstd"])
def test_while_files_are_finished_the_manifest_has_them_within_seconds(
    pipeline: Pipeline, tmp_path: Path, packing: str
) -> None:
    source = tmp_path / "grows.csv"
    source.write_bytes(b"S,a\nM,1\nM,2\nF,3\n")
    settings = {"ROLL_ROWS": "2", "COMPRESS": packing}
    suffix = {"none": "", "gzip": ".gz", "zstd": ".zst"}[packing]
    with watched(pipeline.output) as watcher:
        ingest = pipeline.start("ingest", source, **PERMITTED)
        split = pipeline.start("split", SPLIT_BY="S")
        sink = pipeline.start("sink", **settings)
        pipeline.wait_until((pipeline.output / PACKAGE).exists, "a file is finished")
        assert checked(pipeline.output) == [f"S/M-000001.csv{suffix}"]
        with source.open("ab") as file:
            file.write(b"F,4\nI,5\nrejected\n")
        both = [f"S/{sex}-000001.csv{suffix}" for sex in "FM"]
        pipeline.wait_until(lambda: checked(pipeline.output) == both, "the next is finished", 60)
        assert not (pipeline.output / SUCCESS).exists()
        # A finished file may be taken away. It stays listed, and is not made again.
        taken = pipeline.output / both[0]
        content = taken.read_bytes()
        watcher.taken.add(both[0])
        taken.unlink()
        for service in (ingest, split, sink):
            assert service.stop()[0] == 0
        # In one step: the watcher must not see a part of it.
        (tmp_path / "taken").write_bytes(content)
        (tmp_path / "taken").rename(taken)
        pipeline.run(source, "S", **settings, **PERMITTED)
    described = check_whole(pipeline)
    assert set(described) == {*both, f"S/I-000001.csv{suffix}", "rejected.csv"}
    assert {each.get("compression") for path, each in described.items() if path != "rejected.csv"} == {
        {"none": None, "gzip": "gz", "zstd": "zst"}[packing]
    }
    files = pipeline.output_files()
    del files["rejected.csv"]
    assert joined(files)["S/I.csv"] == b"S,a\nI,5\n"
    assert success(pipeline)["sources"] == 1


def test_a_run_that_could_not_read_everything_is_no_success_and_says_why(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CONTENT)
    (tmp_path / "b.csv").write_bytes(b"PK\x03\x04\n")
    ingest = pipeline.start("ingest", "--once", tmp_path)
    assert ingest.wait_for_exit() == 1
    services = behind(pipeline, "*")
    pipeline.finish(*services)
    assert left(pipeline) == {MANIFEST, PACKAGE}
    check_whole(pipeline)
    [line] = services[1].events("the run is not marked as a success")
    assert "not read to the end" in line["reason"]
    assert "a zip archive" in line["reason"]
    assert not [path for path in pipeline.output.iterdir() if path.suffix == ".tmp"]


def owners(services: list[Service]) -> list[Service]:
    """Those that have partitions."""
    return [each for each in services if each.events("partitions assigned")]


def many(folder: Path, sources: int, rows: int) -> None:
    folder.mkdir()
    for number in range(sources):
        content = b"S,n\n" + b"".join(b"%s,%d\n" % (b"MFI"[n % 3 :][:1], n) for n in range(rows))
        (folder / f"{number}.csv").write_bytes(content)


@pytest.mark.parametrize("packing", ["none", "gzip"])
def test_of_two_sinks_one_proves_the_folder_once_both_are_done(
    pipeline: Pipeline, tmp_path: Path, packing: str
) -> None:
    many(tmp_path / "in", 6, 20_000)
    settings = FINITE | ({} if packing == "none" else {"ROLL_ROWS": "1500", "COMPRESS": packing})
    with watched(pipeline.output):
        split = pipeline.start("split", SPLIT_BY="*,S", **FINITE)
        sinks = [pipeline.start("sink", **settings) for _ in range(2)]
        pipeline.wait_until(lambda: len(owners(sinks)) == len(sinks), "both have partitions")
        ingest = pipeline.start("ingest", "--once", tmp_path / "in")
        pipeline.finish(ingest, split, *sinks)
    check_whole(pipeline)
    assert success(pipeline)["sources"] == 6
    assert sum(len(each.events("the run is marked as a success")) for each in sinks) == 1


@pytest.mark.timeout(600)
def test_a_run_is_proved_by_another_sink_if_one_of_them_dies(pipeline: Pipeline, tmp_path: Path) -> None:
    many(tmp_path / "in", 6, 20_000)
    settings = FINITE | {"ROLL_ROWS": "1500", "COMPRESS": "gzip"}
    with watched(pipeline.output):
        pipeline.finish(pipeline.start("ingest", "--once", tmp_path / "in"))
        pipeline.finish(pipeline.start("split", SPLIT_BY="*,S", **FINITE))
        sinks = [pipeline.start("sink", **settings) for _ in range(2)]
        pipeline.wait_until(lambda: len(owners(sinks)) == len(sinks), "both have partitions")
        pipeline.wait_until(lambda: any(pipeline.output.glob("*/*.gz")), "files are finished")
        victim = next((each for each in sinks if each.events("partitions assigned")[-1]["partitions"]), sinks[0])
        victim.kill()
        pipeline.finish(*(each for each in sinks if each is not victim))
    check_whole(pipeline)
    assert success(pipeline)["sources"] == 6


def test_beside_a_sink_that_never_ends_no_run_is_a_success(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CONTENT)
    finite, service = pipeline.start("sink", **FINITE), pipeline.start("sink")
    pipeline.wait_until(lambda: len(owners([finite, service])) == 2, "both have partitions")
    split = pipeline.start("split", SPLIT_BY="*,S", **FINITE)
    pipeline.finish(pipeline.start("ingest", "--once", tmp_path / "a.csv"), split, finite)
    assert left(pipeline) == set()
    for line in finite.events("the run is not marked as a success"):
        assert "is filled by a sink without EXIT_WHEN_DONE" in line["reason"]
    assert service.stop()[0] == 0


POINTS = ("sealed", "taken_back", "proofs_begun", "proofs_written", "proofs_in_place", "marked")
CRASHES = [f"{point}:{moment}:1" for point in POINTS for moment in ("before", "after")]
CRASHES += ["sealed:after:5", "proofs_written:after:2", "rename:after:2", "rename:before:3"]


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rolled", [False, True])
def test_a_sink_that_dies_at_each_step_leaves_nothing_that_is_wrong(
    pipeline: Pipeline, tmp_path: Path, *, rolled: bool
) -> None:
    source = tmp_path / "a.csv"
    settings = FINITE | ({"ROLL_ROWS": "500", "COMPRESS": "gzip"} if rolled else {})
    crash_log = tmp_path / "crashes"
    crash_log.touch()
    header, *rows = ABALONE_FILE.read_bytes().splitlines(keepends=True)
    source.write_bytes(header)
    with watched(pipeline.output) as watcher:
        for number, crash in enumerate(CRASHES):
            with source.open("ab") as file:
                file.writelines(rows[number * 200 : number * 200 + 200])
            pipeline.finish(pipeline.start("ingest", "--once", source))
            pipeline.finish(pipeline.start("split", SPLIT_BY="*,Sex", **FINITE))
            launcher = "tests.harness.chaos.crashing"
            sink = pipeline.start_under(launcher, "sink", CRASH_AT=crash, CRASH_LOG=str(crash_log), **settings)
            has_died = sink.wait_for_exit(120) == -signal.SIGKILL
            assert has_died or sink.exit_code == 0, sink.log()
            if (pipeline.output / MANIFEST).exists():
                checked(pipeline.output)
            is_marked = (pipeline.output / SUCCESS).exists()
            assert is_marked == (not has_died or crash == "marked:after:1"), crash
            if not has_died:
                check_whole(pipeline)
        assert watcher.looks
    died = crash_log.read_text().splitlines()
    assert len(died) >= len(CRASHES) - 3, died
    pipeline.finish(pipeline.start("sink", **settings))
    check_whole(pipeline)
    assert success(pipeline)["sources"] == 1
