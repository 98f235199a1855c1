"""Connections that are slow, hang, lose their way, are cut or refused: nothing is wrong in the end."""

from collections.abc import Callable
from random import Random

import pytest

from tests.chaos.conftest import MakeFlow
from tests.harness.chaos import extent
from tests.harness.chaos.flow import Flow
from tests.harness.chaos.proxy import Proxy, proxied_kafka

RecordProperty = Callable[[str, object], None]

_FAULTS = ("cut", "torn", "stall", "half open", "latency", "refuse")
# Shorter and longer than the session timeout of 6 s.
_LONGEST_STALL_S = 9.0


@pytest.mark.timeout(180 + 40 * extent.count(3, 20))
def test_faults_of_the_network_lose_and_repeat_nothing(make_flow: MakeFlow, record_property: RecordProperty) -> None:
    random = extent.random_for("network")
    faults = extent.count(3, 20)
    with proxied_kafka() as proxied:
        flow = make_flow(proxied.bootstrap, broker=proxied.kafka.bootstrap)
        flow.start_all(split=2, sink=2)
        for number in range(faults):
            flow.pause(random.uniform(0, 1.0))
            flow.wait_for_pending()
            name = _FAULTS[number % len(_FAULTS)]
            disturb(proxied.proxy, name, flow, random)
            record_property(f"seconds from a network fault's end to the next row, {name}", flow.wait_for_more(60))
        record_property("rows, with network faults", flow.finish().rows)


def disturb(proxy: Proxy, name: str, flow: Flow, random: Random) -> None:
    """One fault, begun and ended."""
    match name:
        case "cut":
            proxy.cut()
        case "torn":
            torn = proxy.cut_mid_response(random.randrange(1, 5_000))
            flow.pipeline.wait_until(torn.is_set, "a response is torn")
        case "stall":
            with proxy.stall():
                flow.pause(random.uniform(1, _LONGEST_STALL_S))
        case "half open":
            with proxy.half_open():
                flow.pause(random.uniform(0.1, 1))
        case "latency":
            with proxy.latency(random.uniform(0.02, 0.2)):
                flow.pause(2)
        case "refuse":
            with proxy.refuse():
                flow.pause(random.uniform(1, 3))
