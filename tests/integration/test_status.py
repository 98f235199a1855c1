"""`nacre status` beside a real Kafka: its figures are those of the ledgers, its verdicts those of what is there."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions

from common.pipeline.topics import Topics
from common.settings import ServiceSettings
from common.settings_reader import make_settings
from ops.kafka.local import LocalKafka
from ops.status.figures import Figures, figures
from ops.status.observing import Observer
from ops.status.verdict import Verdict
from tests.harness.commands import run_nacre_as_text
from tests.harness.committed import commit, committed
from tests.harness.pipeline import ABALONE_FILE, PROJECT, Pipeline, Service

SPLIT_BY = "*,Sex,Rings:int"
ROWS = 4_177
TOPICS = Topics.under("").names
HEADER = b"Sex,Rings\n"

Fields = dict[str, Any]


def status(pipeline: Pipeline, *arguments: str | Path) -> tuple[int, Fields]:
    done = run_nacre_as_text(pipeline, "status", "--json", *arguments)
    assert not done.stderr
    fields: Fields = json.loads(done.stdout)
    return done.returncode, fields


def stage(fields: Fields, name: str) -> Fields:
    found: Fields = fields["stages"][name]
    return found


def stands(pipeline: Pipeline, name: str, verdict: str) -> bool:
    code, fields = status(pipeline)
    found = stage(fields, name)["verdict"]
    assert (code == 0) == (fields["verdict"] in {"ok", "behind"})
    return bool(found == verdict)


def groups(pipeline: Pipeline) -> set[str]:
    listed = pipeline.observer.admin.list_consumer_groups().result(30)
    return {group.group_id for group in listed.valid if group.group_id.startswith(pipeline.prefix)}


def ends(pipeline: Pipeline) -> dict[str, list[int]]:
    return {topic: pipeline.observer.ends(topic) for topic in TOPICS}


def test_at_rest_its_figures_are_those_of_the_ledgers_and_nothing_is_changed(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(ABALONE_FILE, folder / "abalone.csv")
    (folder / "few.csv").write_bytes(HEADER + b"M,1\nF,none\ntoo,many,fields\n")
    (folder / "none.csv").write_bytes(HEADER + b"too,many,fields\n")
    pipeline.run(folder, SPLIT_BY, MAX_REJECTED="100%")
    before = ends(pipeline), groups(pipeline)
    code, fields = status(pipeline)
    assert (code, fields["verdict"], fields["note"]) == (0, "ok", "")
    assert (ends(pipeline), groups(pipeline)) == before

    verified = json.loads(run_nacre_as_text(pipeline, "verify", pipeline.output, "--json").stdout)
    index = [json.loads(line) for line in run_nacre_as_text(pipeline, "index", pipeline.output).stdout.splitlines()]
    assert verified["result"] == "well"
    ingest, split, sink = (stage(fields, name) for name in ("ingest", "split", "sink"))
    of_sources = fields["sources"]
    assert of_sources["count"] == verified["sources_delivered"] == 3
    assert (of_sources["delivered"], of_sources["rejected_whole"], of_sources["under_way"]) == (2, 1, 0)
    assert ingest["rows"] == split["rows"] == of_sources["rows"] == ROWS + 2
    assert sink["rows"] == sum(line["rows"] for line in index)
    # One for all splits, twice, and one for one of them.
    assert of_sources["rejected"] == {"ingest": 2, "split": 1}
    assert sink["rows"] == 3 * (ROWS + 2) - 1 + 3
    assert ingest["lag_bytes"] == 0
    for found in (split, sink):
        assert (found["lag_rows"], found["lag_is_exact"], found["rows_per_s"], found["replicas"]) == (0, True, 0, [])
        # As tools that know nothing of markers compute it.
        assert all(each["position"] == each["end"] for each in found["partitions"])
    _, everything = status(pipeline, "--all")
    by_name = {Path(each["source"]).name: each for each in everything["sources"]["first"]}
    assert by_name["abalone.csv"]["percent"] == by_name["few.csv"]["percent"] == 100
    assert by_name["abalone.csv"]["size"] == ABALONE_FILE.stat().st_size
    # Without the output folder, Kafka alone has the others.
    _, elsewhere = status(pipeline, "--output-dir", tmp_path)
    assert (stage(elsewhere, "sink")["rows"], elsewhere["sources"]) == (None, of_sources)

    text = run_nacre_as_text(pipeline, "status").stdout
    assert text.splitlines()[0] == f"{pipeline.prefix}* at {pipeline.bootstrap}: ok"
    assert "3 sources: 2 delivered, 1 rejected whole; 4,179 rows read, 2 rejected by ingest, 1 by splits" in text


def begin(pipeline: Pipeline, source: Path, **settings: str) -> dict[str, Service]:
    """All three at work on a source that grows."""
    source.write_bytes(HEADER)
    services = {
        "ingest": pipeline.start("ingest", source, SETTLE_S="0.1"),
        "split": pipeline.start("split", SPLIT_BY=SPLIT_BY),
        "sink": pipeline.start("sink", **settings),
    }
    for service in services.values():
        pipeline.wait_for_event(service, "ready")
    return services


def append(source: Path, rows: int) -> None:
    with source.open("ab") as file:
        file.write(b"".join(b"%s,%d\n" % ((b"M", b"F", b"I")[n % 3], n % 29) for n in range(rows)))


def is_at_rest(pipeline: Pipeline) -> bool:
    _, fields = status(pipeline)
    return bool(fields["verdict"] == "ok" and fields["sources"]["delivered"] == 1)


def test_rows_that_wait_for_a_split_that_is_gone_are_counted_exactly(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    services = begin(pipeline, source)
    append(source, 10)
    pipeline.wait_until(partial(is_at_rest, pipeline), "all is delivered")
    assert [each["partitions"] for each in stage(status(pipeline)[1], "split")["replicas"]] == [
        {"rows": [0, 1, 2, 3, 4, 5]}
    ]
    assert services["split"].stop()[0] == 0
    append(source, 5_000)

    def is_read() -> bool:
        return bool(status(pipeline)[1]["sources"]["rows"] == 5_010)

    pipeline.wait_until(is_read, "all is read")
    code, fields = status(pipeline)
    split = stage(fields, "split")
    assert (code, fields["verdict"], split["verdict"], split["replicas"]) == (75, "stopped", "stopped", [])
    assert (split["lag_rows"], split["lag_is_exact"], split["rows"]) == (5_000, True, 10)
    assert split["reason"] == "5,000 rows wait, and no replica is at work: start one, or see the log of one that runs"
    # Marks, the end of the source and the transactions' markers are no rows.
    assert sum(each["end"] - each["position"] for each in split["partitions"]) > 5_000
    assert stage(fields, "sink")["lag_rows"] == 0
    assert fields["sources"]["under_way"] == 1
    pipeline.start("split", SPLIT_BY=SPLIT_BY)
    pipeline.wait_until(partial(is_at_rest, pipeline), "all is delivered")


def test_a_sink_that_stands_still_is_stalled_and_goes_on_by_itself(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    # The group keeps the stopped sink as a member for this long.
    services = begin(pipeline, source, SESSION_TIMEOUT_S="60")
    services["sink"].send(signal.SIGSTOP)
    append(source, 1_000)
    pipeline.wait_until(lambda: stage(status(pipeline)[1], "sink")["lag_rows"] == 3_000, "all of it waits for sink")
    code, fields = status(pipeline)
    sink = stage(fields, "sink")
    assert (code, fields["verdict"], sink["verdict"], len(sink["replicas"])) == (75, "stalled", "stalled", 1)
    assert sink["reason"].startswith("3,000 rows wait, the first in categorized-")
    assert (stage(fields, "split")["verdict"], stage(fields, "ingest")["verdict"]) == ("ok", "ok")
    services["sink"].send(signal.SIGCONT)
    pipeline.wait_until(partial(is_at_rest, pipeline), "all is delivered")


def test_while_a_split_is_filled_what_waits_for_it_has_a_pace(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    [point] = [each for each in committed(pipeline) if each.offset > 1_000]

    def fill_from(offset: int) -> None:
        filling = {"offset": offset, "splits": [["new", "new"]]}
        commit(pipeline, point._replace(metadata=json.dumps({**point.fields, "filling": [filling]})))

    async def look_twice() -> Figures:
        settings = {"kafka_bootstrap_servers": pipeline.bootstrap, "topic_prefix": pipeline.prefix}
        observer = Observer(make_settings(ServiceSettings, settings), pipeline.output, 2)
        async with observer.connected():
            await asyncio.to_thread(fill_from, 0)
            first = await observer.look()
            await asyncio.to_thread(fill_from, 1_000)
            return figures(await observer.look(), first)

    found = asyncio.run(look_twice())
    split = found.stages[1]
    assert (split.name, split.rows, split.verdict) == ("split", ROWS, Verdict.STOPPED)
    # The mark that begins the source is no row.
    assert split.lag_rows == ROWS - 999
    assert split.rows_per_s == pytest.approx(1_000 / found.over_s, rel=0.01)


def test_an_ingest_that_is_gone_leaves_a_file_that_waits(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    services = begin(pipeline, source)
    append(source, 3)
    pipeline.wait_until(partial(is_at_rest, pipeline), "all is delivered")
    size = source.stat().st_size
    services["ingest"].kill()
    append(source, 100)
    pipeline.wait_until(partial(stands, pipeline, "ingest", "stopped"), "its session has timed out")
    _, fields = status(pipeline)
    [of_source] = fields["sources"]["first"]
    assert stage(fields, "ingest")["lag_bytes"] == source.stat().st_size - size
    assert of_source["percent"] == pytest.approx(100 * size / source.stat().st_size)
    assert of_source["delivery"] == "under way"


def test_a_pipeline_that_is_not_begun_is_one_line_and_stays_so(pipeline: Pipeline) -> None:
    done = run_nacre_as_text(pipeline, "status", "--json")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == f"nacre status: nothing is begun under TOPIC_PREFIX={pipeline.prefix}: is it right?\n"
    assert [topic for topic in TOPICS if pipeline.observer.partitions(topic)] == []
    assert groups(pipeline) == set()


def test_without_a_broker_it_says_so(make_pipeline: Callable[[str], Pipeline]) -> None:
    done = run_nacre_as_text(make_pipeline("127.0.0.1:1"), "status")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("nacre status: cannot connect to 127.0.0.1:1: ")
    assert done.stderr.count("\n") == 1


def test_a_watch_outlives_its_broker_and_ends_with_0(
    own_kafka: LocalKafka, make_pipeline: Callable[[str], Pipeline], tmp_path: Path
) -> None:
    pipeline = make_pipeline(own_kafka.bootstrap)
    source = tmp_path / "in.csv"
    source.write_bytes(HEADER + b"M,1\n")
    path = tmp_path / "watched"
    with path.open("wb") as output:
        watching = subprocess.Popen(
            [sys.executable, "-m", "ops", "status", "--watch", "--json", "--interval-s", "0.1"],
            cwd=PROJECT,
            env=pipeline.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def latest() -> Fields:
        lines = [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
        return dict(json.loads(lines[-1])) if lines else {}

    try:
        pipeline.wait_until(lambda: "nothing is begun" in latest().get("trouble", ""), "it waits for a beginning")
        pipeline.run(source, SPLIT_BY)
        pipeline.wait_until(lambda: latest().get("sources", {}).get("delivered") == 1, "it has figures")
        own_kafka.kill()
        pipeline.wait_until(lambda: latest().get("trouble", "").startswith("no figures: "), "it misses its broker")
        own_kafka.start()
        pipeline.wait_until(lambda: latest().get("sources", {}).get("delivered") == 1, "it has figures again")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 0
    finally:
        with suppress(ProcessLookupError):
            watching.kill()
        watching.wait()


def committed_by_sink(pipeline: Pipeline) -> int:
    """The highest offset that its group has committed."""
    asked = [ConsumerGroupTopicPartitions(f"{pipeline.prefix}sink")]
    [answer] = pipeline.observer.admin.list_consumer_group_offsets(asked).values()
    return max((each.offset for each in answer.result(30).topic_partitions or ()), default=0)


def test_sink_s_offset_goes_on_while_rows_keep_coming(pipeline: Pipeline, big_file: Path) -> None:
    ingest = pipeline.start("ingest", "--once", big_file)
    split = pipeline.start("split", SPLIT_BY="*", EXIT_WHEN_DONE="true")
    pipeline.finish(ingest, split)
    # All rows are of one category, and so in one partition.
    end = max(pipeline.observer.ends("categorized"))
    sink = pipeline.start("sink", CHECKPOINT_INTERVAL_MS="20")
    seen: set[int] = set()

    def is_done() -> bool:
        seen.add(committed_by_sink(pipeline))
        return max(seen) >= end

    pipeline.wait_until(is_done, "all is committed")
    # The others have nothing but the end of the source.
    assert [each for each in seen if 100 < each < end - 100]
    assert sink.stop()[0] == 0
