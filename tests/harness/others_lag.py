"""A group's lag as other tools compute it, each by its own formula, from offsets that librdkafka reads.

Looked up in their sources in 2026. All ask for the latest offset without an isolation level: read uncommitted.
"""

from collections.abc import Collection, Mapping

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from msgspec import Struct

from tests.harness.pipeline import Pipeline

_NONE = -1


class Offsets(Struct, frozen=True):
    """What a group has committed in a partition, -1 if nothing, and the partition's end."""

    committed: int
    end: int


def offsets_of(pipeline: Pipeline, group: str, topics: Collection[str], *, committed: bool) -> list[Offsets]:
    """For each partition of these topics; with `committed`, the end that a read_committed reader sees."""
    asked = [each for topic in topics for each in pipeline.observer.partitions(topic)]
    ends = [each for topic in topics for each in pipeline.observer.ends(topic, committed=committed)]
    wanted = ConsumerGroupTopicPartitions(pipeline.prefix + group, asked)
    [answer] = pipeline.observer.admin.list_consumer_group_offsets([wanted]).values()
    known = {(each.topic, each.partition): each.offset for each in answer.result(30).topic_partitions or []}
    return [Offsets(max(_NONE, known[_place(each)]), end) for each, end in zip(asked, ends, strict=True)]


def lags(found: Collection[Offsets]) -> Mapping[str, int | None]:
    """The sum over all partitions, by tool; None where the tool shows no number."""
    return {
        # getLagForPartition in pkg/scalers/kafka_scaler.go, and in apache_kafka_scaler.go.
        "KEDA, offsetResetPolicy: latest": sum(1 if x.committed == _NONE else x.end - x.committed for x in found),
        "KEDA, offsetResetPolicy: earliest": sum(x.end - max(0, x.committed) for x in found),
        # fetchConsumer in core/internal/storage/inmemory.go; it knows only partitions with a commit.
        "Burrow": sum(max(0, x.end - x.committed) for x in found if x.committed != _NONE),
        # ConsumerGroupCommand.
        "kafka-consumer-groups.sh": (
            None if any(x.committed == _NONE for x in found) else sum(x.end - x.committed for x in found)
        ),
    }


def _place(partition: TopicPartition) -> tuple[str, int]:
    return partition.topic, partition.partition
