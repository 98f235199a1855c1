"""Outboxes on their way into Kafka: one transaction after the other, and no commit of undelivered records."""

import asyncio
import logging
import math
from collections.abc import Collection
from typing import Any

import pytest
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, NotLeaderForPartitionError
from aiokafka.structs import OffsetAndMetadata
from structlog.testing import LogCapture

from common.aiokafka_internals.batch_builder import NewBatch
from common.aiokafka_internals.transaction_markers import Consumed, Unmarked
from common.counts import Counts
from common.kafka import transaction as transaction_module
from common.kafka.clients import StartedProducer
from common.kafka.pace import Pace, next_most_bytes
from common.kafka.transaction import Outbox, Transactions

ROWS = TopicPartition("rows", 0)
OFFSETS = {ROWS: OffsetAndMetadata(7, "")}


class Producer:
    """The part of aiokafka's producer that a transaction needs; `done` are its calls, in their order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.failure: Exception | None = None
        self.delivered = asyncio.Event()
        self.delivered.set()

    async def begin_transaction(self) -> None:
        """Begin."""
        self.done.append("begin")

    async def send_batch(self, batch: NewBatch, topic: str, *, partition: int) -> "asyncio.Future[None]":
        """Send; the delivery comes later, or fails."""
        self.done.append(f"send {batch.record_count()} to {topic}-{partition}")
        return asyncio.ensure_future(self._deliver())

    async def _deliver(self) -> None:
        await self.delivered.wait()
        if self.failure is not None:
            raise self.failure
        self.done.append("delivered")

    async def send_offsets_to_transaction(self, offsets: dict[TopicPartition, OffsetAndMetadata], group: str) -> None:
        """Send offsets."""
        self.done.append(f"offsets {[each.offset for each in offsets.values()]} of {group}")

    async def commit_transaction(self) -> None:
        """Commit."""
        self.done.append("commit")


class Markers:
    """Says which markers are missing, and notes the waits for them."""

    missing = Unmarked()

    def __init__(self, producer: Producer, _consumed: Consumed | None) -> None:
        self._done = producer.done

    async def find_missing(self, _partitions: Collection[TopicPartition]) -> Unmarked:
        """What is missing."""
        return self.missing

    async def wait(self, partitions: Collection[TopicPartition]) -> None:
        """Wait."""
        self._done.append(f"markers {[f'{each.topic}-{each.partition}' for each in partitions]}")


@pytest.fixture
def markers(monkeypatch: pytest.MonkeyPatch) -> type[Markers]:
    class Own(Markers):
        pass

    monkeypatch.setattr(transaction_module, "TransactionMarkers", Own)
    return Own


def transactions_of(
    producer: Producer,
    *,
    owes_abort: bool = False,
    timeout_s: float = 60.0,
    pace: Pace | None = None,
    counts: Counts | None = None,
) -> Transactions:
    client: Any = producer
    started = StartedProducer(client, "some id", timeout_s, owes_abort, lambda: NewBatch(2**20))
    return Transactions(started, [ROWS], Consumed("group", ROWS), pace, counts)


def filled(transactions: Transactions, *topics: str) -> Outbox:
    outbox = transactions.outbox()
    for topic in topics:
        outbox.put(topic, 0, b"key", b"value")
    return outbox


@pytest.mark.usefixtures("markers")
async def test_all_is_delivered_before_the_offsets_go_and_the_markers_are_waited_for() -> None:
    producer = Producer()
    transactions = transactions_of(producer)
    await transactions.commit(filled(transactions, "a", "b"), OFFSETS)
    await transactions.settle()
    assert producer.done[0] == "begin"
    assert sorted(producer.done[1:5]) == ["delivered", "delivered", "send 1 to a-0", "send 1 to b-0"]
    assert producer.done[5:] == ["offsets [7] of group", "commit", "markers ['a-0', 'b-0']"]


def log_at(level: int, monkeypatch: pytest.MonkeyPatch) -> LogCapture:
    """What transactions log from here on, at this level or above."""
    capture = LogCapture()
    wrapper = structlog.make_filtering_bound_logger(level)
    monkeypatch.setattr(transaction_module, "log", structlog.wrap_logger(None, [capture], wrapper_class=wrapper))
    return capture


@pytest.mark.usefixtures("markers")
async def test_each_commit_is_a_line_at_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = log_at(logging.DEBUG, monkeypatch)
    transactions = transactions_of(Producer())
    outbox = filled(transactions, "b", "a", "a")
    size = outbox.size
    await transactions.commit(outbox, OFFSETS)
    await transactions.settle()
    [line] = capture.entries
    assert line.pop("took_s") >= 0
    assert line == {
        "event": "committed", "log_level": "debug", "records": 3, "bytes": size, "to": ["a-0", "b-0"], "offset": 7
    }  # fmt: skip


@pytest.mark.usefixtures("markers")
async def test_at_info_a_commit_is_not_even_described(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = log_at(logging.INFO, monkeypatch)
    monkeypatch.setattr(transaction_module, "_describe", None)
    transactions = transactions_of(Producer())
    await transactions.commit(filled(transactions, "a"), OFFSETS)
    await transactions.settle()
    assert capture.entries == []


@pytest.mark.usefixtures("markers")
async def test_the_next_begins_only_when_the_one_before_is_settled() -> None:
    producer = Producer()
    transactions = transactions_of(producer)
    producer.delivered.clear()
    await transactions.commit(filled(transactions, "a"))
    second = asyncio.create_task(transactions.commit(filled(transactions, "b")))
    await asyncio.sleep(0.01)
    was_busy = transactions.busy
    assert producer.done == ["begin", "send 1 to a-0"]
    producer.delivered.set()
    await second
    await transactions.settle()
    assert (was_busy, transactions.busy) == (True, False)
    assert producer.done.index("markers ['a-0']") < producer.done.index("send 1 to b-0")


@pytest.mark.usefixtures("markers")
async def test_what_is_not_delivered_is_not_committed_and_the_error_is_raised() -> None:
    producer = Producer()
    transactions = transactions_of(producer)
    producer.failure = NotLeaderForPartitionError()
    await transactions.commit(filled(transactions, "a"), OFFSETS)
    with pytest.raises(NotLeaderForPartitionError):
        await transactions.settle()
    assert "commit" not in producer.done
    assert not any(call.startswith("offsets") for call in producer.done)


@pytest.mark.usefixtures("markers")
async def test_rows_are_counted_once_they_are_committed_and_not_before() -> None:
    producer, counts = Producer(), Counts()
    transactions = transactions_of(producer, counts=counts)
    for failure in (NotLeaderForPartitionError(), None):
        assert (counts.rows.received, sum(counts.transactions.counts)) == (0, 0)
        producer.failure = failure
        outbox = filled(transactions, "a")
        outbox.rows.received = 3
        await transactions.commit(outbox)
        if failure:
            with pytest.raises(NotLeaderForPartitionError):
                await transactions.settle()
            transactions = transactions_of(producer, counts=counts)
    await transactions.settle()
    assert (counts.rows.received, sum(counts.transactions.counts)) == (3, 1)


@pytest.mark.usefixtures("markers")
async def test_an_error_that_comes_late_keeps_the_next_from_being_committed() -> None:
    producer = Producer()
    transactions = transactions_of(producer)
    producer.failure = KafkaError("late")
    await transactions.commit(filled(transactions, "a"))
    await asyncio.sleep(0.01)
    with pytest.raises(KafkaError, match="late"):
        await transactions.commit(filled(transactions, "b"))
    assert "send 1 to b-0" not in producer.done


@pytest.mark.usefixtures("markers")
async def test_a_transaction_that_lasts_longer_than_the_broker_lets_it_is_an_error_that_names_it() -> None:
    producer = Producer()
    transactions = transactions_of(producer, timeout_s=0.01)
    producer.delivered.clear()
    await transactions.commit(filled(transactions, "a"))
    with pytest.raises(TimeoutError, match="a transaction of some id is not done within"):
        await transactions.settle()


@pytest.mark.usefixtures("markers")
async def test_what_is_given_up_is_cancelled_and_not_waited_for() -> None:
    producer = Producer()
    transactions = transactions_of(producer)
    producer.delivered.clear()
    await transactions.commit(filled(transactions, "a"))
    await asyncio.sleep(0)
    transactions.give_up()
    await asyncio.sleep(0.01)
    assert not transactions.busy
    assert "commit" not in producer.done


@pytest.mark.parametrize("owes_abort", [True, False])
async def test_what_the_broker_forgot_is_ended_as_the_predecessor_s_transaction_was(
    markers: type[Markers], monkeypatch: pytest.MonkeyPatch, *, owes_abort: bool
) -> None:
    producer, ends = Producer(), []

    async def complete(client: object, unmarked: Unmarked, group: str | None, *, is_abort: bool) -> None:
        assert client is producer
        ends.append((unmarked, group, is_abort))

    monkeypatch.setattr(transaction_module, "complete_forgotten_end", complete)
    markers.missing = Unmarked((ROWS,), offset=True)
    await transactions_of(producer, owes_abort=owes_abort).take_over()
    assert ends == [(markers.missing, "group", owes_abort)]
    # A reader of what is committed reads after the markers.
    assert producer.done == ["markers ['rows-0']"]


@pytest.mark.usefixtures("markers")
async def test_nothing_is_ended_where_every_marker_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(transaction_module, "complete_forgotten_end")
    producer = Producer()
    await transactions_of(producer).take_over()
    assert producer.done == []


@pytest.mark.usefixtures("markers")
async def test_an_outbox_gathers_at_its_services_pace_and_for_ever_while_it_is_empty() -> None:
    gathering, at_once = transactions_of(Producer(), pace=Pace(3600.0)), transactions_of(Producer())
    for transactions in (gathering, at_once):
        assert transactions.left_s(transactions.outbox()) == math.inf
    assert at_once.left_s(filled(at_once, "rows")) == 0
    outbox = filled(gathering, "rows")
    outbox.size = 2**20
    assert gathering.left_s(outbox) > 0
    await gathering.commit(filled(gathering, "rows"))
    assert gathering.busy
    assert gathering.left_s(filled(gathering, "rows")) > 3500
    gathering.give_up()


def test_transactions_become_larger_while_they_are_fast_and_smaller_once_they_are_slow() -> None:
    mib, sizes = 2**20, [4 * 2**20]
    for took_s in (1, 1, 1, 8, 8, 8, 8, 8, 1):
        sizes.append(next_most_bytes(sizes[-1], sizes[-1], took_s, 15))
    assert [size // mib for size in sizes] == [4, 8, 12, 12, 6, 3, 1, 1, 1, 2]
    # A small one says nothing.
    assert next_most_bytes(4 * mib, mib, 0.01, 15) == 4 * mib


def test_rows_that_find_no_room_go_into_the_next_batch_and_each_goes_once() -> None:
    outbox = Outbox(lambda: NewBatch(200))
    rows = [b"%03d" % number * 10 for number in range(30)]
    outbox.put_rows("rows", 0, b"key", rows)
    batches = outbox.batches["rows", 0]
    assert len(batches) > 1
    assert sum(batch.record_count() for batch in batches) == len(rows)
    assert outbox.size == sum(batch.size() for batch in batches) - len(batches) * NewBatch(200).size()
