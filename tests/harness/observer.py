"""The topics as another client sees them: librdkafka, which shares no code with the services."""

import re
import time
from dataclasses import dataclass
from typing import cast

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # it is in their manual

_TIMEOUT_S = 30.0
# Kafka counts these as retriable, librdkafka does not. A broker gives these answers for a moment after a topic has been
# created: clients learn of partitions before the broker leads them, and a partition leads some microseconds before it
# knows its own epoch. It also gives them after it has hung for so long that its partitions lost their leader.
_UNSETTLED = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError._NOENT,  # noqa: SLF001 - its name; none of the partitions asked about has a leader
)


@dataclass(frozen=True, slots=True)
class Record:
    """A record and its position. `time_ms` is its time in ms since 1970."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: dict[str, bytes]
    time_ms: int


class Observer:
    """Reads the topics and groups under one prefix."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._prefix = prefix
        self._configuration: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap, "log_level": 0}
        self.admin = AdminClient(self._configuration)

    def partitions(self, topic: str) -> list[TopicPartition]:
        """The partitions of a topic; none while it does not exist."""
        name = self._prefix + topic
        known = self.admin.list_topics(timeout=_TIMEOUT_S).topics
        return [TopicPartition(name, number) for number in sorted(known[name].partitions)] if name in known else []

    def ends(self, topic: str, *, committed: bool = False) -> list[int]:
        """The end of each partition; with `committed`, the end of what a read_committed reader sees.

        Empty while the topic does not exist, or its leaders are not settled.
        """
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = dict.fromkeys(self.partitions(topic), latest)
        answers = self.admin.list_offsets(asked, isolation_level=level, request_timeout=_TIMEOUT_S)
        try:
            return [answers[partition].result().offset for partition in asked]
        except KafkaException as failure:
            error = failure.args[0]
            assert error.retriable() or error.code() in _UNSETTLED, error
            return []

    def schemas(self) -> list[Record]:
        """The records of schemas: their topic holds others too."""
        return [record for record in self.records("schemas") if re.fullmatch(b"[0-9a-f]{12}", record.key or b"")]

    def rejected(self) -> list[Record]:
        """The rejections, and the notes about them: their topic has the ends of sources too."""
        return [record for record in self.records("rejected") if "nacre" not in record.headers]

    def records(self, topic: str) -> list[Record]:
        """All committed records, partition by partition, in order."""
        consumer = Consumer(
            self._configuration
            | {
                "group.id": f"{self._prefix}observer",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
            }
        )
        partitions = self.partitions(topic)
        found: list[Record] = []
        try:
            consumer.assign([TopicPartition(each.topic, each.partition, 0) for each in partitions])
            open_partitions = {partition.partition for partition in partitions}
            end = time.monotonic() + _TIMEOUT_S
            while open_partitions:
                assert time.monotonic() < end, f"{topic}: no end seen of partitions {open_partitions}"
                for message in consumer.consume(10_000, timeout=0.05):
                    error = message.error()
                    number = message.partition()
                    assert number is not None
                    if error is None:
                        offset = message.offset()
                        assert offset is not None
                        headers = dict(cast("list[tuple[str, bytes]]", message.headers() or []))
                        _, time_ms = message.timestamp()
                        value = message.value() or b""
                        found.append(Record(number, offset, message.key(), value, headers, time_ms))
                    else:
                        assert error.code() == KafkaError._PARTITION_EOF, error  # noqa: SLF001 - its name
                        open_partitions.discard(number)
        finally:
            consumer.close()
        return sorted(found, key=lambda record: (record.partition, record.offset))
