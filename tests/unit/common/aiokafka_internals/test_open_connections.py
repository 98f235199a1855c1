"""Which answers a broker owes, by what waits on aiokafka's own connections."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from aiokafka import client
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest

from common.aiokafka_internals.open_connections import find_contacts, keep_open_connections

JOIN = JoinGroupRequest("group", 6_000, 6_000, "", None, "consumer", [])
SYNC = SyncGroupRequest("group", 1, "member", None, [])
HEARTBEAT = HeartbeatRequest("group", 1, "member")
VERSIONS: Mapping[int, tuple[int, int]] = MappingProxyType({11: (0, 5), 12: (0, 1), 14: (0, 3)})


@pytest.mark.parametrize(
    ("asked", "owes"), [([], False), ([JOIN], False), ([SYNC], False), ([HEARTBEAT], True), ([JOIN, HEARTBEAT], True)]
)
async def test_a_broker_that_holds_a_member_until_all_have_come_owes_nothing(
    monkeypatch: pytest.MonkeyPatch, asked: list[Any], *, owes: bool
) -> None:
    ended = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read, and never answer."""
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.set()

    async def look_up(self: Any) -> None:
        self._versions = VERSIONS

    monkeypatch.setattr(AIOKafkaConnection, "_do_version_lookup", look_up)
    monkeypatch.setattr(client, "create_conn", client.create_conn)
    keep_open_connections()
    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = await client.create_conn("127.0.0.1", port)
        answers = [asyncio.ensure_future(connection.send(request)) for request in asked]
        assert find_contacts()["127.0.0.1", port].waits is owes
        connection.close()
        await asyncio.gather(*answers, return_exceptions=True)
        await ended.wait()
