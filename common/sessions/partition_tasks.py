"""One task per assigned partition, begun and ended with the group's rebalances."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from structlog.contextvars import bind_contextvars

from common.aiokafka_internals.fetched_batches import RecordBatch, read_on
from common.aiokafka_internals.outages import ClientFailedError
from common.counts import Counts
from common.kafka.clients import stop_consumer
from common.kafka.partition_names import partition_names
from common.sessions.at_work import AtWork
from common.sessions.client_watch import watch_client
from common.sessions.readiness import Readiness
from common.waiting import Stopped, first_ended, until_stopped

log = structlog.get_logger()

PartitionTask = Callable[[TopicPartition, asyncio.Event], Coroutine[None, None, None]]

# A rebalance waits so long for the tasks of revoked partitions to end, and so long again once they are cancelled. The
# broker goes on without this member after the rebalance timeout (6 s, in common/kafka/clients.py).
_REVOKE_DEADLINE_S = 2.5
# A fetch of 1 MiB may hold hundreds of compressed batches that are 1 MiB each when decompressed.
_MOST_BATCHES = 16


class PartitionTasks(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One task for each partition of this member: `run(partition, stop)`, from assignment until `stop` is set.

    A task puts its partition into `taken_up` once it is at work. The partition is paused when its task begins; the task
    seeks and resumes it, and may raise Stopped. Any other error in a task or in these callbacks, which aiokafka would
    only log, ends the session: `wait` raises it.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        run: PartitionTask,
        taken_up: set[TopicPartition],
        counts: Counts | None = None,
    ) -> None:
        self._counts = Counts() if counts is None else counts
        self._consumer = consumer
        self._run = run
        self._taken_up = taken_up
        self._tasks: dict[TopicPartition, tuple[asyncio.Task[None], asyncio.Event]] = {}
        # Those that were asked to end and have not: a revocation that waits for them may itself be cancelled.
        self._ending: dict[asyncio.Task[None], TopicPartition] = {}
        self._failed: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._is_over = False
        self.assigned = asyncio.Event()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Begin a task for each partition. Nothing here may wait, because aiokafka sends no heartbeat meanwhile."""
        if self._is_over:
            # Nothing would end these tasks: they would run beside the next session's, and keep their partitions' locks.
            return
        try:
            # Before anything else: getmany could hand out records before a task has sought where to begin.
            self._consumer.pause(*assigned)
            self._counts.assign(assigned)
            for partition in sorted(assigned):
                stop = asyncio.Event()
                task = asyncio.create_task(self._run_named(partition, stop))
                task.add_done_callback(partial(self._on_done, stop))
                self._tasks[partition] = (task, stop)
            log.info("partitions assigned", partitions=partition_names(assigned))
            self.assigned.set()
        except Exception as error:  # noqa: BLE001 - aiokafka would only log it
            self._fail(error)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """End every task: it commits what is in flight, or is cancelled at the deadline."""
        try:
            if revoked:
                log.info("partitions revoked", partitions=partition_names(revoked))
            await self.close()
        except Exception as error:  # noqa: BLE001 - aiokafka would only log it
            self._fail(error)

    async def finish(self) -> None:
        """End every task, and begin no more, whatever the group assigns until this member leaves it."""
        self._is_over = True
        await self.close()

    async def close(self) -> None:
        """Ask every task to end, and wait for all that have not ended yet; cancel those that miss the deadline."""
        self.assigned.clear()
        for partition, (task, stop) in self._tasks.items():
            stop.set()
            if not task.done():
                self._ending[task] = partition
        self._tasks.clear()
        if self._ending:
            await _end(self._ending)
        # A partition that comes back is taken up only by its next task.
        self._taken_up.clear()

    async def all_returned(self) -> None:
        """Wait until this member's tasks have all returned by themselves, in one assignment."""
        while True:
            await self.assigned.wait()
            tasks = [task for task, _ in self._tasks.values()]
            if tasks:
                await asyncio.wait(tasks)
            if self.assigned.is_set() and all(task.done() for task, _ in self._tasks.values()):
                return

    async def wait(self, *reasons: Awaitable[object]) -> None:
        """Wait until one of these reasons has ended, or a task has failed; raise the error of either."""
        # Shielded: `first_ended` cancels what has not ended, and a task may still fail later.
        for ended in await first_ended(asyncio.shield(self._failed), *reasons):
            ended.result()

    async def _run_named(self, partition: TopicPartition, stop: asyncio.Event) -> None:
        # The binding holds for this task and for the tasks that it creates, and for no other.
        bind_contextvars(partitions=partition_names([partition]))
        await self._run(partition, stop)

    def _on_done(self, stop: asyncio.Event, task: asyncio.Task[None]) -> None:
        self._ending.pop(task, None)
        if task.cancelled():
            if not stop.is_set():
                # aiokafka has cancelled what this task waited for; without this, nothing would show that the task is
                # gone.
                self._fail(ClientFailedError("aiokafka gave up a task of its own"))
            return
        error = task.exception()
        if error is not None and not isinstance(error, Stopped):
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)
            # Retrieve it, because nothing may be waiting for it any more: asyncio would log that.
            self._failed.exception()


