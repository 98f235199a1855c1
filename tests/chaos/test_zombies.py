"""Replicas that stand still beyond their session timeout, and go on after others have taken over: zombies.

ingest and split are fenced: a successor's start raises the epoch of the transactional id, and the broker takes nothing
of a lower epoch any more. Here the broker's own segment files are the evidence.

A sink is locked out instead: a zombie keeps the locks of its partitions for as long as it is there at all, so its
successor waits for them, and the flow of these partitions with it, until the zombie goes on and has let go (or is
killed). The evidence is which process has which file open for writing.
"""

import os
import re
import signal
import socket
import struct
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from ops.kafka.local import LocalKafka
from tests.chaos.conftest import MakeFlow
from tests.harness.chaos import extent
from tests.harness.chaos.flow import Flow
from tests.harness.pipeline import Service

_REPLICAS = 3
# Replicas of each service; the remaining one takes over each time.
_STOPPED_AT_ONCE = 2
# So few that the feeder goes on although no sink does: at its limit there are rows of more than 15 s in the pipeline.
_ROWS_PER_S = 3_000
_CATCH_DEADLINE_S = 5.0
_TAKEOVER_DEADLINE_S = 30.0
_LOOK_INTERVAL_S = 0.01

_DESCRIBE_TRANSACTIONS = 65
_ONGOING = "Ongoing"
# https://kafka.apache.org/documentation/#recordbatch
_BATCH = struct.Struct(">qiibIhiqqqhii")
_BATCH_LENGTH_FROM = 12
_CONTROL = 0x20


class Producer(NamedTuple):
    """What the broker knows of a transactional id."""

    state: str
    number: int
    epoch: int


@dataclass(frozen=True)
class Zombie:
    """A replica that stands still; `producers` by transactional id and `locks` are as they were when it was stopped."""

    service: Service
    producers: dict[str, Producer]
    locks: list[Path]
    log_size: int
    stopped_at: float = field(default_factory=time.monotonic)

    def logged_since(self) -> str:
        """What it has logged since it was stopped."""
        return self.service.log()[self.log_size :]


class Journal:
    """The record batches that hold data, as the broker has appended them under one prefix; control batches are not."""

    def __init__(self, data_dir: Path, prefix: str) -> None:
        self._data_dir = data_dir / "kafka"
        self._prefix = prefix
        self._read_to: defaultdict[Path, int] = defaultdict(int)
        # By partition and producer, the epochs in the order of their batches, each change once.
        self.epochs: defaultdict[tuple[str, int], list[int]] = defaultdict(list)

    def epoch_of(self, producer: int) -> int:
        """The newest epoch in which this producer has written anywhere; -1 for none."""
        self._read_on()
        return max((epochs[-1] for (_, number), epochs in self.epochs.items() if number == producer), default=-1)

    def intrusions(self) -> list[str]:
        """Where a producer of a lower epoch has written behind one of a higher epoch."""
        self._read_on()
        return [
            f"{partition}: producer {producer} wrote in epochs {epochs}"
            for (partition, producer), epochs in self.epochs.items()
            if epochs != sorted(epochs)
        ]

    def _read_on(self) -> None:
        for path in sorted(self._data_dir.glob(f"{self._prefix}*/*.log")):
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                while (position := self._read_to[path]) + _BATCH.size <= size:
                    file.seek(position)
                    _, length, _, _, _, attributes, _, _, _, producer, epoch, _, _ = _BATCH.unpack(
                        file.read(_BATCH.size)
                    )
                    if position + _BATCH_LENGTH_FROM + length > size:
                        break
                    self._read_to[path] = position + _BATCH_LENGTH_FROM + length
                    if not attributes & _CONTROL:
                        epochs = self.epochs[path.parent.name, producer]
                        if epochs[-1:] != [epoch]:
                            epochs.append(epoch)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells who holds a lock and who has a file open")
