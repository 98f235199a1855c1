"""`python -m tests.harness.stream_faults services.ingest -`: an ingest to which a fault happens, once.

FAULT names it, or is "none". All but the first commit's happen once there is a file FAULT_AT, which is then removed.
"""

import asyncio
import importlib
import os
import runpy
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

_LOOK_INTERVAL_S = 0.02

_service: Any = importlib.import_module("services.ingest.service")
_stream_reader: Any = importlib.import_module("services.ingest.stream_reader")
_begin, _commit, _watch = AIOKafkaProducer.begin_transaction, AIOKafkaProducer.commit_transaction, _service.watch_topics
_trigger = Path(os.environ["FAULT_AT"])
_commits: list[object] = []


def _is_due() -> bool:
    if not _trigger.exists():
        return False
    _trigger.unlink()
    return True


async def _watch_and_fail(*_: object) -> None:
    while not _is_due():  # noqa: ASYNC110 - it offers no event
        await asyncio.sleep(_LOOK_INTERVAL_S)
    _service.watch_topics = _watch
    # As where aiokafka cancels a task of its own that somebody waits for.
    raise asyncio.CancelledError


async def _fail_first_commit(producer: Any) -> None:
    _commits.append(producer)
    if len(_commits) == 1:
        raise KafkaError("the first commit fails")
    await _commit(producer)


async def _fail_commit(producer: Any) -> None:
    if _is_due():
        raise KafkaError("a commit fails")
    await _commit(producer)


async def _begin_and_forget(producer: Any) -> None:
    """Begin a transaction whose commit leaves `rows` out, as a broker does that forgets to carry it out there."""
    await _begin(producer)
    if _is_due():
        rows = f"{os.environ['TOPIC_PREFIX']}rows"
        # As if they had been added to the transaction: so its coordinator is never told.
        added = producer._txn_manager._txn_partitions  # noqa: SLF001 - no other way leads there
        added.update(TopicPartition(rows, number) for number in await producer.partitions_for(rows))


def _watch_fails() -> None:
    # A session takes it from there when it begins.
    _service.watch_topics = _watch_and_fail


def _first_commit_fails() -> None:
    AIOKafkaProducer.commit_transaction = _fail_first_commit


def _commit_fails() -> None:
    AIOKafkaProducer.commit_transaction = _fail_commit


def _commit_is_forgotten() -> None:
    AIOKafkaProducer.begin_transaction = _begin_and_forget


def _pauses_are_long() -> None:
    """Let any pause count as an hour."""
    _stream_reader._RESTED_S = 0.0  # noqa: SLF001 - it is no setting


FAULTS: Mapping[str, Callable[[], None]] = {
    "watch fails": _watch_fails,
    "first commit fails": _first_commit_fails,
    "commit fails": _commit_fails,
    "commit is forgotten": _commit_is_forgotten,
    "pauses are long": _pauses_are_long,
}

if __name__ == "__main__":
    if (fault := os.environ["FAULT"]) != "none":
        FAULTS[fault]()
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
