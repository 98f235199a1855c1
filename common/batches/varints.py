"""Kafka's numbers of no fixed size."""

from aiokafka.record.util import encode_varint


def varint(number: int) -> bytes:
    """A number, seven bits a byte, small ones first whatever their sign."""
    encoded = bytearray()
    encode_varint(number, encoded.append)
    return bytes(encoded)
