"""Produce requests written in one step.

Without this aiokafka 0.14 copies each record batch six times on its way into its request: 1.53 µs a row through all
three services instead of 1.45. No upstream issue known.
`tests/unit/common/aiokafka_internals/test_produce_requests.py` compares the two.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.types import Array, Bytes, Int32, Schema


def write_produce_requests_at_once() -> None:
    """Make aiokafka's produce requests join all their parts in one step."""
    for version in ProduceRequest._CLASSES:  # noqa: SLF001 - there is no other list of them
        version.encode = _encode


def _encode(request: Any) -> bytes:
    return b"".join(_parts(request.SCHEMA, [getattr(request, name) for name in request.SCHEMA.names]))


def _parts(kind: Any, value: Any) -> Iterator[bytes]:
    """The encoded value in parts; a record batch is a part by itself, and is not copied."""
    if isinstance(kind, Schema):
        for field, item in zip(kind.fields, value, strict=True):
            yield from _parts(field, item)
    elif isinstance(kind, Array) and value is not None:
        yield Int32.encode(len(value))
        for item in value:
            yield from _parts(kind.array_of, item)
    elif kind is Bytes and value is not None:
        yield Int32.encode(len(value))
        yield value
    else:
        yield kind.encode(value)
