"""Why connections to brokers fail: aiokafka 0.14 tells its log alone, and raises "Unable to bootstrap" for all."""

from typing import Any

from aiokafka import client
from aiokafka.errors import KafkaConnectionError, KafkaError

_create_connection = client.create_conn
# By host and port, what the last attempt ended with, where it failed.
_failures: dict[tuple[str, int], BaseException] = {}


def keep_connection_failures() -> None:
    """Make every client of this process leave here why it cannot connect; may be called again."""
    client.create_conn = _create_or_keep


def connection_failures() -> dict[tuple[str, int], BaseException]:
    """Why the last attempts have failed, by host and port; addresses that could be reached since are not among them."""
    return dict(_failures)


def forget_connection_failures() -> None:
    """Begin anew: addresses that nobody tries any more are none's trouble."""
    _failures.clear()


async def _create_or_keep(host: str, port: int, **arguments: Any) -> Any:
    try:
        connection = await _create_connection(host, port, **arguments)
    except (OSError, KafkaError, TimeoutError) as error:
        _failures[host, port] = error
        raise
    except Exception as error:
        # What answers is no Kafka, or the host no name. aiokafka would not catch it: the service would crash.
        _failures[host, port] = error
        raise KafkaConnectionError(f"Cannot connect to {host}:{port}: {error!r}") from error
    _failures.pop((host, port), None)
    return connection
