"""`nacre` with a replay that is overtaken before it sends: `python -m tests.harness.overtaken_replay ARGUMENTS`."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest import mock

from common.kafka.clients import StartedProducer, open_producer
from common.settings import ServiceSettings
from ops.__main__ import main


@asynccontextmanager
async def _open_and_overtake(settings: ServiceSettings, transactional_id: str) -> AsyncIterator[StartedProducer]:
    async with open_producer(settings, transactional_id) as producer, open_producer(settings, transactional_id):
        yield producer


if __name__ == "__main__":
    with mock.patch("ops.rejected.replay.open_producer", _open_and_overtake):
        sys.exit(main())
