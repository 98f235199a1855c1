"""Whether topics can be written to with the replicas that they have: `min.insync.replicas` against their number."""

from collections.abc import Collection

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from common.visible_topics import describe_topics

_LIMIT = "min.insync.replicas"


async def find_replica_misfits(admin: AIOKafkaAdminClient, names: Collection[str]) -> list[str]:
    """One line for each of these topics that wants more replicas in sync than it has: no write to it ever succeeds.

    Where that may not be asked, the first transaction shows it.
    """
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, {_LIMIT: None}) for name in names]
    least = {
        name: int(value)
        for answer in (await admin.describe_configs(asked) if asked else ())
        for error_code, _, _, name, entries in answer.resources
        if not error_code
        for key, value, *_ in entries
        if key == _LIMIT
    }
    replicas = {
        name: min((len(partition["replicas"]) for partition in topic["partitions"]), default=0)
        for name, topic in (await describe_topics(admin, least)).items()
        if topic["error_code"] == 0
    }
    return [
        f"topic {name} has {replicas[name]} replica{'s' * (replicas[name] != 1)} and {_LIMIT}={count}: nothing can be "
        f"written to it. Set its {_LIMIT} lower, or give it more replicas"
        for name, count in sorted(least.items())
        if replicas.get(name, count) < count
    ]
