"""Kills without end: what is never killed holds no more memory, descriptors or threads as time goes on."""

import statistics
import time
from collections.abc import Callable

import pytest

from tests.chaos import extent
from tests.chaos.conftest import MakeFlow
from tests.chaos.samples import Sample, sample, slope
from tests.integration.pipeline import SERVICES

RecordProperty = Callable[[str, object], None]

_SECONDS = extent.count(10, 1800)
# Fewer samples than this say nothing about a slope: the short selection shows the kills only.
_ENOUGH_SAMPLES = 40
_ROWS_PER_S = 3_600
# More than is carried here: each buffer comes to the largest that it gets, so that a backlog later on, where the
# machine is busy for a while, is no growth.
_ROWS_PER_S_AT_FIRST = 50_000
_ROUNDS_AT_FIRST = extent.count(1, 12)
# Python's allocator settles within some MiB; a leak of one rebalance's lanes in each of thousands would be far more.
_MOST_GROWTH_KIB = 8 * 1024


@pytest.mark.timeout(240 + 3 * _SECONDS)
def test_services_that_live_through_endless_kills_of_others_grow_by_nothing(
    make_flow: MakeFlow, record_property: RecordProperty
) -> None:
    random = extent.random_for("soak")
    flow = make_flow(sources=12, rows_per_s=_ROWS_PER_S_AT_FIRST)
    flow.start_all(split=2, sink=2, ingest=2)
    kept = {name: flow.running[name][0] for name in SERVICES}
    samples: dict[str, list[Sample]] = {name: [] for name in SERVICES}
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
        if kills == _ROUNDS_AT_FIRST:
            flow.feeder.set_pace(_ROWS_PER_S)
    account = flow.finish()
    record_property("soak: kills", kills)
    record_property("soak: rows", account.rows)
    for name, taken in samples.items():
        if len(taken) >= _ENOUGH_SAMPLES:
            check_flat(name, taken[len(taken) // 4 :], record_property)


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
