"""One signal drains a service and ends it with 0, a second one ends it at once; a restart goes on from there."""

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ops.kafka.local import LocalKafka
from tests.harness.broker import hanging
from tests.harness.expectation import ABALONE, expected_files
from tests.harness.pipeline import ABALONE_FILE, SERVICES, Pipeline
from tests.harness.workload import Workload

RecordProperty = Callable[[str, object], None]
WorkloadFor = Callable[[str], Workload]
MakePipeline = Callable[[str], Pipeline]

DRAIN_DEADLINE_S = 8.0
WRITES_TO = {"ingest": "rows", "split": "categorized"}


def no_transaction_is_open(pipeline: Pipeline, topic: str) -> bool:
    return pipeline.observer.ends(topic, committed=True) == pipeline.observer.ends(topic)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_stopped_in_midstream_exits_0_and_goes_on_where_it_stopped(
    pipeline: Pipeline, workload_for: WorkloadFor, name: str, record_property: RecordProperty
) -> None:
    workload = workload_for(name)
    for number, share in ((signal.SIGTERM, 0.1), (signal.SIGINT, 0.3)):
        workload.wait_for_share(name, share)
        code, exit_s = workload.running[name].stop(number)
        assert code == 0
        assert exit_s < DRAIN_DEADLINE_S
        assert not workload.is_done(name)
        assert workload.running[name].events("drained")
        if name in WRITES_TO:
            # Long before the broker itself would abort one. What ends a transaction may come just behind the answer.
            topic = WRITES_TO[name]
            pipeline.wait_until(partial(no_transaction_is_open, pipeline, topic), "none is open", 5.0)
        done = workload.done(name)
        workload.start(name)
        record_property("seconds from a signal in midstream to the exit", exit_s)
        record_property("seconds from a stop to work again", workload.wait_for_more(name, done))
    workload.finish()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_services_with_nothing_to_do_exit_0(
    pipeline: Pipeline, number: signal.Signals, record_property: RecordProperty
) -> None:
    services = [pipeline.start(name, INPUT=str(ABALONE_FILE), SPLIT_BY="Sex", SETTLE_S="0") for name in SERVICES]
    pipeline.wait_for_files(expected_files(ABALONE_FILE.read_bytes(), [ABALONE["Sex"]]))
    for service in services:
        code, exit_s = service.stop(number)
        assert code == 0
        record_property("seconds from a signal while idle to the exit", exit_s)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_has_just_started_exits_0(
    pipeline: Pipeline, name: str, number: signal.Signals, record_property: RecordProperty
) -> None:
    service = pipeline.start(name, INPUT=str(ABALONE_FILE), SPLIT_BY="Sex")
    pipeline.wait_for_event(service, "starting")
    code, exit_s = service.stop(number)
    assert code == 0
    record_property("seconds from a signal while starting to the exit", exit_s)


@pytest.mark.alone
def test_a_second_signal_ends_a_service_at_once_and_nothing_is_lost(
    own_kafka: LocalKafka, make_pipeline: MakePipeline, big_file: Path, record_property: RecordProperty
) -> None:
    pipeline = make_pipeline(own_kafka.bootstrap)
    # None of them ends by itself before the signal comes.
    workload = Workload(pipeline, big_file, ONCE="false", EXIT_WHEN_DONE="false")
    workload.wait_for_share("sink", 0.1)
    with hanging(own_kafka):
        for service in workload.running.values():
            service.send(signal.SIGTERM)
            pipeline.wait_for_event(service, "draining")
            code, exit_s = service.stop(signal.SIGINT)
            assert code == 128 + signal.SIGINT
            assert exit_s < 1
            record_property("seconds from a second signal to the exit", exit_s)
    assert not workload.is_done("sink")
    for name in SERVICES:
        workload.start(name, ONCE="true", EXIT_WHEN_DONE="true")
    workload.finish()


@pytest.mark.alone
def test_a_service_that_cannot_drain_exits_75_at_its_deadline_and_nothing_is_lost(
    own_kafka: LocalKafka, make_pipeline: MakePipeline, big_file: Path
) -> None:
    pipeline = make_pipeline(own_kafka.bootstrap)
    workload = Workload(pipeline, big_file, DRAIN_DEADLINE_S="0.5")
    workload.wait_for_share("split", 0.1)
    with hanging(own_kafka):
        code, exit_s = workload.running["split"].stop()
    assert code == 75
    assert 0.5 <= exit_s < 1.5
    assert not workload.is_done("split")
    workload.start("split")
    workload.finish()
