"""Commands change the logging of their process; no other test may see that."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def kept_log_settings() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)
