"""A topic that many replicas write to, each knowing what the others wrote."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import AsyncMock

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced

from common.batches.record_runs import Record
from common.kafka import fenced_topic as module
from common.kafka.fenced_topic import FencedTopic, KeyValue
from common.settings import ServiceSettings
from common.settings_reader import make_settings

SETTINGS = make_settings(ServiceSettings, {})


class Log:
    """The topic, in memory; `fenced` writers in a row find that another writer was quicker and has written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fenced: int = 0) -> None:
        self.entries: list[KeyValue] = []
        self.fenced = fenced
        self.steps: list[str] = []
        log = self

        class Transactions:
            def __init__(self, *_: object) -> None:
                self._gathered: list[KeyValue] = []

            async def take_over(self) -> None:
                log.steps.append("take over")

            def outbox(self) -> Any:
                return self

            def put(self, _topic: str, _partition: int, key: bytes, value: bytes) -> None:
                self._gathered.append((key, value))

            async def commit(self, _outbox: object) -> None:
                if log.fenced:
                    log.fenced -= 1
                    log.entries.append((b"other", b"%d" % len(log.entries)))
                    raise ProducerFenced
                log.entries += self._gathered

            async def settle(self) -> None:
                log.steps.append("settle")

        monkeypatch.setattr(module, "Transactions", Transactions)
        monkeypatch.setattr(module, "open_producer", self._open)
        monkeypatch.setattr(module, "open_reader", self._open)
        monkeypatch.setattr(module, "read_to_end", self._read_to_end)
        monkeypatch.setattr(module, "know_topics", AsyncMock())
        monkeypatch.setattr(module, "find_written_end", self._find_written_end)
        monkeypatch.setattr(module, "find_end", self._find_end)
        monkeypatch.setattr(module, "_FIRST_BACK_OFF_S", 0.0)

    @asynccontextmanager
    async def _open(self, *_: object) -> AsyncIterator[Any]:
        yield Consumer()

    async def _find_written_end(self, _consumer: "Consumer", _partition: TopicPartition) -> int:
        return len(self.entries)

    async def _find_end(self, _consumer: "Consumer", _partition: TopicPartition, expected: int) -> int:
        self.steps.append(f"wait for {expected}")
        return expected

    async def _read_to_end(self, consumer: "Consumer", _partition: TopicPartition) -> AsyncIterator[Record]:
        self.steps.append("read")
        for key, value in self.entries[consumer.offset :]:
            yield Record(consumer.offset, key, value, [])
            consumer.offset += 1


class Consumer:
    """The part of aiokafka's consumer that this needs."""

    offset = 0

    def assign(self, _partitions: Sequence[TopicPartition]) -> None:
        """Assign."""

    def seek(self, _partition: TopicPartition, offset: int) -> None:
        """Seek."""
        self.offset = offset

    async def position(self, _partition: TopicPartition) -> int:
        """Return the position."""
        return self.offset


def open_topic() -> tuple[FencedTopic, list[bytes]]:
    taken: list[bytes] = []
    return FencedTopic(SETTINGS, "schemas", lambda records: taken.extend(each.value for each in records)), taken


def say(taken: list[bytes], value: bytes) -> Callable[[], list[KeyValue]]:
    """Decide to write this value, and note how many were known before."""
    return lambda: [(b"own", value + b" behind %d" % len(taken))]


async def test_what_is_decided_is_decided_with_all_of_it_known(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch)
    log.entries += [(b"other", b"a"), (b"other", b"b")]
    topic, taken = open_topic()
    assert await topic.append(say(taken, b"own")) == [(b"own", b"own behind 2")]
    assert log.entries[2:] == [(b"own", b"own behind 2")]
    # Its predecessor's transaction is settled and can be read before it reads, and its own before it returns.
    assert log.steps == ["take over", "wait for 2", "read", "settle", "wait for 3"]


async def test_each_record_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch)
    topic, taken = open_topic()
    log.entries.append((b"other", b"a"))
    await topic.read()
    await topic.read()
    log.entries.append((b"other", b"b"))
    await topic.append(say(taken, b"own"))
    consumer: Any = Consumer()
    await topic.read(consumer)
    assert taken == [b"a", b"b", b"own behind 2"]


async def test_who_is_fenced_decides_again_with_what_came_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch, fenced=3)
    topic, taken = open_topic()
    async with asyncio.timeout(5):
        assert await topic.append(say(taken, b"own")) == [(b"own", b"own behind 3")]
    assert [value for _, value in log.entries] == [b"0", b"1", b"2", b"own behind 3"]


async def test_nothing_is_written_where_nothing_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch, fenced=1)
    topic, _ = open_topic()
    assert await topic.append(list) == []
    assert log.entries == []
    assert log.fenced == 1


async def test_records_that_cannot_be_taken_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(monkeypatch)
    log.entries.append((b"other", b"a"))
    came: list[int] = []

    def refuse(records: Sequence[Record]) -> None:
        came.append(len(records))
        if len(came) == 1:
            raise ValueError("broken off")

    topic = FencedTopic(SETTINGS, "schemas", refuse)
    with pytest.raises(ValueError, match="broken off"):
        await topic.read()
    await topic.read()
    assert came == [1, 1]
