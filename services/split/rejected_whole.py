"""Which splits have rejected every row: by the committed positions, so exactly, whichever replica did it."""

from collections.abc import Collection, Iterable, Sequence

from aiokafka.admin import AIOKafkaAdminClient
from msgspec import Struct

from common.errors import AllRejectedError
from common.kafka.clients import open_reader
from common.kafka.offsets import NOTHING_COMMITTED, committed_offsets
from common.kafka.reading import read_until
from common.pipeline.partitions import Partitions
from common.pipeline.topics import Groups
from common.protocol.position import Position, decode_position, digest
from common.protocol.rejections import Rejection, decode_rejection
from common.protocol.tolerance import Tolerance, permits_all
from common.settings import ServiceSettings
from services.split.categories.labels import without_value
from services.split.categories.splits import Split


class RejectedWhole(Struct, frozen=True):
    """A split that has rejected all its rows, and how many those are."""

    split: str
    rows: int


def find_rejected_whole(
    positions: Collection[Position], splits: Iterable[Split], tolerance: Tolerance
) -> list[RejectedWhole]:
    """The splits that have rejected every row they had, where MAX_REJECTED does not permit that."""
    found = []
    for split in splits:
        name = digest(split.name)
        held = [each for position in positions for group in position.groups for each in group.splits]
        of_split = [each for each in held if each.name == name]
        rejected = sum(each.rejected for each in of_split)
        if rejected and not any(each.placed for each in of_split) and not permits_all(tolerance, rejected):
            found.append(RejectedWhole(split.name, rejected))
    return found


async def check_rejected(
    settings: ServiceSettings,
    admin: AIOKafkaAdminClient,
    splits: Sequence[Split],
    tolerance: Tolerance,
) -> None:
    """Raise AllRejectedError where a split has rejected every row. Call it once everything is committed."""
    points = await committed_offsets(admin, Groups.under(settings.topic_prefix).split, Partitions.of(settings).rows)
    positions = [
        decode_position(point.metadata, point.offset) for point in points.values() if point.offset != NOTHING_COMMITTED
    ]
    found = find_rejected_whole(positions, splits, tolerance)
    if found:
        reasons = await _first_reasons(settings, {each.split for each in found})
        raise AllRejectedError("\n".join(_line(each, reasons.get(each.split, "not known any more")) for each in found))


def _line(found: RejectedWhole, reason: str) -> str:
    return (
        f"split {found.split}: every row was rejected, {found.rows} in all (the first one: {reason}). If that is "
        "right, set MAX_REJECTED=100%"
    )


async def _first_reasons(settings: ServiceSettings, splits: Collection[str]) -> dict[str, str]:
    """Why each of these splits rejected the first row that is still in `rejected`."""
    reasons: dict[str, str] = {}
    partition = Partitions.of(settings).rejected
    async with open_reader(settings, "nacre-split-rejected") as reader:
        end = (await reader.end_offsets([partition]))[partition]
        async for records in read_until(reader, partition, end):
            for record in records:
                found = decode_rejection(record.headers, record.value)
                if isinstance(found, Rejection) and found.split in splits:
                    reasons.setdefault(found.split, without_value(found.reason))
            if len(reasons) == len(splits):
                break
    return reasons
