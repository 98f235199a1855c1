"""`nacre begin split | sink`: accept, once, that the first records of a topic are gone.

A service that has read nothing of a partition refuses to begin if the topic no longer begins at offset 0: rows
would be missing without a trace. The acceptance names topic, partition and offset; it is committed beside the group's
offset, and the service's first commit replaces it.
"""

import argparse
import asyncio
import re
import sys
from collections.abc import Mapping, Sequence

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from msgspec import Struct
from msgspec.structs import replace

from common.broker_errors.missing_permissions import asking_about
from common.errors import ConfigurationError, ServiceError
from common.kafka.clients import new_consumer, open_admin, open_reader, stop_consumer
from common.kafka.offsets import NOTHING_COMMITTED, committed_offsets
from common.kafka.topic_metadata import Topic
from common.pipeline.partitions import partitions_of
from common.pipeline.registry import Registry
from common.pipeline.start import look_at_pipeline
from common.pipeline.topics import FoundTopics, Groups, Topics, find_losses
from common.protocol.acceptance import Acceptance, encode_acceptance
from common.protocol.position import Position, PositionError, SplitGroup, decode_position, encode_position
from common.sessions.diagnosis import diagnose
from common.settings import ServiceSettings
from common.settings_reader import Parser, read_settings
from ops.command_line import keep_clients_quiet, refusal_of, write_out
from ops.groups import check_at_rest

_PROGRAM = "nacre begin"
_ANSWER_DEADLINE_S = 15.0
_OFFSET = re.compile(r"(?P<topic>[A-Za-z0-9._-]+):(?P<partition>[0-9]{1,9}):(?P<offset>[0-9]{1,18})")

Firsts = dict[TopicPartition, int]


class Reading(Struct, frozen=True):
    """What a service reads: its group, and the first offset that is left in each of its partitions.

    `has_positions`: split has committed a position in each partition, so none may be missing.
    """

    group: str
    firsts: Mapping[TopicPartition, int]
    found: FoundTopics
    has_positions: bool


def main(argv: list[str]) -> int:
    """Run the command; return 0 if nothing is gone or the offsets are accepted, 78 for a wrong setting, else 1."""
    keep_clients_quiet()
    try:
        options = _parser().parse_args(argv)
        accepted = parse_offsets(options.offsets)
        settings = read_settings(ServiceSettings, [], program=_PROGRAM)
        return asyncio.run(_run(settings, options.service, accepted))
    except ServiceError as error:
        sys.stderr.write("".join(f"{_PROGRAM}: {line}\n" for line in str(error).splitlines()))
        return error.exit_code
    except PositionError as error:
        sys.stderr.write(f"{_PROGRAM}: {str(error) or repr(error)}\n")
        return 1


def parse_offsets(texts: Sequence[str]) -> Firsts:
    """Parse texts of the form TOPIC:PARTITION:OFFSET. Raises ConfigurationError if one has another form."""
    offsets: Firsts = {}
    for text in texts:
        match = _OFFSET.fullmatch(text)
        if match is None:
            raise ConfigurationError(f"{text!r} is not TOPIC:PARTITION:OFFSET, as in nacre.rows:0:1200")
        offsets[TopicPartition(match["topic"], int(match["partition"]))] = int(match["offset"])
    return offsets


def show_offsets(gone: Mapping[TopicPartition, int]) -> list[str]:
    """The offsets in the form that `parse_offsets` reads."""
    return [f"{topic}:{partition}:{offset}" for (topic, partition), offset in gone.items()]


def check_offsets(accepted: Mapping[TopicPartition, int], firsts: Mapping[TopicPartition, int]) -> None:
    """Raise ConfigurationError unless each accepted offset is the one at which its partition begins now."""
    for partition, offset in accepted.items():
        where = f"topic {partition.topic}, partition {partition.partition}"
        if partition not in firsts:
            raise ConfigurationError(f"this service does not read {where}")
        if firsts[partition] != offset:
            raise ConfigurationError(
                f"{where} begins at offset {firsts[partition]}, not {offset}: run the command without "
                "offsets to see what is gone now"
            )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=_PROGRAM,
        description="Accept, once, that the first records of a topic are gone, and begin with what is left. The broker "
        "and the topics are those of the settings KAFKA_* and TOPIC_PREFIX in the environment.",
        examples=("nacre begin split", "nacre begin split nacre.rows:0:1200"),
    )
    parser.add_argument("service", choices=["split", "sink"], help="the service that is to begin; stop it first")
    parser.add_argument(
        "offsets",
        nargs="*",
        metavar="TOPIC:PARTITION:OFFSET",
        help="where to begin; without one, list what is gone and accept nothing",
    )
    return parser


