"""A broker that is not there, or goes away: the services wait for it and go on by themselves."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ops.kafka.local import LocalKafka
from tests.harness.broker import free_port, hanging
from tests.harness.expectation import ABALONE, expected_files
from tests.harness.pipeline import ABALONE_FILE, SERVICES, Pipeline, Service
from tests.harness.workload import Workload

pytestmark = pytest.mark.long

RecordProperty = Callable[[str, object], None]
MakePipeline = Callable[[str], Pipeline]


def test_services_that_wait_for_their_broker_exit_0(
    make_pipeline: MakePipeline, record_property: RecordProperty
) -> None:
    pipeline = make_pipeline(f"127.0.0.1:{free_port()}")
    services = [pipeline.start(name, INPUT=str(ABALONE_FILE), SPLIT_BY="Sex") for name in SERVICES]
    for service in services:
        pipeline.wait_for_event(service, "not ready")
        code, exit_s = service.stop()
        assert code == 0
        assert len(service.events("not ready")) == 1
        record_property("seconds from a signal without a broker to the exit", exit_s)


def test_services_started_before_their_broker_go_to_work_when_it_comes(make_pipeline: MakePipeline) -> None:
    port = free_port()
    pipeline = make_pipeline(f"127.0.0.1:{port}")
    services = [
        pipeline.start(name, INPUT=str(ABALONE_FILE), ONCE="true", SPLIT_BY="*,Sex", EXIT_WHEN_DONE="true")
        for name in SERVICES
    ]
    for service in services:
        pipeline.wait_for_event(service, "not ready")
    with LocalKafka(port):
        pipeline.finish(*services)
    pipeline.check_files(expected_files(ABALONE_FILE.read_bytes(), [ABALONE["*"], ABALONE["Sex"]]))


def test_a_signal_after_the_broker_is_gone_ends_every_service_with_0_and_nothing_is_lost(
    own_kafka: LocalKafka, make_pipeline: MakePipeline, big_file: Path, record_property: RecordProperty
) -> None:
    # Longer than the default, so that a busy machine does not cause exit code 75.
    settings = {"ONCE": "false", "EXIT_WHEN_DONE": "false", "DRAIN_DEADLINE_S": "15"}
    workload = Workload(make_pipeline(own_kafka.bootstrap), big_file, **settings)
    workload.wait_for_share("split", 0.2)
    own_kafka.kill()
    with ThreadPoolExecutor(len(SERVICES)) as pool:
        for code, exit_s in pool.map(Service.stop, workload.running.values()):
            assert code == 0
            record_property("seconds from a signal after the broker is gone to the exit", exit_s)
    assert not workload.is_done("sink")
    own_kafka.start()
    for name in SERVICES:
        workload.start(name, ONCE="true", EXIT_WHEN_DONE="true")
    workload.finish()


@pytest.mark.timeout(600)
def test_a_broker_that_stops_hangs_and_dies_in_midstream_loses_and_repeats_nothing(
    own_kafka: LocalKafka, make_pipeline: MakePipeline, big_file: Path, record_property: RecordProperty
) -> None:
    pipeline = make_pipeline(own_kafka.bootstrap)
    workload = Workload(pipeline, big_file)
    workload.wait_for_share("split", 0.2)
    own_kafka.stop()
    assert not workload.is_done("sink")
    own_kafka.start()
    workload.wait_for_share("split", 0.4)
    split = workload.running["split"]
    before = len(split.events("not ready"))
    with hanging(own_kafka):
        gave_up_s = pipeline.wait_until(lambda: len(split.events("not ready")) > before, "split gives up", 60)
        record_property("seconds until a hanging broker is told as not ready", gave_up_s)
        assert not workload.is_done("sink")
    workload.wait_for_share("split", 0.6)
    own_kafka.kill()
    assert not workload.is_done("sink")
    own_kafka.start()
    workload.finish()
