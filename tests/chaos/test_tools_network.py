"""The proxy and the cluster do what the chaos tests take them to do."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.harness.chaos import extent
from tests.harness.chaos.cluster import Cluster
from tests.harness.chaos.proxy import HOST, ProxiedKafka, Proxy, proxied_kafka

TOPIC = "greetings"
# Bytes that pass arrive within the first; bytes that have not arrived within the second are held back.
DEADLINE_S = 10.0
SILENCE_S = 0.1


class Line:
    """Connections through a proxy, of which a test has both ends."""

    def __init__(self) -> None:
        self._broker = socket.create_server((HOST, 0))
        self._broker.settimeout(DEADLINE_S)
        self._ends: list[socket.socket] = []
        self.proxy = Proxy(self._broker.getsockname()[1])

    def connect(self) -> socket.socket:
        """A client's end."""
        client = socket.create_connection((HOST, self.proxy.port), DEADLINE_S)
        self._ends.append(client)
        return client

    def accept(self) -> socket.socket:
        """The broker's end of the oldest connection that has come to it."""
        broker, _ = self._broker.accept()
        broker.settimeout(DEADLINE_S)
        self._ends.append(broker)
        return broker

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """The client's and the broker's end of a new connection."""
        return self.connect(), self.accept()

    def nobody_comes(self) -> bool:
        """Whether no connection comes to the broker."""
        self._broker.settimeout(SILENCE_S)
        try:
            self.accept()
        except TimeoutError:
            return True
        finally:
            self._broker.settimeout(DEADLINE_S)
        return False

    def close(self) -> None:
        """End the proxy and every connection."""
        self.proxy.close()
        for end in (*self._ends, self._broker):
            end.close()


@pytest.fixture
def line() -> Iterator[Line]:
    with closing(Line()) as line:
        yield line


def receive(end: socket.socket, length: int) -> bytes:
    content = bytearray()
    while len(content) < length and (chunk := end.recv(length - len(content))):
        content += chunk
    return bytes(content)


def is_silent(end: socket.socket) -> bool:
    """Whether nothing comes, not even an end."""
    end.settimeout(SILENCE_S)
    try:
        end.recv(1)
    except TimeoutError:
        return True
    finally:
        end.settimeout(DEADLINE_S)
    return False


def is_reset(end: socket.socket) -> bool:
    """Whether a reset is all that comes."""
    with end:
        try:
            end.recv(1)
        except ConnectionResetError:
            return True
    return False


def passes(client: socket.socket, broker: socket.socket) -> bool:
    client.sendall(b"request")
    asked = receive(broker, 7)
    broker.sendall(b"response")
    return (asked, receive(client, 8)) == (b"request", b"response")


def bulk_passes(source: socket.socket, target: socket.socket, length: int) -> bool:
    content = os.urandom(length)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(source.sendall, content)
        same = receive(target, length) == content
        sent.result(DEADLINE_S)
    return same


def test_bytes_and_the_end_of_a_side_pass_both_ways(line: Line) -> None:
    client, broker = line.pair()
    assert passes(client, broker)
    client.shutdown(socket.SHUT_WR)
    assert broker.recv(1) == b""
    broker.sendall(b"late")
    broker.close()
    assert receive(client, 5) == b"late"


def test_a_reset_passes(line: Line) -> None:
    client, broker = line.pair()
    broker.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    broker.close()
    assert is_reset(client)


def test_a_client_is_reset_when_there_is_no_broker() -> None:
    with socket.create_server((HOST, 0)) as closed:
        port = closed.getsockname()[1]
    with Proxy(port) as proxy:
        # Held back, or the reset could come before connect has returned.
        with proxy.stall():
            client = socket.create_connection((HOST, proxy.port), DEADLINE_S)
        assert is_reset(client)


