"""What a partition's files were made from, kept in its ledger: offsets and schema numbers mean nothing elsewhere."""

from collections.abc import Mapping

from msgspec import Struct

from common.protocol.identity import describe_other, is_other

_CLUSTER = "cluster"
_TOPIC_ID = "topic_id"
_SCHEMAS_ID = "schemas_id"


class Origin(Struct, frozen=True):
    """The cluster, and the names and ids of the partition's topic and of `schemas`; "" if the broker gives no id."""

    cluster: str
    topic: str = ""
    topic_id: str = ""
    schemas: str = ""
    schemas_id: str = ""

    def facts(self) -> dict[str, str]:
        """The facts that a ledger keeps of it."""
        return {_CLUSTER: self.cluster, _TOPIC_ID: self.topic_id, _SCHEMAS_ID: self.schemas_id}


def explain_other_origin(facts: Mapping[str, str], present: Origin, root: object) -> str | None:
    """Why files with these facts cannot go on from this origin; None if they can, or if there are none yet."""
    if _CLUSTER not in facts:
        return None
    way_out = "set another OUTPUT_DIR, which gets everything that Kafka still has"
    if facts[_CLUSTER] != present.cluster:
        return f"{root} holds the output of Kafka cluster {facts[_CLUSTER]}, this is {present.cluster}: {way_out}"
    what = f"the ledger in {root}"
    for topic, remembered, now in (
        (present.topic, facts.get(_TOPIC_ID, ""), present.topic_id),
        (present.schemas, facts.get(_SCHEMAS_ID, ""), present.schemas_id),
    ):
        if is_other(remembered, now):
            return describe_other(topic, what, remembered, now, way_out)
    return None


def unpinned(facts: Mapping[str, str], present: Origin) -> dict[str, str]:
    """The facts of the origin that the ledger does not have yet."""
    return {name: value for name, value in present.facts().items() if value and not facts.get(name)}
