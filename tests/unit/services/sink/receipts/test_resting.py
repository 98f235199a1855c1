"""Which splits rest, by the positions of all partitions."""

from collections.abc import Sequence

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from common.kafka.offsets import NOTHING_COMMITTED
from common.protocol.position import HeldSplit, Position, SplitGroup, digest, encode_position
from common.settings import ServiceSettings
from common.settings_reader import make_settings
from services.sink.receipts.resting import find_resting

SEX, RINGS = (HeldSplit(digest(name), "definition") for name in ("Sex", "Rings"))
RESTS = Position(SplitGroup(9, 0, (SEX,)), resting=(SplitGroup(5, 0, (RINGS,)),))
IS_FILLED = Position(SplitGroup(9, 0, (SEX,)), filling=(SplitGroup(5, 0, (RINGS,)),))
IS_THERE = Position(SplitGroup(9, 0, (SEX, RINGS)))


class Admin:
    """Knows what a group has committed, None where it has committed nothing."""

    def __init__(self, positions: Sequence[Position | None]) -> None:
        self._positions = positions

    async def list_consumer_group_offsets(
        self, _group: str, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """What was committed."""
        return {
            partition: OffsetAndMetadata(NOTHING_COMMITTED, "")
            if position is None
            else OffsetAndMetadata(position.main.offset, encode_position(position))
            for partition, position in zip(partitions, self._positions, strict=True)
        }


@pytest.mark.parametrize(
    ("positions", "resting"),
    [
        ((RESTS, RESTS), {RINGS.name}),
        ((RESTS, None), {RINGS.name}),
        # Partitions commit their plans one by one, so a split that is back rests in some of them for a while longer.
        ((RESTS, IS_FILLED), set()),
        ((IS_FILLED, RESTS), set()),
        ((RESTS, IS_THERE), set()),
        ((IS_THERE, IS_FILLED), set()),
    ],
)
async def test_a_split_rests_if_it_rests_in_every_partition(
    positions: tuple[Position | None, ...], resting: set[str]
) -> None:
    settings = make_settings(ServiceSettings, {"kafka_bootstrap_servers": "broker:9092", "partitions": "2"})
    assert await find_resting(Admin(positions), settings) == resting