def test_large_streams_pass_whole_both_ways_at_once(line: Line) -> None:
    client, broker = line.pair()
    other_client, other_broker = line.pair()
    with ThreadPoolExecutor(2) as pool:
        up = pool.submit(bulk_passes, client, broker, 32_000_000)
        down = pool.submit(bulk_passes, other_broker, other_client, 32_000_000)
        assert up.result(DEADLINE_S)
        assert down.result(DEADLINE_S)


def test_latency_delays_every_byte_and_keeps_the_throughput(line: Line) -> None:
    client, broker = line.pair()
    with line.proxy.latency(0.2):
        began = time.monotonic()
        assert passes(client, broker)
        assert time.monotonic() - began >= 0.4
        # At a chunk for each delay this would take 25 s.
        began = time.monotonic()
        assert bulk_passes(client, broker, 32_000_000)
        assert time.monotonic() - began < 8
    assert passes(client, broker)


def test_a_stall_holds_bytes_ends_and_new_connections_until_it_is_over(line: Line) -> None:
    client, broker = line.pair()
    ending, ended = line.pair()
    with line.proxy.stall():
        client.sendall(b"held")
        broker.sendall(b"too")
        ending.close()
        newcomer = line.connect()
        newcomer.sendall(b"hello")
        assert is_silent(broker)
        assert is_silent(client)
        assert is_silent(ended)
        assert line.nobody_comes()
    assert receive(broker, 4) == b"held"
    assert receive(client, 3) == b"too"
    assert ended.recv(1) == b""
    assert receive(line.accept(), 5) == b"hello"


def test_a_stall_stops_a_stream_in_its_midst(line: Line) -> None:
    client, broker = line.pair()
    content = os.urandom(32_000_000)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(client.sendall, content)
        before = receive(broker, 1_000_000)
        with line.proxy.stall():
            # What was under way when the stall began is in the system's buffers.
            broker.settimeout(SILENCE_S)
            with suppress(TimeoutError):
                while chunk := broker.recv(1_000_000):
                    before += chunk
            assert is_silent(broker)
            assert len(before) < len(content)
        assert before + receive(broker, len(content) - len(before)) == content
        sent.result(DEADLINE_S)


def test_half_open_connections_swallow_all_and_never_come_back(line: Line) -> None:
    old_client, old_broker = line.pair()
    gone_client, gone_broker = line.pair()
    with line.proxy.half_open():
        newcomer = line.connect()
        for end in (old_client, old_broker, newcomer):
            end.sendall(b"into the void" * 1_000_000)
        gone_client.close()
        assert is_silent(gone_broker)
        assert line.nobody_comes()
    assert passes(*line.pair())
    for end in (old_client, old_broker, newcomer):
        end.sendall(b"anybody?")
        assert is_silent(end)
    assert is_silent(gone_broker)


def test_a_cut_resets_both_ends_and_lets_new_connections_pass(line: Line) -> None:
    pairs = [line.pair() for _ in range(3)]
    line.proxy.cut()
    assert line.proxy.connection_count == 0
    assert all(is_reset(end) for pair in pairs for end in pair)
    assert passes(*line.pair())


# The last byte of an answer is held back, so that it is torn.
@pytest.mark.parametrize(("after_bytes", "received_bytes"), [(1, 1), (1500, 1500), (3000, 2999), (70_000, 70_000)])
def test_a_cut_mid_response_tears_it(line: Line, after_bytes: int, received_bytes: int) -> None:
    client, broker = line.pair()
    _, bystander = line.pair()
    torn = line.proxy.cut_mid_response(after_bytes)
    client.sendall(b"requests do not count" * 1000)
    received = b""
    while not torn.is_set():
        with suppress(ConnectionError):
            broker.sendall(bytes(3000))
            while chunk := client.recv(3000 - len(received) % 3000):
                received += chunk
                if len(received) % 3000 == 0:
                    break
    assert len(received) == received_bytes
    assert is_reset(bystander)
    assert passes(*line.pair())


def test_refusing_ends_connections_and_then_listens_at_the_same_port(line: Line) -> None:
    client, _ = line.pair()
    with line.proxy.refuse():
        assert is_reset(client)
        with pytest.raises(ConnectionRefusedError):
            line.connect()
    assert passes(*line.pair())


