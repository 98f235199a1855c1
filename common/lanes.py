"""One task per assigned partition, begun and ended with the group's rebalances."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from common.clients import stop_consumer
from common.outages import ClientFailedError
from common.readiness import Readiness
from common.record_batches import RecordBatch, read_on
from common.session import Stopped, pause

log = structlog.get_logger()

Lane = Callable[[TopicPartition, asyncio.Event], Coroutine[None, None, None]]

# A rebalance waits for a revoked lane this long; the broker waits a session timeout (6 s) before it goes on without us.
_REVOKE_DEADLINE_S = 2.5
_LOOK_INTERVAL_S = 0.02
_BROKER_INTERVAL_S = 1.0
_ANSWER_DEADLINE_S = 10.0
# Packed, a fetch of 1 MiB may hold hundreds of batches, and each of them 1 MiB.
_MOST_BATCHES = 16


class Lanes(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """The lanes of this member: `lane(partition, stop)` runs from assignment until `stop` is set.

    The partition is paused when its lane begins; the lane seeks and resumes it, and may raise Stopped. Any other error
    in a lane, or in these callbacks (aiokafka would only log it), ends the session: `wait` raises it.
    """

    def __init__(self, consumer: AIOKafkaConsumer, lane: Lane) -> None:
        self._consumer = consumer
        self._lane = lane
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
        tasks = [task for task, _ in lanes.values()]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=_REVOKE_DEADLINE_S)
        for task in late:
            task.cancel()
        if late:
            log.warning("lanes cancelled", count=len(late))
            await asyncio.wait(late, timeout=_REVOKE_DEADLINE_S)

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


async def run_lanes(
    consumer: AIOKafkaConsumer,
    topics: Collection[str],
    lane: Lane,
    taken_up: Collection[TopicPartition],
    readiness: Readiness,
    stop: asyncio.Event,
    done: Callable[[], Awaitable[object]] | None = None,
    *,
    until_returned: bool = False,
) -> None:
    """Be a member of the consumer's group until `stop`, or `done()` returns, or a lane fails; then leave, all settled.

    Each lane puts its partition into `taken_up` once it is at work: then this replica is ready, for as long as a broker
    answers. With `until_returned` it is done when this member's lanes have all returned by themselves.
    """
    lanes = Lanes(consumer, lane)
    consumer.subscribe(topics, listener=lanes)

    async def belong() -> None:
        await consumer.start()
        if until_returned:
            await lanes.all_returned()
        else:
            await (done or stop.wait)()

    async def tell() -> None:
        while True:
            await lanes.assigned.wait()
            await all_arrived(consumer, taken_up, stop)
            readiness.set_ready(len(consumer.assignment()))
            await _wait_for_broker(consumer, answers=False)
            readiness.set_not_ready(KafkaError("no broker answers"))
            await _wait_for_broker(consumer, answers=True)

    async def watch() -> None:
        while True:
            await asyncio.sleep(_BROKER_INTERVAL_S)
            check_client(consumer)
            if not readiness.is_ready and not await _answers(consumer):
                # Before the first partition is taken up, nothing else would say so.
                readiness.set_not_ready(KafkaError("no broker answers"))

    try:
        await lanes.wait(belong(), stop.wait(), tell(), watch())
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


async def _wait_for_broker(consumer: AIOKafkaConsumer, *, answers: bool) -> None:
    """Wait until a broker answers, or none does: a member with nothing to do would not learn of it otherwise."""
    while await _answers(consumer) != answers:  # noqa: ASYNC110 - it offers no event
        await asyncio.sleep(_BROKER_INTERVAL_S)


async def _answers(consumer: AIOKafkaConsumer) -> bool:
    """Whether a broker answers; true while the consumer is not connected, because its start fails by itself."""
    client = consumer._client  # noqa: SLF001 - metadata are the least that can be asked for
    if client._sync_task is None:  # noqa: SLF001 - same
        return True
    try:
        # It asks one broker after the other, each for as long as a request may last.
        async with asyncio.timeout(_ANSWER_DEADLINE_S):
            return bool(await client.force_metadata_update())
    except TimeoutError:
        return False


def check_client(consumer: AIOKafkaConsumer) -> None:
    """Raise what a task of aiokafka's has ended with: a member that does not fetch would wait for ever, unaware."""
    client, coordinator = consumer._client, consumer._coordinator  # noqa: SLF001 - nothing else tells
    if coordinator is not None:
        coordinator.check_errors()
    tasks = client._sync_task, getattr(coordinator, "_coordination_task", None)  # noqa: SLF001 - same
    if any(task is not None and task.done() for task in tasks):
        raise ClientFailedError("a task of aiokafka's has ended")


async def all_arrived(consumer: AIOKafkaConsumer, arrived: Collection[TopicPartition], stop: asyncio.Event) -> None:
    """Wait until each partition of this member is in `arrived`, where its lane puts it; or until `stop`."""
    while not stop.is_set() and not consumer.assignment().issubset(arrived):
        await pause(stop, _LOOK_INTERVAL_S)


def _names(partitions: Collection[TopicPartition]) -> list[str]:
    return [f"{partition.topic}-{partition.partition}" for partition in sorted(partitions)]
