"""Which splits rest: split has rejected or placed rows for them, and SPLIT_BY no longer names them.

Partitions commit their new plans one by one. A split that still has a place in one of them does not rest yet, or is
back: receipts wait for it.
"""

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
    resting: set[str] = set()
    present: set[str] = set()
    for point in points.values():
        if point.offset == NOTHING_COMMITTED:
            continue
        try:
            position = decode_position(point.metadata, point.offset)
        except PositionError:
            # Of another version of split, which says itself that it cannot go on.
            continue
        resting |= {held.name for each in position.resting for held in each.splits}
        present |= {held.name for each in (position.main, *position.filling) for held in each.splits}
    return frozenset(resting - present)
