"""What a consumer group has committed."""

from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from common.broker_errors.missing_permissions import asking_about
from common.counts import PartitionCounts

NOTHING_COMMITTED = -1


def update_lag(counts: PartitionCounts, consumer: AIOKafkaConsumer, partition: TopicPartition, position: int) -> None:
    """Count the records behind the position that the latest fetch has shown; keep the former count before the first.

    0 once the position is behind the marker of the last transaction, which counts as a record until then.
    """
    if (end := consumer.highwater(partition)) is not None:
        counts.lag_rows = max(0, end - position)


async def committed_offsets(
    admin: AIOKafkaAdminClient, group: str, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, OffsetAndMetadata]:
    """What the group has committed for each of these partitions, offset -1 where it has committed nothing.

    KafkaError when the broker does not say: a coordinator that is still loading answers with an error for the group and
    no partitions, which aiokafka 0.14 returns as no offsets. Taken for "nothing committed", all would be done again.
    """
    with asking_about(group):
        found: dict[TopicPartition, OffsetAndMetadata] = await admin.list_consumer_group_offsets(
            group, partitions=list(partitions)
        )
    if missing := [partition for partition in partitions if partition not in found]:
        raise KafkaError(f"the broker does not say the offsets of group {group} for {len(missing)} partitions now")
    return found