def test_closing_leaves_no_thread_and_no_socket() -> None:
    def leftovers() -> tuple[int, int]:
        return threading.active_count(), len(list(Path("/dev/fd").iterdir()))

    before = leftovers()
    with closing(Line()) as line:
        line.pair()
        with line.proxy.stall():
            line.connect().sendall(b"held")
        with line.proxy.half_open():
            line.connect().sendall(b"lost")
            line.proxy.close()
            line.proxy.close()
    assert leftovers() == before


@pytest.fixture(scope="module")
def behind() -> Iterator[ProxiedKafka]:
    with proxied_kafka() as behind:
        make_topic(behind.bootstrap)
        yield behind


def make_topic(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    admin.create_topics([NewTopic(TOPIC, num_partitions=1)])[TOPIC].result(DEADLINE_S)


def new_producer(bootstrap: str) -> Producer:
    return Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "log_level": 0})


def produce(producer: Producer, value: bytes) -> None:
    producer.produce(TOPIC, value)
    assert producer.flush(30) == 0


def consume(consumer: Consumer, count: int) -> list[bytes | None]:
    return [message.value() for message in consumer.consume(count, timeout=30)]


def new_consumer(bootstrap: str, group: str) -> Consumer:
    settings = {"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest", "log_level": 0}
    consumer = Consumer(settings)
    consumer.subscribe([TOPIC])
    return consumer


def test_clients_of_a_proxied_kafka_stay_behind_the_proxy_and_recover(behind: ProxiedKafka) -> None:
    producer = new_producer(behind.bootstrap)
    with closing(new_consumer(behind.bootstrap, "recovering")) as consumer:
        produce(producer, b"before")
        assert consume(consumer, 1) == [b"before"]
        behind.proxy.cut()
        produce(producer, b"after a cut")
        assert consume(consumer, 1) == [b"after a cut"]
        torn = behind.proxy.cut_mid_response(5)
        produce(producer, b"after a torn response")
        assert torn.wait(DEADLINE_S)
        assert consume(consumer, 1) == [b"after a torn response"]
        with behind.proxy.refuse():
            producer.produce(TOPIC, b"after a refusal")
            assert producer.flush(SILENCE_S) == 1
        assert producer.flush(30) == 0
        assert consume(consumer, 1) == [b"after a refusal"]


def test_observers_go_past_the_proxy(behind: ProxiedKafka) -> None:
    with behind.proxy.stall():
        produce(new_producer(behind.kafka.bootstrap), b"seen directly")
        with closing(new_consumer(behind.kafka.bootstrap, "observers")) as consumer:
            values: list[bytes | None] = []
            while b"seen directly" not in values:
                values += consume(consumer, 1)


def test_a_proxied_kafka_keeps_its_addresses_when_it_starts_again(behind: ProxiedKafka) -> None:
    direct = behind.kafka.bootstrap
    behind.kafka.kill()
    behind.kafka.start()
    assert behind.kafka.bootstrap == direct
    produce(new_producer(behind.bootstrap), b"after a start")


@pytest.mark.timeout(240)
@pytest.mark.skipif(not extent.MINUTES, reason="test_brokers.py kills one of three under load, and it comes back")
def test_a_cluster_works_without_one_broker_and_heals_when_it_is_back() -> None:
    with Cluster() as cluster:
        make_topic(cluster.bootstrap)
        cluster.wait_until_healthy()
        producer = new_producer(cluster.bootstrap)
        produce(producer, b"all three")
        cluster.brokers[0].kill()
        produce(producer, b"one killed")
        cluster.brokers[0].start()
        cluster.wait_until_healthy()
        cluster.brokers[1].stop()
        produce(producer, b"one stopped")
        with closing(new_consumer(cluster.bootstrap, "readers")) as consumer:
            assert consume(consumer, 3) == [b"all three", b"one killed", b"one stopped"]
