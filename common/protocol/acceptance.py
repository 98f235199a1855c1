"""The acceptance, once, that a partition's first records are gone: `nacre begin` commits it beside a group's offset.

It names the topic's id and the offset. The first commit of the service replaces it, and so uses it up.
"""

from dataclasses import dataclass

import orjson

from common.protocol.identity import is_other

# Raised with every change that an older service must not ignore.
VERSION = 1


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The topic's id, and the first offset that was left when it was accepted."""

    topic_id: str
    offset: int

    def holds_for(self, topic_id: str, first: int) -> bool:
        """Whether it is about this topic, as it is now."""
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
    if not isinstance(fields, dict) or fields.get("version") != VERSION or "begin" not in fields:
        return None
    return Acceptance(str(fields.get("topic_id", "")), int(fields["begin"]))
