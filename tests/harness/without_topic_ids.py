"""Starts a service that gets no topic ids from brokers: `python -m tests.harness.without_topic_ids MODULE`."""

import runpy
import sys
from collections.abc import Collection

from aiokafka.admin import AIOKafkaAdminClient
from msgspec.structs import replace

from common.kafka import topic_metadata
from common.kafka.topic_metadata import Topic
from common.pipeline import start as pipeline_start
from common.pipeline import topic_watch

_describe = topic_metadata.describe_topics


async def _without_ids(admin: AIOKafkaAdminClient, names: Collection[str]) -> tuple[str, dict[str, Topic]]:
    cluster, topics = await _describe(admin, names)
    return cluster, {name: replace(topic, id="") for name, topic in topics.items()}


if __name__ == "__main__":
    for user in (pipeline_start, topic_watch):
        vars(user)["describe_topics"] = _without_ids
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
