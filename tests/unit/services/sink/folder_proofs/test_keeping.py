"""Who writes of the whole folder, and when: also where a rebalance comes in between."""

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from structlog.testing import capture_logs

from common.protocol.identity import NEWEST_FORMATS
from common.protocol.output_folder import HIDDEN, OF_THE_FOLDER, SUCCESS, ledger_path
from services.sink.folder_proofs import keeping
from services.sink.folder_proofs.keeping import FolderProofs
from services.sink.folder_proofs.renaming import write_in_place
from services.sink.folder_proofs.success import Processed, Undelivered
from services.sink.folder_proofs.writing import FolderWriter
from services.sink.ledger.database import Ledger
from services.sink.ledger.entries import Changes

REJECTED = TopicPartition("n.rejected", 0)


def proofs_of(root: Path) -> FolderProofs:
    """Those of a folder in which everything is final."""
    (root / HIDDEN).mkdir()
    for topic in ("n.categorized", "n.rejected"):
        ledger = Ledger(root / ledger_path(topic, 0), is_rejected=topic == "n.rejected")
        ledger.commit({"run": "sealed"}, Changes([]))
        ledger.close()
    rolling = SimpleNamespace(rule=SimpleNamespace(rolls=False))
    settings: Any = SimpleNamespace(
        output_dir=root, proof_files=frozenset(OF_THE_FOLDER), rolling=rolling, partitions=1
    )
    topics = SimpleNamespace(categorized="n.categorized", rejected="n.rejected")
    identity = SimpleNamespace(format=2, formats=NEWEST_FORMATS)
    pipeline: Any = SimpleNamespace(topics=topics, identity=identity, registry=None)

    async def find_undelivered(*_: object) -> Undelivered:
        return Undelivered()

    return FolderProofs(settings, pipeline, "folder", find_undelivered)


async def test_a_rebalance_just_behind_success_neither_takes_it_back_nor_keeps_it_out_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proofs, stop, loop = proofs_of(tmp_path), asyncio.Event(), asyncio.get_running_loop()
    await proofs.begin()
    proofs.conclude(Processed(1, {}, 0, ""))
    real, given_up = write_in_place, threading.Event()

    class Writer(FolderWriter):
        def close(self) -> None:
            given_up.set()
            super().close()

    def write_and_stop(*arguments: Any) -> bool:
        is_written = real(*arguments)
        loop.call_soon_threadsafe(stop.set)
        assert given_up.wait(20)
        return is_written

    monkeypatch.setattr(keeping, "write_in_place", write_and_stop)
    monkeypatch.setattr(keeping, "FolderWriter", Writer)
    with capture_logs() as logs:
        await proofs.keep(REJECTED, stop)
    assert (tmp_path / SUCCESS).exists()
    assert [line["event"] for line in logs] == ["the run is marked as a success"]
    async with asyncio.timeout(20):
        await proofs.keep(REJECTED, asyncio.Event())
    assert (tmp_path / SUCCESS).exists()
