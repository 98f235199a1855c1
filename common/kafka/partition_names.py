"""What partitions are called in log lines."""

from collections.abc import Iterable


def partition_names(partitions: Iterable[tuple[str, int]]) -> list[str]:
    """Topic and number of each, in their order: nacre.rows-0."""
    return [f"{topic}-{number}" for topic, number in sorted(partitions)]
