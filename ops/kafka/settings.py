"""How the local Kafka is configured and started, and how to see that it is ready."""

import base64
import json
import re
import socket
import struct
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from ops.kafka.jars import LocalKafkaError

HOST = "127.0.0.1"
PROPERTIES_NAME = "server.properties"
DATA_NAME = "kafka"

# These make a node for one person quick and small; Kafka's defaults suit clusters that many share.
PREFERENCES: Mapping[str, str] = MappingProxyType(
    {
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.num.partitions": "4",
        "group.initial.rebalance.delay.ms": "0",
        "auto.create.topics.enable": "false",
        # After a kill the controller refuses the new broker until the old one's session is over: 9 s by default.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
    }
)

_ANSWER_DEADLINE_S = 2.0
# Metadata v1, correlation id 1, client id "nacre", no topics.
_METADATA_REQUEST = struct.pack(">ihhih5si", 19, 3, 1, 1, 5, b"nacre", 0)

_STARTED = re.compile(r"\[KafkaRaftServer nodeId=\d+\] Kafka Server started")
_LISTENING = re.compile(r"Awaiting socket connections on \S+:(\d+)\.")


def broker_properties(
    port: int, config: Mapping[str, str], preferences: Mapping[str, str] = PREFERENCES
) -> dict[str, str]:
    """The settings of one node that is broker and controller; with port 0 the broker takes a free port.

    Without preferences the node has Kafka's own defaults, except where a single node needs another value.
    """
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:0",
        "controller.listener.names": "CONTROLLER",
        # The only voter is the node itself, which knows the port that it took: nothing connects to this address.
        "controller.quorum.bootstrap.servers": f"{HOST}:0",
        # Relative to the folder that Kafka starts in, so that this file holds no folder name, whose encoding may vary.
        "log.dirs": DATA_NAME,
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        **preferences,
        **config,
    }


def properties_text(properties: Mapping[str, str]) -> str:
    """The text of a Java properties file, whose escapes include JSON's."""
    return "".join(f"{key}={json.dumps(value)[1:-1]}\n" for key, value in properties.items())


def random_id() -> str:
    """A new id for a cluster or a data folder: 16 random bytes as Kafka writes them."""
    # A leading dash would be read as an option.
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")


def format_command(
    java: Path, classpath: str, folder: Path, cluster: Sequence[str] = (), java_options: Sequence[str] = ()
) -> list[str]:
    """The command that formats an empty data folder; it is too brief for the optimizing compiler to pay off.

    `cluster` holds the arguments that name the cluster and its controllers: by default a new one of this node alone.
    """
    flags = ["-XX:TieredStopAtLevel=1", *java_options]
    format_arguments = ["format", *(cluster or ["--standalone", "--cluster-id", random_id()])]
    return [
        *_java_command(java, classpath, folder, flags),
        *("kafka.tools.StorageTool", *format_arguments, "--config", PROPERTIES_NAME),
    ]


def broker_command(java: Path, classpath: str, folder: Path, java_options: Sequence[str] = ()) -> list[str]:
    """The command that runs the broker."""
    flags = ["-Xms256m", "-Xmx768m", *java_options]
    return [*_java_command(java, classpath, folder, flags), "kafka.Kafka", PROPERTIES_NAME]


def started_port(log: str, asked: int | None) -> int | None:
    """The clients' port, the one asked for or the last that Kafka took; None until the log says that it has started."""
    ports = _LISTENING.findall(log)
    return asked or int(ports[-1]) if ports and _STARTED.search(log) else None


def answers(port: int) -> bool:
    """Whether the broker answers in Kafka's protocol, and is alive to its controller."""
    try:
        with (
            socket.create_connection((HOST, port), _ANSWER_DEADLINE_S) as connection,
            connection.makefile("rb") as stream,
        ):
            connection.sendall(_METADATA_REQUEST)
            length_bytes = int.from_bytes(stream.read(4))
            _correlation_id, brokers = struct.unpack_from(">ii", stream.read(length_bytes))
    except (OSError, struct.error):
        return False
    return bool(brokers > 0)


def check_port_free(port: int) -> None:
    """Raise LocalKafkaError if a broker cannot listen on the port."""
    with socket.socket() as probe:
        # The broker sets this too, so lingering connections of an earlier broker do not make the port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise LocalKafkaError(f"port {port} cannot be used: {error.strerror}") from error
        except OverflowError as error:
            raise LocalKafkaError(f"port {port} cannot be used: {error}") from error


def _java_command(java: Path, classpath: str, folder: Path, flags: list[str]) -> list[str]:
    return [
        str(java),
        # Pauses are short with so small a heap, and this collector has no threads that take cores from the services.
        "-XX:+UseSerialGC",
        *flags,
        # Otherwise a killed Java would leave its counters and unpacked native libraries in the shared temporary folder.
        "-XX:-UsePerfData",
        f"-Djava.io.tmpdir={folder}",
        "-Djava.awt.headless=true",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
        "-cp",
        classpath,
    ]
