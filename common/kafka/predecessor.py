"""Taking over from a dead predecessor at once, instead of waiting until its session with the broker has timed out.

A member's client id names its host and a slot. A process takes the lowest slot on its host that is free, and the
kernel frees a slot when its holder dies; so whoever is in the group under a free slot's name is dead, and can be made
to leave. Were it not dead after all, fencing and the ledger's lock keep it from doing harm.
"""

import socket
import sys
from hashlib import blake2b
from typing import Any

import structlog
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.protocol.group import LeaveGroupRequest

from common.aiokafka_internals.outages import client_failures_as_outages
from common.connection.arguments import connection
from common.kafka.clients import within_deadline
from common.settings import ServiceSettings

log = structlog.get_logger()

_MAX_SLOTS = 1000


class Slot:
    """A process's place among those of its service on this host, held until the process ends."""

    def __init__(self, settings: ServiceSettings, service: str) -> None:
        self._held: socket.socket | None = None
        number = self._take(f"{settings.kafka_bootstrap_servers} {settings.topic_prefix} {service}")
        host = socket.gethostname()
        self.client_id = f"nacre-{service}.{host}" if number is None else f"nacre-{service}.{host}.{number}"

    @property
    def is_held(self) -> bool:
        """Whether there is a slot: elsewhere than on Linux there is none, and no predecessor is removed."""
        return self._held is not None

    def _take(self, pipeline: str) -> int | None:
        if sys.platform != "linux":
            return None
        # An address without a file: it is gone with the process, however that ends, and leaves nothing behind.
        name = blake2b(pipeline.encode(), digest_size=8).hexdigest()
        for number in range(_MAX_SLOTS):
            held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                held.bind(f"\0nacre-{name}-{number}")
            except OSError:
                held.close()
            else:
                self._held = held
                return number
        return None


async def remove_predecessor(settings: ServiceSettings, group: str, slot: Slot) -> None:
    """Make members that have this slot's client id leave the group; call it before joining.

    When it cannot be done, nothing is lost but time: the broker does it when their session has timed out.
    """
    if not slot.is_held:
        return
    client = AIOKafkaClient(client_id=slot.client_id, **connection(settings))
    try:
        with client_failures_as_outages():
            await client.bootstrap()
            coordinator = await client.coordinator_lookup(CoordinationType.GROUP, group)
            for member in await _members(client, coordinator, group):
                member_id, client_id, *_ = member
                if client_id == slot.client_id:
                    await client.send(coordinator, LeaveGroupRequest(group, member_id))
                    log.info("predecessor removed from the group", member=member_id)
    except KafkaError as error:
        log.debug("predecessor not looked for", error=repr(error))
    finally:
        await within_deadline(client.close(), "client")


async def _members(client: AIOKafkaClient, coordinator: int, group: str) -> list[Any]:
    response = await client.send(coordinator, DescribeGroupsRequest([group], include_authorized_operations=False))
    [(error_code, _, _, _, _, members, *_)] = response.groups
    if error_code:
        raise for_code(error_code)
    return list(members)
