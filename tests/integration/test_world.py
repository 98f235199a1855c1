"""What the world does to topics between and during runs: refused in a line that names it, no row lost in silence."""

import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # they are in its manual
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from common.protocol.output_folder import ledger_path
from common.protocol.progress import RUN_KEY
from tests.harness.commands import run_nacre_as_text
from tests.harness.expectation import ABALONE, expected_files
from tests.harness.observer import Record
from tests.harness.pipeline import ABALONE_FILE, SERVICES, Pipeline, Service

pytestmark = pytest.mark.long


TOPICS = ("rows", "categorized", "rejected", "schemas", "progress", "sources", "shares", "receipts")
# The one that says what all were begun with, and one of those that it names: they are compared in one way.
MISSED_AT_THE_START = ("schemas", "progress")
# A service whose topic is deleted has ended by then.
GONE_DEADLINE_S = 15.0
PARTITIONED = ("rows", "categorized", "progress")
KEPT = ("schemas", "progress", "sources")
COMPACTED = (*KEPT, "shares", "receipts")
EXPECTED = expected_files(ABALONE_FILE.read_bytes(), [ABALONE["Sex"]])
ALL = {"INPUT": str(ABALONE_FILE), "ONCE": "true", "SPLIT_BY": "Sex", "EXIT_WHEN_DONE": "true"}


def create(pipeline: Pipeline, topic: str, partitions: int | None = None, **config: str) -> None:
    count = partitions or (6 if topic in PARTITIONED else 1)
    settings = {name.replace("_", "."): value for name, value in config.items()}
    settings.setdefault("cleanup.policy", "compact" if topic in COMPACTED else "delete")
    name = pipeline.prefix + topic
    pipeline.observer.admin.create_topics([NewTopic(name, count, 1, config=settings)])[name].result(10)


def delete(pipeline: Pipeline, *topics: str) -> None:
    names = [pipeline.prefix + topic for topic in topics]
    for deleted in pipeline.observer.admin.delete_topics(names).values():
        deleted.result(10)
    pipeline.wait_until(
        lambda: not pipeline.observer.admin.list_topics(timeout=10).topics.keys() & set(names), "the topics are gone"
    )


def alter(pipeline: Pipeline, topic: str, key: str, value: str) -> None:
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, pipeline.prefix + topic, incremental_configs=[entry])
    pipeline.observer.admin.incremental_alter_configs([resource])[resource].result(10)


def expire(pipeline: Pipeline, topic: str) -> dict[int, int]:
    """Delete every record of a topic, as its retention does; return each partition's first offset."""
    name = pipeline.prefix + topic
    asked = [
        TopicPartition(name, number, end) for number, end in enumerate(pipeline.observer.ends(topic, committed=True))
    ]
    answers = pipeline.observer.admin.delete_records(asked)
    return {partition.partition: answers[partition].result(10).low_watermark for partition in asked}


def refusals(service: Service, code: int = 1) -> list[str]:
    assert service.wait_for_exit() == code
    return [line for error in service.events("cannot go on") for line in error["reason"].splitlines()]


def start_each(pipeline: Pipeline, services: Sequence[str] = SERVICES, **settings: str) -> list[Service]:
    return [pipeline.start(name, **(ALL | settings)) for name in services]


def append_version(pipeline: Pipeline, topic: str, version: int | None) -> None:
    """Write the topic's last record again, as a version of that number would, or one that says none."""
    append_version_of(pipeline, topic, pipeline.observer.records(topic)[-1], version)


def append_version_of(pipeline: Pipeline, topic: str, last: Record, version: int | None) -> None:
    fields = json.loads(last.value)
    del fields["version"]
    if version is not None:
        fields["version"] = version
    producer = Producer({"bootstrap.servers": pipeline.bootstrap, "log_level": 0})
    producer.produce(pipeline.prefix + topic, json.dumps(fields).encode(), last.key, last.partition)
    assert producer.flush(10) == 0