async def _run(settings: ServiceSettings, service: str, accepted: Firsts) -> int:
    try:
        return await _begin(settings, service, accepted)
    except (KafkaError, OSError) as error:
        diagnosis = await diagnose(error, settings)
    raise refusal_of(diagnosis)


async def _begin(settings: ServiceSettings, service: str, accepted: Firsts) -> int:
    async with asyncio.timeout(_ANSWER_DEADLINE_S), open_admin(settings) as admin:
        reading = await _look(admin, settings, service)
        if not accepted:
            return _list(service, reading)
        check_offsets(accepted, reading.firsts)
        await check_at_rest(admin, service, reading.group)
        await _accept(admin, settings, reading, accepted)
    write_out("".join(f"{service} begins at {offset}\n" for offset in show_offsets(accepted)))
    return 0


async def _look(admin: AIOKafkaAdminClient, settings: ServiceSettings, service: str) -> Reading:
    names, groups = Topics.under(settings.topic_prefix), Groups.under(settings.topic_prefix)
    registry = Registry(settings, names)
    found = await look_at_pipeline(admin, settings, registry, settled_s=0)
    if losses := find_losses(found, settings):
        raise ServiceError("\n".join(losses))
    group, read = (
        (groups.split, [names.rows]) if service == "split" else (groups.sink, [names.categorized, names.rejected])
    )
    for name in read:
        if name not in found.topics:
            raise ConfigurationError(f"topic {name} does not exist: is TOPIC_PREFIX right?")
    partitions = [each for name in read for each in partitions_of(name, found.topics[name].partitions)]
    async with open_reader(settings, "nacre-begin") as reader:
        firsts = await reader.beginning_offsets(partitions)
    return Reading(group, {partition: firsts[partition] for partition in partitions}, found, registry.has_positions)


def _list(service: str, reading: Reading) -> int:
    gone = {partition: first for partition, first in reading.firsts.items() if first > 0}
    if not gone:
        write_out("nothing is gone: every partition begins at offset 0\n")
        return 0
    for (topic, partition), first in gone.items():
        write_out(f"topic {topic}, partition {partition}: the {first} offsets before {first} are gone\n")
    command = " ".join([_PROGRAM, service, *show_offsets(gone)])
    write_out(f"to begin with what is left, stop {service} and run this once:\n{command}\n")
    return 1


async def _accept(admin: AIOKafkaAdminClient, settings: ServiceSettings, reading: Reading, accepted: Firsts) -> None:
    points = await committed_offsets(admin, reading.group, list(reading.firsts))
    names = Topics.under(settings.topic_prefix)
    if names.rows in {partition.topic for partition in accepted}:
        _check_kept(points, reading)
    point_of = _point_of_split if names.rows in {partition.topic for partition in accepted} else _point_of_sink
    offsets = {
        partition: point_of(points[partition], first, reading.found.topics[partition.topic])
        for partition, first in accepted.items()
    }
    consumer = new_consumer(settings, "nacre-begin", reading.group)
    consumer.assign(list(accepted))
    try:
        await consumer.start()
        with asking_about(reading.group):
            await consumer.commit(offsets)
    finally:
        await stop_consumer(consumer)


def _point_of_sink(_point: OffsetAndMetadata, first: int, topic: Topic) -> OffsetAndMetadata:
    """The acceptance alone: the offsets that sink commits only inform others, so they need not survive."""
    return OffsetAndMetadata(first, encode_acceptance(Acceptance(topic.id, first)))


def _point_of_split(point: OffsetAndMetadata, first: int, topic: Topic) -> OffsetAndMetadata:
    """The committed position, or one from which nothing was read, with the acceptance in it."""
    if point.offset == NOTHING_COMMITTED:
        ids = {"rows": topic.id} if topic.id else {}
        position = Position(SplitGroup(first, first), partitions=topic.partitions, topics=ids, begin=first)
    else:
        position = replace(decode_position(point.metadata, point.offset), begin=first)
    return OffsetAndMetadata(position.main.offset, encode_position(position))


def _check_kept(points: Mapping[TopicPartition, OffsetAndMetadata], reading: Reading) -> None:
    """Raise ServiceError if a position is gone: split would process rows again that it has processed."""
    gone = [partition for partition, point in points.items() if point.offset == NOTHING_COMMITTED]
    if gone and reading.has_positions:
        raise ServiceError(
            f"topic {gone[0].topic}, partition {gone[0].partition}: the offset that group {reading.group} had "
            "committed is gone, so rows would come twice: begin again with another TOPIC_PREFIX and another OUTPUT_DIR"
        )
