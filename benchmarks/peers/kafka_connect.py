"""Kafka Connect: `ingest`, its file source, exactly once; `sink`, its file sink, which writes one file for all.

Each has a worker, which is stopped once everything has come: the file's header is one more row, and the sink's file is
as long as the source's, because no line is changed. After a kill the source resumes where it was. The sink is at least
once and may write lines again. Connect has no better sink for files.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from benchmarks.peers import jars
from benchmarks.peers.arguments import Arguments, parse

_HOST = "127.0.0.1"
_POLL_INTERVAL_S = 0.05
_REQUEST_DEADLINE_S = 60.0
_ROWS_PER_TRANSACTION = 50_000


def worker_settings(arguments: Arguments, port: int) -> dict[str, str]:
    """Only a distributed worker has sources that are exactly once."""
    group = f"{arguments.prefix}connect-{arguments.stage}"
    topics = {f"{kind}.storage.topic": f"{group}-{kind}s" for kind in ("config", "offset")}
    return {
        "bootstrap.servers": arguments.bootstrap,
        "group.id": group,
        "listeners": f"http://{_HOST}:{port}",
        **topics,
        "status.storage.topic": f"{group}-status",
        **{f"{kind}.storage.replication.factor": "1" for kind in ("config", "offset", "status")},
        **{f"{kind}.storage.partitions": "1" for kind in ("offset", "status")},
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        "exactly.once.source.support": "enabled",
        "plugin.discovery": "service_load",
        "scheduled.rebalance.max.delay.ms": "0",
    }


def source_settings(arguments: Arguments) -> dict[str, str]:
    """The file's lines into `rows`; a poll is a transaction."""
    # Equal batches: where one ends in a file's last kilobyte, the lines behind it are not sent until the file grows.
    lines = arguments.rows + 1
    lines_per_batch = lines // (lines // _ROWS_PER_TRANSACTION + 1) + 1
    return {
        "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
        "tasks.max": "1",
        "file": str(arguments.input),
        "topic": f"{arguments.prefix}rows",
        "batch.size": str(lines_per_batch),
        "exactly.once.support": "required",
        "transaction.boundary": "poll",
        "producer.override.batch.size": "500000",
        "producer.override.linger.ms": "20",
        "producer.override.buffer.memory": "134217728",
        "producer.override.send.buffer.bytes": "1000000",
    }


def sink_settings(arguments: Arguments) -> dict[str, str]:
    """The values of `categorized` into a file."""
    return {
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "tasks.max": "1",
        "file": str(written(arguments)),
        "topics": f"{arguments.prefix}categorized",
        "consumer.override.isolation.level": "read_committed",
        "consumer.override.max.poll.records": "20000",
        "consumer.override.fetch.min.bytes": "100000",
        "consumer.override.fetch.max.wait.ms": "20",
        "consumer.override.max.partition.fetch.bytes": "4000000",
        "consumer.override.receive.buffer.bytes": "1000000",
    }


def written(arguments: Arguments) -> Path:
    """Where the sink writes."""
    return arguments.output / "categorized.csv"


@contextmanager
def worker(arguments: Arguments) -> Iterator[Callable[[Mapping[str, str]], None]]:
    """Run a worker; yields what starts a connector in it."""
    with socket.create_server((_HOST, 0)) as free:
        port = free.getsockname()[1]
    settings = "".join(f"{name}={value}\n" for name, value in worker_settings(arguments, port).items())
    path = arguments.output.parent / f"{arguments.prefix}{arguments.stage}.properties"
    path.write_text(settings)
    process = subprocess.Popen(jars.command("org.apache.kafka.connect.cli.ConnectDistributed", str(path)))

    def start(connector: Mapping[str, str]) -> None:
        body = json.dumps(connector)
        while (
            status := put(port, f"/connectors/{arguments.prefix}{arguments.stage}/config", body)
        ) != HTTPStatus.CREATED:
            if process.poll() is not None:
                sys.exit(f"Connect ended with {process.returncode}")
            if status == HTTPStatus.BAD_REQUEST:
                sys.exit("Connect does not take these settings")
            time.sleep(_POLL_INTERVAL_S)

    try:
        yield start
    finally:
        process.terminate()
        process.wait()


def put(port: int, path: str, body: str) -> int:
    """The status of the answer; 0 while nobody listens."""
    connection = HTTPConnection(_HOST, port, timeout=_REQUEST_DEADLINE_S)
    try:
        connection.request("PUT", path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except ConnectionError:
        return 0
    finally:
        connection.close()


def await_position(arguments: Arguments, position: int) -> None:
    """Wait until the source has noted, in the transaction of the rows themselves, that it has read so far."""
    consumer = Consumer(
        {
            "bootstrap.servers": arguments.bootstrap,
            "group.id": f"{arguments.prefix}watch",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    consumer.assign([TopicPartition(f"{arguments.prefix}connect-ingest-offsets", 0, 0)])
    read = 0
    while read < position:
        message = consumer.poll()
        if message is None or message.error():
            sys.exit(f"no word of the source: {message and message.error()}")
        read = json.loads(message.value() or b"{}").get("position", read)
    consumer.close()


def ingest(arguments: Arguments) -> None:
    """The lines of a file into `rows`."""
    with worker(arguments) as start:
        start(source_settings(arguments))
        await_position(arguments, arguments.input.stat().st_size)


def sink(arguments: Arguments) -> None:
    """Categorized rows into a file."""
    arguments.output.mkdir(exist_ok=True)
    file, length = written(arguments), arguments.input.stat().st_size
    file.touch()
    with worker(arguments) as start:
        start(sink_settings(arguments))
        while file.stat().st_size < length:
            time.sleep(_POLL_INTERVAL_S)
    if file.stat().st_size > length:
        sys.exit(f"{file} is longer than {arguments.input}")


def main() -> int:
    """Run one stage."""
    arguments = parse()
    {"ingest": ingest, "sink": sink}[arguments.stage](arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