# Topics deleted, and created again


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_that_is_gone_and_one_that_was_created_again_are_refused_by_every_service(
    pipeline: Pipeline, topic: str
) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    delete(pipeline, topic)
    if topic in MISSED_AT_THE_START:
        for service in start_each(pipeline):
            [reason] = refusals(service)
            assert f"topic {pipeline.prefix}{topic} " in reason
        assert not pipeline.observer.partitions(topic)
    create(pipeline, topic)
    for service in start_each(pipeline):
        [reason] = refusals(service)
        assert f"topic {pipeline.prefix}{topic} " in reason
        if topic != "schemas":
            assert "was deleted and created again" in reason
    pipeline.check_files(EXPECTED)


def test_all_topics_created_again_give_every_row_again_and_a_used_output_folder_is_refused(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    delete(pipeline, *TOPICS)
    ingest, split, sink = start_each(pipeline)
    [reason] = refusals(sink)
    assert f"topic {pipeline.prefix}" in reason
    assert f"was deleted and created again: the ledger in {pipeline.output}" in reason
    pipeline.check_files(EXPECTED)
    # The others have begun again, from nothing: another folder gets everything.
    anew = pipeline.start("sink", **(ALL | {"OUTPUT_DIR": str(pipeline.folder / "anew")}))
    for service in (ingest, split, anew):
        assert service.wait_for_exit() == 0
    folder = pipeline.folder / "anew"
    assert {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.csv")} == EXPECTED


@pytest.mark.parametrize(
    ("topic", "again"),
    [
        ("rows", False),
        ("categorized", True),
        ("progress", True),
        ("schemas", False),
        ("rejected", True),
        ("sources", False),
        ("shares", True),
        ("receipts", False),
    ],
)
def test_a_topic_that_goes_while_the_services_run_ends_them_in_seconds(
    pipeline: Pipeline,
    topic: str,
    again: bool,  # noqa: FBT001 - parametrized
) -> None:
    services = start_each(pipeline, ONCE="false", EXIT_WHEN_DONE="false")
    pipeline.wait_for_files(EXPECTED)
    delete(pipeline, topic)
    deleted_at = time.monotonic()
    if again:
        create(pipeline, topic)
    for service in services:
        reasons = refusals(service)
        assert time.monotonic() - deleted_at < GONE_DEADLINE_S
        assert len(reasons) == 1
        assert f"topic {pipeline.prefix}{topic} " in reasons[0]
    pipeline.check_files(EXPECTED)


def test_progress_created_again_while_partitions_move_begins_no_source_anew(pipeline: Pipeline) -> None:
    services = start_each(pipeline, ONCE="false", EXIT_WHEN_DONE="false")
    pipeline.wait_for_event(services[0], "ready")
    another = pipeline.start("ingest", INPUT=str(ABALONE_FILE))
    pipeline.wait_for_event(another, "ready")
    pipeline.wait_for_files(EXPECTED)
    delete(pipeline, "progress")
    create(pipeline, "progress")
    # Its partitions move at once to the other ingest, which reads no progress for any of them.
    another.stop()
    for service in services:
        [reason] = refusals(service)
        assert f"topic {pipeline.prefix}progress was deleted and created again" in reason
    pipeline.check_files(EXPECTED)


# Records that have expired


def test_rows_that_expired_before_split_began_are_told_and_accepted_once(pipeline: Pipeline) -> None:
    pipeline.finish(pipeline.start("ingest", **ALL))
    firsts = {number: first for number, first in expire(pipeline, "rows").items() if first}
    [(partition, first)] = firsts.items()
    [reason] = refusals(pipeline.start("split", **ALL))
    assert f"topic {pipeline.prefix}rows, partition {partition} begins at offset {first}: {first} offsets" in reason
    assert "nacre begin split" in reason

    listed = run_nacre_as_text(pipeline, "begin", "split")
    place = f"{pipeline.prefix}rows:{partition}:{first}"
    assert (listed.returncode, listed.stderr) == (1, "")
    assert f"nacre begin split {place}\n" in listed.stdout
    wrong = run_nacre_as_text(pipeline, "begin", "split", f"{pipeline.prefix}rows:{partition}:{first - 1}")
    assert (wrong.returncode, wrong.stdout) == (78, "")
    assert f"begins at offset {first}, not {first - 1}" in wrong.stderr
    assert run_nacre_as_text(pipeline, "begin", "split", place).returncode == 0
    split, sink = start_each(pipeline, ["split", "sink"])
    pipeline.finish(split, sink)
    assert pipeline.output_files() == {}


def test_rows_that_expired_before_an_output_folder_was_filled_are_told_and_accepted_once(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    gone = {number: first for number, first in expire(pipeline, "categorized").items() if first}
    assert gone
    anew = ALL | {"OUTPUT_DIR": str(pipeline.folder / "anew")}
    [reason] = refusals(pipeline.start("sink", **anew))
    assert any(
        f"topic {pipeline.prefix}categorized, partition {number} begins at offset {first}" in reason
        for number, first in gone.items()
    )
    # The folder that has them goes on.
    assert pipeline.start("sink", **ALL).wait_for_exit() == 0
    pipeline.check_files(EXPECTED)
    places = [f"{pipeline.prefix}categorized:{number}:{first}" for number, first in gone.items()]
    accepted = run_nacre_as_text(pipeline, "begin", "sink", *places)
    assert accepted.returncode == 0, accepted.stderr
    assert pipeline.start("sink", **anew).wait_for_exit() == 0
    # It was for once.
    [reason] = refusals(pipeline.start("sink", **(ALL | {"OUTPUT_DIR": str(pipeline.folder / "another")})))
    assert "nacre begin sink" in reason


def test_rows_that_expire_before_split_comes_to_them_are_told_by_their_offsets(pipeline: Pipeline) -> None:
    source = pipeline.folder / "a.csv"
    source.write_bytes(ABALONE_FILE.read_bytes())
    pipeline.run(source, "Sex")
    ends = pipeline.observer.ends("rows", committed=True)
    with source.open("ab") as file:
        file.write(b"M,1,1,1,1,1,1,1,1\n")
    pipeline.finish(pipeline.start("ingest", "--once", source))
    [(partition, first)] = [(number, first) for number, first in expire(pipeline, "rows").items() if first]
    [reason] = refusals(pipeline.start("split", **ALL))
    where = f"topic {pipeline.prefix}rows, partition {partition}"
    assert f"{where}: the records from {ends[partition]} to {first - 1} were deleted before they were read" in reason
    pipeline.check_files(EXPECTED)


def test_rows_that_expire_before_sink_comes_to_them_are_told_by_their_offsets(pipeline: Pipeline) -> None:
    source = pipeline.folder / "a.csv"
    source.write_bytes(ABALONE_FILE.read_bytes())
    pipeline.run(source, "Sex")
    ends = pipeline.observer.ends("categorized", committed=True)
    source.write_bytes(source.read_bytes() + b"M,1,1,1,1,1,1,1,1\n")
    pipeline.finish(pipeline.start("ingest", "--once", source))
    split = pipeline.start("split", SPLIT_BY="Sex")
    pipeline.wait_until(
        lambda: all(map(int.__lt__, ends, pipeline.observer.ends("categorized", committed=True))),
        "the end is everywhere",
    )
    split.stop()
    firsts = expire(pipeline, "categorized")
    [reason] = refusals(pipeline.start("sink", **ALL))
    assert reason in [
        f"topic {pipeline.prefix}categorized, partition {number}: the records from {end} to {firsts[number] - 1} were "
        "deleted before they were read (the topic's retention is too short): begin again with another TOPIC_PREFIX "
        "and another OUTPUT_DIR"
        for number, end in enumerate(ends)
    ]
    pipeline.check_files(EXPECTED)


def test_a_ledger_beyond_the_end_of_its_partition_is_refused(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    end = pipeline.observer.ends("categorized")[0]
    with closing(sqlite3.connect(pipeline.output / ledger_path(f"{pipeline.prefix}categorized", 0))) as ledger:
        ledger.execute("UPDATE partition SET value = ? WHERE name = 'next_offset'", (str(end + 10),))
        ledger.commit()
    [reason] = refusals(pipeline.start("sink", **ALL))
    where = f"topic {pipeline.prefix}categorized, partition 0"
    assert f"{where} ends at offset {end}, and the ledger in {pipeline.output} goes on at {end + 10}" in reason
    pipeline.check_files(EXPECTED)


def test_nothing_is_accepted_while_the_service_runs(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    gone = {number: first for number, first in expire(pipeline, "categorized").items() if first}
    [number, *_] = gone
    sink = pipeline.start("sink", **(ALL | {"EXIT_WHEN_DONE": "false"}))
    pipeline.wait_for_event(sink, "ready")
    answer = run_nacre_as_text(pipeline, "begin", "sink", f"{pipeline.prefix}categorized:{number}:{gone[number]}")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert f"group {pipeline.prefix}sink has members" in answer.stderr


@pytest.mark.parametrize("topic", KEPT)
def test_records_that_must_be_kept_and_expired_are_refused_by_every_service(pipeline: Pipeline, topic: str) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    alter(pipeline, topic, "cleanup.policy", "delete")
    expire(pipeline, topic)
    # Setting it right again brings nothing back.
    alter(pipeline, topic, "cleanup.policy", "compact")
    for service in start_each(pipeline):
        reasons = refusals(service)
        assert all(f"topic {pipeline.prefix}{topic}" in reason for reason in reasons)
        assert reasons
    pipeline.check_files(EXPECTED)


def test_progress_that_expires_while_ingest_runs_begins_no_source_again(pipeline: Pipeline) -> None:
    ingests = [pipeline.start("ingest", INPUT=str(ABALONE_FILE)) for _ in range(2)]
    split, sink = start_each(pipeline, ["split", "sink"], EXIT_WHEN_DONE="false")
    for service in (*ingests, split, sink):
        pipeline.wait_for_event(service, "ready")
    pipeline.wait_for_files(EXPECTED)
    # Running services notice the policy in time, but the records may be gone even before that.
    alter(pipeline, "progress", "cleanup.policy", "delete")
    expire(pipeline, "progress")
    alter(pipeline, "progress", "cleanup.policy", "compact")
    # Its partitions go to the other, which has not read them before.
    ingests[0].stop()
    [reason] = refusals(ingests[1])
    assert f"topic {pipeline.prefix}progress, partition" in reason
    assert "of this topic none may be" in reason
    pipeline.check_files(EXPECTED)


def test_a_policy_that_is_changed_while_the_services_run_ends_them_before_records_are_lost(pipeline: Pipeline) -> None:
    services = start_each(pipeline, ONCE="false", EXIT_WHEN_DONE="false")
    pipeline.wait_for_files(EXPECTED)
    alter(pipeline, "categorized", "cleanup.policy", "compact")
    alter(pipeline, "rows", "min.insync.replicas", "2")
    for service in services:
        policy, replicas = refusals(service, 78)
        assert f"topic {pipeline.prefix}categorized has cleanup.policy=compact and must have delete" in policy
        assert f"topic {pipeline.prefix}rows has 1 replica and min.insync.replicas=2" in replicas


def test_progress_that_was_lost_is_refused_also_where_rows_has_expired_since(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    expire(pipeline, "rows")
    delete(pipeline, "progress", "schemas", "sources")
    [reason] = refusals(pipeline.start("ingest", **ALL))
    assert f"topic {pipeline.prefix}schemas does not say what topic {pipeline.prefix}rows was begun with" in reason


# Topics that someone else created


@pytest.mark.parametrize("policy", ["delete", "compact", "compact,delete"])
def test_topics_with_another_cleanup_policy_are_exit_78_and_one_line_for_each(pipeline: Pipeline, policy: str) -> None:
    wrong = []
    for topic in TOPICS:
        create(pipeline, topic, cleanup_policy=policy)
        if ("compact" if topic in COMPACTED else "delete") != policy:
            wrong.append(topic)
    for service in start_each(pipeline):
        assert service.wait_for_exit() == 78
        log = service.log()
        for topic in wrong:
            must = "compact" if topic in COMPACTED else "delete"
            assert f"topic {pipeline.prefix}{topic} has cleanup.policy={policy} and must have {must}" in log
    assert not any(pipeline.observer.ends(topic) != [0] * len(pipeline.observer.partitions(topic)) for topic in TOPICS)


def test_a_topic_that_takes_no_record_for_want_of_replicas_is_exit_78(pipeline: Pipeline) -> None:
    create(pipeline, "rows", min_insync_replicas="2")
    for service in start_each(pipeline):
        [reason] = refusals(service, 78)
        assert f"topic {pipeline.prefix}rows has 1 replica and min.insync.replicas=2" in reason


# Partitions


def test_partitions_that_were_added_are_refused_with_all_positions_as_they_are(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    ends = {topic: pipeline.observer.ends(topic) for topic in TOPICS}
    names = [NewPartitions(pipeline.prefix + topic, 12) for topic in PARTITIONED]
    for added in pipeline.observer.admin.create_partitions(names).values():
        added.result(10)
    told = [
        f"topic {pipeline.prefix}{topic} has 12 partitions, and the pipeline was begun with 6" for topic in PARTITIONED
    ]
    for partitions in ("6", "12"):
        for service in start_each(pipeline, PARTITIONS=partitions):
            reasons = refusals(service, 78)
            assert sorted(reason.partition(":")[0] for reason in reasons) == sorted(told)
            assert "PARTITIONS=12" not in service.log().partition("cannot go on")[2]
    for topic, before in ends.items():
        assert pipeline.observer.ends(topic)[: len(before)] == before
    pipeline.check_files(EXPECTED)


@pytest.mark.parametrize("name", SERVICES)
def test_partitions_that_differ_from_those_it_was_begun_with_are_exit_78(pipeline: Pipeline, name: str) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    [reason] = refusals(pipeline.start(name, **(ALL | {"PARTITIONS": "12"})), 78)
    assert "PARTITIONS says 12: set PARTITIONS=6" in reason


# Two sinks, two folders


def test_a_second_sink_with_another_output_folder_is_refused_and_the_first_goes_on(pipeline: Pipeline) -> None:
    first = pipeline.start("sink", **(ALL | {"EXIT_WHEN_DONE": "false"}))
    pipeline.wait_for_event(first, "ready")
    elsewhere = pipeline.folder / "elsewhere"
    second = pipeline.start("sink", **(ALL | {"OUTPUT_DIR": str(elsewhere)}))
    [reason] = refusals(second, 78)
    assert f"OUTPUT_DIR={pipeline.output}" in reason
    assert f"OUTPUT_DIR={elsewhere}" in reason
    assert not list(elsewhere.rglob("*.csv"))
    # The same folder under another name is the same folder.
    (pipeline.folder / "link").symlink_to(pipeline.output)
    third = pipeline.start("sink", **(ALL | {"OUTPUT_DIR": str(pipeline.folder / "link"), "EXIT_WHEN_DONE": "false"}))
    pipeline.wait_for_event(third, "ready")
    pipeline.finish(*start_each(pipeline, ["ingest", "split"]))
    pipeline.wait_for_files(EXPECTED)


def test_a_finite_sink_does_not_take_what_another_folder_has_for_its_own(pipeline: Pipeline) -> None:
    first = pipeline.start("sink", **ALL)
    pipeline.wait_for_event(first, "ready")
    elsewhere = pipeline.folder / "elsewhere"
    # It would be refused after that time; the first is done long before.
    second = pipeline.start("sink", **(ALL | {"OUTPUT_DIR": str(elsewhere), "SESSION_TIMEOUT_S": "60"}))
    pipeline.wait_until(
        lambda: any("it waits until they are gone" in event["reason"] for event in second.events("not ready")),
        "the second sink waits",
    )
    pipeline.finish(*start_each(pipeline, ["ingest", "split"]), first, second)
    pipeline.check_files(EXPECTED)
    for path, content in EXPECTED.items():
        assert (elsewhere / path).read_bytes() == content


# What is remembered, and by which version


def test_what_the_positions_are_positions_in_is_written_down(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    [begun] = [json.loads(record.value) for record in pipeline.observer.records("schemas") if record.key == b"pipeline"]
    assert begun.keys() == {"version", "cluster", "partitions", "topics"}
    assert begun["topics"].keys() == {pipeline.prefix + topic for topic in TOPICS}
    assert all(len(topic_id) == 22 for topic_id in begun["topics"].values())
    for record in pipeline.observer.records("progress"):
        progress = json.loads(record.value)
        if record.key != RUN_KEY:
            assert (progress["version"], progress["rows_id"]) == (1, begun["topics"][f"{pipeline.prefix}rows"])


def test_a_broker_that_tells_no_ids_is_accepted_and_ids_are_pinned_once_it_does(pipeline: Pipeline) -> None:
    services = [pipeline.start_under("tests.harness.without_topic_ids", name, **ALL) for name in SERVICES]
    pipeline.finish(*services)
    pipeline.check_files(EXPECTED)
    [begun] = [json.loads(record.value) for record in pipeline.observer.records("schemas") if record.key == b"pipeline"]
    assert set(begun["topics"].values()) == {""}
    # The broker tells them now: what was begun goes on, and knows them from here.
    pipeline.finish(*start_each(pipeline))
    *_, begun = [
        json.loads(record.value) for record in pipeline.observer.records("schemas") if record.key == b"pipeline"
    ]
    assert all(begun["topics"].values())
    delete(pipeline, "categorized")
    create(pipeline, "categorized")
    for service in start_each(pipeline):
        assert "was deleted and created again" in refusals(service)[0]
    pipeline.check_files(EXPECTED)


@pytest.mark.parametrize("topic", ["schemas", "progress", "sources"])
@pytest.mark.parametrize("version", [None, 99])
def test_what_another_version_wrote_is_refused_in_one_line(pipeline: Pipeline, topic: str, version: int | None) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    append_version(pipeline, topic, version)
    for service in start_each(pipeline, ["ingest"] if topic == "sources" else SERVICES):
        [reason] = refusals(service)
        assert f"topic {pipeline.prefix}{topic}" in reason
        assert ("format 99" if version else "from before format") in reason
    pipeline.check_files(EXPECTED)


def test_a_split_s_name_of_another_version_is_refused_in_one_line(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    [named] = [record for record in pipeline.observer.records("schemas") if (record.key or b"").startswith(b"split:")]
    append_version_of(pipeline, "schemas", named, 99)
    [reason] = refusals(pipeline.start("split", **(ALL | {"SPLIT_BY": "Rings"})))
    assert f"topic {pipeline.prefix}schemas: a split's name is of format 99" in reason


def test_a_ledger_of_another_version_is_refused_in_one_line(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    path = pipeline.output / ledger_path(f"{pipeline.prefix}categorized", 0)
    with closing(sqlite3.connect(path)) as ledger:
        ledger.execute("PRAGMA user_version = 99")
        ledger.commit()
    [reason] = refusals(pipeline.start("sink", **ALL))
    assert reason.startswith(f"ledger {path} is of version 99, and this version of sink reads 4: ")
    pipeline.check_files(EXPECTED)


@pytest.mark.parametrize("topic", ["progress", "rows", "categorized"])
def test_a_partition_that_is_added_while_the_services_run_is_refused(pipeline: Pipeline, topic: str) -> None:
    services = start_each(pipeline, EXIT_WHEN_DONE="false", ONCE="false")
    for service in services:
        pipeline.wait_for_event(service, "ready")
    name = pipeline.prefix + topic
    [added] = pipeline.observer.admin.create_partitions([NewPartitions(name, 7)]).values()
    added.result(10)
    reads = {"progress": "ingest", "rows": "split", "categorized": "sink"}[topic]
    [concerned] = [service for service in services if service.name == reads]
    assert f"topic {name} has a partition 6, and the pipeline was begun with 6" in refusals(concerned, 78)[0]


# Asking


def test_no_service_and_no_command_creates_a_topic_by_asking_about_it(pipeline: Pipeline) -> None:
    run_nacre_as_text(pipeline, "validate", str(ABALONE_FILE))
    run_nacre_as_text(pipeline, "rejected", "list")
    run_nacre_as_text(pipeline, "begin", "sink")
    assert not [topic for topic in TOPICS if pipeline.observer.partitions(topic)]