async def _end(ending: Mapping[asyncio.Task[None], TopicPartition]) -> None:
    partitions = partition_names(ending.values())
    _, late = await asyncio.wait(tuple(ending), timeout=_REVOKE_DEADLINE_S)
    # Once each: what a task does behind its cancellation, such as to close its files, must not be cut short.
    cancelled = [task for task in late if not task.cancelling() and task.cancel()]
    if cancelled:
        log.warning("partition tasks cancelled", count=len(cancelled), partitions=partitions)
    if late:
        await asyncio.wait(late, timeout=_REVOKE_DEADLINE_S)


async def run_partition_tasks(
    consumer: AIOKafkaConsumer,
    topics: Collection[str],
    run: PartitionTask,
    taken_up: set[TopicPartition],
    readiness: Readiness,
    stop: asyncio.Event,
    watches: Sequence[Callable[[], Awaitable[NoReturn]]],
    done: Callable[[], Awaitable[object]] | None = None,
    *,
    until_returned: bool = False,
    standing_by: Callable[[], str | None] = lambda: None,
) -> None:
    """Be a member of the consumer's group until `stop` is set, `done()` returns or a task fails; then settle and leave.

    Each task puts its partition into `taken_up` once it is at work. When all are there, this replica is ready while a
    broker answers, also through a short rebalance, unless `standing_by` gives a reason. `watches` end the session by
    raising. With `until_returned` it ends when this member's tasks have all returned by themselves.
    """
    tasks = PartitionTasks(consumer, run, taken_up, readiness.counts)
    at_work = AtWork(consumer, tasks.assigned, taken_up, readiness, standing_by)
    consumer.subscribe(topics, listener=tasks)

    async def belong() -> None:
        await consumer.start()
        await (tasks.all_returned if until_returned else done or stop.wait)()

    try:
        await tasks.wait(
            belong(),
            stop.wait(),
            at_work.report(stop),
            at_work.watch(),
            watch_client(consumer, readiness),
            *(watch() for watch in watches),
        )
    finally:
        # End the tasks before leaving the group: the next owner must find nothing of ours under way.
        await tasks.finish()
        await stop_consumer(consumer)


async def fetch(
    consumer: AIOKafkaConsumer,
    partition: TopicPartition,
    stop: asyncio.Event,
    timeout_ms: int,
    sooner: "asyncio.Future[Any] | None" = None,
) -> list[RecordBatch]:
    """The partition's next batches; none after the timeout, once `stop` is set, or if `sooner` is done first."""
    if stop.is_set():
        return []
    # aiokafka awaits nothing between taking batches from its fetcher and returning them: a cancellation loses none.
    fetching = read_on(consumer, partition, timeout_ms, _MOST_BATCHES)
    return await until_stopped(stop, fetching, sooner=sooner) or []
