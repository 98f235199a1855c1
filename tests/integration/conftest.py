"""A secured broker for all tests that need one."""

from collections.abc import Iterator

import pytest

from tests.harness.secured import SecuredKafka


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """A broker that denies what is not granted, and proves users in each way."""
    with SecuredKafka(tmp_path_factory.mktemp("secured"), "denied") as secured:
        yield secured
