"""SPLIT_BY changes between runs: each row is in each split's files, once and in order, whenever a split came."""

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from tests.harness.committed import Point, commit, committed
from tests.harness.expectation import ABALONE, expected_files, rejections
from tests.harness.pipeline import ABALONE_FILE, Pipeline, Service
from tests.integration.test_replay import run_rejected, show

pytestmark = pytest.mark.long


SOURCE = ABALONE_FILE.read_bytes()


def expected(*splits: str) -> dict[str, bytes]:
    return expected_files(SOURCE, [ABALONE[split] for split in splits])


def carry_on(pipeline: Pipeline, split_by: str, **settings: str) -> Service:
    """Let split and sink carry what is there, sink once split is done; return split."""
    split = pipeline.start("split", SPLIT_BY=split_by, EXIT_WHEN_DONE="true", **settings)
    pipeline.finish(split)
    pipeline.finish(pipeline.start("sink", EXIT_WHEN_DONE="true", **settings))
    return split


def refusal(pipeline: Pipeline, split_by: str, **settings: str) -> tuple[int, str]:
    """The exit code of a split that cannot go on, and its one line."""
    split = pipeline.start("split", SPLIT_BY=split_by, **settings)
    code = split.wait_for_exit(60)
    errors = [line["reason"] for line in split.events("cannot go on")]
    assert len(errors) == 1, split.log()
    assert "\n" not in errors[0]
    return code, errors[0]


def said(split: Service, part: str) -> list[str]:
    """The splits of the log lines whose event holds this."""
    return sorted(line["split"] for line in events(split) if f"the split is {part}" in line["event"])


def wait_for_more(pipeline: Pipeline, rows: int) -> None:
    """Wait until split has carried so many rows more."""
    end = sum(pipeline.observer.ends("categorized")) + rows
    pipeline.wait_until(lambda: sum(pipeline.observer.ends("categorized")) > end, "more rows are carried")


