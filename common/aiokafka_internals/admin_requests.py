"""Admin requests that aiokafka 0.14 does not offer: permissions on a group, removing a member, setting ACLs.

Without these a missing permission shows only when it is used, a dead predecessor keeps its partitions until its session
times out, and `nacre acls --apply` cannot set any. https://kafka.apache.org/protocol. No upstream issue known.
"""

from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import CoordinationType
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest, DescribeGroupsRequest_v3, DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct
from aiokafka.protocol.group import LeaveGroupRequest
from msgspec import Struct


class Acl(Struct, frozen=True):
    """What one principal is allowed to do, in the protocol's numbers."""

    resource_type: int
    name: str
    pattern_type: int
    principal: str
    host: str
    operation: int
    permission: int


async def refresh_brokers(admin: AIOKafkaAdminClient) -> None:
    """Ask again which brokers there are."""
    await admin._client.force_metadata_update()  # noqa: SLF001 - the admin client has no such call


async def ask_operations_on_group(admin: AIOKafkaAdminClient, group: str) -> int:
    """What this user may do with a group, as bits (KIP-430, Kafka 2.3). KafkaError when the broker does not say."""
    coordinator = await admin.find_coordinator(group)
    answer = await admin._client.send(coordinator, _DescribeGroupsRequest(group))  # noqa: SLF001 - theirs reads v3 wrong
    [(code, *_, allowed)] = answer.groups
    if code:
        raise for_code(code)(f"group {group}: cannot ask what this user may do")
    return int(allowed)


async def find_transaction_coordinator(admin: AIOKafkaAdminClient, transactional_id: str) -> int:
    """The broker that coordinates this id's transactions."""
    return int(await admin.find_coordinator(transactional_id, CoordinationType.TRANSACTION))


async def remove_member(admin: AIOKafkaAdminClient, coordinator: int, group: str, member_id: str) -> None:
    """Remove a member from its group, whichever process it belonged to."""
    await admin._client.send(coordinator, LeaveGroupRequest(group, member_id))  # noqa: SLF001 - it has no such request


async def create_acl(admin: AIOKafkaAdminClient, acl: Acl, what: str) -> None:
    """Set one ACL. KafkaError when the broker refuses it: its text begins with `what`, the ACL in words."""
    client = admin._client  # noqa: SLF001 - same
    request = CreateAclsRequest(
        acl.resource_type,
        acl.name,
        acl.pattern_type,
        acl.principal,
        acl.host,
        acl.operation,
        acl.permission,
    )
    answer = await client.send(client.get_random_node(), request)
    for code, text in answer.creation_responses:
        if code:
            raise for_code(code)(f"{what}: {text or 'the broker does not say why'}")


class _DescribeGroupsRequestV3(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka 0.14 has this request, but reads the answer to it as that of an earlier version."""

    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3
    SCHEMA = DescribeGroupsRequest_v3.SCHEMA


class _DescribeGroupsRequest(Request[_DescribeGroupsRequestV3]):  # type: ignore[misc]  # same
    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: Any) -> Any:
        include_authorized_operations = True
        return request_struct_class([self._group], include_authorized_operations)
