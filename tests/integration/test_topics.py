"""The topics as another client reads them: librdkafka, committed records only."""

import json
from collections import defaultdict

from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.cimpl import NewTopic

from tests.harness.observer import Record
from tests.harness.pipeline import ABALONE_FILE, Pipeline

PARTITIONS = 6


def rows_in(records: list[Record]) -> list[Record]:
    return [record for record in records if not record.headers]


def librdkafka_partitions(pipeline: Pipeline, keys: set[bytes]) -> dict[bytes, int]:
    """Where librdkafka puts records with these keys, told to do as Java does."""
    topic = f"{pipeline.prefix}check"
    pipeline.observer.admin.create_topics([NewTopic(topic, PARTITIONS)])[topic].result(30)
    producer = Producer({"bootstrap.servers": pipeline.bootstrap, "partitioner": "murmur2_random", "log_level": 0})
    found: dict[bytes, int] = {}

    def delivered(error: KafkaError | None, message: Message) -> None:
        assert error is None
        key, partition = message.key(), message.partition()
        assert isinstance(key, bytes)
        assert partition is not None
        found[key] = partition

    for key in keys:
        producer.produce(topic, b"", key, on_delivery=delivered)
    assert producer.flush(10) == 0
    return found


def test_rows_and_categories_read_by_another_client(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "*,Sex+Rings")
    header, *lines = ABALONE_FILE.read_bytes().splitlines()

    rows = pipeline.observer.records("rows")
    # One source is in one partition, in its order, and its rows are as they stand in the file.
    assert [record.value for record in rows_in(rows)] == lines
    assert {(record.key, record.partition) for record in rows} == {(None, rows[0].partition)}

    categorized = pipeline.observer.records("categorized")
    by_key: defaultdict[bytes, list[Record]] = defaultdict(list)
    for record in rows_in(categorized):
        assert record.key is not None
        by_key[record.key].append(record)
    for key, records in by_key.items():
        assert len({record.partition for record in records}) == 1
        split, _, category = key.partition(b"=")
        if split == b"all":
            assert not category
            expected = lines
        else:
            assert split == b"Sex+Rings"
            sex, rings = category.split(b"+")
            expected = [line for line in lines if line.startswith(sex + b",") and line.endswith(b"," + rings)]
        same = [record.value for record in records] == expected
        assert same, key
    assert sum(map(len, by_key.values())) == 2 * len(lines)

    places = {key: records[0].partition for key, records in by_key.items()}
    assert librdkafka_partitions(pipeline, set(places)) == places

    schemas = pipeline.observer.schemas()
    assert [json.loads(record.value)["columns"] for record in schemas] == [header.decode().split(",")]
    # The source's end is told in every partition of categorized, behind its rows.
    last = {record.partition: record for record in categorized}
    assert len(last) == PARTITIONS
    assert all(record.headers for record in last.values())


def test_no_transaction_is_left_open_by_services_that_ended(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    for topic in ("rows", "categorized", "rejected", "schemas", "progress", "sources", "shares", "receipts"):
        assert pipeline.observer.ends(topic, committed=True) == pipeline.observer.ends(topic)
