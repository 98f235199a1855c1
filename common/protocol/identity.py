"""What a pipeline's positions are positions in: its cluster, its topics by their ids, its partition count. Pure.

An offset is valid only in the topic that it was taken from. So the first record ever written under a prefix is the
identity, in the topic `schemas`, and every start compares it with what is there. Where it is missing although other
topics were written to, it was lost, and with it the meaning of every position.
"""

from collections.abc import Mapping
from typing import NamedTuple

import orjson
from msgspec import Struct
from msgspec.structs import replace

from common.protocol.decoding import as_written

# Of all that travels through a pipeline's topics: incremented with every change that an older service must not ignore.
# A pipeline keeps the format that it was begun in, which newer services read and write, until it is upgraded.
FORMATS = (1, 2)
NEWEST = FORMATS[-1]


class Formats(NamedTuple):
    """The format in which a pipeline's messages are written, and the one in which it was begun.

    An upgrade changes the first. The second decides what has to stay: the partition in which a category lives, and the
    columns of rejected.csv.
    """

    now: int = NEWEST
    begun: int = NEWEST


NEWEST_FORMATS = Formats()
_BEGIN_AGAIN = "begin again with another TOPIC_PREFIX and another OUTPUT_DIR"


class Identity(Struct, frozen=True):
    """`topics` are ids by full name, "" where the broker gave none; such an id is filled in once it gives one."""

    cluster: str
    partitions: int
    topics: Mapping[str, str]
    formats: Formats = NEWEST_FORMATS

    @property
    def format(self) -> int:
        """The format in which messages are written."""
        return self.formats.now


def encode_identity(identity: Identity) -> bytes:
    """As JSON."""
    now, begun = identity.formats
    fields = {
        "version": now,
        "cluster": identity.cluster,
        "partitions": identity.partitions,
        "topics": dict(identity.topics),
    }
    return orjson.dumps(fields if begun == now else fields | {"begun": begun})


def decode_identity(value: bytes) -> Identity:
    """The identity that `encode_identity` wrote. Raises ValueError for an unknown version."""
    with as_written():
        fields = orjson.loads(value)
        check_version(fields, *FORMATS)
        formats = Formats(fields["version"], fields.get("begun", fields["version"]))
        return Identity(fields["cluster"], fields["partitions"], fields["topics"], formats)


def check_version(fields: Mapping[str, object], *known: int) -> None:
    """Raise ValueError, which continues "a record is …", unless the fields have a known version."""
    version = fields.get("version")
    if version is None:
        raise ValueError(f"written by a version from before format {known[0]}: {_BEGIN_AGAIN}")
    if version not in known:
        reads = " and ".join(map(str, known))
        raise ValueError(f"of format {version}, and this version reads format {reads}: run the version that wrote it")


def find_changes(begun: Identity, now: Identity) -> list[str]:
    """One line for each difference between the pipeline as begun and now; `now` lacks the topics that are gone."""
    if begun.cluster != now.cluster:
        return [f"the topics were begun in Kafka cluster {begun.cluster}, this is {now.cluster}: {_BEGIN_AGAIN}"]
    lines = []
    for name, topic_id in begun.topics.items():
        if name not in now.topics:
            lines.append(f"topic {name} was deleted (its id was {topic_id or 'not known'}): {_BEGIN_AGAIN}")
        elif is_other(topic_id, now.topics[name]):
            lines.append(describe_other(name, "this pipeline", topic_id, now.topics[name]))
    if not lines and begun.partitions != now.partitions:
        lines.append(
            f"PARTITIONS={now.partitions}, but the pipeline was begun with {begun.partitions}: it cannot be changed, "
            f"because sources and categories live in a partition: set PARTITIONS={begun.partitions}"
        )
    return lines


def is_other(remembered: str, present: str) -> bool:
    """Whether the ids show that the topic is not the remembered one; they do not if either is unknown."""
    return bool(remembered and present) and remembered != present


def describe_other(topic: str, what: str, remembered: str, present: str, way_out: str = _BEGIN_AGAIN) -> str:
    """Say that a topic is not the one that something was begun with."""
    return (
        f"topic {topic} was deleted and created again: {what} was begun with the one of id {remembered}, the "
        f"present one has {present}: {way_out}"
    )


def with_known_ids(begun: Identity, now: Identity) -> Identity:
    """The identity, with ids filled in that were not known when it was begun."""
    known = {name: topic_id or now.topics.get(name, "") for name, topic_id in begun.topics.items()}
    return replace(begun, topics=known)


def with_newest_format(begun: Identity, now: Identity) -> Identity:
    """The identity once the pipeline is upgraded, with the topics that the newest format has beside the others."""
    formats = Formats(NEWEST, begun.formats.begun)
    return replace(begun, topics={**now.topics, **begun.topics}, formats=formats)
