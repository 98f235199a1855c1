"""The output folder: what is not ours is not touched, and it belongs to one cluster's topics."""

import json
import shutil
import signal

import pytest

from ops.kafka.local import LocalKafka
from services.sink.disk.folder import read_folder_id
from tests.harness.chaos.receipts import receipt_path
from tests.harness.expectation import ABALONE, expected_files
from tests.harness.pipeline import ABALONE_FILE, Pipeline, Service


def refusal(sink: Service) -> str:
    assert sink.wait_for_exit() == 1
    [error] = sink.events("cannot go on")
    return str(error["reason"])


def test_a_file_that_is_there_already_is_not_touched(pipeline: Pipeline) -> None:
    path = pipeline.output / "Sex" / "M.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"somebody's own\n")
    pipeline.finish(pipeline.start("ingest", "--once", ABALONE_FILE))
    pipeline.finish(pipeline.start("split", SPLIT_BY="Sex", EXIT_WHEN_DONE="true"))
    sink = pipeline.start("sink", EXIT_WHEN_DONE="true")
    assert str(path) in refusal(sink)
    assert path.read_bytes() == b"somebody's own\n"
    # Moved away, as the message says, all goes on.
    path.unlink()
    pipeline.finish(pipeline.start("sink", EXIT_WHEN_DONE="true"))
    pipeline.check_files(expected_files(ABALONE_FILE.read_bytes(), [ABALONE["Sex"]]))


@pytest.mark.parametrize(
    "planted",
    ["Sex", "Sex/M.csv", ".nacre", ".nacre/{prefix}categorized-0.lock", ".nacre/{prefix}categorized-0.ledger"],
)
def test_a_planted_link_is_refused_and_what_it_points_to_not_touched(pipeline: Pipeline, planted: str) -> None:
    pipeline.finish(pipeline.start("ingest", "--once", ABALONE_FILE))
    pipeline.finish(pipeline.start("split", SPLIT_BY="Sex", EXIT_WHEN_DONE="true"))
    link = pipeline.output / planted.format(prefix=pipeline.prefix)
    link.parent.mkdir(parents=True, exist_ok=True)
    elsewhere = pipeline.folder / "elsewhere"
    if link.suffix:
        elsewhere.write_bytes(b"")
    else:
        elsewhere.mkdir()
    link.symlink_to(elsewhere)
    reason = refusal(pipeline.start("sink", EXIT_WHEN_DONE="true"))
    assert f"{link} is a symbolic link" in reason
    assert elsewhere.read_bytes() == b"" if link.suffix else not list(elsewhere.iterdir())
    # Taken away, as the message says, all goes on.
    link.unlink()
    pipeline.finish(pipeline.start("sink", EXIT_WHEN_DONE="true"))
    pipeline.check_files(expected_files(ABALONE_FILE.read_bytes(), [ABALONE["Sex"]]))


