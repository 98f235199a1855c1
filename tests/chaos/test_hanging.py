"""A broker that hangs at any step of any service's life is an outage like any other: they wait, and all is right."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from ops.kafka.local import LocalKafka
from tests.harness.broker import process_of
from tests.harness.chaos import extent
from tests.harness.chaos.hanging import phases_of
from tests.harness.expectation import ABALONE, expected_files
from tests.harness.pipeline import ABALONE_FILE, SERVICES, Pipeline

RecordProperty = Callable[[str, object], None]
MakePipeline = Callable[[str], Pipeline]

LIVES = extent.count(1, 50)
# Requests time out after 1.5 s here, and a broker that hung for longer than 2 s has no session with its controller.
LONGEST_HANGS_S = (1.0, 1.0, 4.0)
BROKER = {"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "400"}


@pytest.fixture
def kafka() -> LocalKafka:
    """A broker that soon takes itself for lost."""
    return LocalKafka(config=BROKER)


class Halts:
    """What the services of one life have told of where they brought the broker to a halt."""

    def __init__(self, kafka: LocalKafka, folder: Path, name: str) -> None:
        self.log = folder / f"{name}.halts"
        self.environment = {
            "HANG_AT": ",".join(phases_of(name)),
            "HANG_LOG": str(self.log),
            "HANG_PID": str(process_of(kafka)),
        }

    def phases(self) -> list[str]:
        """Where it has hung, so far."""
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.mark.timeout(240 + 180 * LIVES)
def test_a_broker_that_hangs_at_every_step_of_every_service(
    kafka: LocalKafka, make_pipeline: MakePipeline, record_property: RecordProperty
) -> None:
    random = extent.random_for("hanging")
    expected = expected_files(ABALONE_FILE.read_bytes(), [ABALONE["*"], ABALONE["Sex"]])
    with kafka:
        for _ in range(LIVES):
            hangs = live(kafka, make_pipeline(kafka.bootstrap), random, expected)
            record_property("hangs of the broker in one life", hangs)


def live(kafka: LocalKafka, pipeline: Pipeline, random: Random, expected: dict[str, bytes]) -> int:
    """Carry a file through all services, each of which halts the broker at each of its phases; return how often."""
    halts = {name: Halts(kafka, pipeline.folder, name) for name in SERVICES}
    settings = {"INPUT": str(ABALONE_FILE), "ONCE": "true", "EXIT_WHEN_DONE": "true", "SPLIT_BY": "*,Sex"}
    services = [
        pipeline.start_under("tests.harness.chaos.hanging", name, **settings, **halts[name].environment)
        for name in SERVICES
    ]
    broker = process_of(kafka)
    hangs = told = 0

    def more_or_done() -> bool:
        return sum(len(each.phases()) for each in halts.values()) > told or all(
            service.exit_code is not None for service in services
        )

    while not all(service.exit_code is not None for service in services):
        where = {name: each.phases()[-1:] for name, each in halts.items()}
        pipeline.wait_until(more_or_done, f"the broker hangs again, or all is done; last: {where}", 90)
        hangs += 1
        # Only to reach a random instant; every service has to be well.
        end = time.monotonic() + random.uniform(0.1, random.choice(LONGEST_HANGS_S))
        pipeline.wait_until(lambda end=end: time.monotonic() >= end, "time passes", max(LONGEST_HANGS_S) + 1)  # type: ignore[misc]
        # Count before the broker goes on: each phase logged later belongs to the next hang.
        told = sum(len(each.phases()) for each in halts.values())
        os.kill(broker, signal.SIGCONT)
    assert [service.exit_code for service in services] == [0, 0, 0]
    pipeline.check_files(expected)
    for name, each in halts.items():
        assert set(each.phases()) == set(phases_of(name)), name
    return hangs
