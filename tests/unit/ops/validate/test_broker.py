from collections.abc import Mapping

import pytest

from common.kafka.topic_metadata import Topic
from common.pipeline.topics import FoundTopics, Topics
from common.settings import ServiceSettings
from common.settings_reader import read_settings
from ops.findings import Finding
from ops.validate.broker import Broker, judge_broker
from tests.harness.setting_names import names_of

TOPICS = Topics.under("nacre.")
NO_CONFIGS: Mapping[str, Mapping[str, str]] = {}
PARTITIONS = {
    TOPICS.rows: 6,
    TOPICS.categorized: 6,
    TOPICS.rejected: 1,
    TOPICS.schemas: 1,
    TOPICS.sources: 1,
    TOPICS.progress: 6,
    TOPICS.shares: 1,
    TOPICS.receipts: 1,
}


def found(
    partitions: Mapping[str, int] = PARTITIONS, configs: Mapping[str, Mapping[str, str]] = NO_CONFIGS
) -> FoundTopics:
    topics = {name: Topic(f"id of {name}", count, 1) for name, count in partitions.items()}
    return FoundTopics("cluster", topics, configs)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in names_of(ServiceSettings):
        monkeypatch.delenv(name.upper(), raising=False)


def judge(broker: Broker, *argv: str) -> list[Finding]:
    return judge_broker(broker, read_settings(ServiceSettings, argv, program="test"), longest_bytes=46)


def not_holding(broker: Broker, *argv: str) -> list[str]:
    return [finding.text for finding in judge(broker, *argv) if not finding.holds]


def test_topics_as_they_are_set_fit() -> None:
    configs = {name: {"max.message.bytes": "1048588", "retention.ms": "86400000"} for name in PARTITIONS}
    assert judge(Broker(1, found(configs=configs))) == [
        Finding(holds=True, text="localhost:9092 answers: 1 broker"),
        Finding(holds=True, text="all 8 topics nacre.* exist, with PARTITIONS=6"),
        Finding(holds=True, text="topic nacre.rows keeps rows for 24 hours: a new split gets those that are no older"),
        Finding(holds=True, text="the longest row has 46 bytes of at most 900,000, and record batches fit"),
    ]


def test_missing_topics_are_no_fault() -> None:
    [_, none, retention, _] = judge(Broker(3))
    assert none.text == "none of 8 topics nacre.* exist; the services create them with PARTITIONS=6"
    assert "168 hours" in retention.text
    assert not not_holding(Broker(3, found({TOPICS.rows: 6})))


def test_a_broker_that_reports_no_limit_is_not_judged_by_it() -> None:
    assert not not_holding(Broker(1, found()))


def test_other_partition_counts_do_not_fit() -> None:
    [text] = not_holding(Broker(1, found()), "--partitions=3")
    assert "PARTITIONS says 3: set PARTITIONS=6" in text
    [text] = not_holding(Broker(1, found({TOPICS.rejected: 2})))
    assert "topic nacre.rejected has 2 partitions and must have 1" in text


def test_more_replicas_than_brokers_do_not_fit_where_a_topic_is_to_be_created() -> None:
    [text] = not_holding(Broker(2), "--replication-factor=3")
    assert "REPLICATION_FACTOR=3" in text
    assert not not_holding(Broker(2, found()), "--replication-factor=3")


def test_a_limit_below_a_record_batch_does_not_fit_whatever_the_longest_row() -> None:
    limits = {TOPICS.rows: "500000", TOPICS.rejected: "1000000", TOPICS.schemas: "900"}
    configs = {name: {"max.message.bytes": limit} for name, limit in limits.items()}
    [text] = not_holding(Broker(1, found(configs=configs)))
    assert text.startswith("topic nacre.rows takes 500000 bytes at once, MAX_ROW_BYTES=900000 needs 1000000: set its")


def test_without_an_answer_nothing_else_is_reported() -> None:
    assert judge(Broker(trouble="refused")) == [
        Finding(holds=False, text="no broker answers at localhost:9092: refused")
    ]
