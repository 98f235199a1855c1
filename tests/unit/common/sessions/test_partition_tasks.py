"""When the tasks of a member's partitions begin and end, and what ends the session."""

import asyncio

import pytest
from aiokafka import TopicPartition
from structlog.contextvars import get_contextvars

from common.aiokafka_internals.outages import ClientFailedError
from common.sessions.partition_tasks import PartitionTasks
from common.waiting import Stopped

_FIRST, _SECOND = TopicPartition("rows", 0), TopicPartition("rows", 1)


class Consumer:
    """The part of aiokafka's consumer that partition tasks need."""

    def __init__(self) -> None:
        self.paused: list[TopicPartition] = []

    def pause(self, *partitions: TopicPartition) -> None:
        """Pause these."""
        self.paused += partitions


class Work:
    """The tasks: each runs until it is stopped, or ends as set for its partition."""

    def __init__(self) -> None:
        self.consumer = Consumer()
        self.begun: list[TopicPartition] = []
        self.logged_as: dict[TopicPartition, object] = {}
        self.running: set[TopicPartition] = set()
        self.taken_up: set[TopicPartition] = set()
        self.ends: dict[TopicPartition, asyncio.Future[None]] = {}
        self.tasks = PartitionTasks(self.consumer, self.run, self.taken_up)

    async def run(self, partition: TopicPartition, stop: asyncio.Event) -> None:
        """One partition's task."""
        self.begun.append(partition)
        self.logged_as[partition] = get_contextvars()
        # Paused before: otherwise records could come from before the offset where it begins.
        assert partition in self.consumer.paused
        self.taken_up.add(partition)
        self.running.add(partition)
        try:
            await (self.ends.get(partition) or stop.wait())
        finally:
            self.running.remove(partition)

    def let_end(self, *partitions: TopicPartition) -> None:
        """Let these end by themselves, once their future is done."""
        self.ends = {each: asyncio.get_running_loop().create_future() for each in partitions}


@pytest.fixture
async def work() -> Work:
    return Work()


async def test_what_a_task_logs_names_its_partition_alone(work: Work) -> None:
    work.tasks.on_partitions_assigned([_FIRST, _SECOND])
    await asyncio.sleep(0)
    assert work.logged_as == {_FIRST: {"partitions": ["rows-0"]}, _SECOND: {"partitions": ["rows-1"]}}
    assert get_contextvars() == {}
    await work.tasks.close()


async def test_no_task_begins_once_its_session_is_over(work: Work) -> None:
    work.tasks.on_partitions_assigned([_FIRST])
    await asyncio.sleep(0)
    # A rebalance ends the task and begins it again.
    await work.tasks.on_partitions_revoked([_FIRST])
    work.tasks.on_partitions_assigned([_FIRST])
    await asyncio.sleep(0)
    assert work.begun == [_FIRST] * 2
    await work.tasks.finish()
    # The group may be slow: it assigns until the member leaves.
    work.tasks.on_partitions_assigned([_FIRST])
    await asyncio.sleep(0)
    assert work.begun == [_FIRST] * 2


async def test_a_revocation_ends_every_task_before_it_returns(work: Work) -> None:
    work.tasks.on_partitions_assigned([_FIRST, _SECOND])
    await asyncio.sleep(0)
    assert work.running == work.taken_up == {_FIRST, _SECOND}
    assert work.tasks.assigned.is_set()
    await work.tasks.on_partitions_revoked([_FIRST, _SECOND])
    assert work.running == work.taken_up == set()
    assert not work.tasks.assigned.is_set()


