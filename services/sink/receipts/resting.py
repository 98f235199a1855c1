"""Which splits rest: split has rejected or placed rows for them, and SPLIT_BY no longer names them."""

from aiokafka.admin import AIOKafkaAdminClient

from common.kafka.offsets import NOTHING_COMMITTED, committed_offsets
from common.pipeline.partitions import Partitions
from common.pipeline.topics import Groups
from common.protocol.position import PositionError, decode_position
from common.settings import ServiceSettings


async def find_resting(admin: AIOKafkaAdminClient, settings: ServiceSettings) -> frozenset[str]:
    """The digests of the names of splits that rest, by what split has committed. KafkaError."""
    group, partitions = Groups.under(settings.topic_prefix).split, Partitions.of(settings).rows
    points = await committed_offsets(admin, group, partitions)
    found: set[str] = set()
    for point in points.values():
        if point.offset == NOTHING_COMMITTED:
            continue
        try:
            position = decode_position(point.metadata, point.offset)
        except PositionError:
            # Of another version of split, which says itself that it cannot go on.
            continue
        found |= {held.name for each in position.resting for held in each.splits}
    return frozenset(found)
