"""How the brokers answer, seen from the open connections: a broker that is frozen, or cut off, causes no error.

aiokafka 0.14 gives a request its full timeout, and tells nobody meanwhile. Looking costs the requests nothing. No
upstream issue known.
"""

from typing import Any
from weakref import WeakSet

from aiokafka import client
from msgspec import Struct

Address = tuple[str, int]

# JoinGroup and SyncGroup, by their numbers: a broker holds them until all members have come, and so owes nothing yet.
_HELD = {11, 14}
# Those that were once made; closed ones leave when they are collected.
_connections: WeakSet[Any] = WeakSet()


class Contact(Struct, frozen=True):
    """When a broker last answered (time.monotonic), and whether it owes an answer now."""

    answered_at: float
    waits: bool


def keep_open_connections() -> None:
    """Make every client of this process register its connections here, once the broker has answered on them."""
    create_connection = client.create_conn

    async def create_and_keep(host: str, port: int, **arguments: Any) -> Any:
        connection = await create_connection(host, port, **arguments)
        _connections.add(connection)
        return connection

    client.create_conn = create_and_keep


def find_contacts() -> dict[Address, Contact]:
    """Each broker that there is a connection to, by host and port, as all connections to it show it."""
    found: dict[Address, Contact] = {}
    for connection in list(_connections):
        if not connection.connected():
            continue
        address = connection.host, connection.port
        known = found.get(address, Contact(0.0, waits=False))
        answered_at = max(known.answered_at, connection._last_action)  # noqa: SLF001 - aiokafka keeps it nowhere else
        # A request without a number is one of the authentication's.
        waits = any(getattr(each, "API_KEY", 0) not in _HELD for _, each, _ in connection._requests)  # noqa: SLF001 - same
        found[address] = Contact(answered_at, known.waits or waits)
    return found
