"""A broker's open transactions, asked for in its own protocol: no client library here lists them."""

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

_LIST_TRANSACTIONS, _VERSION = 66, 0
_DEADLINE_S = 10.0
_CLIENT = b"observer"
# The states of KIP-664 in which a transaction is not over.
_UNDER_WAY = {"Ongoing", "PrepareCommit", "PrepareAbort", "PrepareEpochFence"}


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transactional id and the state of its transaction."""

    transactional_id: str
    state: str


def open_transactions(bootstrap: str, prefix: str) -> list[Transaction]:
    """The open transactions of transactional ids with this prefix, on all of these brokers."""
    found = (transaction for broker in bootstrap.split(",") for transaction in _ask(broker))
    return [each for each in found if each.transactional_id.startswith(prefix) and each.state in _UNDER_WAY]


def _ask(broker: str) -> Iterable[Transaction]:
    host, _, port = broker.partition(":")
    # Header version 2, its tagged fields, then two empty filters and the body's tagged fields.
    request = (
        struct.pack(f">hhih{len(_CLIENT)}sb", _LIST_TRANSACTIONS, _VERSION, 1, len(_CLIENT), _CLIENT, 0) + b"\1\1\0"
    )
    with socket.create_connection((host, int(port)), _DEADLINE_S) as connection, connection.makefile("rb") as stream:
        connection.sendall(struct.pack(">i", len(request)) + request)
        [size] = struct.unpack(">i", stream.read(4))
        return _parse(stream.read(size))


def _parse(answer: bytes) -> list[Transaction]:
    # Correlation id, tagged fields, throttle time, error code.
    _, _, _, error = struct.unpack_from(">ibih", answer)
    assert error == 0, f"ListTransactions: error {error}"
    position = struct.calcsize(">ibih")
    unknown_filters, position = _varint(answer, position)
    assert unknown_filters <= 1
    count, position = _varint(answer, position)
    found: list[Transaction] = []
    for _ in range(count - 1):
        transactional_id, position = _string(answer, position)
        state, position = _string(answer, position + struct.calcsize(">q"))
        position += 1  # no tagged fields
        found.append(Transaction(transactional_id, state))
    return found


def _string(data: bytes, position: int) -> tuple[str, int]:
    length, position = _varint(data, position)
    return data[position : position + length - 1].decode(), position + length - 1


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
