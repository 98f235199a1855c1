"""How a finite run ends: with a word, whoever is started first, and also where there was nothing to read."""

import os
import subprocess
import sys
from pathlib import Path

from tests.harness.pipeline import PROJECT, Pipeline, Service

CONTENT = b"S,a\nM,1\nF,2\n"


def behind(pipeline: Pipeline, split_by: str = "*", **settings: str) -> tuple[Service, Service]:
    """Split and sink, which end by themselves."""
    split = pipeline.start("split", SPLIT_BY=split_by, EXIT_WHEN_DONE="true", **settings)
    return split, pipeline.start("sink", EXIT_WHEN_DONE="true", **settings)


def test_a_run_that_finds_nothing_ends_and_the_next_one_waits_for_its_ingest(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    services = behind(pipeline)
    pipeline.wait_for_event(services[0], "not done yet")
    [line] = services[0].events("not done yet")
    assert "ingest has not begun" in line["reason"]
    pipeline.finish(pipeline.start("ingest", "--once", folder), *services)
    for service in services:
        [line] = service.events("all is processed")
        assert (line["sources"], line["rows"]) == (0, 0)
    # From now on all is done at the first look, and an ingest that begins later is waited for.
    for number in range(2):
        (folder / f"{number}.csv").write_bytes(CONTENT)
        services = behind(pipeline)
        pipeline.finish(pipeline.start("ingest", "--once", folder), *services)
        assert pipeline.output_files()["all.csv"].count(b"\n") == 3 + 2 * number
    # Alone, with nothing new: it says so, and ends.
    again = pipeline.start("split", SPLIT_BY="*", EXIT_WHEN_DONE="true")
    pipeline.finish(again)
    assert "nothing to do" in again.log()


def test_a_run_ends_beside_a_source_that_cannot_be_read_and_one_that_was_left(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    good, bad = tmp_path / "a.csv", tmp_path / "b.csv"
    good.write_bytes(CONTENT)
    bad.write_bytes(b"PK\x03\x04\n")
    # Standard input that is left halfway has not ended, and never will.
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as given, os.fdopen(writing, "wb") as feed:
        left = pipeline.start_ingest_of(given)
        feed.write(b"S,a\nI,3\n")
        feed.flush()
        pipeline.wait_until(lambda: pipeline.observer.partitions("rows"), "topics")
        pipeline.wait_until(lambda: sum(pipeline.observer.ends("rows", committed=True)) > 0, "rows are there")
        assert left.stop()[0] == 0
    # All has ended before split and sink begin.
    ingest = pipeline.start("ingest", "--once", tmp_path)
    assert ingest.wait_for_exit() == 1
    services = behind(pipeline)
    pipeline.finish(*services)
    assert pipeline.output_files()["all.csv"].count(b"\n") == 4
    [line] = services[1].events("all is processed")
    assert line["unread"] == 2
    assert "a zip archive" in line["first_unread"]


def test_a_run_ends_beside_an_ingest_that_ended_with_78(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.csv").write_bytes(CONTENT)
    services = behind(pipeline)
    ingest = pipeline.start("ingest", "--once", folder, SKIP_LINES="5")
    assert ingest.wait_for_exit() == 78
    pipeline.finish(*services)
    [line] = services[1].events("all is processed")
    assert (line["rows"], line["unread"]) == (0, 1)
    assert "SKIP_LINES=5" in line["first_unread"]
    assert not (pipeline.output / "_SUCCESS").exists()
    # Nothing of it went out: the mended setting reads it.
    pipeline.finish(pipeline.start("ingest", "--once", folder), *behind(pipeline))
    assert pipeline.output_files() == {"all.csv": CONTENT}


def test_several_replicas_end_and_one_that_is_killed_is_waited_for(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number}.csv").write_bytes(CONTENT)
    replicas = [pipeline.start("ingest", "--once", folder) for _ in range(2)]
    services = behind(pipeline)
    pipeline.wait_until(lambda: replicas[0].events("source opened"), "one is at work")
    replicas[0].kill()
    pipeline.finish(pipeline.start("ingest", "--once", folder), replicas[1], *services)
    assert pipeline.output_files()["all.csv"].count(b"\n") == 61


def test_a_run_that_rejects_every_row_of_something_ends_with_65_unless_that_is_permitted(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.csv").write_bytes(CONTENT)
    (folder / "ragged.csv").write_bytes(b"S,a\nM\nF\n")
    ingest = pipeline.start("ingest", "--once", folder)
    split, sink = behind(pipeline, "S,bad=S:int")
    assert ingest.wait_for_exit() == 65
    [line] = ingest.events("cannot go on")
    assert "ragged.csv: every row was rejected, 2 in all" in line["reason"]
    assert split.wait_for_exit() == 65
    [line] = split.events("cannot go on")
    assert line["reason"].startswith("split bad: every row was rejected, 2 in all (the first one: S: not an int")
    pipeline.finish(sink)
    files = pipeline.output_files()
    assert files["rejected.csv"].count(b"\n") == 5
    # Known again by the next run, which has nothing new.
    settings = {"MAX_REJECTED": "100%"}
    ingest = pipeline.start("ingest", "--once", folder, **settings)
    pipeline.finish(ingest, pipeline.start("split", SPLIT_BY="S,bad=S:int", EXIT_WHEN_DONE="true", **settings))


def replay(pipeline: Pipeline, split: str, **settings: str) -> str:
    """What a replay of that split's rows tells."""
    command = [sys.executable, "-m", "ops", "rejected", "replay", "--split", split, "--yes"]
    environment = pipeline.environment | settings
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, check=False, timeout=180)
    assert done.returncode == 1, done
    return done.stderr.decode()


def test_a_split_whose_name_was_mended_is_told_the_column_and_its_rows_are_not_sent_again(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes(b"id, S\n1,M\n2,F\n")
    ingest = pipeline.start("ingest", "--once", tmp_path / "a.csv")
    split, sink = behind(pipeline, "S")
    assert split.wait_for_exit() == 65
    pipeline.finish(ingest, sink)
    [line] = split.events("cannot go on")
    assert 'no column S: did you mean " S" with other blanks, which is #2?' in line["reason"]
    # The SPLIT_BY that split is given next says it even before split has begun.
    assert "split S is not in use" in replay(pipeline, "S", SPLIT_BY="#2")
    pipeline.finish(*behind(pipeline, "#2"))
    assert "In use: #2;" in replay(pipeline, "S")
    assert len(pipeline.observer.rejected()) == 2
    assert pipeline.output_files()["#2/M.csv"] == b"id, S\n1,M\n"
