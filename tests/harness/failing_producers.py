"""Starts split so that no partition's producer starts: `python -m tests.harness.failing_producers MODULE`."""

import runpy
import sys
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

_start = AIOKafkaProducer.start


async def _start_or_fail(producer: Any) -> None:
    if ".split-" in producer.client._client_id:  # noqa: SLF001 - nothing else names it
        raise KafkaError("no producer for split")
    await _start(producer)


if __name__ == "__main__":
    AIOKafkaProducer.start = _start_or_fail
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
