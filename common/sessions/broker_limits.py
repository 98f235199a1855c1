"""The broker's own settings, asked for when one of them explains an error."""

import asyncio
from collections.abc import Sequence

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from common.errors import ServiceError
from common.kafka.clients import open_admin
from common.settings import ServiceSettings

_DEADLINE_S = 3.0


async def ask_broker_for(names: Sequence[str], settings: ServiceSettings) -> dict[str, str]:
    """The values of these settings, without those that the broker does not give or this user may not ask for."""
    if not names:
        return {}
    try:
        async with asyncio.timeout(_DEADLINE_S), open_admin(settings) as admin:
            node = (await admin.describe_cluster())["brokers"][0]["node_id"]
            asked = ConfigResource(ConfigResourceType.BROKER, str(node), dict.fromkeys(names))
            answers = await admin.describe_configs([asked])
    except (KafkaError, OSError, TimeoutError, ServiceError, LookupError):
        return {}
    return {
        name: value
        for answer in answers
        for error_code, _, _, _, entries in answer.resources
        if not error_code
        for name, value, *_ in entries
        if value is not None
    }
