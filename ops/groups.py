"""Whether a service is at rest: its consumer group has no members."""

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupIdNotFound, for_code

from common.broker_errors.missing_permissions import asking_about, error_for
from common.errors import ServiceError

# States of a group without members, and of one that does not exist.
_AT_REST = frozenset({"Empty", "Dead"})


async def check_at_rest(admin: AIOKafkaAdminClient, service: str, group: str) -> None:
    """Raise ServiceError if any replica of the service is a member of its group."""
    with asking_about(group):
        answers = await admin.describe_consumer_groups([group])
    for answer in answers:
        for code, _, state, *_ in answer.groups:
            if code and for_code(code) is not GroupIdNotFound:
                raise error_for(code, group, f"group {group}: the broker does not say whether it has members")
            if state not in _AT_REST:
                raise ServiceError(f"group {group} has members: stop every {service} first")
