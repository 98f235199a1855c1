"""Three real brokers on this machine, each with a replica of every topic; any one may go and come back."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from ops.kafka.local import LocalKafka
from ops.kafka.settings import random_id
from tests.harness.chaos.proxy import HOST, free_ports

_BROKERS = 3
_MIN_IN_SYNC = 2
_POLL_INTERVAL_S = 0.05
_ANSWER_DEADLINE_S = 5.0


class Cluster:
    """Brokers that are controllers too: two of them are a quorum, and enough for acks=all."""

    def __init__(self, config: Mapping[str, str] = MappingProxyType({})) -> None:
        ports = free_ports(2 * _BROKERS)
        self._ports, controller_ports = ports[:_BROKERS], ports[_BROKERS:]
        self.bootstrap = ",".join(f"{HOST}:{port}" for port in self._ports)
        controllers = [f"{HOST}:{port}" for port in controller_ports]
        voters = ",".join(f"{node}@{address}:{random_id()}" for node, address in enumerate(controllers, start=1))
        cluster = ("--cluster-id", random_id(), "--initial-controllers", voters)
        shared = {
            "controller.quorum.bootstrap.servers": ",".join(controllers),
            "default.replication.factor": str(_BROKERS),
            "min.insync.replicas": str(_MIN_IN_SYNC),
            "offsets.topic.replication.factor": str(_BROKERS),
            "transaction.state.log.replication.factor": str(_BROKERS),
            "transaction.state.log.min.isr": str(_MIN_IN_SYNC),
            "share.coordinator.state.topic.replication.factor": str(_BROKERS),
            "share.coordinator.state.topic.min.isr": str(_MIN_IN_SYNC),
        }
        self.brokers = [
            LocalKafka(
                port,
                config={
                    **shared,
                    "node.id": str(node),
                    "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{controller}",
                    **config,
                },
                cluster=cluster,
            )
            for node, (port, controller) in enumerate(zip(self._ports, controllers, strict=True), start=1)
        ]

    def __enter__(self) -> Self:
        try:
            self._at_once(LocalKafka.start)
            self.wait_until_healthy()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill the brokers and remove their data: in an orderly stop, the last ones would wait for a quorum."""
        self._at_once(LocalKafka.kill)
        self._at_once(LocalKafka.close)

    def wait_until_healthy(self, deadline_s: float = 60.0) -> float:
        """Wait until all brokers are up and all replicas in sync; return how many seconds that took."""
        began = time.monotonic()
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        while wrong := _what_is_wrong(admin):
            assert time.monotonic() - began < deadline_s, f"not within {deadline_s:g} s: {wrong}"
            time.sleep(_POLL_INTERVAL_S)
        return time.monotonic() - began

    def _at_once(self, act: Callable[[LocalKafka], None]) -> None:
        # A broker is ready only once it has found a quorum, so starting them one by one would never end.
        with ThreadPoolExecutor(_BROKERS) as pool:
            list(pool.map(act, self.brokers))


def _what_is_wrong(admin: AdminClient) -> str:
    """One thing that is missing, in words; "" if nothing is."""
    try:
        found = admin.list_topics(timeout=_ANSWER_DEADLINE_S)
    except KafkaException as error:
        return str(error)
    if len(found.brokers) < _BROKERS:
        return f"only the brokers {sorted(found.brokers)} are there"
    for topic in found.topics.values():
        for number, partition in topic.partitions.items():
            if partition.leader < 0 or set(partition.isrs) != set(partition.replicas):
                return (
                    f"{topic.topic}-{number} has leader {partition.leader}, in sync {partition.isrs} "
                    f"of {partition.replicas}"
                )
    return ""
