"""Whether a member of a group is at work: it has partitions, each is taken up, and a broker answers."""

import asyncio
from collections.abc import Callable, Collection

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from common.broker_errors.kinds import ErrorKind
from common.kafka.partition_names import partition_names
from common.sessions.client_watch import LATE_S, say_when_late, wait_for_broker
from common.sessions.readiness import Readiness
from common.waiting import pause

_LOOK_INTERVAL_S = 0.01
_WATCH_INTERVAL_S = 1.0
_NOT_TAKEN_UP = "not all partitions are taken up"
# aiokafka asks only the brokers that it knows, by the addresses that they had.
_BROKER_PATIENCE_S = 30.0


class AtWork:
    """Reports whether this member is ready, and why not.

    `assigned` is set while the member has an assignment; `taken_up` has the partitions that its tasks are at work on.
    While `standing_by` gives a reason, the member is not ready.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        assigned: asyncio.Event,
        taken_up: Collection[TopicPartition],
        readiness: Readiness,
        standing_by: Callable[[], str | None],
    ) -> None:
        self._consumer = consumer
        self._assigned = assigned
        self._taken_up = taken_up
        self._readiness = readiness
        self._standing_by = standing_by
        # Whether a rebalance takes so long that it is reported.
        self._is_late = False

    async def report(self, stop: asyncio.Event) -> None:
        """Report each change until `stop`; raise what waiting does not mend."""
        while True:
            self._is_late = False
            await say_when_late(self._readiness, self._assigned.wait(), "no partitions are assigned by the group")
            await say_when_late(self._readiness, all_arrived(self._consumer, self._taken_up, stop), _NOT_TAKEN_UP)
            if (reason := self._standing_by()) is not None:
                self._readiness.set_not_ready(reason)
                await pause(stop, _LOOK_INTERVAL_S)
                continue
            self._readiness.set_ready(partition_names(self._consumer.assignment()))
            await wait_for_broker(self._consumer, answers=False, unless=self._is_unsettled)
            if self._is_unsettled():
                continue
            error = KafkaError("no broker answers")
            if (await self._readiness.report(error)).kind is not ErrorKind.WAITS:
                # The session ends: a refusal must not be repeated each second, nor for ever.
                raise error
            try:
                async with asyncio.timeout(_BROKER_PATIENCE_S):
                    await wait_for_broker(self._consumer, answers=True)
            except TimeoutError:
                # The next session asks those of the settings: brokers may come back with other addresses.
                raise error from None

    async def watch(self) -> None:
        """Report a rebalance that takes long, as when a partition waits for a lock that a hanging sink holds."""
        clock = asyncio.get_running_loop().time
        settled_at = clock()
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            is_settled = self._assigned.is_set() and self._consumer.assignment().issubset(self._taken_up)
            if is_settled or self._is_late or not self._readiness.is_ready:
                settled_at = clock()
            elif clock() - settled_at >= LATE_S:
                self._is_late = True
                await self._readiness.report(TimeoutError(f"{_NOT_TAKEN_UP} within {LATE_S:g} s"))

    def _is_unsettled(self) -> bool | None:
        return self._is_late or self._standing_by() is not None or None


async def all_arrived(consumer: AIOKafkaConsumer, arrived: Collection[TopicPartition], stop: asyncio.Event) -> None:
    """Wait until each partition of this member is in `arrived`, where its task puts it; or until `stop`."""
    while not stop.is_set() and not consumer.assignment().issubset(arrived):
        await pause(stop, _LOOK_INTERVAL_S)
