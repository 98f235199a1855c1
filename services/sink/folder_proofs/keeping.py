"""What the owner of `rejected` writes of the whole folder, while it works and at the end of a finite run."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from common.pipeline.completion import Waiting
from common.pipeline.start import Pipeline
from common.protocol.output_folder import OF_THE_FOLDER, SUCCESS, ledger_path
from common.version import VERSION
from common.waiting import pause, until_stopped
from services.sink.folder_proofs.renaming import create, is_there, take_back, write_in_place
from services.sink.folder_proofs.seal import SealState
from services.sink.folder_proofs.success import Processed, Undelivered, describe_undelivered, encode_success
from services.sink.folder_proofs.writing import Folder, FolderWriter, find_unsealed
from services.sink.settings import SinkSettings

log = structlog.get_logger()

_LOOK_INTERVAL_S = 0.2
# The partitions of one sink are final within milliseconds.
_FIRST_LOOK_INTERVAL_S = 0.01
_UPDATE_INTERVAL_S = 5.0
# What is written of very many files takes at most this share of the time.
_MOST_OF_THE_TIME = 0.05
_OTHERS = "another sink has begun meanwhile, or has appended rows of the next run"


class FolderProofs:
    """What is written of the whole folder in one session; in format 1, nothing.

    `find_undelivered` says which ends of sources are not delivered, once nothing more can come; None if it is stopped.
    """

    def __init__(
        self,
        settings: SinkSettings,
        pipeline: Pipeline,
        folder_id: str,
        find_undelivered: Callable[[Mapping[str, int], asyncio.Event], Awaitable[Undelivered | None]],
    ) -> None:
        root, topics = settings.output_dir, pipeline.topics
        self._root = root
        self._has_proofs = pipeline.identity.format > 1
        self._wanted = settings.proof_files.intersection(OF_THE_FOLDER if self._has_proofs else ())
        # Otherwise no file is finished.
        self._rolls = settings.rolling.rule.rolls
        self._registry = pipeline.registry
        self._rejected = TopicPartition(topics.rejected, 0)
        names = [ledger_path(topics.categorized, number) for number in range(settings.partitions)]
        ledgers = [root / name for name in (*names, ledger_path(topics.rejected, 0))]
        self._folder = Folder(root, ledgers, folder_id, VERSION, pipeline.identity.formats.begun)
        self._find_undelivered = find_undelivered
        self._processed: Processed | None = None
        self._is_processed = asyncio.Event()
        self._is_claimed = False
        self._concluded = asyncio.Event()

    async def begin(self) -> None:
        """Take back that a run has succeeded, because the next one begins. Call it before anything is read."""
        if self._has_proofs:
            await asyncio.to_thread(take_back, self._root, [SUCCESS])

    def conclude(self, processed: Processed) -> None:
        """Let the owner write of the whole folder, because all is processed."""
        self._processed = processed
        self._is_processed.set()

    async def concluded(self, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        """Wait until that is written, if it is this sink's work, and else until everything is final; or until `stop`.

        Until then this sink stays in the group, which gives it the partitions of a sink that dies.
        """
        while self._wanted and not (stop.is_set() or self._concluded.is_set()):
            if self._rejected not in consumer.assignment():
                found = await asyncio.to_thread(find_unsealed, self._folder)
                if found is None or found[1] is SealState.SERVICE:
                    return
            await until_stopped(stop, self._concluded.wait(), timeout_s=_LOOK_INTERVAL_S)

    async def keep(self, partition: TopicPartition, stop: asyncio.Event) -> None:
        """Write the files about the folder until `stop`, if this partition is that of `rejected`: one sink owns it."""
        if not self._wanted or partition != self._rejected:
            return
        writer = FolderWriter(self._folder, self._wanted, self._registry)
        try:
            if self._rolls:
                await self._update(writer, stop)
            await until_stopped(stop, self._is_processed.wait())
            if self._processed is not None and not self._concluded.is_set():
                await until_stopped(stop, self._conclude(writer, self._processed, stop))
        finally:
            # Before the partition's lock is released: only its holder writes.
            writer.close()

    async def _update(self, writer: FolderWriter, stop: asyncio.Event) -> None:
        """Write of the files that are finished, as they come, until all is processed."""
        while not (stop.is_set() or self._is_processed.is_set()):
            began = time.monotonic()
            await until_stopped(stop, writer.update())
            pause_s = max(_UPDATE_INTERVAL_S, (time.monotonic() - began) / _MOST_OF_THE_TIME)
            await until_stopped(stop, self._is_processed.wait(), timeout_s=pause_s)

    async def _conclude(self, writer: FolderWriter, processed: Processed, stop: asyncio.Event) -> None:
        if SUCCESS in self._wanted and await writer.run(is_there, self._root, SUCCESS):
            # Since this session began: by another sink of this run, which has left, or before a rebalance by this one.
            self._concluded.set()
            return
        if SUCCESS in self._wanted and not self._is_claimed:
            # Once: if it is gone later, another sink has begun, perhaps of the next run.
            await writer.run(create, self._root, [SUCCESS])
            self._is_claimed = True
        if why := await self._find_open(writer, stop):
            await writer.update()
        elif not stop.is_set():
            why = await self._write(writer, processed, stop)
        if why and SUCCESS in self._wanted:
            log.warning("the run is not marked as a success", file=SUCCESS, reason=why)
            await writer.run(take_back, self._root, [SUCCESS])
        if not stop.is_set():
            self._concluded.set()

    async def _find_open(self, writer: FolderWriter, stop: asyncio.Event) -> str:
        """Wait until all partitions are final; if one will not be, say which."""
        waiting, pause_s = Waiting(), _FIRST_LOOK_INTERVAL_S
        while (found := await writer.run(find_unsealed, self._folder)) is not None and not stop.is_set():
            name, state = found
            if state is SealState.SERVICE:
                return f"{name} is filled by a sink without EXIT_WHEN_DONE, so its files are not final"
            # If its sink dies, the group gives the partition to another one, perhaps to this one.
            waiting.on(f"not all files are final: a sink still works on {name}")
            await pause(stop, pause_s)
            pause_s = min(2 * pause_s, _LOOK_INTERVAL_S)
        return ""

    async def _write(self, writer: FolderWriter, processed: Processed, stop: asyncio.Event) -> str:
        """Write of a folder in which everything is final; if the run is no success, say why."""
        if not await writer.write(is_final=True):
            return _OTHERS
        if SUCCESS not in self._wanted:
            return ""
        undelivered = await self._find_undelivered(processed.ends, stop)
        if undelivered is None:
            return ""
        if why := describe_undelivered(processed, undelivered):
            return why
        return "" if await writer.run(self._mark, processed) else _OTHERS

    def _mark(self, processed: Processed) -> bool:
        """Mark the run as a success, and log it, in one call: a rebalance may end the wait for it, but not the call."""
        content = encode_success(processed, self._folder.id, self._folder.nacre)
        if not write_in_place(self._root, SUCCESS, content, processed.moment_ns):
            return False
        log.info("the run is marked as a success", file=SUCCESS, sources=len(processed.ends))
        return True