def test_a_folder_that_became_a_link_while_sink_was_away_is_not_cut_back(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    folder = pipeline.output / "Sex"
    shutil.copytree(folder, pipeline.folder / "elsewhere")
    longer = pipeline.folder / "elsewhere" / "M.csv"
    longer.write_bytes(longer.read_bytes() + b"theirs")
    size = longer.stat().st_size
    folder.rename(pipeline.folder / "moved")
    folder.symlink_to(pipeline.folder / "elsewhere")
    assert f"{folder} is a symbolic link" in refusal(pipeline.start("sink"))
    assert longer.stat().st_size == size


def test_the_output_folder_itself_may_be_a_link(pipeline: Pipeline) -> None:
    (pipeline.folder / "real").mkdir()
    pipeline.output.symlink_to("real")
    pipeline.run(ABALONE_FILE, "Sex")
    pipeline.check_files(expected_files(ABALONE_FILE.read_bytes(), [ABALONE["Sex"]]))


def test_a_file_that_something_else_cut_is_an_error(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    path = pipeline.output / "Sex" / "F.csv"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert str(path) in refusal(pipeline.start("sink"))
    assert path.read_bytes() == whole[:-1]


def test_the_output_of_another_cluster_is_refused(pipeline: Pipeline, own_kafka: LocalKafka) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    sink = pipeline.start("sink", KAFKA_BOOTSTRAP_SERVERS=own_kafka.bootstrap)
    reason = refusal(sink)
    assert str(pipeline.output) in reason
    assert "cluster" in reason
    pipeline.check_files(expected_files(ABALONE_FILE.read_bytes(), [ABALONE["Sex"]]))


def test_the_output_of_another_pipeline_is_refused(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    other = f"{pipeline.prefix}other."
    pipeline.finish(pipeline.start("ingest", "--once", ABALONE_FILE, TOPIC_PREFIX=other))
    pipeline.finish(pipeline.start("split", SPLIT_BY="Sex", EXIT_WHEN_DONE="true", TOPIC_PREFIX=other))
    sink = pipeline.start("sink", TOPIC_PREFIX=other)
    assert sink.wait_for_exit() == 78
    assert f"holds the files of TOPIC_PREFIX={pipeline.prefix}" in sink.log()
    pipeline.check_files(expected_files(ABALONE_FILE.read_bytes(), [ABALONE["Sex"]]))


def test_the_output_of_a_topic_that_was_deleted_is_refused(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    topic = f"{pipeline.prefix}categorized"
    pipeline.observer.admin.delete_topics([topic])[topic].result(30)
    pipeline.wait_until(lambda: not pipeline.observer.partitions("categorized"), "the topic is gone")
    reason = refusal(pipeline.start("sink"))
    assert topic in reason
    assert "was deleted" in reason
    pipeline.check_files(expected_files(ABALONE_FILE.read_bytes(), [ABALONE["Sex"]]))


def test_a_ledger_that_was_removed_is_refused_also_where_its_files_were_taken_away(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex", ROLL_ROWS="1000")
    taken = pipeline.output_files()
    for path in taken:
        (pipeline.output / path).unlink()
    rows = {partition: rows for partition, rows in enumerate(pipeline.observer.ends("categorized")) if rows}
    ledger = f"{pipeline.prefix}categorized-{next(iter(rows))}.ledger"
    kept = {path.name: path.read_bytes() for path in (pipeline.output / ".nacre").glob(f"{ledger}*")}
    for name in kept:
        (pipeline.output / ".nacre" / name).unlink()
    settings = {"EXIT_WHEN_DONE": "true", "ROLL_ROWS": "1000"}
    sink = pipeline.start("sink", **settings)
    assert sink.wait_for_exit() == 1
    [error] = sink.events("cannot go on")
    assert f"the ledger of topic {pipeline.prefix}categorized, partition {next(iter(rows))} in" in error["reason"]
    assert pipeline.output_files() == {}
    # Brought back, it is gone on with.
    for name, content in kept.items():
        (pipeline.output / ".nacre" / name).write_bytes(content)
    pipeline.finish(pipeline.start("sink", **settings))
    assert pipeline.output_files() == {}


def test_a_copy_of_the_output_folder_shares_no_partitions_with_it(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    copy = pipeline.folder / "copy"
    shutil.copytree(pipeline.output, copy)
    first = pipeline.start("sink")
    pipeline.wait_for_event(first, "ready")
    second = pipeline.start("sink", OUTPUT_DIR=str(copy))
    assert second.wait_for_exit() == 78
    [error] = second.events("cannot go on")
    assert f"OUTPUT_DIR={pipeline.output}" in error["reason"]
    # Alone it goes on: its ledgers are valid.
    assert first.stop()[0] == 0
    pipeline.finish(pipeline.start("sink", OUTPUT_DIR=str(copy), EXIT_WHEN_DONE="true"))
    # It has receipts of its own, although nothing came since it was copied.
    folders = [json.loads(receipt_path(each, ABALONE_FILE).read_bytes())["folder"] for each in (pipeline.output, copy)]
    assert folders[0] != folders[1]
    assert json.loads(pipeline.observer.records("receipts")[-1].value)["folder"] == folders[1]
    assert (copy / "_SUCCESS").exists()


def test_a_folder_that_is_replaced_while_nothing_comes_is_filled_under_an_id_of_its_own(pipeline: Pipeline) -> None:
    first = pipeline.start("sink", PROOFS="receipts")
    pipeline.finish(pipeline.start("ingest", "--once", ABALONE_FILE))
    pipeline.finish(pipeline.start("split", SPLIT_BY="Sex", EXIT_WHEN_DONE="true"))
    pipeline.wait_for_event(first, "delivered")
    before = pipeline.folder / "before"
    pipeline.output.rename(before)
    # Its coming makes the first one take up its partitions anew, in the session that began with the former folder.
    second = pipeline.start("sink", PROOFS="receipts")
    pipeline.wait_for_files(expected_files(ABALONE_FILE.read_bytes(), [ABALONE["Sex"]]))
    pipeline.wait_until(lambda: receipt_path(pipeline.output, ABALONE_FILE).exists(), "the receipt is in the folder")
    roots = (before, pipeline.output)
    folders = [json.loads(receipt_path(each, ABALONE_FILE).read_bytes())["folder"] for each in roots]
    # The shares of the former folder say nothing about the files of this one.
    assert folders == [read_folder_id(each) for each in roots]
    assert folders[0] != folders[1]
    for sink in (first, second):
        pipeline.wait_until(lambda sink=sink: is_at_work(sink), "both sinks are at work in the folder")  # type: ignore[misc]
        assert sink.stop()[0] == 0


def test_a_folder_that_is_replaced_while_rows_come_gets_no_file_of_the_former_one(pipeline: Pipeline) -> None:
    first, second = (pipeline.folder / f"{name}.csv" for name in ("first", "second"))
    first.write_bytes(b"Sex,Rings\nM,1\n")
    second.write_bytes(b"Sex,Rings\nF,2\n")
    sink = pipeline.start("sink", PROOFS="receipts")
    split = pipeline.start("split", SPLIT_BY="Sex")
    pipeline.finish(pipeline.start("ingest", "--once", first))
    pipeline.wait_for_event(sink, "delivered")
    pipeline.output.rename(pipeline.folder / "before")
    pipeline.output.mkdir()
    # Its row goes into a new file, so nothing that is gone is needed for it.
    pipeline.finish(pipeline.start("ingest", "--once", second))
    pipeline.wait_for_files({"Sex/M.csv": first.read_bytes(), "Sex/F.csv": second.read_bytes()})
    for service in (split, sink):
        assert service.stop()[0] == 0


def is_at_work(sink: Service) -> bool:
    """Whether it was ready after the last time at which it was not."""
    said = [line["event"] for line in map(json.loads, sink.log().splitlines()) if "ready" in line["event"]]
    return bool(said) and said[-1] == "ready"


def test_an_output_folder_of_another_prefix_is_refused(pipeline: Pipeline) -> None:
    sink = pipeline.start("sink")
    pipeline.wait_for_event(sink, "ready")
    assert sink.stop()[0] == 0
    other = pipeline.start("sink", TOPIC_PREFIX=f"{pipeline.prefix}other.")
    assert other.wait_for_exit() == 78
    [error] = other.events("cannot go on")
    assert f"holds the files of TOPIC_PREFIX={pipeline.prefix}, this is" in error["reason"]


@pytest.mark.long
def test_a_sink_that_waits_for_files_of_one_that_stands_still_is_not_ready(pipeline: Pipeline) -> None:
    still, other = (pipeline.start("sink") for _ in range(2))

    def share() -> bool:
        given = [service.events("partitions assigned") for service in (still, other)]
        return all(events and events[-1]["partitions"] for events in given)

    pipeline.wait_until(share, "both have partitions")
    for service in (still, other):
        pipeline.wait_for_event(service, "ready")
    still.send(signal.SIGSTOP)
    pipeline.wait_until(
        lambda: any("not all partitions are taken up" in event["reason"] for event in other.events("not ready")),
        "the other one says that it waits",
    )
    times = len(other.events("ready"))
    still.kill()
    pipeline.wait_until(lambda: len(other.events("ready")) > times, "the other one is at work on all")
