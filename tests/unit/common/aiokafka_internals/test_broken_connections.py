from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

import common.kafka.clients  # noqa: F401 - importing it installs the replacements


class ClosedTransport:
    """As uvloop's transport behaves once its peer has closed it."""

    def write(self, _data: bytes) -> None:  # noqa: D102 - as its name says
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>")


def test_a_write_that_uvloop_refuses_is_a_broken_connection() -> None:
    closed: list[CloseReason] = []
    request: Any = SimpleNamespace(
        prepare=lambda _versions: SimpleNamespace(
            build_request_header=lambda **_: SimpleNamespace(encode=lambda: b"header"), encode=lambda: b"body"
        )
    )
    connection: Any = SimpleNamespace(
        _writer=ClosedTransport(), _versions={}, _client_id="c", _next_correlation_id=lambda: 1, host="h", port=1,
        close=lambda *, reason: closed.append(reason),
    )  # fmt: skip
    with pytest.raises(KafkaConnectionError, match="broken"):
        AIOKafkaConnection.send(connection, request)
    assert closed == [CloseReason.CONNECTION_BROKEN]
