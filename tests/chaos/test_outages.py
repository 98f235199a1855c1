"""A broker that is away costs the services next to nothing, and they go on by themselves when it is back."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.kafka.local import LocalKafka
from tests.chaos.conftest import MakeFlow
from tests.harness.chaos import extent
from tests.harness.pipeline import SERVICES, Service

RecordProperty = Callable[[str, object], None]

STOPS, KILLS = extent.count(2, 30), extent.count(1, 15)
# The end of a session costs something once, whatever comes then: closing clients, leaving what was under way.
ENDING_S = 2.0
OUTAGE_S = 5.0
# Of a core, for each service.
HIGHEST_SHARE = 0.05


def cpu_s(process_id: int) -> float:
    """The seconds of a core that a process has used."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    user, system = fields[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def is_ready(service: Service) -> bool:
    """Whether this is the last that a service has said of it."""
    log = service.log()
    return log.rfind('"event":"ready"') > log.rfind('"event":"not ready"')


@pytest.mark.timeout(180 + 40 * (STOPS + KILLS))
def test_a_broker_that_is_away_costs_each_service_less_than_a_twentieth_of_a_core(
    own_kafka: LocalKafka, make_flow: MakeFlow, record_property: RecordProperty
) -> None:
    flow = make_flow(own_kafka.bootstrap, rows_per_s=2_000)
    for name in SERVICES:
        flow.start(name)
    flow.wait_for_more(120)
    for end in [LocalKafka.stop] * STOPS + [LocalKafka.kill] * KILLS:
        # All at work: what is left of an outage before would be counted as one of this.
        flow.pipeline.wait_until(lambda: all(map(is_ready, flow.every())), "all are ready", 120)
        flow.pipeline.wait_until(lambda: flow.feeder.pending_bytes > 0, "rows are under way", 60)
        end(own_kafka)
        flow.pipeline.wait_until(lambda: not any(map(is_ready, flow.every())), "all say that the broker is away", 60)
        flow.pause(ENDING_S)
        before = [cpu_s(service.process_id) for service in flow.every()]
        flow.pause(OUTAGE_S)
        for service, used_s in zip(flow.every(), before, strict=True):
            share = (cpu_s(service.process_id) - used_s) / OUTAGE_S
            record_property(f"{service.name}: share of a core, broker {end.__name__}", share)
            assert share < HIGHEST_SHARE, f"{service.name}, broker {end.__name__}: {share:.0%} of a core"
        own_kafka.start()
        record_property("seconds from a broker's return after an outage to the next row", flow.wait_for_more(120))
    record_property("rows, broker away", flow.finish().rows)
