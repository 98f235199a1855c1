"""Which assignment of the group a partition task is of: its leader gives each one a name, the same for all members."""

import uuid
from collections.abc import Mapping

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


class RoundAssignor(RoundRobinPartitionAssignor):  # type: ignore[misc]  # aiokafka has no types
    """The assignor of one member; `round` is the name of the latest assignment.

    To the group it is the round robin that it was: a leader of an earlier version gives no names.
    """

    def __init__(self) -> None:
        self.round = ""

    def assign(
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Give the partitions out, as this group's leader, under a name that no other assignment has."""
        given = RoundRobinPartitionAssignor.assign(cluster, members)
        name = uuid.uuid4().hex.encode()
        return {
            member: ConsumerProtocolMemberAssignment(each.version, each.assignment, name)
            for member, each in given.items()
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Note the name."""
        self.round = assignment.user_data.decode()
