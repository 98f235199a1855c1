"""Which splits are in use, according to the positions that split has committed."""

from common.errors import ConfigurationError
from common.kafka.clients import open_admin
from common.kafka.offsets import NOTHING_COMMITTED, committed_offsets
from common.pipeline.partitions import Partitions
from common.pipeline.topics import Groups, Topics
from common.protocol.position import PositionError, decode_position
from common.settings import ServiceSettings
from services.split.categories.splits import parse_split_by
from services.split.split_names import SplitNames


async def find_splits(settings: ServiceSettings, topics: Topics, split_by: str) -> frozenset[str] | None:
    """The names of the splits in use; None if unknown. Raises ConfigurationError for a malformed position or SPLIT_BY.

    With a SPLIT_BY, only those that it names too, because split may be about to start with it.
    """
    group = Groups.under(settings.topic_prefix).split
    async with open_admin(settings) as admin:
        points = await committed_offsets(admin, group, Partitions.of(settings).rows)
    try:
        positions = [
            decode_position(point.metadata, point.offset)
            for point in points.values()
            if point.offset != NOTHING_COMMITTED
        ]
        given = {split.name for split in parse_split_by(split_by)} if split_by else None
    except PositionError as error:
        raise ConfigurationError(f"group {group}: its position cannot be read: {error}") from None
    except ValueError as error:
        raise ConfigurationError(f"SPLIT_BY: {error}") from None
    names = SplitNames(settings, topics)
    await names.read()
    in_use = {
        names.name_of(held)
        for position in positions
        for group_ in (position.main, *position.filling)
        for held in group_.splits
    }
    if not in_use or given is None:
        return frozenset(in_use) or None
    return frozenset(in_use & given)
