"""Reading the latest values of a compacted topic, also when a look is cut short."""

import asyncio
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from common.errors import ServiceError
from common.kafka.clients import open_reader
from common.settings import ServiceSettings
from common.settings_reader import make_settings
from ops.status.latest import LatestValues

KEYS, ROUNDS = 20, 4
# A broker does not send so much in one answer.
SIZE = 500_000
BAD = b"bad"


async def fill_topic(bootstrap: str, partition: TopicPartition) -> None:
    """Each key several times, and a value that is malformed at the end."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(partition.topic, 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for number in range(KEYS * ROUNDS):
            value = b"%d " % number + bytes(SIZE)
            await producer.send_and_wait(partition.topic, value, b"%d" % (number % KEYS), partition.partition)
        await producer.send_and_wait(partition.topic, None, b"0", partition.partition)
        await producer.send_and_wait(partition.topic, BAD, b"last", partition.partition)
    finally:
        await producer.stop()


def test_what_is_read_before_a_failure_is_not_read_again(bootstrap: str) -> None:
    partition = TopicPartition("latest-values", 0)
    settings = make_settings(ServiceSettings, {"kafka_bootstrap_servers": bootstrap})
    decoded: list[int] = []
    is_mended = False

    def decode(value: bytes) -> int:
        if value == BAD and not is_mended:
            raise ValueError("malformed")
        decoded.append(-1 if value == BAD else int(value.partition(b" ")[0]))
        return decoded[-1]

    values: LatestValues[int] = LatestValues(partition.topic, decode)

    async def read(check: Callable[[], None]) -> None:
        async with open_reader(settings, "test") as reader:
            try:
                await values.read(reader, [partition])
            finally:
                check()

    def check_begun() -> None:
        assert len(decoded) > 0
        decoded.clear()

    def check_ended() -> None:
        assert decoded[-1] == -1
        # The rest came in the same answer as the malformed value.
        assert len(decoded) < KEYS
        first = KEYS * (ROUNDS - 1)
        latest: dict[tuple[int, str], int | None] = {(0, f"{key}"): first + key for key in range(1, KEYS)}
        assert values.values == {**latest, (0, "0"): None, (0, "last"): -1}

    asyncio.run(fill_topic(bootstrap, partition))
    with pytest.raises(ServiceError, match="topic latest-values: a record is malformed"):
        asyncio.run(read(check_begun))
    is_mended = True
    asyncio.run(read(check_ended))
