"""The newest rows that there are: each partition is read backwards from its end, a window of offsets at a time."""

from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError
from msgspec import Struct

from common.aiokafka_internals.fetched_batches import RecordBatch, read_on_any
from common.kafka.clients import open_reader
from common.settings import ServiceSettings
from common.waiting import within
from ops.tap.output import note
from ops.tap.reader import ANSWER_DEADLINE_S, Reader, Tapped, skip_what_is_gone
from ops.tap.rows import Row
from ops.tap.windows import Window, first_window, is_searched, newest, window_before

_TIMEOUT_MS = 200
_MAX_WAIT_MS = 10
_SILENCE_S = 30.0
_NOTE_INTERVAL_S = 5.0


class _Searched(Struct):
    """What was found in a window of a partition: the newest rows, and the time of the first batch."""

    rows: deque[Row]
    oldest_ms: int | None = None


async def find_newest(
    settings: ServiceSettings, reader: Reader, tapped: Tapped, count: int, report: Callable[[str], None] = note
) -> list[Row]:
    """The newest `count` rows that are committed now, the oldest first; fewer if there are no more.

    It reads at most what the topics hold at the call, and tells `report` how far it is if that takes long. Raises
    KafkaError, and TimeoutError if no broker answers.
    """
    async with open_reader(settings, "nacre-tap", max_wait_ms=_MAX_WAIT_MS) as consumer:
        async with within(ANSWER_DEADLINE_S, "no answer"):
            beginnings = await consumer.beginning_offsets(tapped.partitions)
            # With read_committed, the end is before the first transaction that is still open.
            ends = await consumer.end_offsets(tapped.partitions)
        search = _Search(consumer, reader, tapped, count, report)
        windows = {each: first_window(beginnings[each], ends[each], count) for each in tapped.partitions}
        while left := {each: window for each, window in windows.items() if window is not None}:
            found = await search.read(left)
            search.best = newest([*search.best, *(row for each in found.values() for row in each.rows)], count)
            windows = {
                each: None
                if is_searched(search.best, count, found[each].oldest_ms)
                else window_before(window, beginnings[each])
                for each, window in left.items()
            }
    return search.best


class _Search:
    """Reads windows, and says now and then how much it has read."""

    def __init__(
        self, consumer: AIOKafkaConsumer, reader: Reader, tapped: Tapped, count: int, report: Callable[[str], None]
    ) -> None:
        self._consumer = consumer
        self._reader = reader
        self._tapped = tapped
        self._count = count
        self._report = report
        self._offsets = 0
        self._noted_at = monotonic()
        self.best: list[Row] = []

    async def read(self, windows: Mapping[TopicPartition, Window]) -> dict[TopicPartition, _Searched]:
        """What is in one window of each of these partitions."""
        found = {each: _Searched(deque(maxlen=self._count)) for each in windows}
        self._consumer.assign(list(windows))
        for each, window in windows.items():
            self._consumer.seek(each, window.start)
        left, positions, moved_at = set(windows), {each: window.start for each, window in windows.items()}, monotonic()
        while left:
            try:
                batches = await read_on_any(self._consumer, _TIMEOUT_MS)
            except OffsetOutOfRangeError:
                await skip_what_is_gone(self._consumer, list(windows))
                continue
            for each in left & batches.keys():
                await self._take(found[each], each, batches[each], windows[each].end)
            for each in sorted(left):
                # A position also passes what is not handed out: aborted rows, and the ends of transactions.
                if (position := await self._consumer.position(each)) != positions[each]:
                    self._offsets += position - positions[each]
                    positions[each], moved_at = position, monotonic()
                if position >= windows[each].end:
                    left.remove(each)
                    self._consumer.pause(each)
            if monotonic() - moved_at > _SILENCE_S:
                raise TimeoutError(f"nothing came within {_SILENCE_S:g} s")
            self._note()
        return found

    async def _take(self, found: _Searched, partition: TopicPartition, batches: list[RecordBatch], end: int) -> None:
        for batch in batches:
            place = self._reader.place_of(self._tapped, partition, batch)
            found.oldest_ms = place.latest_ms if found.oldest_ms is None else found.oldest_ms
            for run in self._reader.runs(place, batch, end):
                found.rows += await self._reader.rows(run, place, max(len(run.rows) - self._count, 0), len(run.rows))

    def _note(self) -> None:
        if monotonic() - self._noted_at > _NOTE_INTERVAL_S:
            self._noted_at = monotonic()
            self._report(f"searched {self._offsets:,} records, {len(self.best):,} rows found before these")
