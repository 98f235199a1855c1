"""Accepting, once, that a partition's first records are gone: `nacre begin sink` commits it beside the group's offset.

An acceptance names the topic's id and the offset. The service's first commit replaces it, and so uses it up.
"""

import orjson
from msgspec import Struct

from common.protocol.identity import is_other

# Incremented with every change that an older service must not ignore.
VERSION = 1


class Acceptance(Struct, frozen=True):
    """The topic's id, and the first offset that was left when the loss was accepted."""

    topic_id: str
    offset: int

    def holds_for(self, topic_id: str, first: int) -> bool:
        """Whether this is about a topic with this id whose first offset is `first`."""
        return self.offset == first and not is_other(self.topic_id, topic_id)


def encode_acceptance(acceptance: Acceptance) -> str:
    """As JSON, for a commit's metadata."""
    fields = {"version": VERSION, "begin": acceptance.offset, "topic_id": acceptance.topic_id}
    return orjson.dumps(fields).decode()


def decode_acceptance(metadata: str) -> Acceptance | None:
    """The acceptance in a commit's metadata; None where there is none that this version can read."""
    try:
        fields = orjson.loads(metadata)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict) or fields.get("version") != VERSION or not isinstance(fields.get("begin"), int):
        return None
    return Acceptance(str(fields.get("topic_id", "")), fields["begin"])
