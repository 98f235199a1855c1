"""The partitions of a pipeline's topics."""

from aiokafka import TopicPartition
from msgspec import Struct

from common.pipeline.topics import Topics
from common.settings import ServiceSettings


def partitions_of(topic: str, count: int) -> tuple[TopicPartition, ...]:
    """A topic's partitions, in their order."""
    return tuple(TopicPartition(topic, number) for number in range(count))


class Partitions(Struct, frozen=True):
    """The partitions that a pipeline begins with; every rejection goes to the one of `rejected`."""

    rows: tuple[TopicPartition, ...]
    categorized: tuple[TopicPartition, ...]
    progress: tuple[TopicPartition, ...]
    rejected: TopicPartition

    @classmethod
    def of(cls, settings: ServiceSettings) -> "Partitions":
        """Those of the pipeline that the settings name."""
        topics, count = Topics.under(settings.topic_prefix), settings.partitions
        return cls(
            rows=partitions_of(topics.rows, count),
            categorized=partitions_of(topics.categorized, count),
            progress=partitions_of(topics.progress, count),
            rejected=TopicPartition(topics.rejected, 0),
        )

    @property
    def rows_and_rejected(self) -> tuple[TopicPartition, ...]:
        """Where ingest puts rows and rejections."""
        return *self.rows, self.rejected

    @property
    def categorized_and_rejected(self) -> tuple[TopicPartition, ...]:
        """Where split puts rows and rejections; sink reads them."""
        return *self.categorized, self.rejected