def test_a_new_split_is_filled_from_the_beginning_and_nothing_else_is_repeated(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    split = carry_on(pipeline, "Sex,Rings:int,*")
    pipeline.check_files(expected("Sex", "Rings:int", "*"))
    assert said(split, "new") == ["Rings", "all"]
    records = pipeline.observer.records("categorized")
    ends = [json.loads(record.value) for record in records if record.headers.get("nacre") == b"ended/2"]
    # Once in each partition for the old splits, and once for the new ones.
    told = Counter(tuple(end["splits"]) for end in ends)
    assert told == dict.fromkeys([("Sex",), ("Rings", "all")], len(pipeline.observer.partitions("categorized")))
    # And goes on with the others.
    carry_on(pipeline, "*,Sex,Rings:int")
    pipeline.check_files(expected("Sex", "Rings:int", "*"))


def test_two_splits_that_came_at_different_times_are_filled_together(pipeline: Pipeline, big_file: Path) -> None:
    source = big_file.read_bytes()
    pipeline.run(big_file, "Sex")
    for split_by in ("Sex,Rings:int", "Sex,Rings:int,*"):
        # Killed with a part of it done, so that the next one comes on top.
        split = pipeline.start("split", SPLIT_BY=split_by, COMMIT_INTERVAL_MS="1")
        wait_for_more(pipeline, 1_000)
        split.kill()
    carry_on(pipeline, "Sex,Rings:int,*")
    pipeline.check_files(expected_files(source, [ABALONE[split] for split in ("Sex", "Rings:int", "*")]))


def test_a_split_that_is_gone_keeps_its_files_and_goes_on_when_it_is_back(pipeline: Pipeline, tmp_path: Path) -> None:
    header, *rows = SOURCE.splitlines(keepends=True)
    growing = tmp_path / "growing.csv"
    growing.write_bytes(header + b"".join(rows[:1_000]))
    pipeline.run(growing, "Sex,*")
    growing.write_bytes(header + b"".join(rows[:2_000]))
    pipeline.run(growing, "*")
    gone = pipeline.services[-2]
    assert said(gone, "gone") == ["Sex"]
    sizes = {path: len(content) for path, content in pipeline.output_files().items()}
    growing.write_bytes(header + b"".join(rows[:3_000]))
    pipeline.run(growing, "Sex")
    assert (said(pipeline.services[-2], "back"), said(pipeline.services[-2], "gone")) == (["Sex"], ["all"])
    files = pipeline.output_files()
    assert len(files["all.csv"]) == sizes["all.csv"]
    wanted = expected_files(header + b"".join(rows[:3_000]), [ABALONE["Sex"]])
    assert {path: content for path, content in files.items() if path != "all.csv"} == wanted


def test_a_row_whose_replay_a_split_missed_does_not_come_to_it_again_when_it_is_back(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(b"Sex,Rings\nM,1\nF,x\n")
    pipeline.run(source, "*,Rings:int")
    assert run_rejected(pipeline, "replay", "--yes").returncode == 0
    carry_on(pipeline, "*")
    assert [row["split"] for row in show(pipeline)] == ["Rings"]
    split = carry_on(pipeline, "*,Rings:int")
    assert said(split, "back") == ["Rings"]
    assert [row["reason"] for row in rejections(pipeline.output_files()["rejected.csv"])] == [
        "Rings: not an int: 'x'",
        "replayed for split Rings, which SPLIT_BY does not have",
    ]


def test_another_definition_under_the_name_is_refused_with_the_way_out(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex,Rings:int")
    files, ends = pipeline.output_files(), pipeline.observer.ends("categorized")
    code, told = refusal(pipeline, "Sex,Rings:float")
    assert code == 78
    assert (
        "split Rings was begun as Rings:int, SPLIT_BY says Rings:float: name the new one differently, "
        "as in Rings2=Rings:float"
    ) in told
    assert pipeline.observer.ends("categorized") == ends
    carry_on(pipeline, "Sex,Rings:int,Rings2=Rings:float")
    found = pipeline.output_files()
    assert {path: found[path] for path in files} == files
    assert found["Rings2/7.csv"] == files["Rings/7.csv"]


def test_fifty_splits_are_filled_at_once_and_more_than_fit_are_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(b"Sex,Rings\n" + b"M,1\nF,x\n" * 10)
    pipeline.run(source, "*")
    names = [f"{number}=Rings:int" for number in range(50)]
    carry_on(pipeline, ",".join(["*", *names]))
    files = pipeline.output_files()
    assert {files[f"{number}/1.csv"] for number in range(50)} == {b"Sex,Rings\n" + b"M,1\n" * 10}
    assert len(rejections(files["rejected.csv"])) == 500
    assert max(len(each.metadata) for each in committed(pipeline)) < 4_096
    before = committed(pipeline)
    code, told = refusal(pipeline, ",".join(["*", *(f"{number}=Rings:int" for number in range(120))]))
    assert (code, "SPLIT_BY has 121 splits, and split remembers 0 that are gone" in told) == (78, True)
    assert committed(pipeline) == before


def test_what_retention_has_taken_is_told_to_the_split_that_needs_it(pipeline: Pipeline, tmp_path: Path) -> None:
    growing = tmp_path / "growing.csv"
    growing.write_bytes(SOURCE)
    pipeline.run(growing, "Sex")
    [partition] = [each for each in pipeline.observer.partitions("rows") if _end(pipeline, each) > 1_000]
    partition.offset = 1_000
    [done] = pipeline.observer.admin.delete_records([partition]).values()
    done.result()
    # Those that are past it go on, though their mark is gone.
    header, *rows = SOURCE.splitlines(keepends=True)
    with growing.open("ab") as file:
        file.writelines(rows[:100])
    pipeline.run(growing, "Sex")
    code, told = refusal(pipeline, "Sex,Rings:int,*")
    assert code == 1
    assert f"topic {partition.topic}, partition {partition.partition}: the 1000 records from 0 to 999" in told
    assert "the splits Rings, all would lack them" in told
    assert "nacre begin" in told
    # What `nacre begin` writes: permission for this beginning, within a batch, once.
    [point] = [each for each in committed(pipeline) if each.partition == partition.partition]
    commit(pipeline, point._replace(metadata=json.dumps({**point.fields, "begin": 1_000})))
    carry_on(pipeline, "Sex,Rings:int,*")
    assert all("begin" not in each.fields for each in committed(pipeline))
    files = pipeline.output_files()
    # The first record is the source's mark.
    assert files["all.csv"] == header + b"".join(rows[999:] + rows[:100])
    whole = expected_files(growing.read_bytes(), [ABALONE["Sex"]])
    assert {path: files[path] for path in whole} == whole


def test_what_is_left_of_a_partition_is_begun_with_where_that_is_permitted(pipeline: Pipeline) -> None:
    pipeline.finish(pipeline.start("ingest", "--once", ABALONE_FILE))
    [partition] = [each for each in pipeline.observer.partitions("rows") if _end(pipeline, each) > 1_000]
    partition.offset = 1_000
    [done] = pipeline.observer.admin.delete_records([partition]).values()
    done.result()
    assert refusal(pipeline, "Sex,*")[0] == 1
    commit(pipeline, Point(partition.partition, 1_000, json.dumps({"version": 1, "begin": 1_000})))
    carry_on(pipeline, "Sex,*")
    header, *rows = SOURCE.splitlines(keepends=True)
    assert pipeline.output_files()["all.csv"] == header + b"".join(rows[999:])


def _end(pipeline: Pipeline, partition: TopicPartition) -> int:
    return pipeline.observer.ends("rows")[partition.partition]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda fields: {**fields, "version": 2}, "its version is 2, and this version of split reads 1"),
        (lambda _: {"mark_offset": 0, "rows": 4177, "rejected": [0]}, "it does not say its version"),
        (lambda fields: {**fields, "partitions": 5}, "PARTITIONS=6, but split has processed"),
    ],
)
def test_a_position_that_is_not_of_this_pipeline_is_refused_as_it_is(
    pipeline: Pipeline, change: Callable[[dict[str, object]], dict[str, object]], told: str
) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    points = committed(pipeline)
    [point] = [point for point in points if point.offset]
    changed = commit(pipeline, point._replace(metadata=json.dumps(change(point.fields))))
    ends = pipeline.observer.ends("categorized")
    code, line = refusal(pipeline, "Sex")
    assert (code, told in line, "Begin again with another TOPIC_PREFIX and another OUTPUT_DIR" in line) == (
        78,
        True,
        True,
    ), line
    assert committed(pipeline) == [changed if each == point else each for each in points]
    assert pipeline.observer.ends("categorized") == ends


