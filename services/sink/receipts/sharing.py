"""A partition's shares on their way into the topic `shares`."""

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from common.broker_errors.refusals import refusal_of_records
from common.protocol.shares import Share, encode_share

Record = tuple[bytes, bytes, list[tuple[str, bytes]]]


async def send_shares(sender: AIOKafkaProducer, topic: str, shares: Iterable[Share]) -> None:
    """Send these shares, and wait until the broker has them."""
    await send_all(sender, topic, ((share.key, encode_share(share), []) for share in shares))


async def send_all(sender: AIOKafkaProducer, topic: str, records: Iterable[Record]) -> None:
    """Send keys, values and headers to a topic of one partition, and wait until the broker has them."""
    try:
        sent = [await sender.send(topic, value, key, partition=0, headers=headers) for key, value, headers in records]
        await asyncio.gather(*sent)
    except KafkaError as error:
        # aiokafka's error names no topic.
        if found := refusal_of_records(error, topic):
            raise found from error
        raise
