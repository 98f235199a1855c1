"""Shares and receipts on their way into topics of one partition."""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from itertools import islice

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from common.batches.record_runs import Headers
from common.broker_errors.refusals import refusal_of_records
from common.kafka.clients import open_sender
from common.settings import ServiceSettings

# Records that are handed to the client before others get their turn.
_AT_ONCE = 500

# Key, value (None: delete what the topic has under the key), and headers.
KeyedRecord = tuple[bytes, bytes | None, Headers]


class Sender:
    """Sends records that may come twice. Its client is opened for the first of them, and closed with the stack."""

    def __init__(self, settings: ServiceSettings, opened: AsyncExitStack) -> None:
        self._settings = settings
        self._opened = opened
        self._client: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()
        self._turn = asyncio.Lock()

    async def send(self, topic: str, records: Iterable[KeyedRecord]) -> None:
        """Send keys, values and headers, and wait until the broker has them."""
        client = await self._open()
        sent: list[asyncio.Future[object]] = []
        try:
            waiting = iter(records)
            while some := list(islice(waiting, _AT_ONCE)):
                # Of those that wait for room in aiokafka's batch, the same one gets it each time. Without turns the
                # others get none until it has sent everything, and fail once they have waited for a request's timeout.
                async with self._turn:
                    sent += [await client.send(topic, value, key, 0, headers=headers) for key, value, headers in some]
            await asyncio.gather(*sent)
        except KafkaError as error:
            # aiokafka's error names no topic.
            if found := refusal_of_records(error, topic):
                raise found from error
            raise

    async def _open(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._client is None:
                self._client = await self._opened.enter_async_context(open_sender(self._settings, "nacre-sink-shares"))
        return self._client
