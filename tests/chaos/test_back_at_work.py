"""A lone replica is killed with -9 under load and started again at once: how soon it is back at work."""

import statistics
import time
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.harness.chaos import extent
from tests.harness.chaos.flow import Flow
from tests.harness.pipeline import Pipeline

RecordProperty = Callable[[str, object], None]

KILLS = extent.count(1, 20)
MEDIAN_S, SLOWEST_S = 3.0, 5.0
DEADLINE_S = 30.0
WRITES_TO = {"ingest": "rows", "split": "categorized"}


def wait_for_next_committed(pipeline: Pipeline, topic: str, ends: list[int]) -> None:
    """Wait until a read_committed reader gets a record from behind these ends."""
    consumer = Consumer(
        {
            "bootstrap.servers": pipeline.bootstrap,
            "group.id": f"{pipeline.prefix}observer",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 50,
        }
    )
    try:
        name = pipeline.prefix + topic
        consumer.assign([TopicPartition(name, number, end) for number, end in enumerate(ends)])
        deadline = time.monotonic() + DEADLINE_S
        while (message := consumer.poll(0.05)) is None:
            assert time.monotonic() < deadline, f"nothing more is committed in {topic}"
        assert message.error() is None
    finally:
        consumer.close()


def seconds_to_next_committed(flow: Flow, name: str) -> float:
    """Kill the service, start it again; what the dead one still had under way does not count."""
    pipeline = flow.pipeline
    [service] = flow.running[name]
    flow.kill(service)
    began = time.monotonic()
    flow.start(name)
    if name == "sink":
        size = pipeline.output_size()
        pipeline.wait_for_size(size + 1, DEADLINE_S)
    else:
        wait_for_next_committed(pipeline, WRITES_TO[name], pipeline.observer.ends(WRITES_TO[name]))
    return time.monotonic() - began


@pytest.mark.alone
@pytest.mark.timeout(90 + 25 * KILLS)
def test_a_lone_replica_that_is_killed_is_back_at_work_within_seconds(
    flow: Flow, record_property: RecordProperty
) -> None:
    random = extent.random_for("back at work")
    took_s: list[float] = []
    flow.start_all()
    for _ in range(KILLS):
        for name in flow.running:
            flow.pause(random.uniform(0, 0.5))
            seconds = seconds_to_next_committed(flow, name)
            record_property(f"seconds from kill -9 to the next committed row, {name}", seconds)
            took_s.append(seconds)
            flow.wait_for_more()
    flow.finish()
    assert statistics.median(took_s) <= MEDIAN_S
    assert max(took_s) <= SLOWEST_S
