"""Why connections to brokers fail.

aiokafka 0.14 only logs the reason, and raises "Unable to bootstrap" for every one: the service could not say that a
host name is not known, or that the listener speaks TLS. Worse, it does not catch the errors that an answer of something
other than Kafka causes: the service would crash. No upstream issue known.
"""

from typing import Any

from aiokafka import client
from aiokafka.errors import KafkaConnectionError, KafkaError

_create_connection = client.create_conn
# The error of each address's last attempt, by host and port, if that failed.
_failures: dict[tuple[str, int], BaseException] = {}


def keep_connection_failures() -> None:
    """Make every client of this process record here why it cannot connect."""
    client.create_conn = _create_or_keep


def connection_failures() -> dict[tuple[str, int], BaseException]:
    """Why the last attempts failed, by host and port; an address that was reached since is left out."""
    return dict(_failures)


def forget_connection_failures() -> None:
    """Forget all failures: an address that no client tries any more would stay among them."""
    _failures.clear()


async def _create_or_keep(host: str, port: int, **arguments: Any) -> Any:
    try:
        connection = await _create_connection(host, port, **arguments)
    except (OSError, KafkaError, TimeoutError) as error:
        _failures[host, port] = error
        raise
    except Exception as error:
        # What answers is not Kafka, or this is no host name. aiokafka would not catch it: the service would crash.
        _failures[host, port] = error
        raise KafkaConnectionError(f"Cannot connect to {host}:{port}: {error!r}") from error
    _failures.pop((host, port), None)
    return connection
