"""Readers find what a replica has appended to a shared topic as soon as the append returns."""

import asyncio
import threading

from confluent_kafka import Producer

from common.kafka.fenced_topic import FencedTopic
from common.settings import ServiceSettings
from common.settings_reader import make_settings
from tests.harness.pipeline import ABALONE_FILE, Pipeline

_HELD_S = 1.0


async def test_what_is_appended_can_be_read_even_if_the_end_of_what_is_committed_lags(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    settings = make_settings(ServiceSettings, {"kafka_bootstrap_servers": pipeline.bootstrap})
    name = f"{pipeline.prefix}schemas"
    # An open transaction holds that end back, just as a replica does that is slow to get a marker.
    holding = Producer({"bootstrap.servers": pipeline.bootstrap, "transactional.id": f"{pipeline.prefix}holding"})
    holding.init_transactions()
    ends = threading.Timer(_HELD_S, holding.abort_transaction)

    def decide() -> list[tuple[bytes, bytes]]:
        holding.begin_transaction()
        holding.produce(name, b"", b"held", partition=0)
        holding.flush()
        ends.start()
        return [(b"own", b"value")]

    found: list[bytes] = []
    try:
        await FencedTopic(settings, name, lambda _: None).append(decide)
        await FencedTopic(settings, name, lambda records: found.extend(each.value for each in records)).read()
    finally:
        await asyncio.to_thread(ends.join)
    assert b"value" in found
