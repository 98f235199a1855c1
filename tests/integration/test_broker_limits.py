"""Limits of brokers and topics that the settings do not fit: exit 78 with setting, topic and limit, or not ready."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # they are in their manual
    AlterConfigOpType,
    ConfigEntry,
)
from confluent_kafka.admin import ConfigResource as Resource  # type: ignore[attr-defined]  # same
from confluent_kafka.cimpl import NewTopic

from ops.kafka.local import LocalKafka
from tests.harness.pipeline import ABALONE_FILE, SERVICES, Pipeline, Service

pytestmark = pytest.mark.long


_ANSWER_S = 30.0
_DEADLINE_S = 90.0
# What the strict broker takes.
FITTING = {"SESSION_TIMEOUT_S": "8", "TRANSACTION_TIMEOUT_S": "10"}
PARTITIONS = {"rows": 6, "categorized": 6, "rejected": 1, "schemas": 1, "progress": 6, "sources": 1}


@pytest.fixture(scope="module")
def strict() -> Iterator[LocalKafka]:
    """A broker whose bounds are narrower than Kafka's own."""
    config = {
        "transaction.max.timeout.ms": "10000",
        "group.min.session.timeout.ms": "8000",
        "group.max.session.timeout.ms": "60000",
    }
    with LocalKafka(config=config, ready_deadline_s=120) as kafka:
        yield kafka


@pytest.fixture(scope="module")
def lone() -> Iterator[LocalKafka]:
    """One broker whose own topics want three."""
    replicas = {"offsets.topic.replication.factor": "3", "transaction.state.log.replication.factor": "3"}
    with LocalKafka(config=replicas, ready_deadline_s=120) as kafka:
        yield kafka


def start(pipeline: Pipeline, name: str, **settings: str) -> Service:
    return pipeline.start(name, INPUT=str(ABALONE_FILE), SPLIT_BY="Sex", **settings)


def refused(service: Service) -> list[str]:
    assert service.wait_for_exit(_DEADLINE_S) == 78
    assert not service.events("crashed")
    return [line["reason"] for line in service.events("cannot go on")]


def not_ready(service: Service) -> list[str]:
    return [line["reason"] for line in service.events("not ready")]


def wait_for(pipeline: Pipeline, service: Service, event: str, times: int = 1) -> None:
    pipeline.wait_until(lambda: len(service.events(event)) >= times, f"{service.name} logs {event}", _DEADLINE_S)


def set_config(pipeline: Pipeline, kind: str, name: str, values: Mapping[str, str]) -> None:
    """Change the configuration of a topic or a broker; an empty value brings the default back."""
    resource = Resource(Resource.Type[kind], name)
    for key, value in values.items():
        operation = AlterConfigOpType.SET if value else AlterConfigOpType.DELETE
        resource.add_incremental_config(ConfigEntry(key, value, incremental_operation=operation))
    for done in pipeline.observer.admin.incremental_alter_configs([resource]).values():
        done.result(_ANSWER_S)


POLICIES = dict.fromkeys(("schemas", "progress", "sources"), {"cleanup.policy": "compact"})  # noqa: RUF024 - not changed


def make_topics(pipeline: Pipeline, **configs: Mapping[str, str]) -> None:
    """The pipeline's topics as somebody else makes them."""
    topics = [
        NewTopic(pipeline.prefix + name, count, 1, config=POLICIES.get(name, {}) | dict(configs.get(name, {})))
        for name, count in PARTITIONS.items()
    ]
    for done in pipeline.observer.admin.create_topics(topics).values():
        done.result(_ANSWER_S)


@pytest.mark.parametrize("name", ["ingest", "split"])
def test_a_transaction_timeout_beyond_the_brokers_bound(
    strict: LocalKafka, make_pipeline: Callable[[str], Pipeline], name: str
) -> None:
    pipeline = make_pipeline(strict.bootstrap)
    refusing = start(pipeline, name, SESSION_TIMEOUT_S="8")
    fitting = start(pipeline, name, **FITTING)
    assert refused(refusing) == [
        "TRANSACTION_TIMEOUT_S=15 is more than the broker takes (transaction.max.timeout.ms=10000)"
    ]
    wait_for(pipeline, fitting, "ready")


@pytest.mark.parametrize("name", SERVICES)
def test_a_session_timeout_out_of_the_brokers_bounds(
    strict: LocalKafka, make_pipeline: Callable[[str], Pipeline], name: str
) -> None:
    pipeline = make_pipeline(strict.bootstrap)
    services = [start(pipeline, name, SESSION_TIMEOUT_S=seconds, TRANSACTION_TIMEOUT_S="10") for seconds in ("6", "61")]
    bounds = "group.min.session.timeout.ms=8000, group.max.session.timeout.ms=60000"
    for service, seconds in zip(services, ("6", "61"), strict=True):
        assert refused(service) == [f"SESSION_TIMEOUT_S={seconds} is outside the broker's bounds ({bounds})"]


