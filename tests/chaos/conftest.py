"""Flows: pipelines under load that a scenario disturbs."""

from collections.abc import Callable, Iterator
from typing import Protocol

import pytest

from tests.chaos import extent
from tests.chaos.flow import Flow
from tests.integration.pipeline import Pipeline


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
