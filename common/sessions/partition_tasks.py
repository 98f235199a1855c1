"""One task per assigned partition, begun and ended with the group's rebalances."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from functools import partial
from typing import Any, NoReturn

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from common.aiokafka_internals.fetched_batches import RecordBatch, read_on
from common.aiokafka_internals.outages import ClientFailedError
from common.kafka.clients import stop_consumer
from common.kafka.waiting import Stopped
from common.sessions.at_work import AtWork
from common.sessions.client_watch import watch_client
from common.sessions.readiness import Readiness

log = structlog.get_logger()

Lane = Callable[[TopicPartition, asyncio.Event], Coroutine[None, None, None]]

# A rebalance waits for a revoked lane this long; the broker waits a session timeout (6 s) before it goes on without us.
_REVOKE_DEADLINE_S = 2.5
# Packed, a fetch of 1 MiB may hold hundreds of batches, and each of them 1 MiB.
_MOST_BATCHES = 16


class Lanes(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """The lanes of this member: `lane(partition, stop)` runs from assignment until `stop` is set.

    A lane puts its partition into `taken_up` once it is at work. The partition is paused when its lane begins; the lane
    seeks and resumes it, and may raise Stopped. Any other error in a lane, or in these callbacks (aiokafka would only
    log it), ends the session: `wait` raises it.
    """

    def __init__(self, consumer: AIOKafkaConsumer, lane: Lane, taken_up: set[TopicPartition]) -> None:
        self._consumer = consumer
        self._lane = lane
        self._taken_up = taken_up
        self._lanes: dict[TopicPartition, tuple[asyncio.Task[None], asyncio.Event]] = {}
        self._failed: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._is_over = False
        self.assigned = asyncio.Event()

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Begin a lane for each; nothing here may wait, because no heartbeat is sent meanwhile."""
        if self._is_over:
            # Nobody would end them: they would go on beside the next session's, and keep their partitions' locks.
            return
        try:
            # Before anything else: getmany could hand out records before a lane has settled where to begin.
            self._consumer.pause(*assigned)
            for partition in sorted(assigned):
                stop = asyncio.Event()
                task = asyncio.create_task(self._lane(partition, stop))
                task.add_done_callback(partial(self._on_lane_done, stop))
                self._lanes[partition] = (task, stop)
            log.info("partitions assigned", partitions=_names(assigned))
            self.assigned.set()
        except Exception as error:  # noqa: BLE001 - aiokafka would only log it
            self._fail(error)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """End every lane: what is in flight is committed, or given up at the deadline."""
        try:
            if revoked:
                log.info("partitions revoked", partitions=_names(revoked))
            await self.close()
        except Exception as error:  # noqa: BLE001 - aiokafka would only log it
            self._fail(error)

    async def finish(self) -> None:
        """End every lane, and begin no other, whatever the group assigns until it is left."""
        self._is_over = True
        await self.close()

    async def close(self) -> None:
        """Ask every lane to end and wait for it; cancel those that do not by the deadline."""
        self.assigned.clear()
        lanes, self._lanes = self._lanes, {}
        for _, stop in lanes.values():
            stop.set()
        if tasks := [task for task, _ in lanes.values()]:
            await _end(tasks)
        # Where one comes back, it is not at work before its next lane is.
        self._taken_up.clear()

    async def all_returned(self) -> None:
        """Wait until this member's lanes have all returned by themselves, of one assignment."""
        while True:
            await self.assigned.wait()
            tasks = [task for task, _ in self._lanes.values()]
            if tasks:
                await asyncio.wait(tasks)
            if self.assigned.is_set() and all(task.done() for task, _ in self._lanes.values()):
                return

    async def wait(self, *reasons: Awaitable[object]) -> None:
        """Wait for the first of these reasons to end, or raise what ended a lane."""
        waiting: list[asyncio.Future[object]] = [asyncio.ensure_future(reason) for reason in reasons]
        try:
            await asyncio.wait([self._failed, *waiting], return_when=asyncio.FIRST_COMPLETED)
            for ended in [self._failed, *waiting]:
                if ended.done():
                    ended.result()
        finally:
            for future in waiting:
                future.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    def _on_lane_done(self, stop: asyncio.Event, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            if not stop.is_set():
                # By aiokafka, which has cancelled what this lane waited for: nobody would notice that it is gone.
                self._fail(ClientFailedError("aiokafka gave up a task of its own"))
            return
        error = task.exception()
        if error is not None and not isinstance(error, Stopped):
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)
            # Whether anybody still waits or not, the error has been seen.
            self._failed.exception()


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    _, late = await asyncio.wait(tasks, timeout=_REVOKE_DEADLINE_S)
    for task in late:
        task.cancel()
    if late:
        log.warning("lanes cancelled", count=len(late))
        await asyncio.wait(late, timeout=_REVOKE_DEADLINE_S)


async def run_lanes(
    consumer: AIOKafkaConsumer,
    topics: Collection[str],
    lane: Lane,
    taken_up: set[TopicPartition],
    readiness: Readiness,
    stop: asyncio.Event,
    watches: Sequence[Callable[[], Awaitable[NoReturn]]],
    done: Callable[[], Awaitable[object]] | None = None,
    *,
    until_returned: bool = False,
    standing_by: Callable[[], str | None] = lambda: None,
) -> None:
    """Be a member of the consumer's group until `stop`, or `done()` returns, or a lane fails; then leave, all settled.

    Each lane puts its partition into `taken_up` once it is at work: with all of them there this replica is ready, for
    as long as a broker answers, also through a rebalance that does not take long. `watches` raise what else may end the
    session. With `until_returned` it is done when this member's lanes have all returned by themselves. For as long as
    `standing_by` gives a reason, this replica is not ready.
    """
    lanes = Lanes(consumer, lane, taken_up)
    consumer.subscribe(topics, listener=lanes)

    async def belong() -> None:
        await consumer.start()
        if until_returned:
            await lanes.all_returned()
        else:
            await (done or stop.wait)()

    at_work = AtWork(consumer, lanes.assigned, taken_up, readiness, standing_by)

    try:
        await lanes.wait(
            belong(),
            stop.wait(),
            at_work.tell(stop),
            at_work.watch(),
            watch_client(consumer, readiness),
            *(watch() for watch in watches),
        )
    finally:
        # First the lanes, then the group: the next owner must find nothing of ours under way.
        await lanes.finish()
        await stop_consumer(consumer)


async def fetch(
    consumer: AIOKafkaConsumer,
    partition: TopicPartition,
    stop: asyncio.Event,
    timeout_ms: int,
    sooner: "asyncio.Future[None] | None" = None,
) -> list[RecordBatch]:
    """The partition's next batches; none after the timeout, once `stop` is set, or when `sooner` is done before."""
    if stop.is_set():
        return []
    fetching = asyncio.ensure_future(read_on(consumer, partition, timeout_ms, _MOST_BATCHES))
    stopping = asyncio.ensure_future(stop.wait())
    waiting: set[asyncio.Future[Any]] = {fetching, stopping} if sooner is None else {fetching, stopping, sooner}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not fetching.done():
            return []
        # Between the fetcher giving records out and their coming here nothing waits: none is lost by the cancel below.
        return fetching.result()
    finally:
        fetching.cancel()
        stopping.cancel()


def _names(partitions: Collection[TopicPartition]) -> list[str]:
    return [f"{partition.topic}-{partition.partition}" for partition in sorted(partitions)]
