"""Metadata requests that create no topic.

A broker with auto.create.topics.enable, Kafka's default, creates each topic that aiokafka 0.14 asks about. Such a topic
has the broker's own partition count and cleanup policy: the pipeline would be refused, or lose records. No
upstream issue known.
"""

from typing import Any

from aiokafka.protocol.metadata import MetadataRequest

# The first version of Metadata that can forbid creation: of Kafka 0.11.
_FIRST_THAT_FORBIDS = 4


def create_no_topic_by_asking() -> None:
    """Make aiokafka's metadata requests forbid creation."""
    MetadataRequest.build = _build_without_creation


def _build_without_creation(request: Any, kind: Any) -> Any:
    if kind.API_VERSION < _FIRST_THAT_FORBIDS:
        return kind(request._topics if kind.API_VERSION else request._topics or [])  # noqa: SLF001 - its builder
    allow_creation = False
    return kind(request._topics, allow_creation)  # noqa: SLF001 - same
