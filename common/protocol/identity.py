"""What a pipeline's positions are positions in: its cluster, its topics by their ids, its partition count.

An offset is valid only in the topic that it was taken from. So the first thing ever written under a prefix is the
identity, as a record of the topic `schemas`; it is compared with what is there at every start. Where it is missing
although other topics were written to, it was lost, and with it the meaning of every position.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

# Raised with every change that an older service must not ignore.
VERSION = 1
_BEGIN_AGAIN = "begin again with another TOPIC_PREFIX and another OUTPUT_DIR"


@dataclass(frozen=True, slots=True)
class Identity:
    """`topics` are ids by name, "" where the broker told none: that one is pinned once it does."""

    cluster: str
    partitions: int
    topics: Mapping[str, str]


def encode_identity(identity: Identity) -> bytes:
    """As JSON."""
    return orjson.dumps(
        {
            "version": VERSION,
            "cluster": identity.cluster,
            "partitions": identity.partitions,
            "topics": dict(identity.topics),
        }
    )


def decode_identity(value: bytes) -> Identity:
    """The identity that `encode_identity` wrote. ValueError when it is of a version that is not known."""
    fields = orjson.loads(value)
    check_version(fields, VERSION)
    return Identity(fields["cluster"], fields["partitions"], fields["topics"])


def check_version(fields: Mapping[str, object], known: int) -> None:
    """ValueError unless what these fields were read from has a version that this one can read."""
    version = fields.get("version")
    if version is None:
        raise ValueError(f"written by a version from before format {known}: {_BEGIN_AGAIN}")
    if version != known:
        raise ValueError(f"of format {version}, and this version reads format {known}: run the version that wrote it")


def find_changes(begun: Identity, now: Identity) -> list[str]:
    """One line for each way in which the pipeline is not what it was when it was begun; `now` lacks topics gone."""
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
            f"PARTITIONS={now.partitions}, and the pipeline was begun with {begun.partitions}: it cannot be changed, "
            f"because sources and categories live in a partition: set PARTITIONS={begun.partitions}"
        )
    return lines


def is_other(remembered: str, present: str) -> bool:
    """Whether a topic is another than the one remembered, as far as both ids are known."""
    return bool(remembered and present) and remembered != present


def describe_other(topic: str, what: str, remembered: str, present: str, way_out: str = _BEGIN_AGAIN) -> str:
    """Say that a topic is another than the one that something was taken from."""
    return (
        f"topic {topic} was deleted and created again: {what} was begun with the one of id {remembered}, the one there "
        f"now has {present}: {way_out}"
    )


def with_known_ids(begun: Identity, now: Identity) -> Identity:
    """The identity with the ids that were not known when it was begun."""
    known = {name: topic_id or now.topics.get(name, "") for name, topic_id in begun.topics.items()}
    return replace(begun, topics=known)
