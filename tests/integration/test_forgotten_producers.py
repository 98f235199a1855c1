"""Producers that the broker has forgotten, as it does after a week without a row: the next rows come once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.kafka.local import LocalKafka
from tests.harness.chaos.receipts import receipt_path
from tests.harness.observer import Observer
from tests.harness.pipeline import Pipeline

pytestmark = pytest.mark.long

HEADER = b"Sex,Rings\n"


@pytest.fixture(scope="module")
def forgetful_bootstrap() -> Iterator[str]:
    """A broker that forgets a producer after a second without a transaction, where Kafka's own takes a week."""
    config = {
        "transactional.id.expiration.ms": "1000",
        "transaction.remove.expired.transaction.cleanup.interval.ms": "500",
        "producer.id.expiration.ms": "1000",
        "producer.id.expiration.check.interval.ms": "500",
    }
    with LocalKafka(config=config) as kafka:
        yield kafka.bootstrap


def test_sources_after_a_long_pause_are_delivered_once_although_all_producers_are_forgotten(
    forgetful_bootstrap: str, make_pipeline: Callable[[str], Pipeline], tmp_path: Path
) -> None:
    pipeline = make_pipeline(forgetful_bootstrap)
    sources = [tmp_path / "1.csv", tmp_path / "2.csv"]
    sources[0].write_bytes(HEADER + b"M,1\nF,2\n")
    ingest = pipeline.start("ingest", INPUT=f"{tmp_path}/*.csv", SETTLE_S="0")
    split = pipeline.start("split", SPLIT_BY="*")
    sink = pipeline.start("sink")
    pipeline.wait_until(receipt_path(pipeline.output, sources[0]).exists, "the first is delivered")
    transactions = Observer(pipeline.bootstrap, "")

    def all_are_forgotten() -> bool:
        # A forgotten producer leaves an empty value.
        latest = {record.key: record.value for record in transactions.records("__transaction_state")}
        return bool(latest) and not any(latest.values())

    pipeline.wait_until(all_are_forgotten, "the broker has forgotten all producers")
    # Put there as a whole: with SETTLE_S=0, its beginning could be delivered as all of it.
    (tmp_path / "2").write_bytes(HEADER + b"M,3\nF,4\n" * 100)
    (tmp_path / "2").rename(sources[1])
    pipeline.wait_until(receipt_path(pipeline.output, sources[1]).exists, "the second is delivered")
    for service in (ingest, split):
        [reason] = [each["reason"] for each in service.events("not ready")]
        assert "InvalidProducerIdMapping: " in reason
        assert reason.endswith("a week by default, without a row: another takes its place")
    for service in (ingest, split, sink):
        assert service.stop()[0] == 0
    pipeline.check_files({"all.csv": HEADER + b"M,1\nF,2\n" + b"M,3\nF,4\n" * 100})
