"""What partitions are called in log lines and errors."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from aiokafka import TopicPartition

from common.errors import ServiceError


def partition_names(partitions: Iterable[tuple[str, int]]) -> list[str]:
    """Topic and number of each, in their order: nacre.rows-0."""
    return [f"{topic}-{number}" for topic, number in sorted(partitions)]


@contextmanager
def naming(partition: TopicPartition) -> Iterator[None]:
    """Turn a ValueError, which says what is wrong with records, into a ServiceError that says where they are."""
    try:
        yield
    except ValueError as error:
        raise ServiceError(f"topic {partition.topic}, partition {partition.partition}: {error}") from error