def test_more_replicas_than_brokers(strict: LocalKafka, make_pipeline: Callable[[str], Pipeline]) -> None:
    pipeline = make_pipeline(strict.bootstrap)
    service = start(pipeline, "sink", REPLICATION_FACTOR="3")
    [reason] = refused(service)
    assert "cannot be created with REPLICATION_FACTOR=3, PARTITIONS=6: " in reason
    assert "only 1 broker(s) are registered" in reason
    assert len(not_ready(service)) == 1


@pytest.mark.parametrize("name", SERVICES)
def test_more_replicas_in_sync_than_there_are(
    strict: LocalKafka, make_pipeline: Callable[[str], Pipeline], name: str
) -> None:
    pipeline = make_pipeline(strict.bootstrap)
    make_topics(pipeline, rows={"min.insync.replicas": "2"}, progress={"min.insync.replicas": "2"})
    assert refused(start(pipeline, name, **FITTING)) == [
        f"topic {pipeline.prefix}{topic} has 1 replica and min.insync.replicas=2: nothing can be written to it. "
        "Set its min.insync.replicas lower, or give it more replicas"
        for topic in ("progress", "rows")
    ]


@pytest.mark.parametrize(
    ("configs", "told"),
    [
        ({"message.timestamp.before.max.ms": "0"}, "refuses the time of the records, which is this machine's: "),
        ({"max.message.bytes": "100"}, "refuses a record batch for its size: set its max.message.bytes and"),
    ],
    ids=["time", "size"],
)
def test_records_that_a_topic_refuses(
    strict: LocalKafka, make_pipeline: Callable[[str], Pipeline], configs: dict[str, str], told: str
) -> None:
    pipeline = make_pipeline(strict.bootstrap)
    split = start(pipeline, "split", **FITTING)
    source = pipeline.folder / "in"
    source.mkdir()
    ingest = pipeline.start("ingest", source, **FITTING)
    for service in (split, ingest):
        wait_for(pipeline, service, "ready")
    # While they are at work: at their start they would look.
    set_config(pipeline, "TOPIC", f"{pipeline.prefix}categorized", configs)
    (source / "a.csv").write_bytes(ABALONE_FILE.read_bytes())
    [reason] = refused(split)
    assert reason.startswith(f"topic {pipeline.prefix}categorized {told}")


@pytest.mark.parametrize("name", SERVICES)
def test_a_broker_without_coordinators_is_not_ready_and_says_why(
    lone: LocalKafka, make_pipeline: Callable[[str], Pipeline], name: str
) -> None:
    pipeline = make_pipeline(lone.bootstrap)
    service = start(pipeline, name)
    wait_for(pipeline, service, "not ready")
    assert service.stop()[0] == 0
    assert len(not_ready(service)) <= 2
    assert "offsets.topic.replication.factor" in not_ready(service)[-1]


def test_a_broker_with_too_many_connections_is_not_ready_until_it_takes_more(
    strict: LocalKafka, make_pipeline: Callable[[str], Pipeline]
) -> None:
    pipeline = make_pipeline(strict.bootstrap)
    # The one that changes it holds a connection itself.
    set_config(pipeline, "BROKER", "1", {"max.connections.per.ip": "1"})
    services = [start(pipeline, name, **FITTING) for name in SERVICES]
    for service in services:
        wait_for(pipeline, service, "not ready")
        assert "its connection limit (max.connections, max.connections.per.ip)" in not_ready(service)[0].replace(
            "the broker's connection limit", "its connection limit"
        )
    set_config(pipeline, "BROKER", "1", {"max.connections.per.ip": ""})
    for service in services:
        wait_for(pipeline, service, "ready")
        assert len(not_ready(service)) <= 2


def test_a_session_that_fails_again_and_again_says_each_thing_once(
    make_pipeline: Callable[[str], Pipeline], tmp_path: Path
) -> None:
    with LocalKafka(data_dir=tmp_path / "kafka") as kafka:
        pipeline = make_pipeline(kafka.bootstrap)
        # Partitions are assigned, and never taken up.
        service = pipeline.start_under("tests.harness.failing_producers", "split", SPLIT_BY="Sex")
        joins = f"joins group {pipeline.prefix}split in Empty state"
        log = kafka.data_dir / "broker.log"
        pipeline.wait_until(lambda: log.read_text().count(joins) >= 6, "six sessions", _DEADLINE_S)
        assert service.stop()[0] == 0
    said = Counter(json.loads(line)["event"] for line in service.log().splitlines())
    assert said["partitions assigned"] == said["partitions revoked"] + 1 == 1
    assert said["topic created"] == 8
    assert said["not ready"] <= 2
    assert "no producer for split" in not_ready(service)[-1]
    assert sum(said.values()) < 22