@pytest.mark.timeout(180 + 10 * extent.count(3, 50))
def test_a_zombie_writes_not_one_byte_after_its_successors_first(
    own_kafka: LocalKafka, make_flow: MakeFlow, record_property: Callable[[str, object], None]
) -> None:
    random = extent.random_for("zombies")
    flow = make_flow(own_kafka.bootstrap, sources=6, rows_per_s=_ROWS_PER_S)
    flow.start_all(ingest=_REPLICAS, split=_REPLICAS, sink=_REPLICAS)
    journal = Journal(own_kafka.data_dir, flow.pipeline.prefix)
    zombies: list[Zombie] = []
    in_flight: list[Zombie] = []
    with _looking_for_double_writers(flow) as double_writers:
        partitions = _partitions(flow)
        while len(zombies) < extent.count(3, 50):
            flow.pipeline.wait_until(lambda: _owned_by(flow.every()) == partitions, "all partitions have an owner")
            flow.wait_for_more()
            # The sinks last: without them the rows would cease to flow, and with them the transactions.
            stopped = [
                _stop(flow, service)
                for name in ("split", "ingest", "sink")
                for service in random.sample(flow.running[name], _STOPPED_AT_ONCE)
            ]
            zombies += stopped
            in_flight += [zombie for zombie in stopped if _has_transaction(own_kafka.bootstrap, zombie)]
            _wait_for_successors(flow, stopped, journal, partitions)
            record_property("zombie: takeover, s", time.monotonic() - stopped[-1].stopped_at)
            for zombie in stopped:
                assert zombie.locks == _locks_of(flow, zombie.service)
                zombie.service.send(signal.SIGCONT)
            returned_s = flow.pipeline.wait_until(
                lambda stopped=stopped: all(  # type: ignore[misc]
                    "partitions assigned" in zombie.logged_since() for zombie in stopped
                ),
                "the zombies belong to their groups again",
            )
            record_property("zombie: return, s", returned_s)
        account = flow.finish()
    assert not double_writers, "\n".join(sorted(double_writers))
    assert not (intrusions := journal.intrusions()), "\n".join(intrusions)
    fenced = [zombie for zombie in zombies if re.search("fenced", zombie.logged_since(), re.IGNORECASE)]
    revoked = [zombie for zombie in zombies if "partitions revoked" in zombie.logged_since()]
    record_property("zombies", len(zombies))
    record_property("zombies with a transaction in flight", len(in_flight))
    record_property("zombies fenced", len(fenced))
    record_property("zombies fenced that had a transaction in flight", sum(zombie in fenced for zombie in in_flight))
    record_property("zombies revoked", len(revoked))
    record_property("rows, with zombies", account.rows)
    assert in_flight
    assert fenced
    assert all(zombie in fenced or zombie in revoked for zombie in zombies)


def _stop(flow: Flow, service: Service) -> Zombie:
    """Stop it with SIGSTOP; ingest and split in the midst of a transaction, if one is caught within the deadline."""
    ids = _transactional_ids(flow.pipeline.prefix, service)
    end = time.monotonic() + _CATCH_DEADLINE_S
    while True:
        service.send(signal.SIGSTOP)
        producers = {each: _describe(flow.pipeline.bootstrap, each) for each in ids}
        caught = any(producer.state == _ONGOING for producer in producers.values())
        if caught or service.name == "sink" or time.monotonic() > end:
            return Zombie(service, producers, _locks_of(flow, service), len(service.log()))
        service.send(signal.SIGCONT)


def _has_transaction(bootstrap: str, zombie: Zombie) -> bool:
    """Whether a transaction of it is still open, now that all that it had sent is done."""
    return any(_describe(bootstrap, each).state == _ONGOING for each in zombie.producers)


def _wait_for_successors(flow: Flow, stopped: Sequence[Zombie], journal: Journal, partitions: Sequence[str]) -> None:
    """Wait until the others have all partitions, have raised each epoch, and have written where there was work."""
    still = {zombie.service for zombie in stopped}
    others = {service: len(service.log()) for service in flow.every() if service not in still}

    def taken_over() -> bool:
        if _owned_by(others) != partitions:
            return False
        log = "".join(service.log()[size:] for service, size in others.items())
        return all(
            _is_fenced(flow.pipeline.bootstrap, zombie, journal) and all(str(lock) in log for lock in zombie.locks)
            for zombie in stopped
        )

    flow.pipeline.wait_until(taken_over, "successors take over", _TAKEOVER_DEADLINE_S)


