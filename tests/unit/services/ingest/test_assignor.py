"""Each assignment of ingest's group has a unique name, the same for all of its members."""

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocol, ConsumerProtocolMemberAssignment

from services.ingest.assignor import RoundAssignor


class Cluster(ClusterMetadata):  # type: ignore[misc]  # aiokafka has no types
    """A cluster with one topic."""

    def __init__(self) -> None:
        super().__init__()

    def partitions_for_topic(self, _topic: str) -> set[int]:
        """Six partitions."""
        return set(range(6))


def assigned(leader: RoundAssignor) -> dict[str, ConsumerProtocolMemberAssignment]:
    members = {name: RoundAssignor().metadata(["progress"]) for name in ("a", "b")}
    return leader.assign(Cluster(), members)


def test_members_of_an_assignment_learn_its_name_and_those_of_the_next_another() -> None:
    members = RoundAssignor(), RoundAssignor()
    names = []
    for _ in range(2):
        given = assigned(members[0])
        for member, each in zip(members, given.values(), strict=True):
            member.on_assignment(ConsumerProtocol.ASSIGNMENT.decode(each.encode()))
        assert members[0].round == members[1].round != ""
        names.append(members[0].round)
    assert len(set(names)) == 2


def test_partitions_are_assigned_as_by_aiokafka_s_round_robin() -> None:
    members = {name: RoundRobinPartitionAssignor.metadata(["progress"]) for name in ("a", "b")}
    given = RoundAssignor().assign(Cluster(), members)
    theirs = RoundRobinPartitionAssignor.assign(Cluster(), members)
    assert {name: each.assignment for name, each in given.items()} == {
        name: each.assignment for name, each in theirs.items()
    }
    member = RoundAssignor()
    member.on_assignment(theirs["a"])
    assert member.round == ""
    assert RoundAssignor.name == RoundRobinPartitionAssignor.name
