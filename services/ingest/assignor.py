"""Names for the group's assignments: with them, a partition's task knows which assignment it belongs to."""

import uuid
from collections.abc import Mapping

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


class RoundAssignor(RoundRobinPartitionAssignor):  # type: ignore[misc]  # aiokafka has no types
    """The assignor of one member; `round` is the name of the latest assignment.

    To the group it is aiokafka's round robin. A leader of an earlier version gives no names: `round` is then empty.
    """

    def __init__(self) -> None:
        self.round = ""

    def assign(
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """As the group's leader, assign the partitions under a unique name."""
        given = RoundRobinPartitionAssignor.assign(cluster, members)
        name = uuid.uuid4().hex.encode()
        return {
            member: ConsumerProtocolMemberAssignment(each.version, each.assignment, name)
            for member, each in given.items()
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Note the assignment's name."""
        self.round = assignment.user_data.decode()
