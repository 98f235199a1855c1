"""Flows: pipelines under load that a scenario disturbs."""

import os
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest

from ops.kafka.local import LocalKafka
from ops.kafka.settings import PREFERENCES
from tests.harness.chaos import extent
from tests.harness.chaos.flow import Flow
from tests.harness.pipeline import Pipeline
from tests.harness.running_brokers import running_kafka


# Not Kafka's own defaults, by which each return to an empty group waits for 3 s and a killed broker is turned away
# for 9 s. These tests measure the time that the services themselves need.
@pytest.fixture(scope="session")
def bootstrap() -> Iterator[str]:
    """The broker named by KAFKA_BOOTSTRAP_SERVERS, or one of the tests' own, as `nacre kafka` makes it."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield given
        return
    with running_kafka(PREFERENCES) as kafka:
        yield kafka.bootstrap


@pytest.fixture
def own_kafka() -> Iterator[LocalKafka]:
    """A broker that a test may stop and kill."""
    with running_kafka(PREFERENCES) as kafka:
        yield kafka


class MakeFlow(Protocol):
    """Make a flow at the tests' broker, or at the one named."""

    def __call__(self, bootstrap: str = "", **settings: object) -> Flow:
        """Return it begun, with no service started yet."""


@pytest.fixture
def make_flow(make_pipeline: Callable[[str], Pipeline], request: pytest.FixtureRequest) -> Iterator[MakeFlow]:
    """Flows at any broker; they are ended with the test."""
    flows: list[Flow] = []

    def make(bootstrap: str = "", **settings: object) -> Flow:
        flows.append(Flow(make_pipeline(bootstrap or request.getfixturevalue("bootstrap")), **settings))  # type: ignore[arg-type]
        return flows[-1]

    yield make
    for flow in flows:
        flow.close()


@pytest.fixture
def flow(make_flow: MakeFlow) -> Flow:
    """A flow at the tests' broker."""
    return make_flow()


def pytest_report_header() -> str:
    """How long chaos goes on, and what repeats it."""
    return f"chaos: CHAOS_MINUTES={extent.MINUTES:g} CHAOS_SEED={extent.SEED}"
