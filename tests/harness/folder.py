"""An output folder of two partitions without Kafka, for what is written of the whole folder."""

import asyncio
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from common.protocol.category_keys import file_key
from common.protocol.output_folder import MANIFEST, PACKAGE, ledger_path
from services.sink.folder_proofs.writing import Folder, FolderWriter
from services.sink.ledger.origin import Origin
from services.sink.partition_files import PartitionFiles
from services.sink.paths.template import path_rule
from services.sink.rolling.limits import NOTHING_FINISHED, Limits, Rolling
from tests.harness.partition_files import SCHEMA, Schemas, row

PARTITIONS = 2
ROLLED = Rolling(path_rule("{split}/{category}.csv", rolls=True), Limits(rows=2))


def ledgers(root: Path) -> list[Path]:
    """The ledgers of the partitions."""
    return [root / ledger_path("categorized", number) for number in range(PARTITIONS)]


def make_folder(root: Path) -> Folder:
    """An output folder, so far without files."""
    root.joinpath(".nacre").mkdir(parents=True)
    return Folder(root, ledgers(root), "f00", "1.2.3")


class Run:
    """A sink that has all partitions of the folder, in a finite run or as a service."""

    def __init__(self, root: Path, rolling: Rolling = NOTHING_FINISHED, *, is_finite: bool = True) -> None:
        self._is_finite = is_finite
        names = [str(ledger.relative_to(root)) for ledger in ledgers(root)]
        self.partitions: list[PartitionFiles] = []
        self._offset = 0
        try:
            for name in names:
                self.partitions.append(PartitionFiles(root, name, Schemas(), rolling))
        except BaseException:
            # As the death of a process does.
            self.close()
            raise

    async def begin(self) -> None:
        """Take the partitions up."""
        for partition in self.partitions:
            self._offset = max(self._offset, await partition.open(Origin("cluster")) or 0)
            await partition.seal.take_up(is_finite=self._is_finite)

    async def add(self, *categories: str, number: int = 0) -> None:
        """Append a row for each of these categories to a partition, and make it durable."""
        partition = self.partitions[number]
        key_values = [(file_key(SCHEMA.id, "Sex", (each,)), f"{each},1".encode()) for each in categories]
        await partition.add([row(key, value) for key, value in key_values])
        await self._checkpoint(partition)

    async def end(self) -> None:
        """Finish what is open, and seal the partitions."""
        for partition in self.partitions:
            partition.end()
            await self._checkpoint(partition)
            await partition.seal.seal()

    async def _checkpoint(self, partition: PartitionFiles) -> None:
        self._offset += 1
        await partition.begin_checkpoint(self._offset)
        await partition.settle()
        while not partition.at_rest:
            await partition.finish_due()
            if partition.dirty:
                await self._checkpoint(partition)
            await asyncio.sleep(0)

    def close(self) -> None:
        """Let the partitions go."""
        for partition in self.partitions:
            partition.close()


async def write_of(folder: Folder, *, is_final: bool) -> bool:
    """Write manifest and data package."""
    writer = FolderWriter(folder, (MANIFEST, PACKAGE), Schemas())
    try:
        return await writer.write(is_final=is_final)
    finally:
        writer.close()


def listed(root: Path) -> Mapping[str, str]:
    """The manifest: the SHA-256 of each path."""
    pairs = (line.split("  ", 1) for line in (root / MANIFEST).read_text().splitlines())
    return {path: digest for digest, path in pairs}


def found(root: Path, pattern: str = "**/*.csv") -> Mapping[str, str]:
    """The SHA-256 of each file that is there."""
    return {
        str(path.relative_to(root)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.glob(pattern))
        if path.is_file()
    }
