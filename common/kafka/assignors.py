"""Which replicas get partitions when a setting that must agree differs between them: never two kinds at once.

That setting is SPLIT_BY for split, and the folder behind OUTPUT_DIR for sink. Replicas with one value are of one kind.

Each member of the group states its kind, and which kind was at work in the last assignment that it has seen, with the
number of that assignment, its turn. The leader gives all partitions to the kind that was at work in the latest turn, if
a member of that kind is there; otherwise to the kind whose first replica has waited the longest. The others get no
partition, and learn why.
"""

from collections.abc import Iterable, Mapping

import orjson
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from msgspec import Struct, to_builtins
from msgspec.structs import replace

_SHOWN_LENGTH_LIMIT = 1_000


class Member(Struct, frozen=True):
    """What a member states when it joins: `shown` is the setting's value, `since` its start in seconds since 1970."""

    kind: str
    shown: str
    since: float
    turn: int = 0
    at_work: str = ""


class Turn(Struct, frozen=True):
    """What the leader states in an assignment: its number, and the kind that gets the partitions."""

    turn: int
    kind: str
    shown: str


def choose(members: Mapping[str, Member]) -> Turn:
    """Decide the next assignment's turn. `members` are by member id, at least one."""
    latest = max(member.turn for member in members.values())
    at_work = {member.at_work for member in members.values() if member.turn == latest}
    candidates = {each: member for each, member in members.items() if member.kind in at_work} or members
    _, chosen = min(candidates.items(), key=lambda item: (item[1].since, item[0]))
    return Turn(latest + 1, chosen.kind, chosen.shown)


class KindAssignor(AbstractPartitionAssignor):  # type: ignore[misc]  # aiokafka has no types
    """The assignor of one member; `standing_by` is why it may have no partitions, None while it may."""

    name = "nacre"

    def __init__(self, kind: str, setting: str, shown: str, since: float) -> None:
        self._setting = setting
        self._said = Member(kind, shown[:_SHOWN_LENGTH_LIMIT], since)
        self.standing_by: str | None = None

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """What this member states when it joins."""
        return ConsumerProtocolMemberMetadata(0, list(topics), orjson.dumps(to_builtins(self._said)))

    def assign(
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Assign the partitions, as this group's leader."""
        said = {each: _decode(metadata.user_data) for each, metadata in members.items()}
        turn = choose(said)
        having = {each: metadata for each, metadata in members.items() if said[each].kind == turn.kind}
        given = RoundRobinPartitionAssignor.assign(cluster, having)
        user_data = orjson.dumps(to_builtins(turn))
        return {
            each: ConsumerProtocolMemberAssignment(0, given[each].assignment if each in given else [], user_data)
            for each in members
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Note which kind is at work from now on."""
        said = orjson.loads(assignment.user_data)
        self._said = replace(self._said, turn=said["turn"], at_work=said["kind"])
        if said["kind"] == self._said.kind:
            self.standing_by = None
        else:
            theirs, own = f"{self._setting}={said['shown']}", f"{self._setting}={self._said.shown}"
            self.standing_by = f"the other replicas have {theirs}, this one has {own}: it waits until they are gone"


def _decode(user_data: bytes) -> Member:
    said = orjson.loads(user_data)
    return Member(**{name: said[name] for name in Member.__struct_fields__ if name in said})