def test_an_offset_beyond_the_end_is_refused_in_one_line(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    [point] = [point for point in committed(pipeline) if point.offset]
    end = point.offset
    commit(pipeline, point._replace(offset=end + 10))
    code, told = refusal(pipeline, "Sex")
    assert code == 1
    assert f"ends at offset {end}, but split has processed up to {end + 10}" in told


def test_nothing_is_done_before_new_splits_are_filled(pipeline: Pipeline, big_file: Path) -> None:
    pipeline.run(big_file, "Sex")
    split = pipeline.start("split", SPLIT_BY="Sex,Rings:int,*", EXIT_WHEN_DONE="true")
    pipeline.wait_until(lambda: is_filling(pipeline), "the new splits are known")
    split.kill()
    assert is_filling(pipeline)
    sink = pipeline.start("sink", EXIT_WHEN_DONE="true")
    pipeline.wait_until(lambda: sink_is_through(pipeline), "sink has what there is")
    # It has looked some twenty times by then.
    until = time.monotonic() + 2
    pipeline.wait_until(lambda: time.monotonic() >= until, "time passes")
    assert sink.exit_code is None
    split = pipeline.start("split", SPLIT_BY="Sex,Rings:int,*", EXIT_WHEN_DONE="true")
    pipeline.finish(split, sink)
    pipeline.check_files(expected_files(big_file.read_bytes(), [ABALONE[each] for each in ("Sex", "Rings:int", "*")]))


def is_filling(pipeline: Pipeline) -> bool:
    return any("filling" in each.fields for each in committed(pipeline))


def sink_is_through(pipeline: Pipeline) -> bool:
    asked = ConsumerGroupTopicPartitions(f"{pipeline.prefix}sink")
    [answer] = pipeline.observer.admin.list_consumer_group_offsets([asked]).values()
    found = {each.partition: each.offset for each in answer.result().topic_partitions if "categorized" in each.topic}
    return [found.get(number, -1) for number in range(6)] == pipeline.observer.ends("categorized", committed=True)


def test_of_two_replicas_that_differ_the_newcomer_waits_and_takes_over(pipeline: Pipeline) -> None:
    first = pipeline.start("split", SPLIT_BY="Sex")
    pipeline.wait_for_event(first, "ready")
    pipeline.finish(pipeline.start("ingest", "--once", ABALONE_FILE))
    second = pipeline.start("split", SPLIT_BY="Sex,Rings:int")
    pipeline.wait_for_event(second, "not ready")
    [line] = second.events("not ready")
    assert "the other replicas have SPLIT_BY=Sex, this one has SPLIT_BY=Sex,Rings:int" in line["reason"]
    pipeline.wait_until(lambda: first.log().count("partition taken up") == 12, "the first goes on")
    assert not second.events("partition taken up")
    assert not second.events("ready")
    # It waits for what the newcomer has still to fill.
    sink = pipeline.start("sink", EXIT_WHEN_DONE="true")
    assert first.stop()[0] == 0
    pipeline.wait_for_event(second, "ready")
    pipeline.finish(pipeline.start("split", SPLIT_BY="Rings:int,Sex", EXIT_WHEN_DONE="true"), sink)
    assert len(second.events("not ready")) == 1
    pipeline.check_files(expected("Sex", "Rings:int"))


def test_of_two_kinds_that_start_together_one_alone_has_partitions_also_when_the_leader_goes(
    pipeline: Pipeline,
) -> None:
    pipeline.finish(pipeline.start("ingest", "--once", ABALONE_FILE))
    by = ("Sex", "*", "Sex", "*")
    running = {pipeline.start("split", SPLIT_BY=split_by): split_by for split_by in by}

    def kinds_at_work() -> set[str]:
        return {split_by for service, split_by in running.items() if has_partitions(service)}

    def is_settled() -> bool:
        assert len(kinds_at_work()) <= 1
        is_one = len(kinds_at_work()) == 1
        return is_one and all(is_ready(service) == (by in kinds_at_work()) for service, by in running.items())

    while running:
        pipeline.wait_until(is_settled, "one kind is at work, the others say that they wait", 60)
        # In the end each of them has been the leader.
        victim = next(service for service in running if is_ready(service))
        victim.kill()
        del running[victim]
    carry_on(pipeline, "Sex,*")
    pipeline.check_files(expected("Sex", "*"))


def has_partitions(service: Service) -> bool:
    told = [line for line in events(service) if line["event"] in ("partitions assigned", "partitions revoked")]
    return bool(told) and told[-1]["event"] == "partitions assigned" and bool(told[-1]["partitions"])


def is_ready(service: Service) -> bool:
    told = [line["event"] for line in events(service) if line["event"] in ("ready", "not ready")]
    return told[-1:] == ["ready"]


def events(service: Service) -> list[dict[str, Any]]:
    lines = [line for line in service.log().splitlines(keepends=True) if line.startswith("{") and line.endswith("\n")]
    return [json.loads(line) for line in lines]
