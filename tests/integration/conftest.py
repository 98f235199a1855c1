"""Special brokers for all tests that need one."""

from collections.abc import Iterator

import pytest

from ops.kafka.local import LocalKafka
from tests.harness.secured import SecuredKafka


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """A broker that denies what is not granted, and proves users in each way."""
    with SecuredKafka(tmp_path_factory.mktemp("secured"), "denied") as secured:
        yield secured


@pytest.fixture(scope="session")
def lax_bootstrap() -> Iterator[str]:
    """A broker that lets records into a transaction that its coordinator does not know of."""
    with LocalKafka(config={"transaction.partition.verification.enable": "false"}) as kafka:
        yield kafka.bootstrap
