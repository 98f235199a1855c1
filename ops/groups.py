"""The members of a service's consumer group."""

from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import GroupIdNotFound, for_code
from msgspec import Struct, field

from common.broker_errors.missing_permissions import asking_about, error_for
from common.errors import ServiceError

# States of a group without members, and of one that does not exist.
_AT_REST = frozenset({"Empty", "Dead"})


class Member(Struct, frozen=True):
    """A member: its client's id, and its partitions by topic, none while the group is rebalancing."""

    client: str
    partitions: dict[str, tuple[int, ...]] = field(default_factory=dict)


class Group(Struct, frozen=True):
    """A group's members; it is at rest if no service can be at work in it."""

    is_at_rest: bool
    members: tuple[Member, ...]


async def describe_group(admin: AIOKafkaAdminClient, group: str) -> Group:
    """The group as its coordinator has it; one that does not exist has no members. KafkaError."""
    with asking_about(group):
        [answer] = await admin.describe_consumer_groups([group])
    [(code, _, state, _, _, members, *_)] = answer.groups
    if code and for_code(code) is not GroupIdNotFound:
        raise error_for(code, group, f"group {group}: the broker does not say whether it has members")
    return Group(state in _AT_REST, tuple(_member(client, assignment) for _, client, _, _, assignment, *_ in members))


async def check_at_rest(admin: AIOKafkaAdminClient, service: str, group: str) -> None:
    """Raise ServiceError if any replica of the service is a member of its group."""
    if not (await describe_group(admin, group)).is_at_rest:
        raise ServiceError(f"group {group} has members: stop every {service} first")


def _member(client: str, assignment: Any) -> Member:
    if not assignment:
        return Member(client)
    assigned = ConsumerProtocolMemberAssignment.decode(assignment).assignment
    return Member(client, {topic: tuple(sorted(numbers)) for topic, numbers in assigned})
