"""SPLIT_BY changes between runs: each row is in each split's files, once and in order, whenever a split came."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from ops.kafka import LocalKafka
from tests.integration.expectation import ABALONE, expected_files, rejections
from tests.integration.pipeline import ABALONE_FILE, Pipeline, Service

SOURCE = ABALONE_FILE.read_bytes()


def expected(*splits: str) -> dict[str, bytes]:
    return expected_files(SOURCE, [ABALONE[split] for split in splits])


def carry_on(pipeline: Pipeline, split_by: str, **settings: str) -> Service:
    """Let split and sink carry what is there, sink once split is done; return split."""
    split = pipeline.start("split", SPLIT_BY=split_by, EXIT_WHEN_DONE="true", **settings)
    pipeline.finish(split)
    pipeline.finish(pipeline.start("sink", EXIT_WHEN_DONE="true", **settings))
    return split


def refusal(pipeline: Pipeline, split_by: str, **settings: str) -> tuple[int, str]:
    """What a split that cannot go on says last, and its exit code."""
    split = pipeline.start("split", SPLIT_BY=split_by, **settings)
    code = split.wait_for_exit()
    lines = split.log().splitlines()
    errors = [line for line in lines if '"level": "error"' in line or '"level":"error"' in line or "critical" in line]
    assert len(errors) == 1, split.log()
    return code, errors[0]


def said(split: Service, part: str) -> list[str]:
    """The splits of the log lines whose event holds this."""
    lines = [json.loads(line) for line in split.log().splitlines() if line.startswith("{")]
    return sorted(line["split"] for line in lines if part in line["event"])


def committed(pipeline: Pipeline) -> list[TopicPartition]:
    """What group split has committed, with the metadata."""
    asked = ConsumerGroupTopicPartitions(f"{pipeline.prefix}split")
    [answer] = pipeline.observer.admin.list_consumer_group_offsets([asked]).values()
    return list(answer.result().topic_partitions)


def commit(pipeline: Pipeline, *partitions: TopicPartition) -> None:
    asked = ConsumerGroupTopicPartitions(f"{pipeline.prefix}split", list(partitions))
    [answer] = pipeline.observer.admin.alter_consumer_group_offsets([asked]).values()
    for each in answer.result().topic_partitions:
        assert each.error is None, each.error


def test_a_new_split_is_filled_from_the_beginning_and_nothing_else_is_repeated(pipeline: Pipeline) -> None:
    pipeline.run(ABALONE_FILE, "Sex")
    split = carry_on(pipeline, "Sex,Rings:int,*")
    pipeline.check_files(expected("Sex", "Rings:int", "*"))
    assert said(split, "new") == ["Rings", "all"]
    ends = [record for record in pipeline.observer.records("categorized") if record.headers]
    assert len(ends) == len(pipeline.observer.partitions("categorized"))
    # And goes on with the others.
    carry_on(pipeline, "*,Sex,Rings:int")
    pipeline.check_files(expected("Sex", "Rings:int", "*"))
