"""The sources of one partition of `progress`: which they are, where their files are, and whose turn it is."""

import asyncio

from aiokafka import TopicPartition

from common.errors import TooManyRejectedError
from common.kafka.transaction import Transactions
from common.protocol.progress import RUN_KEY, Progress, Run, encode_progress, encode_run
from services.ingest.context import IngestContext
from services.ingest.departures import Departures
from services.ingest.followed_file import FollowedFile
from services.ingest.followed_sources import FollowedSources
from services.ingest.naming.locations import earlier
from services.ingest.outcome import Outcome
from services.ingest.scan import Scan
from services.ingest.unpacking_turns import UnpackingTurns


class PartitionSources:
    """The sources of one partition and the outbox that gathers their rows."""

    def __init__(
        self,
        context: IngestContext,
        scan: Scan,
        partition: TopicPartition,
        transactions: Transactions,
        known: dict[str, Progress],
    ) -> None:
        self._context = context
        self._partition = partition
        self._followed = FollowedSources(context, scan, partition.partition, known)
        self._unpacking = UnpackingTurns()
        self._run: Run | None = None
        self.transactions = transactions
        self._outbox = transactions.outbox()
        self.departures = Departures(context, scan, self._followed, self._commit_all)
        context.counts.of(partition).source_bytes = self._followed.count_bytes

    @property
    def finished(self) -> bool:
        """Whether every source is read to its end, or cannot be read."""
        return self._followed.finished

    @property
    def outcome(self) -> Outcome:
        """What is to be reported of these sources."""
        outcome = Outcome()
        for name, followed in self._followed.files.items():
            outcome.sources.add(name)
            if followed.trouble:
                outcome.failed[name] = followed.trouble
            outcome.rejected_whole |= {self._context.find_rejected_whole(followed.progress)} - {""}
            outcome.skipped_whole |= {self._context.find_skipped_whole(followed.progress)} - {""}
        return outcome

    def announce(self, run: Run) -> None:
        """Put this state of the run into the next commit."""
        self._run = run

    async def follow(self) -> None:
        """Take up sources that are new to this partition, and follow files that were moved."""
        await self._followed.follow()

    async def take_turn(self, stop: asyncio.Event) -> bool:
        """Let every source put what it has into the outbox, and commit as it fills; False when none had anything."""
        moved = False
        for name, followed in list(self._followed.awake.items()):
            if stop.is_set():
                break
            if not self._is_its_turn(name, followed):
                continue
            if await followed.put_next_rows(self._outbox):
                moved = True
                self._followed.changed.add(name)
            self._followed.note_turn(name)
            if self.transactions.left_s(self._outbox) <= 0 or not (self._outbox or self.transactions.busy):
                await self.commit()
        if not moved:
            # Rows that came while a commit was under way would otherwise wait until others come.
            await self.commit()
        return moved

    def _is_its_turn(self, name: str, followed: FollowedFile) -> bool:
        # The rest of a rotated file precedes the rows of the file that took its name.
        if (before := earlier(name)) is not None and not self._followed.is_done(before):
            return False
        return not followed.is_packed or self._unpacking.may_unpack(followed)

    async def commit(self) -> None:
        """Begin to commit the outbox, with the progress of the sources whose rows it has."""
        changed = self._followed.changed
        if not changed and self._run is None:
            return
        reached = [self._followed.progress(source) for source in changed]
        for progress in reached:
            self._put(progress.source.encode(), encode_progress(progress))
        if self._run is not None:
            self._put(RUN_KEY, encode_run(self._run))
            self._run = None
        changed.clear()
        await self.transactions.commit(self._outbox)
        # Not before that: until it is on its way, it counts as gathered.
        self._outbox = self.transactions.outbox()
        try:
            for progress in reached:
                self._context.check_rejected(progress)
        except TooManyRejectedError:
            # The error points to rejected rows, so they have to be committed before it is raised.
            await self.transactions.settle()
            raise

    async def _commit_all(self) -> None:
        """Commit, and wait until that is done."""
        await self.commit()
        await self.transactions.settle()

    def _put(self, key: bytes, value: bytes) -> None:
        self._outbox.put(self._partition.topic, self._partition.partition, key, value)
