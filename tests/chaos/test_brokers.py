"""Brokers that are killed, stopped and come back under load: the services go on by themselves, and nothing is wrong."""

from collections.abc import Callable

import pytest

from ops.kafka.local import LocalKafka
from tests.chaos.conftest import MakeFlow
from tests.harness.chaos import extent
from tests.harness.chaos.cluster import Cluster
from tests.harness.chaos.flow import Flow

RecordProperty = Callable[[str, object], None]

_LONGEST_ABSENCE_S = 60.0


def log_of_states(flow: Flow) -> list[list[str]]:
    """The changes of state that each service told, in their order."""
    lines = [service.log().splitlines() for service in flow.every()]
    return [
        [event for line in each for event in ("not ready", "ready") if f'"event":"{event}"' in line] for each in lines
    ]


def check_states(flow: Flow, absences: int) -> None:
    """Every service is ready again, and none told of more changes of state than there were."""
    flow.pipeline.wait_until(
        lambda: all(states[-1] == "ready" for states in log_of_states(flow)), "every service is ready", 30
    )
    for states in log_of_states(flow):
        # A second kind of trouble, told once more, is possible while a broker starts.
        assert states.count("not ready") <= 2 * (absences + 1), states


@pytest.mark.timeout(120 + 20 * extent.count(3, 20))
def test_a_lone_broker_killed_and_stopped_in_turn_under_load(
    own_kafka: LocalKafka, make_flow: MakeFlow, record_property: RecordProperty
) -> None:
    random = extent.random_for("a lone broker")
    flow = make_flow(own_kafka.bootstrap)
    flow.start_all(split=2, sink=2)
    bounces = extent.count(3, 20)
    for bounce in range(bounces):
        flow.pause(random.uniform(0.2, 1.5))
        flow.wait_for_pending()
        if bounce % 4 == 3:
            own_kafka.stop()
        else:
            own_kafka.kill()
        own_kafka.start()
        record_property("seconds from a lone broker's return to the next row", flow.wait_for_more(60))
    check_states(flow, bounces)
    record_property("rows, lone broker bounced", flow.finish().rows)


@pytest.mark.timeout(180)
@pytest.mark.skipif(not extent.MINUTES, reason="a minute without a broker is for `make chaos`")
def test_a_minute_without_any_broker(
    own_kafka: LocalKafka, make_flow: MakeFlow, record_property: RecordProperty
) -> None:
    flow = make_flow(own_kafka.bootstrap)
    flow.start_all()
    own_kafka.kill()
    flow.pause(_LONGEST_ABSENCE_S)
    assert all(states[-1] == "not ready" for states in log_of_states(flow))
    own_kafka.start()
    record_property("seconds from a lone broker's return after a minute to the next row", flow.wait_for_more(60))
    check_states(flow, 1)
    flow.finish()


@pytest.mark.timeout(300)
def test_each_of_three_brokers_killed_in_turn_under_load(make_flow: MakeFlow, record_property: RecordProperty) -> None:
    with Cluster() as cluster:
        flow = make_flow(cluster.bootstrap, REPLICATION_FACTOR="3")
        flow.start_all(split=2, sink=2)
        for broker in cluster.brokers[: extent.count(1, 3)]:
            flow.wait_for_pending()
            broker.kill()
            record_property("seconds from the kill of one of three brokers to the next row", flow.wait_for_more(60))
            broker.start()
            cluster.wait_until_healthy()
        check_states(flow, 3)
        record_property("rows, three brokers killed in turn", flow.finish().rows)
    assert not any(broker.data_dir.exists() for broker in cluster.brokers)
