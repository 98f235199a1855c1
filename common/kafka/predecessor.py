"""Taking over from a dead predecessor at once, instead of waiting until its session with the broker has timed out.

A member's client id names its host and a slot. A process takes the lowest free slot on its host, and the kernel frees a
slot when its holder dies. So a member of the group that has the name of a slot just taken is dead, and can be removed.
If it were alive after all, fencing and the ledger's lock would keep it from doing harm.
"""

import socket
import sys
from hashlib import blake2b

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code

from common.aiokafka_internals.admin_requests import remove_member
from common.aiokafka_internals.outages import client_failures_as_outages
from common.settings import ServiceSettings

log = structlog.get_logger()

_MAX_SLOTS = 1000


class Slot:
    """A process's place among those of its service on this host, held until the process ends."""

    def __init__(self, settings: ServiceSettings, service: str) -> None:
        self._held: socket.socket | None = None
        number = self._take(f"{settings.kafka_bootstrap_servers} {settings.topic_prefix} {service}")
        host = socket.gethostname()
        # What the log calls this process.
        self.replica = host if number is None else f"{host}.{number}"
        self.client_id = f"nacre-{service}.{self.replica}"

    @property
    def is_held(self) -> bool:
        """Whether there is a slot: only on Linux. Elsewhere no predecessor is removed."""
        return self._held is not None

    def _take(self, pipeline: str) -> int | None:
        if sys.platform != "linux":
            return None
        # An abstract address, without a file: it vanishes with the process, however that ends.
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


async def remove_predecessor(admin: AIOKafkaAdminClient, group: str, slot: Slot) -> None:
    """Remove members with this slot's client id from the group. Call it before joining.

    If that fails, only time is lost: the broker removes them once their session has timed out.
    """
    if not slot.is_held:
        return
    try:
        with client_failures_as_outages():
            coordinator = await admin.find_coordinator(group)
            for member_id, client_id in await _members(admin, coordinator, group):
                if client_id == slot.client_id:
                    await remove_member(admin, coordinator, group, member_id)
                    log.info("predecessor removed from the group", member=member_id)
    except KafkaError as error:
        log.debug("predecessor not looked for", error=repr(error))


async def _members(admin: AIOKafkaAdminClient, coordinator: int, group: str) -> list[tuple[str, str]]:
    """The members' ids, each with its client id."""
    [response] = await admin.describe_consumer_groups([group], coordinator)
    [(error_code, _, _, _, _, members, *_)] = response.groups
    if error_code:
        raise for_code(error_code)
    return [(member_id, client_id) for member_id, client_id, *_ in members]
