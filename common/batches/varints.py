"""Kafka's numbers of variable size."""

from aiokafka.record.util import encode_varint


def varint(number: int) -> bytes:
    """Encode a number, seven bits a byte, in zigzag: one near 0 takes one byte, whatever its sign."""
    encoded = bytearray()
    encode_varint(number, encoded.append)
    return bytes(encoded)