async def test_a_task_that_misses_the_deadline_is_cancelled(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.sessions.partition_tasks._REVOKE_DEADLINE_S", 0.01)
    work.let_end(_FIRST)
    work.tasks.on_partitions_assigned([_FIRST])
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await work.tasks.on_partitions_revoked([_FIRST])
    assert work.running == set()


async def test_a_session_ends_the_tasks_of_a_revocation_that_was_cut_short(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.let_end(_FIRST)
    work.tasks.on_partitions_assigned([_FIRST])
    revocation = asyncio.create_task(work.tasks.on_partitions_revoked([_FIRST]))
    await asyncio.sleep(0.01)
    # As aiokafka does when its stop takes too long.
    revocation.cancel()
    await asyncio.wait([revocation])
    assert work.running == {_FIRST}
    monkeypatch.setattr("common.sessions.partition_tasks._REVOKE_DEADLINE_S", 0.01)
    async with asyncio.timeout(5):
        await work.tasks.finish()
    assert work.running == set()


async def test_a_session_s_end_waits_for_the_revocation_under_way(work: Work) -> None:
    work.let_end(_FIRST)
    work.tasks.on_partitions_assigned([_FIRST])
    revocation = asyncio.create_task(work.tasks.on_partitions_revoked([_FIRST]))
    finishing = asyncio.create_task(work.tasks.finish())
    await asyncio.sleep(0.01)
    assert not finishing.done()
    work.ends[_FIRST].set_result(None)
    async with asyncio.timeout(5):
        await finishing
        await revocation
    assert work.running == set()


async def test_a_task_is_cancelled_once_whoever_waits_for_its_end(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.sessions.partition_tasks._REVOKE_DEADLINE_S", 0.01)
    closed = asyncio.Event()
    cancellations = 0

    async def run(_partition: TopicPartition, _stop: asyncio.Event) -> None:
        nonlocal cancellations
        while not closed.is_set():
            try:
                await closed.wait()
            except asyncio.CancelledError:
                # It closes its files; a further cancellation would cut that short.
                cancellations += 1

    tasks = PartitionTasks(work.consumer, run, set())
    tasks.on_partitions_assigned([_FIRST])
    await asyncio.sleep(0)
    await asyncio.gather(tasks.on_partitions_revoked([_FIRST]), tasks.finish())
    assert cancellations == 1
    closed.set()
    await tasks.close()


async def test_what_a_task_fails_with_ends_the_session(work: Work) -> None:
    work.let_end(_FIRST)
    work.tasks.on_partitions_assigned([_FIRST, _SECOND])
    waiting = asyncio.create_task(work.tasks.wait(asyncio.Event().wait()))
    await asyncio.sleep(0)
    work.ends[_FIRST].set_exception(KeyError("a defect"))
    with pytest.raises(KeyError, match="a defect"):
        await waiting
    await work.tasks.finish()


async def test_a_failure_that_comes_before_anything_waits_is_kept(work: Work) -> None:
    work.let_end(_FIRST)
    work.ends[_FIRST].set_exception(KeyError("a defect"))
    work.tasks.on_partitions_assigned([_FIRST])
    await asyncio.sleep(0.01)
    for _ in range(2):
        with pytest.raises(KeyError, match="a defect"):
            await work.tasks.wait(asyncio.Event().wait())


async def test_a_task_that_was_stopped_before_it_began_anything_is_no_failure(work: Work) -> None:
    work.let_end(_FIRST)
    work.ends[_FIRST].set_exception(Stopped())
    work.tasks.on_partitions_assigned([_FIRST])
    await work.tasks.wait(asyncio.sleep(0.01))


async def test_a_task_that_aiokafka_has_given_up_is_one(work: Work) -> None:
    work.let_end(_FIRST)
    work.tasks.on_partitions_assigned([_FIRST])
    await asyncio.sleep(0)
    work.ends[_FIRST].cancel()
    with pytest.raises(ClientFailedError):
        await work.tasks.wait(asyncio.Event().wait())


async def test_an_error_in_a_callback_ends_the_session(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: TopicPartition) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr(work.consumer, "pause", fail)
    # aiokafka would only log it.
    work.tasks.on_partitions_assigned([_FIRST])
    with pytest.raises(KeyError, match="a defect"):
        await work.tasks.wait(asyncio.Event().wait())
    assert work.begun == []


async def test_all_have_returned_when_those_of_one_assignment_have(work: Work) -> None:
    work.let_end(_FIRST, _SECOND)
    returned = asyncio.create_task(work.tasks.all_returned())
    work.tasks.on_partitions_assigned([_FIRST, _SECOND])
    await asyncio.sleep(0)
    work.ends[_FIRST].set_result(None)
    await asyncio.sleep(0.01)
    assert not returned.done()
    work.ends[_SECOND].set_result(None)
    async with asyncio.timeout(5):
        await returned


async def test_tasks_that_a_rebalance_has_ended_have_not_returned_by_themselves(work: Work) -> None:
    returned = asyncio.create_task(work.tasks.all_returned())
    work.tasks.on_partitions_assigned([_FIRST])
    await asyncio.sleep(0)
    await work.tasks.on_partitions_revoked([_FIRST])
    await asyncio.sleep(0.01)
    assert not returned.done()
    work.let_end(_FIRST)
    work.ends[_FIRST].set_result(None)
    work.tasks.on_partitions_assigned([_FIRST])
    async with asyncio.timeout(5):
        await returned
