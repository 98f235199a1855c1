"""Transactions that others leave open: what is committed behind them in a partition is not overlooked."""

import asyncio
from pathlib import Path

from aiokafka import AIOKafkaProducer

from common.protocol.progress import Progress, encode_progress
from tests.harness.pipeline import Pipeline

HEADER = b"Sex,Rings\n"
# Far longer than an ingest needs to begin; the broker ends it then.
_TIMEOUT_MS = 10_000


async def open_transaction(pipeline: Pipeline) -> AIOKafkaProducer:
    """What an ingest of standard input leaves if it is frozen or killed in the middle of a transaction."""
    producer = AIOKafkaProducer(
        bootstrap_servers=pipeline.bootstrap,
        transactional_id=f"{pipeline.prefix}ingest-stdin",
        transaction_timeout_ms=_TIMEOUT_MS,
    )
    await producer.start()
    await producer.begin_transaction()
    value = encode_progress(Progress("stdin-test", format=2))
    await producer.send_and_wait(f"{pipeline.prefix}progress", value, key=b"stdin-test", partition=0)
    return producer


def test_a_position_that_is_committed_behind_an_open_transaction_is_found(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    rows = [b"M,%d\n" % number for number in range(300)]
    source.write_bytes(HEADER + b"".join(rows[:100]))
    settings = {"PARTITIONS": "1", "SPLIT_BY": "*"}
    ingest = pipeline.start("ingest", INPUT=str(source), SETTLE_S="3600", **settings)
    pipeline.start("split", **settings)
    pipeline.start("sink", **settings)
    pipeline.wait_for_files({"all.csv": HEADER + b"".join(rows[:100])})

    async def restart_beside_an_open_transaction() -> None:
        producer = await open_transaction(pipeline)
        end = pipeline.observer.ends("progress")
        with source.open("ab") as file:
            file.write(b"".join(rows[100:200]))
        await asyncio.to_thread(pipeline.wait_until, lambda: pipeline.observer.ends("progress") > end, "its commit")
        ingest.kill()
        ingest.wait_for_exit()
        pipeline.start("ingest", INPUT=str(source), SETTLE_S="3600", **settings)
        with source.open("ab") as file:
            file.write(b"".join(rows[200:]))
        await asyncio.to_thread(pipeline.wait_for_files, {"all.csv": HEADER + b"".join(rows)})
        await producer.stop()

    asyncio.run(restart_beside_an_open_transaction())