def _is_fenced(bootstrap: str, zombie: Zombie, journal: Journal) -> bool:
    for transactional_id, producer in zombie.producers.items():
        if _describe(bootstrap, transactional_id).epoch <= producer.epoch:
            return False
        # A producer that has written at all has a source that grows, so its successor has something to write.
        if 0 <= journal.epoch_of(producer.number) <= producer.epoch:
            return False
    return True


def _partitions(flow: Flow) -> list[str]:
    topics = ("progress", "rows", "categorized", "rejected")
    known = [partition for topic in topics for partition in flow.pipeline.observer.partitions(topic)]
    return sorted(f"{partition.topic}-{partition.partition}" for partition in known)


def _owned_by(services: Iterable[Service]) -> list[str]:
    """The partitions that these replicas have; one that two replicas have is there twice."""
    return sorted(partition for service in services for partition in _owned(service))


def _owned(service: Service) -> list[str]:
    """The partitions that it was assigned last, none once they are revoked."""
    events = [line for line in service.log().splitlines() if '"partitions ' in line]
    if not events or "partitions assigned" not in events[-1]:
        return []
    partitions: list[str] = service.events("partitions assigned")[-1]["partitions"]
    return partitions


def _transactional_ids(prefix: str, service: Service) -> list[str]:
    match service.name:
        case "ingest":
            return [f"{prefix}ingest-{partition.rpartition('-')[2]}" for partition in _owned(service)]
        case "split":
            return [f"{prefix}split-{partition}" for partition in _owned(service)]
    return []


def _describe(bootstrap: str, transactional_id: str) -> Producer:
    """Ask a lone broker, in its own protocol: DescribeTransactions, version 0."""
    name = transactional_id.encode()
    request = struct.pack(f">hhihbbb{len(name)}sb", _DESCRIBE_TRANSACTIONS, 0, 1, -1, 0, 2, len(name) + 1, name, 0)
    host, _, port = bootstrap.partition(":")
    with socket.create_connection((host, int(port)), 10) as connection, connection.makefile("rb") as stream:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = stream.read(int.from_bytes(stream.read(4)))
    position = struct.calcsize(">ibib")
    [error] = struct.unpack_from(">h", answer, position)
    assert error == 0, f"{transactional_id}: error {error}"
    position += 2 + answer[position + 2]
    state = answer[position + 1 : position + answer[position]].decode()
    _, _, number, epoch = struct.unpack_from(">iqqh", answer, position + answer[position])
    return Producer(state, number, epoch)


def _locks_of(flow: Flow, service: Service) -> list[Path]:
    """The partitions' locks that it holds."""
    held = re.findall(r"FLOCK +ADVISORY +WRITE (\d+) \w+:\w+:(\d+)", Path("/proc/locks").read_text())
    inodes = {int(inode) for holder, inode in held if int(holder) == service.process_id}
    return [path for path in sorted(flow.pipeline.output.glob(".nacre/*.lock")) if path.stat().st_ino in inodes]


@contextmanager
def _looking_for_double_writers(flow: Flow) -> Iterator[set[str]]:
    """All the while, find files and ledgers that two sinks have open for writing at the same time."""
    found: set[str] = set()
    ended = threading.Event()
    sinks = [service.process_id for service in flow.running["sink"]]

    def look() -> None:
        while not ended.wait(_LOOK_INTERVAL_S):
            writers = {sink: _written(flow.pipeline.output, sink) for sink in sinks}
            for sink, written in writers.items():
                for other in sinks[: sinks.index(sink)]:
                    both = written & writers[other]
                    # Looked at one after the other: it counts if the earlier one has it open still.
                    found.update(both and both & _written(flow.pipeline.output, other))

    thread = threading.Thread(target=look, name="looking for double writers")
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def _written(output: Path, process: int) -> set[str]:
    """The files that a process has open below the output folder, except locks, which it has open while it waits too."""
    found: set[str] = set()
    with suppress(OSError):
        for descriptor in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):
                # Folders are opened too, by anyone who syncs what was renamed there.
                if descriptor.is_file():
                    found.add(str(descriptor.readlink()))
    return {path for path in found if path.startswith(f"{output}/") and not path.endswith(".lock")}
