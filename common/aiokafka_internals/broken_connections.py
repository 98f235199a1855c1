"""A write that uvloop refuses, seen as a broken connection (aiokafka issue 1038).

When the broker has just closed a connection, uvloop's transport refuses a write with a RuntimeError. aiokafka catches
only an OSError there; the other ends its fetcher silently and for ever, or the service with exit code 1.
"""

from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_send = AIOKafkaConnection.send


def take_refused_writes_for_broken_connections() -> None:
    """Make aiokafka see a KafkaConnectionError instead, from which it recovers."""
    AIOKafkaConnection.send = _send_or_break


def _send_or_break(connection: Any, request: Any, expect_response: bool = True) -> Any:  # noqa: FBT001, FBT002 - as aiokafka has it
    try:
        return _send(connection, request, expect_response)
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(f"Connection at {connection.host}:{connection.port} broken: {error}") from error
