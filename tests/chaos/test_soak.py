"""Kills without end: what is never killed holds no more memory, descriptors or threads as time goes on."""

import statistics
import time
from collections.abc import Callable

import pytest

from tests.chaos.conftest import MakeFlow
from tests.harness.chaos import extent
from tests.harness.chaos.flow import Flow
from tests.harness.chaos.samples import Sample, sample, slope
from tests.harness.chaos.verifier import expected_content
from tests.harness.pipeline import Service

RecordProperty = Callable[[str, object], None]

_SECONDS = extent.count(10, 1800)
# Fewer samples than this say nothing about a slope: a short run shows the kills only.
_ENOUGH_SAMPLES = 40
_ROWS_PER_S = 3_600
# Until as much waits as the feeder lets wait.
_ROWS_PER_S_AT_FIRST = 50_000
_SOURCES = 12
# Python's allocator settles within some MiB; a leak of one rebalance's tasks in each of thousands would be far more.
_MOST_GROWTH_KIB = 8 * 1024


@pytest.mark.timeout(240 + 3 * _SECONDS)
@pytest.mark.skipif(not extent.MINUTES, reason="some seconds show no growth, only kills, as test_kills.py does")
def test_services_that_live_through_endless_kills_of_others_grow_by_nothing(
    make_flow: MakeFlow, record_property: RecordProperty
) -> None:
    random = extent.random_for("soak")
    flow = make_flow(sources=_SOURCES, rows_per_s=_ROWS_PER_S_AT_FIRST)
    kept = start_with_the_largest_backlog(flow)
    flow.feeder.set_pace(_ROWS_PER_S)
    flow.start_all(split=1, sink=1, ingest=1)
    samples: dict[str, list[Sample]] = {name: [] for name in kept}
    kills = 0
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        flow.pause(random.uniform(2, 6))
        for name, service in kept.items():
            samples[name].append(sample(service.process_id, flow.feeder.rows))
        victim = random.choice([service for service in flow.every() if service not in kept.values()])
        flow.kill(victim)
        flow.start(victim.name)
        kills += 1
    account = flow.finish()
    record_property("soak: kills", kills)
    record_property("soak: rows", account.rows)
    for name, taken in samples.items():
        if len(taken) >= _ENOUGH_SAMPLES:
            check_flat(name, taken[len(taken) // 4 :], record_property)


def start_with_the_largest_backlog(flow: Flow) -> dict[str, Service]:
    """Start each service alone, and only when as much waits before it as the feeder ever lets wait.

    So each buffer reaches the largest size that it ever gets, and a later backlog, when the machine is busy for a
    while, does not look like growth.
    """
    pipeline = flow.pipeline
    pipeline.wait_until(lambda: flow.feeder.is_full, "the feeder lets no more wait", 30)
    ingest = flow.start("ingest")
    pipeline.wait_until(lambda: len(ingest.events("source ended")) == _SOURCES, "ingest has read all", 60)
    split = flow.start("split")
    expected = expected_content(flow.feeder.inputs)
    carried = expected.rows_out - expected.rejections
    pipeline.wait_until(
        lambda: sum(pipeline.observer.ends("categorized", committed=True)) >= carried, "split has carried all", 60
    )
    return {"ingest": ingest, "split": split, "sink": flow.start("sink")}


def check_flat(name: str, taken: list[Sample], record_property: RecordProperty) -> None:
    """From a quarter of the time on nothing grows any more."""
    hours = (taken[-1].at_s - taken[0].at_s) / 3600
    memory = slope([(each.at_s / 3600, each.anonymous_kib) for each in taken])
    descriptors = slope([(each.at_s / 3600, each.descriptors) for each in taken])
    record_property(f"soak: {name}, memory slope, KiB per hour", memory)
    record_property(f"soak: {name}, memory, KiB", statistics.median(each.anonymous_kib for each in taken))
    # How many there are at an instant goes up and down with the partitions of a replica: each has some of its own.
    threads = slope([(each.at_s / 3600, each.threads) for each in taken])
    record_property(f"soak: {name}, descriptor slope, per hour", descriptors)
    record_property(f"soak: {name}, thread slope, per hour", threads)
    assert memory * hours < _MOST_GROWTH_KIB
    assert descriptors * hours < 10
    assert threads * hours < 10
