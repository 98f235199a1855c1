"""Probing what listens at an address, where a failed connection does not show it, without logging in."""

import asyncio
import ssl
import struct

from msgspec import Struct
from msgspec.structs import replace

_DEADLINE_S = 3.0
_CLIENT_ID = b"nacre"
_MAX_ANSWER_BYTES = 2**20
_API_VERSIONS, _SASL_HANDSHAKE = 18, 17
_UNSUPPORTED_SASL_MECHANISM = 33
# No broker has this mechanism, so it answers with those that it has.
_NO_MECHANISM = b"NONE"


class Listener(Struct, frozen=True):
    """What listens: Kafka or not, the SASL mechanisms that are enabled there, and the error that ended the probe."""

    is_kafka: bool = False
    mechanisms: tuple[str, ...] = ()
    failure: Exception | None = None


async def probe_listener(host: str, port: int, tls: ssl.SSLContext | None) -> Listener:
    """Ask the listener in Kafka's protocol, with TLS or without, for at most some seconds."""
    writer: asyncio.StreamWriter | None = None
    listener = Listener()
    try:
        async with asyncio.timeout(_DEADLINE_S):
            reader, writer = await asyncio.open_connection(host, port, ssl=tls)
            versions = await _ask(reader, writer, _API_VERSIONS, b"")
            listener = Listener(is_kafka=struct.unpack_from(">h", versions)[0] == 0)
            name = struct.pack(">h", len(_NO_MECHANISM)) + _NO_MECHANISM
            mechanisms = _mechanisms(await _ask(reader, writer, _SASL_HANDSHAKE, name))
            listener = replace(listener, mechanisms=mechanisms)
    except (OSError, EOFError, ValueError, struct.error) as error:
        listener = replace(listener, failure=error)
    finally:
        if writer is not None:
            writer.close()
    return listener


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, api_key: int, body: bytes) -> bytes:
    """The answer's body, to version 0 of a request."""
    header = struct.pack(">hhih", api_key, 0, api_key, len(_CLIENT_ID)) + _CLIENT_ID
    writer.write(struct.pack(">i", len(header) + len(body)) + header + body)
    size, correlation_id = struct.unpack(">ii", await reader.readexactly(8))
    if correlation_id != api_key or not 4 <= size <= _MAX_ANSWER_BYTES:  # noqa: PLR2004 - the correlation id's own
        # The error of aiokafka in this case, which `cause_of` knows.
        raise asyncio.IncompleteReadError(b"", size)
    return await reader.readexactly(size - 4)


def _mechanisms(answer: bytes) -> tuple[str, ...]:
    code, count = struct.unpack_from(">hi", answer)
    if code != _UNSUPPORTED_SASL_MECHANISM:
        return ()
    names, at = [], 6
    for _ in range(count):
        (length,) = struct.unpack_from(">h", answer, at)
        names.append(answer[at + 2 : at + 2 + length].decode())
        at += 2 + length
    return tuple(names)
