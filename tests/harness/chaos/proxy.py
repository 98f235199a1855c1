"""A TCP proxy that fails as networks do, and a Kafka that is reached through it."""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from ops.kafka.local import LocalKafka
from tests.harness.chaos.forwarding import Conditions, forward, swallow

HOST = "127.0.0.1"

# With this option a close sends a reset and drops what is left to send.
_NO_LINGER = struct.pack("ii", 1, 0)
# Below the ports that systems give to outgoing connections: such a port stays free while nothing listens on it, and a
# client that keeps trying it never gets connected to itself.
_PORTS = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Different ports that nothing listens on, and that no outgoing connection will take."""
    ports: list[int] = []
    with ExitStack() as taken:
        while len(ports) < count:
            port = random.choice(_PORTS)  # noqa: S311 - no secret
            with suppress(OSError):
                taken.enter_context(socket.create_server((HOST, port)))
                ports.append(port)
    return ports


@dataclass(eq=False)
class _Connection:
    ends: list[socket.socket] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    def add(self, end: socket.socket) -> socket.socket:
        end.settimeout(0)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ends.append(end)
        return end

    def close(self, *, reset: bool) -> None:
        for end in self.ends:
            with suppress(OSError):
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            end.close()


class Proxy:
    """Forwards from its port to the broker's on a thread of its own; a fault is in force when its call returns."""

    def __init__(self, broker_port: int, port: int = 0) -> None:
        self.port = port or free_ports(1)[0]
        self._broker_port = broker_port
        self._connections: set[_Connection] = set()
        self._listener: socket.socket | None = None
        self._swallows = False
        self._torn = threading.Event()
        self._tearing: asyncio.Task[None] | None = None
        self._conditions = Conditions(tear=self._begin_tearing)
        self._conditions.flowing.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()
        try:
            self._await(self._listen())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Reset every connection, and end the thread."""
        if self._loop.is_closed():
            return
        self._await(self._refuse())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def connection_count(self) -> int:
        """How many connections are open, black holes among them."""
        return len(self._connections)

    @contextmanager
    def latency(self, seconds: float) -> Iterator[None]:
        """Delay every byte by this long, either way; order and throughput stay."""
        self._conditions.latency_s = seconds
        try:
            yield
        finally:
            self._conditions.latency_s = 0.0

    @contextmanager
    def stall(self) -> Iterator[None]:
        """Let no byte pass, though connections are accepted; held bytes flow on at the end."""
        self._await(self._let_flow(flowing=False))
        try:
            yield
        finally:
            self._await(self._let_flow(flowing=True))

    @contextmanager
    def half_open(self) -> Iterator[None]:
        """Drop every byte and every close; connections open now, or opened meanwhile, never work again."""
        self._await(self._swallow_all())
        try:
            yield
        finally:
            self._swallows = False

    @contextmanager
    def refuse(self) -> Iterator[None]:
        """Reset all connections and refuse new ones."""
        self._await(self._refuse())
        try:
            yield
        finally:
            self._await(self._listen())

    def cut(self) -> None:
        """Reset all connections."""
        self._await(self._cut())

    def cut_mid_response(self, after_bytes: int) -> threading.Event:
        """Reset all connections after this many more bytes from the broker, or one less if that would end an answer.

        Returns at once; the event is set when it has happened.
        """
        self._torn = threading.Event()
        self._conditions.tear_after_bytes = after_bytes
        return self._torn

    def _await(self, change: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(change, self._loop).result()

    async def _listen(self) -> None:
        self._listener = socket.create_server((HOST, self.port), backlog=128)
        self._listener.settimeout(0)
        self._loop.add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionError):
            connection = _Connection()
            connection.add(listener.accept()[0])
            self._connections.add(connection)
            self._begin(connection, self._swallow if self._swallows else self._forward)

    def _begin(self, connection: _Connection, way: Callable[[_Connection], Coroutine[Any, Any, None]]) -> None:
        connection.task = self._loop.create_task(way(connection))

    async def _forward(self, connection: _Connection) -> None:
        reset = False
        try:
            await self._conditions.flowing.wait()
            [client] = connection.ends
            broker = connection.add(socket.socket())
            await self._loop.sock_connect(broker, (HOST, self._broker_port))
            await forward(client, broker, self._conditions)
        except* OSError:
            reset = True
        self._drop(connection, reset=reset)

    async def _swallow(self, connection: _Connection) -> None:
        await swallow(connection.ends)
        self._drop(connection, reset=False)

    def _drop(self, connection: _Connection, *, reset: bool) -> None:
        self._connections.discard(connection)
        connection.close(reset=reset)

    async def _let_flow(self, *, flowing: bool) -> None:
        if flowing:
            self._conditions.flowing.set()
        else:
            self._conditions.flowing.clear()

    async def _swallow_all(self) -> None:
        self._swallows = True
        for connection in await self._end_tasks():
            self._begin(connection, self._swallow)

    async def _refuse(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
        await self._cut()

    def _begin_tearing(self) -> None:
        # In a task of its own, because it ends the task that asks for it.
        self._tearing = self._loop.create_task(self._tear())

    async def _tear(self) -> None:
        await self._cut()
        self._torn.set()

    async def _cut(self) -> None:
        for connection in await self._end_tasks():
            self._drop(connection, reset=True)

    async def _end_tasks(self) -> list[_Connection]:
        """Return the connections, still open, that nobody reads or writes any more."""
        tasks = {connection: connection.task for connection in self._connections if connection.task is not None}
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        return [connection for connection in tasks if connection in self._connections]


@dataclass(frozen=True)
class ProxiedKafka:
    """A broker with two listeners: one for observers, and one that advertises the proxy's address to clients."""

    kafka: LocalKafka
    proxy: Proxy
    # Through the proxy; `kafka.bootstrap` bypasses it.
    bootstrap: str


@contextmanager
def proxied_kafka(config: Mapping[str, str] = MappingProxyType({})) -> Iterator[ProxiedKafka]:
    """Start a Kafka behind a proxy; clients that bootstrap through the proxy never bypass it."""
    direct, proxied = free_ports(2)
    with Proxy(proxied) as proxy:
        listeners = {
            "listeners": f"PROXIED://{HOST}:{proxied},PLAINTEXT://{HOST}:{direct},CONTROLLER://{HOST}:0",
            "advertised.listeners": f"PROXIED://{HOST}:{proxy.port},PLAINTEXT://{HOST}:{direct}",
            "listener.security.protocol.map": "PROXIED:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
        }
        with LocalKafka(direct, config={**listeners, **config}) as kafka:
            yield ProxiedKafka(kafka, proxy, f"{HOST}:{proxy.port}")
