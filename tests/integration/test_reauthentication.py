"""Users are proved again on connections that stay open: no request fails because a session or a token has ended."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

import common.kafka.clients  # noqa: F401 - its import installs this in aiokafka
from common.connection.arguments import connection
from common.settings import ServiceSettings
from common.settings_reader import read_settings
from tests.harness.secured import SCRAM_SESSION_S, SecuredKafka
from tests.harness.token_endpoint import AUDIENCE

# The first of them waits for the broker's start.
pytestmark = [pytest.mark.timeout(300), pytest.mark.long]

USER = "ingest"
TOKEN_S = 3
BUSY_S = 8.0
DEADLINE_S = 60.0


@asynccontextmanager
async def connected(secured: SecuredKafka, mechanism: str) -> AsyncIterator[tuple[AIOKafkaClient, Any]]:
    """A client, and its one connection."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in secured.settings(mechanism, USER).items():
            environment.setenv(name, value)
        client = AIOKafkaClient(**connection(read_settings(ServiceSettings, [], program="test")))
    await client.bootstrap()
    try:
        yield client, await connection_of(client)
    finally:
        await client.close()


async def connection_of(client: AIOKafkaClient) -> Any:
    """The connection that the next request goes by."""
    return await client._get_conn(1)  # noqa: SLF001 - aiokafka gives it to nobody


async def wait_until_over(opened: Any) -> None:
    """Wait until the session of a connection that nobody uses has ended."""
    while time.monotonic() <= opened.session.ends_at:  # noqa: ASYNC110 - what ends is only time
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(("mechanism", "session_s"), [("SCRAM-SHA-512", SCRAM_SESSION_S), ("OAUTHBEARER", TOKEN_S)])
async def test_a_busy_connection_stays_open_and_no_request_fails(
    secured: SecuredKafka, mechanism: str, session_s: float
) -> None:
    secured.tokens.lifetime_s = TOKEN_S
    async with connected(secured, mechanism) as (client, opened):
        first_end = opened.session.ends_at
        end = time.monotonic() + BUSY_S
        answered = 0

        async def ask() -> None:
            nonlocal answered
            while time.monotonic() < end:
                assert (await client.send(1, MetadataRequest([]))).brokers
                answered += 1

        await asyncio.gather(*(ask() for _ in range(20)))
        assert await connection_of(client) is opened
        assert opened.connected()
        assert opened.session.ends_at - first_end > BUSY_S - 2 * session_s
        assert answered > 100


async def test_a_connection_that_nobody_used_for_longer_than_its_session_is_used_on(secured: SecuredKafka) -> None:
    secured.tokens.lifetime_s = TOKEN_S
    async with connected(secured, "OAUTHBEARER") as (client, opened):
        await wait_until_over(opened)
        answers = await asyncio.gather(*(client.send(1, MetadataRequest([])) for _ in range(5)))
        assert all(answer.brokers for answer in answers)
        assert await connection_of(client) is opened


async def test_tokens_outlast_an_endpoint_that_is_away_and_then_the_cause_is_told(secured: SecuredKafka) -> None:
    secured.tokens.lifetime_s = TOKEN_S
    async with connected(secured, "OAUTHBEARER") as (client, opened):
        secured.tokens.is_down = True
        try:
            while time.monotonic() < opened.session.ends_at - 0.5:
                assert (await client.send(1, MetadataRequest([]))).brokers
                await asyncio.sleep(0.01)
            await wait_until_over(opened)
            with pytest.raises(KafkaError, match=r"KAFKA_OAUTH_TOKEN_ENDPOINT https://\S+: HTTP 503"):
                await client.send(1, MetadataRequest([]))
        finally:
            secured.tokens.is_down = False
        assert (await client.send(1, MetadataRequest([]))).brokers


async def test_a_token_that_the_broker_refuses_is_told_and_another_is_asked_for(secured: SecuredKafka) -> None:
    secured.tokens.lifetime_s = TOKEN_S
    async with connected(secured, "OAUTHBEARER") as (client, opened):
        secured.tokens.audience = "another"
        try:
            await wait_until_over(opened)
            issued = len(secured.tokens.issued)
            with pytest.raises(KafkaError, match=r"the broker does not take the token: .*invalid_token"):
                await client.send(1, MetadataRequest([]))
        finally:
            secured.tokens.audience = AUDIENCE
        # Not the refused one until it ends.
        assert (await client.send(1, MetadataRequest([]))).brokers
        assert len(secured.tokens.issued) == issued + 2
