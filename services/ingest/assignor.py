"""Which of the group's assignments a partition's task belongs to: the leader names each one, the same for all."""

import uuid
from collections.abc import Mapping

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


class RoundAssignor(RoundRobinPartitionAssignor):  # type: ignore[misc]  # aiokafka has no types
    """The assignor of one member; `round` is the name of the latest assignment.

    For the group it is round robin as before: a leader of an earlier version gives no names.
    """

    def __init__(self) -> None:
        self.round = ""

    def assign(
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Assign the partitions, as the group's leader, under a name that no other assignment has."""
        given = RoundRobinPartitionAssignor.assign(cluster, members)
        name = uuid.uuid4().hex.encode()
        return {
            member: ConsumerProtocolMemberAssignment(each.version, each.assignment, name)
            for member, each in given.items()
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Note the name."""
        self.round = assignment.user_data.decode()
